//! How far an audit is: a bar where somebody watches, a line now and then elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};
use store::audit;

/// Pause between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The progress of one audit, on standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    said: Instant,
}

impl Progress {
    pub(super) fn start() -> Self {
        let template = "{bar:32} {percent:>3} % {pos}/{len} blocks, {per_sec}, ETA {eta}";
        // The template is a constant: were it wrong, the default bar would do.
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let watched = std::io::stderr().is_terminal();
        Self {
            bar: watched.then(|| ProgressBar::new(0).with_style(style)),
            started: Instant::now(),
            said: Instant::now(),
        }
    }

    pub(super) fn advanced(&mut self, at: audit::Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(at.total);
            bar.set_position(at.done);
        } else if self.said.elapsed() >= LINE_EVERY {
            self.said = Instant::now();
            tracing::info!("{}", line(at, self.started.elapsed()));
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(at: audit::Progress, elapsed: Duration) -> String {
    let percent = (at.done * 100).checked_div(at.total).unwrap_or(100);
    let per_second = u128::from(at.done) * 1000 / elapsed.as_millis().max(1);
    let left = u128::from(at.total.saturating_sub(at.done));
    let eta = left.checked_div(per_second).unwrap_or(0);
    format!(
        "{percent} % ({} of {} blocks), {per_second} blocks/s, ETA {eta} s",
        at.done, at.total
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_is_done_how_fast_it_goes_and_when_it_ends() {
        let at = |done, total| audit::Progress { done, total };
        assert_eq!(
            line(at(500, 2000), Duration::from_secs(5)),
            "25 % (500 of 2000 blocks), 100 blocks/s, ETA 15 s"
        );
        assert_eq!(
            line(at(0, 0), Duration::ZERO),
            "100 % (0 of 0 blocks), 0 blocks/s, ETA 0 s"
        );
    }
}
