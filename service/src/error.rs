//! Why a repository cannot be reached, unlocked or made as it was asked for.

use std::fmt;

/// The failures of this crate.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for makes no sense. Nothing was done.
    Usage(Refusal),
    /// A password, key or file cannot be had or made.
    Failed(Refusal),
    /// The engine's failure, with advice where more is known here than there.
    Engine(strongroom::Error, Option<String>),
}

/// What to tell: a line, its reasons from the nearest on, and what helps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// What failed.
    pub message: String,
    /// Why.
    pub because: Vec<String>,
    /// What helps.
    pub hint: Option<String>,
}

impl Error {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(Refusal { message: message.into(), ..Refusal::default() })
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(Refusal { message: message.into(), ..Refusal::default() })
    }

    /// The same with a reason beneath it. The engine's failures have theirs.
    #[must_use]
    pub(crate) fn because(mut self, why: impl fmt::Display) -> Self {
        if let Self::Usage(refusal) | Self::Failed(refusal) = &mut self {
            refusal.because.push(why.to_string());
        }
        self
    }

    /// The same with advice, in place of any that it had.
    #[must_use]
    pub(crate) fn hint(mut self, advice: impl Into<String>) -> Self {
        match &mut self {
            Self::Usage(Refusal { hint, .. }) | Self::Failed(Refusal { hint, .. }) | Self::Engine(_, hint) => {
                *hint = Some(advice.into());
            }
        }
        self
    }

    /// What helps, if that is known here.
    pub fn advice(&self) -> Option<&str> {
        match self {
            Self::Usage(refusal) | Self::Failed(refusal) => refusal.hint.as_deref(),
            Self::Engine(error, hint) => hint.as_deref().or(error.advice()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(refusal) | Self::Failed(refusal) => {
                f.write_str(&refusal.message)?;
                refusal.because.iter().try_for_each(|why| write!(f, ": {why}"))
            }
            Self::Engine(error, _) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Engine(error, _) => error.source(),
            Self::Usage(_) | Self::Failed(_) => None,
        }
    }
}

impl From<strongroom::Error> for Error {
    fn from(error: strongroom::Error) -> Self {
        Self::Engine(error, None)
    }
}
