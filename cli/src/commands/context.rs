//! What every verb gets: options, environment, and how to open the repository with them.

use crate::access;
use crate::access::Terminal;
use crate::args::FromArgs;
use crate::args::Global;
use crate::interrupt::Interrupt;
use crate::show::Failure;
use crate::show::Show;
use crate::show::clock;
use crate::show::short;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use strongroom::Backend;
use strongroom::Key;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom_service::Access;
use strongroom_service::Environment;
use strongroom_service::Given;
use strongroom_service::NewKey;
use strongroom_service::Place;

/// What every verb gets.
pub struct Context {
    pub global: Global,
    pub environment: Environment,
    /// What the options say of the repository and its key.
    given: Given,
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
        let given = access::given(&global);
        Self {
            global,
            environment,
            given,
            show,
            interrupt,
            incomplete: AtomicBool::new(false),
            warned: OnceLock::new(),
            warned_of_owner: OnceLock::new(),
            cache: OnceLock::new(),
        }
    }

    /// The same for another repository.
    pub fn other(&self, from: &FromArgs) -> Self {
        let (global, environment) = (self.global.clone(), self.environment.clone());
        let given = access::given_of_other(from, &self.given);
        Self { given, ..Self::new(global, environment, self.show.clone(), self.interrupt.clone()) }
    }

    fn access(&self) -> Access {
        Access::new(self.given.clone(), self.environment.clone())
    }

    /// Where the repository is.
    pub fn place(&self) -> Result<Place, Failure> {
        Ok(self.access().place()?)
    }

    /// The key for a repository that is to be made.
    pub async fn key_for_new(&self, place: &Place, backend: &dyn Backend) -> Result<NewKey, Failure> {
        Ok(self.access().key_for_new(place, backend, &Terminal::new(&self.show)).await?)
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
        self.open_with_key_at(&place, place.backend()?).await
    }

    /// The same at a place already known.
    pub async fn open_at(&self, place: &Place, backend: Arc<dyn Backend>) -> Result<Repository, Failure> {
        Ok(self.open_with_key_at(place, backend).await?.0)
    }

    async fn open_with_key_at(&self, place: &Place, backend: Arc<dyn Backend>) -> Result<(Repository, Key), Failure> {
        let mut access = self.access();
        access.options.kdf_limit = self.global.kdf_limit.unwrap_or(access.options.kdf_limit);
        access.options.cache = self.trusted_cache();
        let opened = access.open_at(place, backend, &Terminal::new(&self.show)).await?;
        self.give_folders(&opened.repository);
        self.warn_of_newer_keys(&opened.repository);
        Ok((opened.repository, opened.key))
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
        let mut spared: Vec<PathBuf> = self.cache_folder().into_iter().collect();
        spared.extend(self.access().files()?);
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

/// The clocks of two hosts may differ by so much without anybody having made a mistake.
const CLOCKS_DIFFER_SECONDS: i64 = 600;
/// Keys that a warning names.
const KEYS_NAMED: usize = 3;
