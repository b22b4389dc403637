//! What people and scripts see.
//!
//! Results go to standard output, everything else (progress, notes, warnings, errors) to standard
//! error. With `--json` both carry one JSON object a line, each with its `message_type` and the
//! `version` of the message format. A closed standard output (`strongroom ls | head`) is no error:
//! it ends the command quietly.

mod bar;
mod error;
mod harmless;
mod human;
mod json;
mod output;
mod progress;

pub use error::Failure;
pub use error::told;
pub use error::unless_closed;
pub use harmless::in_json;
pub use harmless::lines;
pub use harmless::lossy;
pub use human::bytes;
pub use human::clock;
pub use human::counted;
pub use human::duration;
pub use human::elapsed;
pub use human::mode;
pub use human::path;
pub use human::short;
pub use human::table;
pub use human::type_name;
pub use human::waiting;
pub use json::entry;
pub use json::message;
pub use json::paths_raw;
pub use json::snapshot;
pub use json::time;
pub use json::warning;
pub use output::Output;
pub use output::must_be_read;
pub use progress::drive;

use crate::args::Global;
use crate::exit::Exit;
use serde_json::Value;
use std::io::IsTerminal;
use std::io::Write;

/// How to show things, decided once from the global options.
#[derive(Clone, Debug)]
pub struct Show {
    pub json: bool,
    pub quiet: bool,
    pub verbose: u8,
    pub color: bool,
}

impl Show {
    /// Decides from the options, `NO_COLOR` and whether somebody looks.
    pub fn new(global: &Global, no_color: bool) -> Self {
        let color = !no_color && !global.no_color && std::io::stderr().is_terminal();
        Self { json: global.json, quiet: global.quiet, verbose: global.verbose, color }
    }

    /// One line of result.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        put(&lines(text))
    }

    /// One JSON value of result.
    pub fn json(&self, value: &Value) -> Result<(), Failure> {
        put(&harmless::json(value))
    }

    /// One line of result people read and scripts do not: silent with `-q` and `--json`.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        if self.quiet || self.json { Ok(()) } else { self.line(text) }
    }

    /// A remark on standard error; silent with `-q` and `--json`.
    pub fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            // A closed standard error is nobody's loss.
            let _ = writeln!(std::io::stderr().lock(), "{}", lossy(text.as_bytes()));
        }
    }

    /// Something the user must know although the command goes on: shown even with `-q`.
    pub fn warn(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        if self.json {
            let mut value = message("warning");
            value.insert("message".into(), text.into());
            let _ = writeln!(err, "{}", harmless::json(&Value::Object(value)));
            return;
        }
        let text = lossy(text.as_bytes());
        let _ = match self.color {
            true => writeln!(err, "\x1b[33mwarning:\x1b[0m {text}"),
            false => writeln!(err, "warning: {text}"),
        };
    }

    /// What a signal does, below whatever is being shown; with an exit code where it ends the process.
    pub fn interruption(&self, end: Option<Exit>, text: &str) {
        match end {
            Some(exit) if self.json => Failure::new(exit, text).show(self),
            None if self.json => self.warn(text),
            _ => {
                let _ = writeln!(std::io::stderr().lock(), "\n{text}");
            }
        }
    }

    /// The things a job could not do, then how many more there were.
    pub fn warnings(&self, during: &str, warnings: &[strongroom::Warning], total: u64) {
        for one in warnings {
            if self.json {
                let _ = writeln!(std::io::stderr().lock(), "{}", harmless::json(&warning(during, one)));
            } else {
                match &one.path {
                    Some(at) => self.warn(&format!("{}: {}", path(at), one.message)),
                    None => self.warn(&one.message),
                }
            }
        }
        let shown = u64::try_from(warnings.len()).unwrap_or(u64::MAX);
        if total > shown {
            self.warn(&format!("{} more not shown", total - shown));
        }
    }
}

/// One line on standard output, all at once: lines of others stand beside it, not in it.
fn put(text: &str) -> Result<(), Failure> {
    Ok(Output::standard().write_all(format!("{text}\n").as_bytes())?)
}
