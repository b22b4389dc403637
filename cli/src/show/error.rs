//! Failures as `error / because / hint`, or as one JSON object.

use crate::exit::Exit;
use crate::show::Show;
use crate::show::harmless;
use crate::show::lossy;
use crate::show::message;
use serde_json::Value;
use std::io::Write;
use strongroom::EmptyStream;
use strongroom::Error;
use strongroom::Kind;
use strongroom::UnknownKey;
use strongroom_service::Refusal;

/// Why the command ends early: what to tell, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    pub because: Vec<String>,
    pub hint: Option<String>,
    /// Nobody reads standard output any more: end without a word.
    pub closed: bool,
}

impl Failure {
    /// A failure that ends with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), because: Vec::new(), hint: None, closed: false }
    }

    /// The request makes no sense; nothing was done.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A plain failure.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The same with a reason beneath it.
    #[must_use]
    pub fn because(mut self, why: impl std::fmt::Display) -> Self {
        self.because.push(why.to_string());
        self
    }

    /// The same with advice, in place of any advice it had.
    #[must_use]
    pub fn hint(mut self, advice: impl Into<String>) -> Self {
        self.hint = Some(advice.into());
        self
    }

    /// The same with advice for somebody who has stopped it.
    #[must_use]
    pub fn if_stopped(self, advice: impl Into<String>) -> Self {
        if self.exit == Exit::Interrupted { self.hint(advice) } else { self }
    }

    /// The same for `check`, which is not the way out of what has stopped it.
    #[must_use]
    pub fn without_check(mut self) -> Self {
        if self.hint.as_deref() == Some(CHECK) {
            self.hint = Some(
                "look at the disk first, then bring what is named here back from a copy of the repository".to_owned(),
            );
        }
        self
    }

    /// Tells on standard error.
    pub fn show(&self, show: &Show) {
        if self.closed {
            return;
        }
        let mut err = std::io::stderr().lock();
        if show.json {
            let _ = writeln!(err, "{}", harmless::json(&self.json()));
            return;
        }
        let paint =
            |code: &str, word: &str| if show.color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.into() };
        let _ = writeln!(err, "{} {}", paint("1;31", "error:"), lossy(self.message.as_bytes()));
        for why in &self.because {
            let _ = writeln!(err, "{} {}", paint("1", "because:"), lossy(why.as_bytes()));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "{} {}", paint("1;36", "hint:"), lossy(hint.as_bytes()));
        }
    }

    fn json(&self) -> Value {
        let mut value = message("exit_error");
        value.insert("code".into(), self.exit.code().into());
        value.insert("message".into(), self.message.clone().into());
        value.insert("because".into(), self.because.clone().into());
        if let Some(hint) = &self.hint {
            value.insert("hint".into(), hint.clone().into());
        }
        Value::Object(value)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new(Exit::of(error.kind()), error.to_string());
        failure.hint = error.advice().map(str::to_owned);
        let mut cause = std::error::Error::source(&error);
        while let Some(why) = cause {
            // Wrapped errors often repeat what they wrap; once is enough.
            let text = why.to_string();
            if failure.because.last() != Some(&text) && failure.message != text {
                failure.because.push(text);
            }
            if failure.hint.is_none() {
                failure.hint = why.downcast_ref::<Error>().and_then(Error::advice).map(str::to_owned);
            }
            if why.is::<EmptyStream>() {
                failure.hint = Some("no snapshot was stored; with --allow-empty one is".to_owned());
            }
            if why.is::<UnknownKey>() {
                failure.hint =
                    Some("unlock with a key that was made when the root key was changed, or later".to_owned());
            }
            cause = why.source();
        }
        failure.hint = failure.hint.or_else(|| hint(error.kind()).map(str::to_owned));
        failure
    }
}

impl From<strongroom_service::Error> for Failure {
    fn from(error: strongroom_service::Error) -> Self {
        let refused = |exit, refusal: Refusal| {
            let Refusal { message, because, hint, .. } = refusal;
            Self { because, hint, ..Self::new(exit, message) }
        };
        match error {
            strongroom_service::Error::Usage(refusal) => refused(Exit::Usage, refusal),
            strongroom_service::Error::Failed(refusal) => refused(Exit::Failed, refusal),
            strongroom_service::Error::Engine(error, hint) => hint.into_iter().fold(error.into(), Self::hint),
            other => Self::failed(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// Only output reaches this conversion: everything else says what it was doing.
    fn from(error: std::io::Error) -> Self {
        let closed = error.kind() == std::io::ErrorKind::BrokenPipe;
        let exit = if closed { Exit::Done } else { Exit::Failed };
        Self { closed, ..Self::new(exit, "cannot write the result").because(error) }
    }
}

/// What was done stays done when it cannot be told: that is a failure of its own, which says what `done` says.
pub fn told(shown: Result<(), Failure>, done: impl FnOnce() -> String) -> Result<(), Failure> {
    unless_closed(shown).map_err(|failure| Failure {
        exit: Exit::Partial,
        message: format!("{}, but the result could not be written", done()),
        ..failure
    })
}

/// Nobody reads any more: that is no failure, and what goes on goes on. Other failures to show something count.
pub fn unless_closed(shown: Result<(), Failure>) -> Result<(), Failure> {
    match shown {
        Err(failure) if !failure.closed => Err(failure),
        _ => Ok(()),
    }
}

/// The advice about damage.
const CHECK: &str = "'strongroom check --read-data' lists everything that is damaged, and says what helps";

/// Advice that holds wherever a failure of this kind happens; commands with more context replace it.
fn hint(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::NoRepository => "check the location given with -r, or make a repository there with 'strongroom init'",
        Kind::WrongKey => "'--use-recovery-code' unlocks with the code that was printed when the repository was made",
        Kind::Damaged => CHECK,
        Kind::Unsupported => "open it with the newer strongroom, or the other program, that made it",
        Kind::SourceFailed => "no snapshot was stored",
        Kind::TargetFailed => {
            "fix that (is the disk full?) and run the same command again: what is restored already is not written again"
        }
        Kind::BackendDenied => "check the permissions of the repository's location",
        Kind::BackendBusy => "nothing is lost: run the same command again when the backend answers",
        Kind::CacheFailed => {
            "run the same command again: cache files are made anew, and the repository is not affected"
        }
        Kind::NoSpace => "free some space and run the same command again; the repository is still good",
        Kind::NotFound => "'strongroom snapshots' and 'strongroom ls SNAPSHOT' list what there is",
        Kind::Protected => "'strongroom unprotect' takes the protection of a snapshot away",
        Kind::Bug => "this should not happen: please report it, with the output of 'strongroom version'",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_of_causes_is_told_once_each() {
        let inner = Error::new(Kind::Damaged, "the tag does not match");
        let failure = Failure::from(Error::new(Kind::Damaged, "cannot read snapshot 1234").because(inner));
        assert_eq!(failure.message, "cannot read snapshot 1234");
        assert_eq!(failure.because, ["the tag does not match"]);
        assert_eq!(failure.exit, Exit::Damaged);
        assert!(failure.hint.is_some());
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(failure.closed);
        assert_eq!(failure.exit, Exit::Done);
    }

    #[test]
    fn json_failures_carry_their_code() {
        let value = Failure::usage("no such path").hint("look again").json();
        assert_eq!(value["message_type"], "exit_error");
        assert_eq!(value["version"], 1);
        assert_eq!(value["code"], 2);
        assert_eq!(value["message"], "no such path");
    }
}
