//! The progress line on standard error, drawn from what an execution tells of itself.

use std::cell::Cell;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::pin::pin;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use sheaf_core::env::{Clock, SystemClock};
use sheaf_core::settings::Progress as Shown;
use sheaf_dataset::RunProgress;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Work that ends sooner shows nothing.
const QUIET: Duration = Duration::from_millis(500);
/// How often the line changes.
const EVERY: Duration = Duration::from_millis(100);
/// How often a line is printed where none can be drawn over.
const EVERY_LINE: Duration = Duration::from_secs(1);

/// The line of one execution; gone when it is dropped.
pub(super) struct Progress {
    place: Place,
    /// Whether standard output is the same screen.
    shared: bool,
}

/// Where progress is told.
enum Place {
    Nowhere,
    /// One line of a terminal, drawn again and again, and whether it has been drawn yet.
    Terminal(ProgressBar, Cell<bool>),
    /// Lines of a file or pipe; when the last one was printed.
    Lines(Cell<Duration>),
}

impl Progress {
    pub(super) fn new(shown: Shown) -> Self {
        let place = match shown {
            Shown::Off => Place::Nowhere,
            Shown::Auto | Shown::On if stderr().is_terminal() => Place::Terminal(bar(), Cell::default()),
            Shown::Auto => Place::Nowhere,
            Shown::On => Place::Lines(Cell::default()),
        };
        Self { place, shared: stdout().is_terminal() }
    }

    /// When to look at the execution again.
    pub(super) fn ticks() -> Interval {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Waits for something that tells nothing of itself: planning, or a statement that runs at once.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let (mut ticks, started) = (Self::ticks(), SystemClock.now());
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = ticks.tick() => self.waited(started.elapsed()),
            }
        }
    }

    fn waited(&self, elapsed: Duration) {
        self.tell(elapsed, || format!("working · {:.1} s", elapsed.as_secs_f64()));
    }

    /// Tells how far an execution is.
    pub(super) fn show(&self, progress: &RunProgress) {
        self.tell(progress.elapsed, || line(progress));
    }

    fn tell(&self, elapsed: Duration, line: impl FnOnce() -> String) {
        match &self.place {
            Place::Terminal(bar, drawn) if elapsed >= QUIET => {
                drawn.set(true);
                bar.set_message(line());
                bar.tick();
            }
            Place::Lines(last) if elapsed.saturating_sub(last.get()) >= EVERY_LINE => {
                last.set(elapsed);
                let _ = writeln!(stderr().lock(), "{}", line());
            }
            _ => {}
        }
    }

    /// Prints something where the line may be; the line comes back afterwards.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.place {
            Place::Terminal(bar, drawn) if self.shared && drawn.get() => bar.suspend(print),
            _ => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Place::Terminal(bar, drawn) = &self.place
            && drawn.get()
        {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{spinner} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn line(progress: &RunProgress) -> String {
    let seconds = progress.elapsed.as_secs_f64();
    let mut line = format!(
        "{} · {} rows · {} · {:.0} rows/s · {seconds:.1} s",
        progress.stage,
        HumanCount(progress.rows_read),
        HumanBytes(progress.bytes_read),
        progress.rows_read as f64 / seconds.max(f64::EPSILON),
    );
    if progress.spilled_bytes > 0 {
        line.push_str(&format!(" · {} spilled", HumanBytes(progress.spilled_bytes)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_stage_rows_bytes_and_rate() {
        let progress = RunProgress {
            stage: "SortExec".into(),
            rows_read: 2_000_000,
            bytes_read: 3 << 20,
            rows_out: 0,
            spilled_bytes: 0,
            rows_failed: 0,
            elapsed: Duration::from_secs(2),
        };
        assert_eq!(line(&progress), "SortExec · 2,000,000 rows · 3.00 MiB · 1000000 rows/s · 2.0 s");
        let spilled = RunProgress { spilled_bytes: 1 << 30, ..progress };
        assert!(line(&spilled).ends_with(" · 1.00 GiB spilled"));
    }
}
