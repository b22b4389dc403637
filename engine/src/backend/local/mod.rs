//! A folder of this machine, or of a file server mounted on it.
//!
//! Objects are files under their names. A new one is written to `tmp/`, synced, and only then
//! renamed to its place, so that a name never shows half a file (`durable`). Packs leave the sync
//! of their directory to the next barrier. Nothing below the folder is reached through a symbolic link (`way`), and nothing
//! is created when the folder is not a repository any more, because its disk may be unmounted.

mod durable;
mod failure;
mod found;
mod kinds;
mod read;
mod reserve;
mod share;
mod staged;
mod sweep;
mod unreadable;
mod way;

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Disk;
use crate::backend::Leftovers;
use crate::backend::Listed;
use crate::backend::Name;
use crate::backend::Page;
use crate::backend::Payload;
use crate::backend::Properties;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use bytes::Bytes;
use durable::Unsynced;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;

/// A repository in a local folder; clones are handles on the same backend.
#[derive(Clone, Debug)]
pub struct LocalBackend(Arc<Folder>);

/// What all handles share.
#[derive(Debug)]
struct Folder {
    root: PathBuf,
    /// Rename without replacing does not work here: link and unlink instead.
    by_link: AtomicBool,
    /// A pack was read back here, or it need not be.
    trusted: AtomicBool,
    /// Numbers temporary files.
    staged: AtomicU64,
    /// Only this machine writes to it; learned with the first operation.
    is_of_one_machine: OnceLock<bool>,
    unsynced: Mutex<Unsynced>,
    /// Held while directories are synced, so that no barrier returns ahead of another's sync.
    syncing: Mutex<()>,
    /// Held while a name is looked up and taken, where the file system cannot do both at once.
    taking: Mutex<()>,
}

impl LocalBackend {
    /// The folder `root`; nothing is touched yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Folder {
            root: root.into(),
            by_link: AtomicBool::new(false),
            trusted: AtomicBool::new(false),
            staged: AtomicU64::new(0),
            is_of_one_machine: OnceLock::new(),
            unsynced: Mutex::default(),
            syncing: Mutex::new(()),
            taking: Mutex::new(()),
        }))
    }

    /// The same folder, giving names by hard link from the start: for file systems that claim to
    /// rename without replacing but do not. Others that cannot are noticed by themselves.
    pub fn linking(root: impl Into<PathBuf>) -> Self {
        let backend = Self::new(root);
        backend.0.by_link.store(true, std::sync::atomic::Ordering::Relaxed);
        backend
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Sets room aside, so that a full disk can still be pruned: a sixteenth of the bytes that are `stored` in packs,
    /// between 1 and 128 MiB, and less on a small disk or one that is nearly full. One that is far too small grows.
    /// `false` where there is too little room or the file system cannot; that is no failure.
    pub async fn make_reserve(&self, stored: u64) -> Result<bool> {
        self.off_thread(move |folder| folder.make_reserve(stored)).await
    }

    /// Gives the reserve back; `false` when there was none.
    pub async fn release_reserve(&self) -> Result<bool> {
        self.off_thread(Folder::release_reserve).await
    }

    /// Runs blocking `work` where it blocks nobody.
    fn off_thread<'a, T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> BackendFuture<'a, T> {
        let folder = Arc::clone(&self.0);
        Box::pin(async move {
            let work = move || {
                let done = work(&folder);
                folder.learn_kind();
                done
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(result) => result,
                Err(died) => Err(Error::new(Kind::Bug, "cannot finish a file operation").because(died)),
            }
        })
    }
}

impl Backend for LocalBackend {
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        let name = *name;
        self.off_thread(move |folder| folder.put(&name, &body))
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        let name = *name;
        self.off_thread(move |folder| folder.get(&name))
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        let name = *name;
        self.off_thread(move |folder| folder.get_range(&name, offset, length))
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        let name = *name;
        self.off_thread(move |folder| folder.stat(&name))
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        // A directory is read whole before anything of it can be in order.
        self.off_thread(move |folder| folder.list(area).map(|all| Page::rest(all, after)))
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        let name = *name;
        self.off_thread(move |folder| folder.delete(&name))
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        self.off_thread(Folder::sync_pending)
    }

    fn describe(&self) -> String {
        self.0.root.display().to_string()
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        self.off_thread(Folder::prepare)
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        self.off_thread(Folder::check_writable)
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        self.off_thread(Folder::check_permitted)
    }

    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        self.off_thread(Folder::recognise)
    }

    fn properties(&self) -> Properties {
        let folder = Some(self.0.root.clone());
        let near = Properties { folder, ..Properties::near() };
        // What a file server is mounted on may be seen by others through another one.
        if self.0.is_known_as_of_one_machine() { near } else { Properties { lists_at_once: false, ..near } }
    }

    fn disk(&self) -> Option<&dyn Disk> {
        Some(self)
    }
}

impl Disk for LocalBackend {
    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        let name = *name;
        self.off_thread(move |folder| folder.adopt(&name))
    }

    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()> {
        self.off_thread(move |folder| folder.sync_area(area))
    }

    fn reserve(&self, stored: u64) -> BackendFuture<'_, bool> {
        self.off_thread(move |folder| folder.make_reserve(stored))
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        self.off_thread(Folder::release_reserve)
    }

    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        self.off_thread(Folder::leftovers)
    }

    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        self.off_thread(Folder::sweep)
    }
}
