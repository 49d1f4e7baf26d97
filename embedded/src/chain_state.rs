//! The dev chain's state file, and what has to be put right about it.
//!
//! Anvil writes it in place, at intervals and when it ends. Two things go wrong with that:
//! - Killed while writing, it leaves half a file, and the chain is lost. So a copy of the last whole
//!   one is kept.
//! - At every start it makes a new genesis block, stamped with the current time, before it loads the
//!   old blocks; the next time it writes, both are in the file, and which one is block 0 after the
//!   start that follows is chance. So all but the first are taken out. (Pinning the time with
//!   `--timestamp` would help, but it sets the chain's clock back at every start.)

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::StartError;
use crate::folder::write_private;

/// The file that anvil reads and writes.
pub(crate) const FILE: &str = "state.json";
const COPY: &str = "state.whole.json";

/// Makes the state file fit to be loaded, before anvil starts.
pub(crate) fn prepare(folder: &Path) -> Result<(), StartError> {
    let path = folder.join(FILE);
    let copy = folder.join(COPY);
    let mut state = read(&path)?;
    if state.is_none() && copy.exists() {
        tracing::warn!("the dev chain's state is damaged, going back to the last copy of it");
        state = read(&copy)?;
    }
    let Some(mut state) = state else {
        // Nothing to go on with. What cannot be read is put aside rather than written over.
        return match fs::rename(&path, folder.join("state.damaged.json")) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StartError::io(format!("rename {}", path.display()))(error))
            }
            _ => Ok(()),
        };
    };
    keep_first_genesis(&mut state);
    let text = state.to_string();
    write_private(&path, text.as_bytes())?;
    write_private(&copy, text.as_bytes())
}

/// None when it is missing or not whole.
fn read(path: &Path) -> Result<Option<Value>, StartError> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::io(format!("read {}", path.display()))(error)),
    }
}

/// The first genesis is the one with the oldest timestamp: each later one was made at a later start.
fn keep_first_genesis(state: &mut Value) {
    let Some(blocks) = state.get_mut("blocks").and_then(Value::as_array_mut) else {
        return;
    };
    let oldest = blocks
        .iter()
        .filter(|block| quantity(block, "number") == Some(0))
        .map(timestamp)
        .min();
    let mut kept = false;
    blocks.retain(|block| {
        if quantity(block, "number") != Some(0) {
            return true;
        }
        // Only one of them, even when two starts fell into the same second: then they are the same block.
        let keep = !kept && Some(timestamp(block)) == oldest;
        kept |= keep;
        keep
    });
}

fn timestamp(block: &Value) -> Option<u64> {
    quantity(block, "timestamp")
}

fn quantity(block: &Value, field: &str) -> Option<u64> {
    let text = block.get("header")?.get(field)?.as_str()?;
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Copies the state file whenever anvil has written a new one, once it is seen to be whole.
#[derive(Debug)]
pub(crate) struct Keeper {
    // Dropping it is the signal to end.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(folder: &Path, interval: Duration) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let path = folder.join(FILE);
        let copy = folder.join(COPY);
        let thread = std::thread::spawn(move || {
            let mut seen = None;
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = copy_when_whole(&path, &copy, &mut seen) {
                    tracing::debug!(%error, "could not copy the dev chain's state");
                }
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn copy_when_whole(
    path: &PathBuf,
    copy: &Path,
    seen: &mut Option<SystemTime>,
) -> std::io::Result<()> {
    let modified = fs::metadata(path)?.modified()?;
    if *seen == Some(modified) {
        return Ok(());
    }
    let temporary = copy.with_extension("new");
    fs::copy(path, &temporary)?;
    // The copy is judged, not the original, which may change at any moment.
    let whole: Result<IgnoredAny, _> =
        serde_json::from_reader(BufReader::new(File::open(&temporary)?));
    if whole.is_ok() {
        fs::rename(&temporary, copy)?;
        *seen = Some(modified);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn block(number: &str, timestamp: &str) -> Value {
        json!({ "header": { "number": number, "timestamp": timestamp } })
    }

    #[test]
    fn only_the_first_genesis_stays() {
        let mut state = json!({ "blocks": [
            block("0x0", "0x20"), block("0x1", "0x11"), block("0x0", "0x10"), block("0x0", "0x10"),
        ]});
        keep_first_genesis(&mut state);
        assert_eq!(
            state["blocks"],
            json!([block("0x1", "0x11"), block("0x0", "0x10")])
        );
    }

    #[test]
    fn half_a_file_is_replaced_by_the_last_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = json!({ "blocks": [block("0x0", "0x1")] });
        fs::write(folder.path().join(FILE), state.to_string()).unwrap();
        prepare(folder.path()).unwrap();
        fs::write(folder.path().join(FILE), "{\"blocks\": [").unwrap();
        prepare(folder.path()).unwrap();
        assert_eq!(read(&folder.path().join(FILE)).unwrap(), Some(state));
    }

    #[test]
    fn a_missing_file_is_a_new_chain() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path()).unwrap();
        assert!(!folder.path().join(FILE).exists());
    }
}
