//! What the process finds around it: variables, well-known folders, host and user.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

/// Variables that are secrets themselves, or may hold one: no process that is started needs them.
pub const SECRETS: [&str; 3] = ["STRONGROOM_PASSWORD", "STRONGROOM_PASSWORD_COMMAND", "STRONGROOM_RECOVERY_CODE"];

/// The environment, read once; tests bring their own.
#[derive(Clone, Debug, Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl Environment {
    /// The process' own.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// One made up.
    #[cfg(test)]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// A variable that is set and not empty.
    pub fn raw(&self, name: &str) -> Option<OsString> {
        self.0.get(&OsString::from(name)).filter(|value| !value.is_empty()).cloned()
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// The same as a path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    /// True when a variable is set, even to nothing.
    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(&OsString::from(name))
    }

    /// Where a user's data belongs.
    pub fn data_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA")
    }

    /// Where a user's configuration belongs.
    pub fn config_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_CONFIG_HOME", ".config", "APPDATA")
    }

    /// Where disposable things belong.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        self.folder("XDG_CACHE_HOME", ".cache", "LOCALAPPDATA")
    }

    /// The XDG rule: the variable when it is absolute, else below the home folder.
    fn folder(&self, xdg: &str, below_home: &str, windows: &str) -> Option<PathBuf> {
        let absolute = |path: &PathBuf| Path::is_absolute(path);
        let own = self.path(xdg).filter(absolute);
        if cfg!(windows) {
            return own.or_else(|| self.path(windows).filter(absolute));
        }
        own.or_else(|| self.path("HOME").filter(absolute).map(|home| home.join(below_home)))
    }

    /// The host's name for snapshot records.
    pub fn host(&self) -> String {
        self.text("STRONGROOM_HOST").or_else(system_host).or_else(|| self.text("COMPUTERNAME")).unwrap_or_default()
    }

    /// The user's name for snapshot records.
    pub fn user(&self) -> String {
        system_user().or_else(|| self.text("USER")).or_else(|| self.text("USERNAME")).unwrap_or_default()
    }
}

#[cfg(unix)]
fn system_host() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(not(unix))]
fn system_host() -> Option<String> {
    None
}

#[cfg(unix)]
fn system_user() -> Option<String> {
    uzers::get_current_username().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn system_user() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn folders_follow_xdg_and_ignore_relative_ones() {
        let home = Environment::of(&[("HOME", "/home/ann"), ("XDG_DATA_HOME", "relative")]);
        assert_eq!(home.data_folder(), Some("/home/ann/.local/share".into()));
        let xdg = Environment::of(&[("HOME", "/home/ann"), ("XDG_CACHE_HOME", "/c")]);
        assert_eq!(xdg.cache_folder(), Some("/c".into()));
        assert_eq!(Environment::default().config_folder(), None);
    }

    #[test]
    fn an_empty_variable_is_not_set_to_anything() {
        let environment = Environment::of(&[("STRONGROOM_REPOSITORY", "")]);
        assert_eq!(environment.text("STRONGROOM_REPOSITORY"), None);
        assert!(environment.is_set("STRONGROOM_REPOSITORY"));
    }
}
