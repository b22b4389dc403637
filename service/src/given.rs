//! What was said of a repository and its key, and by whom.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// A value, and what said it as messages name that: an option, a variable, a key of a configuration.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting<T> {
    /// What it is.
    pub value: T,
    /// What said it.
    pub said_by: String,
}

impl<T> fmt::Debug for Setting<T> {
    /// Without the value: a command may have a secret among its words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.said_by)
    }
}

impl<T> Setting<T> {
    /// A value that something said.
    pub fn new(said_by: impl Into<String>, value: T) -> Self {
        Self { value, said_by: said_by.into() }
    }
}

/// Everything that may be said of a repository and its key. What nobody said comes from the environment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Given {
    /// Where the repository is, as [`strongroom::Location::parse_os`] takes it.
    pub repository: Option<Setting<OsString>>,
    /// A file whose first line says that.
    pub repository_file: Option<Setting<PathBuf>>,
    /// A file that holds the password.
    pub password_file: Option<Setting<PathBuf>>,
    /// A command, for a shell, that prints the password.
    pub password_command: Option<Setting<String>>,
    /// A key file in place of a password.
    pub key_file: Option<Setting<PathBuf>>,
    /// Unlock with the recovery code: from its variable, or asked for.
    pub recovery_code: Option<Setting<()>>,
}

impl Given {
    /// What of it says how to unlock a repository.
    pub(crate) fn unlocking(&self) -> Vec<&str> {
        let all = [
            self.password_file.as_ref().map(|setting| setting.said_by.as_str()),
            self.password_command.as_ref().map(|setting| setting.said_by.as_str()),
            self.key_file.as_ref().map(|setting| setting.said_by.as_str()),
            self.recovery_code.as_ref().map(|setting| setting.said_by.as_str()),
        ];
        all.into_iter().flatten().collect()
    }
}
