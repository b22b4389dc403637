//! The one public error: what kind of failure, what was being done, and why it failed.

use std::fmt;

/// What sort of failure this is; decides exit codes and hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// There is no repository at the location.
    NoRepository,
    /// No key slot opens with the key given.
    WrongKey,
    /// A stored object is missing, altered or cut short.
    Damaged,
    /// Written by a newer program, or by another one.
    Unsupported,
    /// The source could not be read to its end.
    SourceFailed,
    /// Restored data could not be written to its target.
    TargetFailed,
    /// The backend refuses: permissions, read-only, credentials.
    BackendDenied,
    /// The backend did not answer, or asked to come back later.
    BackendBusy,
    /// A local file that only saves work or memory cannot be read, or is not what was written.
    CacheFailed,
    /// The backend has no room left.
    NoSpace,
    /// No more files may be opened, by this process or on this machine.
    TooManyFiles,
    /// The machine does not give the memory that the work needs.
    NoMemory,
    /// Something of that name exists already.
    Conflict,
    /// What was asked for does not exist in the repository.
    NotFound,
    /// A safeguard forbids it: a protected snapshot, or the removal of everything there is.
    Protected,
    /// The request itself makes no sense.
    Invalid,
    /// Stopped on request.
    Cancelled,
    /// A promise inside the program was broken.
    Bug,
}

/// Any failure of the engine: `doing` in one line, `source()` says why.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    doing: String,
    cause: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    advice: Option<&'static str>,
}

/// Shorthand for results of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind` while `doing` something ("read pack ab12...").
    pub fn new(kind: Kind, doing: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), cause: None, advice: None }
    }

    /// The same with the reason beneath it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The same with what helps, where that is not what helps with every failure of its kind.
    #[must_use]
    pub(crate) fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// What helps, where that is not what helps with every failure of its kind.
    pub fn advice(&self) -> Option<&'static str> {
        self.advice
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What was being done when it failed.
    pub fn doing(&self) -> &str {
        &self.doing
    }

    /// True when it concerns what is stored in one place, and everything else can still be had.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.kind, Kind::Damaged | Kind::NotFound | Kind::Unsupported)
    }

    /// Whether something was not there, whatever that means to whoever asked for it.
    pub(crate) fn is_of_missing(&self) -> bool {
        let cause = || self.cause.as_ref().and_then(|cause| cause.downcast_ref::<Self>());
        self.kind == Kind::NotFound || cause().is_some_and(Self::is_of_missing)
    }

    /// The error and its reasons.
    pub(crate) fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(why) = cause {
            text.push_str(": ");
            text.push_str(&why.to_string());
            cause = why.source();
        }
        text
    }

    /// A damaged object, named.
    pub(crate) fn damaged(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(Kind::Damaged, format!("{what} is damaged")).because(why.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Some(cause) => Some(cause.as_ref()),
            None => None,
        }
    }
}
