//! How far a catch-up is, for a person: a bar on a terminal, a line now and then elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle as BarStyle};
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
    run: Option<Run>,
}

#[derive(Debug)]
struct Run {
    from: u64,
    to: u64,
    bar: ProgressBar,
    started: Instant,
    logged: Instant,
}

impl Progress {
    /// Progress shown in one of the two ways.
    #[must_use]
    pub fn new(style: ProgressStyle) -> Self {
        Self { style, run: None }
    }

    /// A catch-up over a range begins; short ones are not shown.
    pub(crate) fn start(&mut self, from: u64, to: u64) {
        let length = to - from + 1;
        if length < WORTH_SHOWING {
            self.run = None;
            return;
        }
        let target = match self.style {
            ProgressStyle::Bar => ProgressDrawTarget::stderr(),
            ProgressStyle::Log => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_style(bar_style());
        tracing::info!(
            block.from = from,
            block.to = to,
            blocks = length,
            "catching up"
        );
        self.run = Some(Run {
            from,
            to,
            bar,
            started: Instant::now(),
            logged: Instant::now(),
        });
    }

    /// Everything up to a height is committed.
    pub(crate) fn advanced(&mut self, number: u64) {
        let style = self.style;
        let Some(run) = &mut self.run else { return };
        run.bar.set_position(number.saturating_sub(run.from) + 1);
        if style == ProgressStyle::Log && run.logged.elapsed() >= LOG_EVERY {
            run.logged = Instant::now();
            run.log();
        }
    }

    /// The catch-up is complete.
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
            "{percent} % ({done} of {total} blocks), {per_second} blocks/s, {lag} behind, ETA {eta} s",
            lag = self.to.saturating_sub(self.from + done.saturating_sub(1)),
            eta = left.checked_div(per_second).unwrap_or(0),
        );
    }
}

fn bar_style() -> BarStyle {
    let template =
        "{bar:32} {percent:>3} % {pos}/{len} blocks, {rate} blocks/s, {lag} behind, ETA {eta}";
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
            "lag",
            |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(
                    out,
                    "{}",
                    state.len().unwrap_or(0).saturating_sub(state.pos())
                );
            },
        )
}
