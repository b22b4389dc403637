//! What the process finds around it: variables, well-known folders, host and user.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

/// Every variable of the program. Others of its kind are refused: a mistyped one must not be passed over.
pub const VARIABLES: [&str; 8] = [
    "STRONGROOM_REPOSITORY",
    "STRONGROOM_REPOSITORY_FILE",
    "STRONGROOM_PASSWORD",
    "STRONGROOM_PASSWORD_FILE",
    "STRONGROOM_PASSWORD_COMMAND",
    "STRONGROOM_KEY_FILE",
    "STRONGROOM_RECOVERY_CODE",
    "STRONGROOM_HOST",
];

/// What the tests of this project are steered by; they start the command with what they were given.
const OF_TESTS: [&str; 2] = ["STRONGROOM_LONG", "STRONGROOM_SIMULATION"];

/// Letters that may be wrong in a name that is still recognised.
const LETTERS_WRONG_MAX: usize = 3;

/// Variables that are secrets themselves, or may hold one: no process that is started needs them.
pub const SECRETS: [&str; 3] = ["STRONGROOM_PASSWORD", "STRONGROOM_PASSWORD_COMMAND", "STRONGROOM_RECOVERY_CODE"];

/// The environment, read once; tests bring their own.
#[derive(Clone, Default)]
pub struct Environment(HashMap<OsString, OsString>);

impl fmt::Debug for Environment {
    /// Without the values: some of them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

impl Environment {
    /// The process' own.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// One made up.
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

    /// Variables of this program's kind that it does not know, in order, each with the one that was probably meant.
    pub fn unknown(&self) -> Vec<(String, Option<&'static str>)> {
        let ours = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("STRONGROOM_"));
        let is_known = |name: &String| VARIABLES.iter().chain(&OF_TESTS).any(|known| known == name);
        let names = self.0.keys().filter(|name| ours(name)).map(|name| name.to_string_lossy().into_owned());
        let mut unknown: Vec<_> = names.filter(|name| !is_known(name)).map(|name| (meant(&name), name)).collect();
        unknown.sort_by(|(_, one), (_, other)| one.cmp(other));
        unknown.into_iter().map(|(meant, name)| (name, meant)).collect()
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

/// The known variable that looks most like `name`, if one is near enough.
fn meant(name: &str) -> Option<&'static str> {
    let is_cut_short = |known: &str| name.len() > "STRONGROOM_".len() && known.starts_with(name);
    let far = |known| if is_cut_short(known) { 0 } else { distance(name, known) };
    let nearest = VARIABLES.into_iter().map(|known| (far(known), known)).min()?;
    (nearest.0 <= LETTERS_WRONG_MAX).then_some(nearest.1)
}

/// How many letters must be put in, left out or changed to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = at + 1;
        let mut next = vec![before];
        for (steps, same) in row.windows(2).zip(other.chars()) {
            let [diagonal, above] = steps else { continue };
            before = (before + 1).min(above + 1).min(diagonal + usize::from(letter != same));
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
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
    fn a_variable_that_is_not_known_is_named_with_the_one_that_was_meant() {
        let typed = [
            ("STRONGROOM_REPOSITRY", Some("STRONGROOM_REPOSITORY")),
            ("STRONGROOM_REPO", Some("STRONGROOM_REPOSITORY")),
            ("STRONGROOM_QUIET", None),
            ("STRONGROOM_PASWORD_FILE", Some("STRONGROOM_PASSWORD_FILE")),
            ("STRONGROOM_REPOSITORYFILE", Some("STRONGROOM_REPOSITORY_FILE")),
            ("STRONGROOM_KEYFILE", Some("STRONGROOM_KEY_FILE")),
            ("STRONGROOM_", None),
        ];
        for (name, meant) in typed {
            assert_eq!(Environment::of(&[(name, "")]).unknown(), [(name.to_owned(), meant)]);
        }
        let mut known: Vec<(&str, &str)> = VARIABLES.iter().chain(&OF_TESTS).map(|name| (*name, "x")).collect();
        known.push(("RESTIC_REPOSITORY", "x"));
        assert_eq!(Environment::of(&known).unknown(), []);
        assert_eq!((distance("", "abc"), distance("abc", "abc"), distance("kitten", "sitting")), (3, 0, 3));
    }

    #[test]
    fn an_empty_variable_is_not_set_to_anything() {
        let environment = Environment::of(&[("STRONGROOM_REPOSITORY", "")]);
        assert_eq!(environment.text("STRONGROOM_REPOSITORY"), None);
        assert!(environment.is_set("STRONGROOM_REPOSITORY"));
    }
}
