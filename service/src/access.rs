//! Opening a repository with what was given and what the environment has.

use crate::ask::Ask;
use crate::environment::Environment;
use crate::error::Error;
use crate::given::Given;
use crate::key_file;
use crate::location;
use crate::location::OwnPlace;
use crate::location::Place;
use crate::location::exists;
use crate::secret;
use crate::secret::KeyFrom;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::Backend;
use strongroom::Key;
use strongroom::Kind;
use strongroom::Location;
use strongroom::OpenOptions;
use strongroom::Repository;

/// How often a password is asked for: it is typed blindly.
const ASKED_TIMES: usize = 3;
/// The advice where a user's own repository does not exist yet.
const NO_OWN_YET: &str = "'strongroom backup FOLDER' makes one there, or name another with -r";

/// What was given, the environment it stands in, and what may be spent on unlocking.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Access {
    /// What was given.
    pub given: Given,
    /// What stands for what was not.
    pub environment: Environment,
    /// What opening may cost, and where what helps it next time is kept.
    pub options: OpenOptions,
}

/// A repository that was opened.
#[non_exhaustive]
pub struct Opened {
    /// It.
    pub repository: Repository,
    /// The key that has opened it, once more.
    pub key: Key,
}

/// The key for a repository that is to be made.
#[non_exhaustive]
pub struct NewKey {
    /// It.
    pub key: Key,
    /// The key file that holds it, if one does.
    pub file: Option<PathBuf>,
    /// Whether that was made just now.
    pub is_made: bool,
}

impl Access {
    /// Access with the engine's limits.
    pub fn new(given: Given, environment: Environment) -> Self {
        Self { given, environment, options: OpenOptions::default() }
    }

    /// Where the repository is.
    pub fn place(&self) -> Result<Place, Error> {
        location::find(&self.given, &self.environment)
    }

    /// What unlocks the repository at a place.
    pub fn key_from(&self, place: &Place) -> Result<KeyFrom, Error> {
        secret::choose(&self.given, &self.environment, place)
    }

    /// The files that say what unlocks the repository: nobody may write over them or delete them.
    pub fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let place = self.place()?;
        let mut files: Vec<PathBuf> = self.key_from(&place)?.file().cloned().into_iter().collect();
        files.extend(place.own.map(|own| own.key_file));
        Ok(files)
    }

    /// Opens the repository that is meant, or the user's own. Reading a password may block: a file, a command, somebody.
    pub async fn open(&self, ask: &dyn Ask) -> Result<Opened, Error> {
        let place = self.place()?;
        let backend = place.backend()?;
        self.open_at(&place, backend, ask).await
    }

    /// The same at a place already known.
    pub async fn open_at(&self, place: &Place, backend: Arc<dyn Backend>, ask: &dyn Ask) -> Result<Opened, Error> {
        let from = self.key_from(place)?;
        if let (KeyFrom::KeyFile(file), Some(own)) = (&from, &place.own)
            && *file == own.key_file
            && !file.exists()
        {
            return Err(own_key_missing(own, backend.as_ref()).await?);
        }
        // Nobody is asked for the password of what is not there.
        if !exists(backend.as_ref()).await? {
            return Err(missing(place, backend.as_ref()));
        }
        let mut left = ASKED_TIMES;
        loop {
            let key = secret::read(&from, &self.environment, ask)?;
            let kept = key.copied();
            left = left.saturating_sub(1);
            match Repository::open_within(Arc::clone(&backend), key, self.options.clone()).await {
                Ok(repository) => return Ok(Opened { repository, key: kept }),
                Err(error) if error.kind() == Kind::WrongKey && from == KeyFrom::Asked && left > 0 => {
                    ask.was_wrong(&error);
                }
                Err(error) => return Err(closed(error, place, &from)),
            }
        }
    }

    /// The key for a repository that is to be made at a place: read, asked for twice, or made where a key file is named
    /// that is not there yet.
    pub async fn key_for_new(&self, place: &Place, backend: &dyn Backend, ask: &dyn Ask) -> Result<NewKey, Error> {
        let from = self.key_from(place)?;
        let file = match &from {
            KeyFrom::KeyFile(file) => Some(file.clone()),
            _ => None,
        };
        match &from {
            KeyFrom::KeyFile(file) if !file.exists() => {
                // A folder that is refused must not leave a key behind that opens nothing.
                backend.prepare().await?;
                let is_own = place.own.as_ref().is_some_and(|own| own.key_file == *file);
                let make = if is_own { key_file::create_key_file_with_folder } else { key_file::create_key_file };
                Ok(NewKey { key: Key::KeyFile(make(file)?), file: Some(file.clone()), is_made: true })
            }
            from => Ok(NewKey { key: secret::read_for_new(from, &self.environment, ask)?, file, is_made: false }),
        }
    }
}

/// Without its key the user's own repository is either not there yet, or locked.
async fn own_key_missing(own: &OwnPlace, backend: &dyn Backend) -> Result<Error, Error> {
    let repository = backend.describe();
    if !exists(backend).await? {
        let missing = strongroom::Error::new(Kind::NoRepository, format!("there is no repository at {repository}"));
        return Ok(Error::from(missing).hint(NO_OWN_YET));
    }
    let gone = format!("the key of the repository at {repository} is gone");
    let gone = strongroom::Error::new(Kind::WrongKey, gone)
        .because(format!("there is no key file {}", own.key_file.display()));
    Ok(Error::from(gone).hint(format!(
        "copy the key file back, or use '-r {repository} --use-recovery-code' and the code of the first backup"
    )))
}

/// The failure where a repository does not open.
fn closed(error: strongroom::Error, place: &Place, from: &KeyFrom) -> Error {
    let kind = error.kind();
    let error = Error::from(error);
    match (kind, place.own.is_some(), from) {
        (Kind::NoRepository, true, _) => error.hint(NO_OWN_YET),
        (Kind::WrongKey, _, KeyFrom::RecoveryCode) => error.hint("check the code for typing mistakes"),
        _ => error,
    }
}

/// The failure where there is no repository.
fn missing(place: &Place, backend: &dyn Backend) -> Error {
    let missing =
        strongroom::Error::new(Kind::NoRepository, format!("there is no repository at {}", backend.describe()));
    match Location::parse_os(&place.location) {
        _ if place.own.is_some() => Error::from(missing).hint(NO_OWN_YET),
        Ok(Location::Local(folder)) if folder.is_file() => {
            Error::from(missing.because("it is a file, and a repository is a folder"))
                .hint("--repository-file reads the location from a file")
        }
        _ => missing.into(),
    }
}

#[cfg(test)]
mod tests;
