//! What every verb gets: options, environment, and how to open the repository with them.

use crate::args::Global;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::location;
use crate::location::Place;
use crate::secret;
use crate::show::Failure;
use crate::show::Show;
use crate::show::clock;
use crate::show::short;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Key;
use strongroom::Kind;
use strongroom::Location;
use strongroom::Name;
use strongroom::OpenOptions;
use strongroom::Repository;
use strongroom::Snapshot;

/// What every verb gets.
pub struct Context {
    pub global: Global,
    pub environment: Environment,
    pub show: Show,
    pub interrupt: Interrupt,
    /// Whether something could not be read that the answer may lack: the exit code then says so.
    pub incomplete: AtomicBool,
    /// Set once somebody was warned of a snapshot dated in the future.
    warned: OnceLock<()>,
    /// The same of whose the repository is that root writes into.
    warned_of_owner: OnceLock<()>,
    /// Where caches go, once that is known.
    cache: OnceLock<Option<PathBuf>>,
}

impl Context {
    pub fn new(global: Global, environment: Environment, show: Show, interrupt: Interrupt) -> Self {
        Self {
            global,
            environment,
            show,
            interrupt,
            incomplete: AtomicBool::new(false),
            warned: OnceLock::new(),
            warned_of_owner: OnceLock::new(),
            cache: OnceLock::new(),
        }
    }

    /// Where the repository is.
    pub fn place(&self) -> Result<Place, Failure> {
        location::find(&self.global, &self.environment)
    }

    /// Opens the repository that is configured, or the user's own.
    pub async fn open(&self) -> Result<Repository, Failure> {
        Ok(self.open_and_keep_key().await?.0)
    }

    /// The same for a verb that writes, unless it is only to tell what it would do: root is told whose the repository is.
    pub async fn open_to_write(&self, dry_run: bool) -> Result<Repository, Failure> {
        let repository = self.open().await?;
        if !dry_run {
            self.warn_of_owner(&repository);
        }
        Ok(repository)
    }

    /// Opens it, and gives the key that opened it once more.
    pub async fn open_and_keep_key(&self) -> Result<(Repository, Key), Failure> {
        let place = self.place()?;
        self.open_with_key_at(&place, backend(&place)?).await
    }

    /// The same at a place already known.
    pub async fn open_at(&self, place: &Place, backend: Arc<dyn Backend>) -> Result<Repository, Failure> {
        Ok(self.open_with_key_at(place, backend).await?.0)
    }

    async fn open_with_key_at(&self, place: &Place, backend: Arc<dyn Backend>) -> Result<(Repository, Key), Failure> {
        let from = secret::choose(&self.global, &self.environment, place)?;
        if let (secret::From::KeyFile(file), Some(own)) = (&from, &place.own)
            && *file == own.key_file
            && !file.exists()
        {
            return Err(self.own_key_missing(place, backend).await?);
        }
        // Nobody is asked for the password of what is not there.
        if !exists(backend.as_ref()).await? {
            return Err(missing(place, backend.as_ref()));
        }
        let mut options = OpenOptions::default();
        options.kdf_limit = self.global.kdf_limit.unwrap_or(options.kdf_limit);
        options.cache = self.trusted_cache();
        for left in (0..ASKED_TIMES).rev() {
            let key = secret::read(&from, &self.environment, false)?;
            let kept = key.copied();
            match Repository::open_within(Arc::clone(&backend), key, options.clone()).await {
                Ok(opened) => {
                    self.give_folders(&opened);
                    self.warn_of_newer_keys(&opened);
                    return Ok((opened, kept));
                }
                Err(error) if error.kind() == Kind::WrongKey && from == secret::From::Prompt && left > 0 => {
                    self.show.warn(&format!("{error}: try again"));
                }
                Err(error) => return Err(closed(error, place, &from)),
            }
        }
        Err(Failure::new(Exit::WrongKey, "no password was right"))
    }

    /// Without its key the user's own repository is either not there yet, or locked.
    async fn own_key_missing(&self, place: &Place, backend: Arc<dyn Backend>) -> Result<Failure, Failure> {
        if !exists(backend.as_ref()).await? {
            return Ok(Failure::new(Exit::NoRepository, format!("there is no repository at {}", backend.describe()))
                .hint(NO_OWN_YET));
        }
        let file = place.own.as_ref().map(|own| own.key_file.display().to_string()).unwrap_or_default();
        let repository = backend.describe();
        Ok(Failure::new(Exit::WrongKey, format!("the key of the repository at {repository} is gone"))
            .because(format!("there is no key file {file}"))
            .hint(format!(
                "copy the key file back, or use '-r {repository} --use-recovery-code' and the code of the first backup"
            )))
    }

    /// Tells a repository where it may put files on this machine.
    pub fn give_folders(&self, repository: &Repository) {
        repository.use_folders(self.trusted_cache(), Some(std::env::temp_dir()));
    }

    /// The cache folder, unless somebody else may write to it: that is told, once.
    fn trusted_cache(&self) -> Option<PathBuf> {
        let find = || {
            self.cache_folder().filter(|folder| match strongroom::check_cache_folder(folder) {
                Ok(()) => true,
                Err(refused) => {
                    let why = std::error::Error::source(&refused).map(|why| format!(": {why}")).unwrap_or_default();
                    self.show.warn(&format!("{refused}{why}"));
                    false
                }
            })
        };
        self.cache.get_or_init(find).clone()
    }

    /// Warns when a key of the newest root key was left out, and an older one opened: what is stored with that one the new
    /// keys read, and what is stored with them it does not.
    fn warn_of_newer_keys(&self, repository: &Repository) {
        let newer = repository.newer_keys_not_tried();
        if newer.is_empty() {
            return;
        }
        let named: Vec<&str> = newer.iter().take(KEYS_NAMED).map(String::as_str).collect();
        let more = match newer.len() - named.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        self.show.warn(&format!(
            "the root key was changed, and this is an older key; newer ones were not tried: the key {}{more}; if one of them \
             is yours, allow it more with '--kdf-limit', as in '--kdf-limit 4G'",
            named.join("; ")
        ));
    }

    /// Warns, once, when root writes into a repository of somebody else.
    pub fn warn_of_owner(&self, repository: &Repository) {
        let owner = repository.folder().and_then(|folder| std::fs::metadata(folder).ok()).map(|found| found.uid());
        let owner = owner.filter(|owner| *owner != 0 && rustix::process::geteuid().is_root());
        if let Some(owner) = owner.filter(|_| self.warned_of_owner.set(()).is_ok()) {
            self.show.warn(&format!(
                "root writes into a repository of another user ({owner}): what is new in it is given to that user, as far \
                 as its file system allows"
            ));
        }
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

    /// What unlocks the repository or speeds it up: not for a restore to write over or delete.
    pub fn spared(&self) -> Result<Vec<PathBuf>, Failure> {
        let place = location::find(&self.global, &self.environment)?;
        let mut spared: Vec<PathBuf> = self.cache_folder().into_iter().collect();
        match secret::choose(&self.global, &self.environment, &place)? {
            secret::From::KeyFile(file) | secret::From::PasswordFile(file) => spared.push(file),
            _ => {}
        }
        spared.extend(place.own.map(|own| own.key_file));
        Ok(spared)
    }

    /// Warns, once, when a snapshot is dated in the future.
    pub fn warn_of_future(&self, snapshot: &Snapshot) {
        let now = jiff::Timestamp::now().as_second();
        if snapshot.started.seconds > now.saturating_add(CLOCKS_DIFFER_SECONDS) && self.warned.set(()).is_ok() {
            let (id, date) = (short(&snapshot.id), clock(snapshot.started));
            self.show.warn(&format!(
                "snapshot {id} is dated {date}, in the future: until then it counts as 'latest' before all others"
            ));
        }
    }
}

/// How often a password is asked for: it is typed blindly.
const ASKED_TIMES: usize = 3;
/// Keys that a warning names.
const KEYS_NAMED: usize = 3;
/// The clocks of two hosts may differ by so much without anybody having made a mistake.
const CLOCKS_DIFFER_SECONDS: i64 = 600;
/// The advice where a user's own repository does not exist yet.
const NO_OWN_YET: &str = "'strongroom backup FOLDER' makes one there, or name another with -r";

/// The failure where a repository does not open.
fn closed(error: strongroom::Error, place: &Place, from: &secret::From) -> Failure {
    let kind = error.kind();
    let failure = Failure::from(error);
    match (kind, place.own.is_some(), from) {
        (Kind::NoRepository, true, _) => failure.hint(NO_OWN_YET),
        (Kind::WrongKey, _, secret::From::Recovery) => failure.hint("check the code for typing mistakes"),
        _ => failure,
    }
}

/// The failure where there is no repository.
fn missing(place: &Place, backend: &dyn Backend) -> Failure {
    let missing = format!("there is no repository at {}", backend.describe());
    let failure = Failure::from(strongroom::Error::new(Kind::NoRepository, missing));
    match Location::parse_os(&place.location) {
        _ if place.own.is_some() => failure.hint(NO_OWN_YET),
        Ok(Location::Local(folder)) if folder.is_file() => failure
            .because("it is a file, and a repository is a folder")
            .hint("--repository-file reads the location from a file"),
        _ => failure,
    }
}

/// The backend at a place.
pub fn backend(place: &Place) -> Result<Arc<dyn Backend>, Failure> {
    // A location that cannot be used is a mistake on the command line, whatever the reason.
    let usage = |error: strongroom::Error| Failure { exit: Exit::Usage, hint: None, ..Failure::from(error) };
    Ok(Location::parse_os(&place.location).map_err(usage)?.open()?)
}

/// Whether there is a repository; a place that does not exist yet has none.
pub async fn exists(backend: &dyn Backend) -> Result<bool, Failure> {
    // A file in the place of a folder is no repository, and no damaged one either.
    if backend.recognise().await.is_err_and(|error| error.kind() == Kind::NoRepository) {
        return Ok(false);
    }
    match backend.stat(&Name::Config).await {
        Ok(Some(_)) => Ok(true),
        // Packs without a config are a repository that has lost it: opening it says so, and none is made over it.
        Ok(None) => Ok(backend.list(Area::Packs).await.is_ok_and(|packs| !packs.is_empty())),
        Err(error) if error.kind() == Kind::NoRepository => Ok(false),
        Err(error) => Err(error.into()),
    }
}
