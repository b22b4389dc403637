//! What every verb gets: options, environment, and how to open the repository with them.

use crate::args::FilterArgs;
use crate::args::Global;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::location;
use crate::location::Place;
use crate::secret;
use crate::show::Failure;
use crate::show::Show;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::Location;
use strongroom::Name;
use strongroom::Repository;
use strongroom::Snapshot;

/// What every verb gets.
pub struct Context {
    pub global: Global,
    pub environment: Environment,
    pub show: Show,
    pub interrupt: Interrupt,
}

impl Context {
    /// Where the repository is.
    pub fn place(&self) -> Result<Place, Failure> {
        location::find(&self.global, &self.environment)
    }

    /// Opens the repository that is configured, or the user's own.
    pub async fn open(&self) -> Result<Repository, Failure> {
        let place = self.place()?;
        self.open_at(&place, backend(&place)?).await
    }

    /// The same at a place already known.
    pub async fn open_at(&self, place: &Place, backend: Arc<dyn Backend>) -> Result<Repository, Failure> {
        let from = secret::choose(&self.global, &self.environment, place)?;
        if let (secret::From::KeyFile(file), Some(own)) = (&from, &place.own)
            && *file == own.key_file
            && !file.exists()
        {
            return Err(self.own_key_missing(place, backend).await?);
        }
        // Nobody is asked for the password of what is not there.
        if !exists(backend.as_ref()).await? {
            let missing = format!("there is no repository at {}", backend.describe());
            let failure = Failure::from(strongroom::Error::new(Kind::NoRepository, missing));
            return Err(if place.own.is_some() { failure.hint(NO_OWN_YET) } else { failure });
        }
        let key = secret::read(&from, &self.environment, false)?;
        Repository::open(backend, key).await.map_err(|error| {
            let kind = error.kind();
            let failure = Failure::from(error);
            match (kind, place.own.is_some(), &from) {
                (Kind::NoRepository, true, _) => failure.hint(NO_OWN_YET),
                (Kind::WrongKey, _, secret::From::Recovery) => failure.hint("check the code for typing mistakes"),
                _ => failure,
            }
        })
    }

    /// Without its key the user's own repository is either not there yet, or locked.
    async fn own_key_missing(&self, place: &Place, backend: Arc<dyn Backend>) -> Result<Failure, Failure> {
        if !exists(backend.as_ref()).await? {
            return Ok(Failure::new(Exit::NoRepository, format!("there is no repository at {}", backend.describe()))
                .hint(NO_OWN_YET));
        }
        let file = place.own.as_ref().map(|own| own.key_file.display().to_string()).unwrap_or_default();
        Ok(Failure::new(Exit::WrongKey, format!("the key of the repository at {} is gone", backend.describe()))
            .because(format!("there is no key file {file}"))
            .hint("copy the key file back, or use '--recovery-code' and the code printed at the first backup"))
    }

    /// Where caches go; `None` when they are not wanted or have no place.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        if self.global.no_cache {
            return None;
        }
        self.global
            .cache_dir
            .clone()
            .or_else(|| self.environment.cache_folder().map(|folder| folder.join("strongroom")))
    }

    /// The snapshots named, or all that match the filter when none is; oldest first.
    pub async fn select(
        &self,
        repository: &Repository,
        ids: &[String],
        filter: &FilterArgs,
    ) -> Result<Vec<Snapshot>, Failure> {
        let filter = filter.filter();
        if ids.is_empty() {
            let all = repository.snapshots().await?;
            return Ok(all.into_iter().filter(|snapshot| filter.matches(snapshot)).collect());
        }
        let mut chosen: Vec<Snapshot> = Vec::new();
        for id in ids {
            let snapshot = repository.resolve(id, &filter).await?;
            if !chosen.iter().any(|other| other.id == snapshot.id) {
                chosen.push(snapshot);
            }
        }
        Ok(chosen)
    }
}

/// The advice where a user's own repository does not exist yet.
const NO_OWN_YET: &str = "'strongroom backup FOLDER' makes one there, or name another with -r";

/// The backend at a place.
pub fn backend(place: &Place) -> Result<Arc<dyn Backend>, Failure> {
    // A location that cannot be used is a mistake on the command line, whatever the reason.
    let usage = |error: strongroom::Error| Failure { exit: Exit::Usage, hint: None, ..Failure::from(error) };
    Ok(Location::parse(&place.location).map_err(usage)?.open()?)
}

/// Whether there is a repository; a place that does not exist yet has none.
pub async fn exists(backend: &dyn Backend) -> Result<bool, Failure> {
    // A file in the place of a folder is no repository, and no damaged one either.
    if backend.recognise().await.is_err_and(|error| error.kind() == Kind::NoRepository) {
        return Ok(false);
    }
    match backend.stat(&Name::Config).await {
        Ok(found) => Ok(found.is_some()),
        Err(error) if error.kind() == Kind::NoRepository => Ok(false),
        Err(error) => Err(error.into()),
    }
}
