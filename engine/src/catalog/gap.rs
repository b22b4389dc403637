//! A stretch of a catalog that cannot be read: what is known of it from the page above.

use crate::entry::EntryPath;
use std::fmt;

/// A stretch of a catalog that cannot be read because a page of it is damaged or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Its paths come after this one; `None`: it begins with the first entry.
    pub after: Option<EntryPath>,
    /// Its last path.
    pub last: EntryPath,
    /// How many entries it has.
    pub entries: u64,
}

impl Gap {
    /// Whether what the snapshot has at `path`, if anything, is lost.
    pub fn holds(&self, path: &EntryPath) -> bool {
        *path <= self.last && self.after.as_ref().is_none_or(|after| path > after)
    }
}

impl fmt::Display for Gap {
    /// In one line, whatever the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |path: &EntryPath| format!("{:?}", path.to_string());
        match self.entries {
            1 => f.write_str("1 entry")?,
            many => write!(f, "{many} entries")?,
        }
        if let Some(after) = &self.after {
            write!(f, " after {}", quoted(after))?;
        }
        write!(f, " up to {}", quoted(&self.last))
    }
}
