//! `ABI_DIR`: one file a contract, `<address>.json`, holding an ABI or a compiler's artifact with one.
//!
//! In: a folder that people and programs put files into at any time. Out: ABIs by address. Files are read
//! when their time or length changed; what is no ABI is told once and left out, and the others are used.

use super::{
    ContractAbi,
    signature::{EventAbi, FunctionAbi},
};
use alloy::{json_abi::JsonAbi, primitives::Address};
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

/// Largest file that is read: artifacts with sources and debug information stay well below.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What tells whether a file changed.
type Stamp = (Option<SystemTime>, u64);

/// A file as it was read last.
#[derive(Clone)]
struct Known {
    stamp: Stamp,
    /// Its contract; none when it is not used.
    abi: Option<(Address, Arc<ContractAbi>)>,
}

#[derive(Default)]
struct Contents {
    files: HashMap<PathBuf, Known>,
    abis: HashMap<Address, Arc<ContractAbi>>,
    /// Whether the last look at the folder failed, so that it is told once.
    unreadable: bool,
}

/// The folder and what it held when it was looked at last.
pub(super) struct Folder {
    path: PathBuf,
    contents: RwLock<Contents>,
}

/// A compiler's artifact.
#[derive(Deserialize)]
struct Artifact {
    abi: JsonAbi,
}

impl Folder {
    /// Reads all files.
    pub fn read(path: PathBuf) -> Self {
        let folder = Self {
            path,
            contents: RwLock::default(),
        };
        folder.refresh();
        let count = folder.look(|contents| contents.abis.len());
        tracing::info!(folder = %folder.path.display(), contracts = count, "ABI folder is read");
        folder
    }

    pub fn is_empty(&self) -> bool {
        self.look(|contents| contents.abis.is_empty())
    }

    pub fn find(&self, address: &Address) -> Option<Arc<ContractAbi>> {
        self.look(|contents| contents.abis.get(address).cloned())
    }

    fn look<T>(&self, at: impl FnOnce(&Contents) -> T) -> T {
        at(&self.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files that changed since the last time. A folder that cannot be read leaves what is
    /// known as it is.
    pub fn refresh(&self) {
        let before = self.look(|contents| contents.files.clone());
        let found = self.files();
        let files = match found {
            Ok(found) => found
                .into_iter()
                .map(|(path, stamp)| {
                    let known = before.get(&path).filter(|known| known.stamp == stamp);
                    let known = known.cloned().unwrap_or_else(|| look_at(&path, stamp));
                    (path, known)
                })
                .collect(),
            Err(error) => {
                let mut contents = self
                    .contents
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                if !std::mem::replace(&mut contents.unreadable, true) {
                    let folder = self.path.display();
                    tracing::warn!(%folder, %error, "ABI_DIR cannot be read: what was read before is used");
                }
                return;
            }
        };
        *self
            .contents
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Contents {
            abis: by_address(&files),
            files,
            unreadable: false,
        };
    }

    /// The files that may be ABIs.
    fn files(&self) -> io::Result<Vec<(PathBuf, Stamp)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // Gone meanwhile, or a link to nothing.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if metadata.is_file() {
                files.push((path, (metadata.modified().ok(), metadata.len())));
            }
        }
        Ok(files)
    }
}

/// Of two spellings of one address, the one that sorts last: which it is must not depend on the folder's
/// own order.
fn by_address(files: &HashMap<PathBuf, Known>) -> HashMap<Address, Arc<ContractAbi>> {
    let mut paths: Vec<&PathBuf> = files.keys().collect();
    paths.sort();
    let abis = paths.into_iter().filter_map(|path| files[path].abi.clone());
    abis.collect()
}

fn look_at(path: &Path, stamp: Stamp) -> Known {
    let abi = read(path, stamp.1)
        .map_err(|reason| {
            let file = path.display();
            tracing::warn!(%file, "not used as an ABI: {reason}");
        })
        .ok();
    Known { stamp, abi }
}

fn read(path: &Path, length: u64) -> Result<(Address, Arc<ContractAbi>), String> {
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let address = crate::id::address(name).map_err(
        |_| "accepted as its name is <address>.json, in lower case or with its EIP-55 checksum",
    )?;
    if length > MAX_FILE_BYTES {
        return Err(format!(
            "it has {length} bytes, accepted are {MAX_FILE_BYTES}"
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let abi = parse(&text)?;
    Ok((address, Arc::new(abi)))
}

/// Reads an ABI, or an artifact with one.
pub(super) fn parse(text: &str) -> Result<ContractAbi, String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let abi = if text.starts_with('[') {
        serde_json::from_str::<JsonAbi>(text)
    } else {
        serde_json::from_str::<Artifact>(text).map(|artifact| artifact.abi)
    };
    let abi = abi.map_err(|error| {
        format!("accepted are a JSON ABI and an artifact with a member \"abi\": {error}")
    })?;
    let mut contract = ContractAbi::default();
    for function in abi.functions() {
        let (selector, function) = FunctionAbi::new(function)?;
        contract.functions.insert(selector, function);
    }
    for event in abi.events() {
        if let Some((topic, event)) = EventAbi::new(event)? {
            contract.events.insert((topic, event.indexed()), event);
        }
    }
    Ok(contract)
}
