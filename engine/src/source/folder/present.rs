//! Which of the paths asked for are there, looked up once.

use super::place;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// What helps where a path does not exist.
const MISSING: &str = "check the spelling and whether its disk is mounted; a relative path is looked for in the current \
    folder";

/// The paths asked for, told apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Present {
    pub(super) there: Vec<PathBuf>,
    missing: Vec<Missing>,
}

/// A path that cannot be looked at, and why.
#[derive(Clone, Debug)]
struct Missing {
    real: Vec<u8>,
    why: String,
    /// It does not exist, as far as can be told.
    is_gone: bool,
}

impl Present {
    /// Looks at each path.
    pub(super) fn find(paths: &[PathBuf], current: Option<&Path>) -> Self {
        let mut found = Self::default();
        for path in paths {
            let Some(real) = place::real_of(path, current) else {
                // It makes no sense, and is refused as soon as it is to be placed.
                found.there.push(path.clone());
                continue;
            };
            match fs::symlink_metadata(place::real_path(&real)) {
                Ok(_) => found.there.push(path.clone()),
                Err(why) => {
                    let is_gone = matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                    found.missing.push(Missing { real, why: why.to_string(), is_gone });
                }
            }
        }
        found
    }

    /// Fails when nothing is there, or not all where all must be.
    pub(super) fn check(&self, all_required: bool) -> Result<()> {
        let Some(first) = self.missing.first().filter(|_| all_required || self.there.is_empty()) else { return Ok(()) };
        let others = match self.missing.len() - 1 {
            0 => String::new(),
            1 => " and another path".to_owned(),
            more => format!(" and {more} other paths"),
        };
        let what = format!("cannot back up {}{others}", place::real_path(&first.real).display());
        let error = Error::new(Kind::SourceFailed, what).because(first.why.clone());
        Err(if first.is_gone { error.advise(MISSING) } else { error })
    }

    /// What to say of each path that is not there.
    pub(super) fn complaints(&self) -> impl Iterator<Item = String> {
        self.missing.iter().map(|one| format!("cannot back up {}: {}", place::real_path(&one.real).display(), one.why))
    }
}
