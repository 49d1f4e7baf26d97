//! How far a catch-up is, for a person: a bar on a terminal, a line now and then elsewhere.

use indicatif::{
    MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle as BarStyle,
};
use std::time::{Duration, Instant};

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A bar that redraws itself.
    Bar,
    /// A log line every few seconds.
    Log,
}

/// Fewer blocks than this are committed before anybody could read that they are being.
const WORTH_SHOWING: u64 = 64;

/// Pause between two log lines.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// How far a catch-up is.
#[derive(Debug)]
pub struct Progress {
    style: ProgressStyle,
    bars: MultiProgress,
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    what: &'static str,
    bar: ProgressBar,
    started: Instant,
    logged: Instant,
}

impl Progress {
    /// Progress shown in one of the two ways.
    #[must_use]
    pub fn new(style: ProgressStyle) -> Self {
        let target = match style {
            ProgressStyle::Bar => ProgressDrawTarget::stderr(),
            ProgressStyle::Log => ProgressDrawTarget::hidden(),
        };
        Self {
            style,
            bars: MultiProgress::with_draw_target(target),
            run: None,
        }
    }

    /// Another one, shown below this one where both are bars.
    pub(crate) fn beside(&self) -> Self {
        Self {
            style: self.style,
            bars: self.bars.clone(),
            run: None,
        }
    }

    /// Work on a range begins; short ones are not shown.
    pub(crate) fn start(&mut self, what: &'static str, from: u64, to: u64) {
        let length = to - from + 1;
        if length < WORTH_SHOWING {
            self.run = None;
            return;
        }
        let bar = ProgressBar::new(length)
            .with_style(bar_style())
            .with_prefix(what);
        let bar = self.bars.add(bar);
        tracing::info!(block.from = from, block.to = to, blocks = length, "{what}");
        self.run = Some(Run {
            what,
            bar,
            started: Instant::now(),
            logged: Instant::now(),
        });
    }

    /// So many blocks of the range are committed.
    pub(crate) fn done(&mut self, blocks: u64) {
        let style = self.style;
        let Some(run) = &mut self.run else { return };
        run.bar.set_position(blocks);
        if style == ProgressStyle::Log && run.logged.elapsed() >= LOG_EVERY {
            run.logged = Instant::now();
            run.log();
        }
    }

    /// The range is complete.
    pub(crate) fn finish(&mut self) {
        if let Some(run) = self.run.take() {
            run.bar.finish_and_clear();
            run.log();
        }
    }
}

impl Run {
    fn log(&self) {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        let elapsed = self.started.elapsed().as_millis().max(1);
        let per_second = u128::from(done) * 1000 / elapsed;
        let left = u128::from(total.saturating_sub(done));
        tracing::info!(
            "{what}: {percent} % ({done} of {total} blocks), {per_second} blocks/s, {left} to go, ETA {eta} s",
            what = self.what,
            eta = left.checked_div(per_second).unwrap_or(0),
        );
    }
}

fn bar_style() -> BarStyle {
    let template = "{prefix:>11} {bar:32} {percent:>3} % {pos}/{len} blocks, {rate} blocks/s, {left} to go, ETA {eta}";
    // The template is a constant: were it wrong, the default bar would do.
    BarStyle::with_template(template)
        .unwrap_or_else(|_| BarStyle::default_bar())
        .with_key(
            "rate",
            |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.0}", state.per_sec());
            },
        )
        .with_key(
            "left",
            |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(
                    out,
                    "{}",
                    state.len().unwrap_or(0).saturating_sub(state.pos())
                );
            },
        )
}
