//! A job on its way: a bar on a terminal, status lines for scripts, entries with `-v`.

use crate::interrupt::Interrupt;
use crate::show::Failure;
use crate::show::Show;
use crate::show::bar::Expected;
use crate::show::bar::Moment;
use crate::show::bytes;
use crate::show::counted;
use crate::show::message;
use crate::show::path;
use crate::show::unless_closed;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use serde_json::Value;
use serde_json::json;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;
use std::time::Instant;
use strongroom::Action;
use strongroom::Event;
use strongroom::Job;
use strongroom::Progress;
use strongroom::ProgressReader;
use terminal_size::Width;
use terminal_size::terminal_size_of;

/// How often a bar is drawn.
const BAR_MILLISECONDS: u64 = 100;
/// How often a script is told.
const STATUS_MILLISECONDS: u64 = 1_000;
/// Over how many of the last looks the rate is taken: about five seconds.
const LOOKS_KEPT: usize = 50;
/// Over less time no rate is taken.
const RATED_AFTER: Duration = Duration::from_secs(1);
/// Columns that the clock before the line takes.
const CLOCK_COLUMNS: usize = 11;

/// The bar of a job; draws nothing unless standard error is a terminal and nobody asked for silence.
struct Bar {
    bar: ProgressBar,
    began: Instant,
    /// The bytes there were at the last looks.
    looks: VecDeque<(Instant, u64)>,
}

impl Bar {
    /// A bar, hidden where it would be in the way.
    fn new(show: &Show) -> Self {
        let visible = !show.quiet && !show.json && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let plain = ProgressStyle::with_template("[{elapsed_precise}] {wide_msg}");
        bar.set_style(plain.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, began: Instant::now(), looks: VecDeque::new() }
    }

    /// Draws the latest counters.
    fn update(&mut self, reader: &ProgressReader) {
        if self.bar.is_hidden() {
            return;
        }
        let mut moment = self.moment(reader.latest());
        moment.path = reader.current().map(|at| path(&at));
        let columns = terminal_size_of(std::io::stderr()).map_or(80, |(Width(columns), _)| usize::from(columns));
        self.bar.set_message(moment.line(columns.saturating_sub(CLOCK_COLUMNS)));
        self.bar.tick();
    }

    /// What is known now.
    fn moment(&mut self, progress: Progress) -> Moment {
        let elapsed = self.began.elapsed();
        let expected = Expected { entries: progress.entries_total, bytes: progress.bytes_total };
        self.looks.push_back((Instant::now(), progress.bytes_done));
        if self.looks.len() > LOOKS_KEPT {
            self.looks.pop_front();
        }
        let rate = match (self.looks.front(), self.looks.back()) {
            (Some((first, before)), Some((last, now))) if *last - *first >= RATED_AFTER => {
                Some((now.saturating_sub(*before) as f64 / (*last - *first).as_secs_f64()) as u64)
            }
            _ => None,
        };
        let mut moment = Moment { progress, expected, rate, seconds_left: None, path: None };
        moment.seconds_left = seconds_left(moment.fraction(), elapsed.as_secs_f64());
        moment
    }

    /// Prints a line above the bar.
    fn above(&self, show: &Show, text: &str) -> Result<(), Failure> {
        self.bar.suspend(|| show.line(text))
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// From the average speed so far; nothing while there is too little to tell from.
fn seconds_left(part: Option<f64>, elapsed: f64) -> Option<u64> {
    let part = part?;
    (part > 0.005 && elapsed > 1.0).then(|| (elapsed * (1.0 - part) / part) as u64)
}

/// Runs a job to its end, showing its way. Ctrl-C asks it for a clean stop. `list` shows every entry.
pub async fn drive<T>(mut job: Job<T>, show: &Show, interrupt: &Interrupt, list: bool) -> Result<T, Failure> {
    let _guard = interrupt.guard(job.canceller());
    let mut bar = Bar::new(show);
    let progress = job.progress();
    // Asking for events makes the engine build them: only when somebody wants to see them.
    let mut events = (list && !show.quiet).then(|| job.events());
    let period = if show.json { STATUS_MILLISECONDS } else { BAR_MILLISECONDS };
    let mut ticks = tokio::time::interval(Duration::from_millis(period));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    ticks.tick().await;
    let mut shown = Ok(());
    let result = loop {
        tokio::select! {
            // The job goes on when all it has told is shown: one that waits for nothing outruns its listener otherwise.
            biased;
            _ = ticks.tick() => {
                bar.update(&progress);
                if show.json && !show.quiet && shown.is_ok() {
                    shown = show.json(&status(&bar.moment(progress.latest()), bar.began));
                }
            }
            Some(event) = next(&mut events) => {
                shown = tell(&event, show, &bar);
            }
            result = &mut job => break result,
        }
        // A job is not given up because its story cannot be told: whoever wrote `> log` wants it done.
        events = events.filter(|_| shown.is_ok());
    };
    // What the job told before it ended is still in the channel. The job's own end of it lives as
    // long as the job, so take only what is there.
    if let Some(events) = &mut events {
        while shown.is_ok()
            && let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await
        {
            shown = tell(&event, show, &bar);
        }
    }
    bar.clear();
    if let Err(failure) = unless_closed(shown) {
        show.warn(&format!("not all of the output could be written: {}", failure.because.join(": ")));
    }
    Ok(result?)
}

/// The next event, or never.
async fn next(events: &mut Option<strongroom::Events>) -> Option<Event> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::New => "new",
        Action::Changed => "modified",
        Action::Unchanged => "unchanged",
        Action::Skipped => "skipped",
        Action::Deleted => "deleted",
        _ => "other",
    }
}

fn tell(event: &Event, show: &Show, bar: &Bar) -> Result<(), Failure> {
    match event {
        Event::EntryDone { path: at, action, bytes: size, .. } if show.json => {
            let mut value = message("verbose_status");
            value.insert("action".into(), word(*action).into());
            value.insert("item".into(), format!("/{at}").into());
            value.insert("data_size".into(), (*size).into());
            show.json(&Value::Object(value))
        }
        Event::EntryDone { path: at, action, bytes: size, .. } => {
            bar.above(show, &format!("{:<9}  {}, {}", word(*action), path(at), bytes(*size)))
        }
        Event::Skipped { path: at, reason, .. } if show.json => {
            let mut value = message("verbose_status");
            value.insert("action".into(), "excluded".into());
            value.insert("item".into(), format!("/{at}").into());
            value.insert("reason".into(), reason.clone().into());
            show.json(&Value::Object(value))
        }
        Event::Skipped { path: at, reason, .. } => {
            bar.above(show, &format!("{:<9}  {} ({reason})", "excluded", path(at)))
        }
        Event::Missed { count, .. } if !show.json => {
            bar.above(show, &format!("... and {} more", counted(*count, "entry")))
        }
        // Warnings are in the report, which is shown at the end.
        _ => Ok(()),
    }
}

/// restic's `status` message.
fn status(moment: &Moment, began: Instant) -> Value {
    let progress = &moment.progress;
    let mut value = message("status");
    value.insert("seconds_elapsed".into(), began.elapsed().as_secs().into());
    if let Some(left) = moment.seconds_left {
        value.insert("seconds_remaining".into(), left.into());
    }
    value.insert("percent_done".into(), json!(moment.fraction().unwrap_or(0.0)));
    value.insert("total_files".into(), progress.entries_total.into());
    value.insert("files_done".into(), progress.entries_done.into());
    value.insert("total_bytes".into(), progress.bytes_total.into());
    value.insert("bytes_done".into(), progress.bytes_done.into());
    value.insert("bytes_stored".into(), progress.bytes_stored.into());
    value.insert("error_count".into(), progress.warnings.into());
    Value::Object(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_the_speed_so_far() {
        assert_eq!(seconds_left(Some(0.25), 10.0), Some(30));
        assert_eq!(
            (seconds_left(None, 10.0), seconds_left(Some(0.25), 0.5), seconds_left(Some(0.001), 9.0)),
            (None, None, None)
        );
    }
}
