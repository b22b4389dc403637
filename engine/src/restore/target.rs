//! The folder restored into: every directory in it is reached component by component, never through a link.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::job::open_files;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Directories kept open at once.
const OPEN_DIRECTORIES_MAX: usize = 256;
/// What names of files that are not finished yet begin with.
const TEMP_PREFIX: &str = ".strongroom-restore-";

/// The folder restored into.
pub(crate) struct Target {
    root: Option<Arc<OwnedFd>>,
    shelf: Mutex<VecDeque<Weak<Dir>>>,
    temps: AtomicU64,
    /// Who restores.
    pub(crate) me: u32,
}

/// One directory below (or at) the target.
pub(crate) struct Dir {
    parent: Option<Arc<Dir>>,
    name: Box<[u8]>,
    fd: Mutex<Option<Arc<OwnedFd>>>,
    /// Empty when this job came to it: nothing in it needs looking at.
    pub(crate) fresh: bool,
    /// What is created in it inherits no access list.
    pub(crate) plain: bool,
}

impl Target {
    /// Opens `path`, making it unless `dry_run`; the directory comes along.
    pub(crate) fn open(path: &Path, dry_run: bool) -> Result<(Self, Arc<Dir>)> {
        let failed = |cause: std::io::Error| {
            Error::new(Kind::TargetFailed, format!("cannot restore into '{}'", path.display())).because(cause)
        };
        if path.symlink_metadata().is_ok() && !path.is_dir() {
            let text = format!("cannot restore into '{}'", path.display());
            return Err(Error::new(Kind::Invalid, text).because("it is no folder"));
        }
        if !dry_run {
            std::fs::create_dir_all(path).map_err(failed)?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Some(Arc::new(fd)),
            Err(Errno::NOENT) if dry_run => None,
            Err(errno) => return Err(failed(errno.into())),
        };
        let (fresh, plain) = match &root {
            Some(fd) => {
                let empty = std::fs::read_dir(path).map_err(failed)?.next().is_none();
                (empty, is_plain(fd))
            }
            None => (true, true),
        };
        let me = rustix::process::geteuid().as_raw();
        let target = Self { root, shelf: Mutex::default(), temps: AtomicU64::new(0), me };
        let root = Dir { parent: None, name: Box::default(), fd: Mutex::default(), fresh, plain };
        Ok((target, Arc::new(root)))
    }

    /// True when the target is the root of the file system.
    pub(crate) fn is_file_system_root(&self) -> bool {
        let slash = rustix::fs::statat(rustix::fs::CWD, "/", AtFlags::empty());
        match (&self.root, slash) {
            (Some(fd), Ok(slash)) => {
                rustix::fs::fstat(fd).is_ok_and(|root| root.st_dev == slash.st_dev && root.st_ino == slash.st_ino)
            }
            _ => false,
        }
    }

    /// True when this process may do what only root may.
    pub(crate) fn is_root(&self) -> bool {
        self.me == 0
    }

    /// A handle (`O_PATH`) of a directory for the `*at` calls.
    pub(crate) fn handle(&self, dir: &Arc<Dir>) -> Result<Arc<OwnedFd>, Errno> {
        let mut missing = Vec::new();
        let mut at = dir;
        let mut fd = loop {
            if let Some(fd) = at.opened() {
                break fd;
            }
            match &at.parent {
                Some(parent) => {
                    missing.push(at);
                    at = parent;
                }
                None => break self.root.clone().ok_or(Errno::NOENT)?,
            }
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        while let Some(dir) = missing.pop() {
            fd = Arc::new(rustix::fs::openat(&fd, &*dir.name, flags, Mode::empty())?);
            self.shelve(dir, &fd);
        }
        Ok(fd)
    }

    fn shelve(&self, dir: &Arc<Dir>, fd: &Arc<OwnedFd>) {
        *dir.fd.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(fd));
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.push_back(Arc::downgrade(dir));
        let oldest = if shelf.len() > open_files(OPEN_DIRECTORIES_MAX) { shelf.pop_front() } else { None };
        drop(shelf);
        if let Some(oldest) = oldest.and_then(|weak| weak.upgrade()) {
            oldest.close();
        }
    }

    /// What stands at `name`; nothing is asked about directories that were empty.
    pub(crate) fn look(&self, dir: &Arc<Dir>, name: &[u8]) -> Result<Option<Stat>, Errno> {
        if dir.fresh {
            return Ok(None);
        }
        match rustix::fs::statat(self.handle(dir)?, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// A name nobody else uses, for something that is not finished.
    pub(crate) fn temp_name(&self) -> Vec<u8> {
        let number = self.temps.fetch_add(1, Ordering::Relaxed);
        format!("{TEMP_PREFIX}{}-{number}", std::process::id()).into_bytes()
    }
}

impl Dir {
    /// A directory below `parent`.
    pub(crate) fn below(parent: &Arc<Self>, name: &[u8], fresh: bool, plain: bool) -> Arc<Self> {
        Arc::new(Self { parent: Some(Arc::clone(parent)), name: name.into(), fd: Mutex::default(), fresh, plain })
    }

    /// The directory above; `None` at the target itself.
    pub(crate) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Its own name; empty at the target itself.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Forgets the handle.
    pub(crate) fn close(&self) {
        self.fd.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn opened(&self) -> Option<Arc<OwnedFd>> {
        self.fd.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Dir {
    /// A chain of parents is released one after the other: inside each other they would take stack for each level.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(mut dir) = above.and_then(Arc::into_inner) {
            above = dir.parent.take();
        }
    }
}

/// True when no access list is inherited from the directory.
pub(crate) fn is_plain(fd: &OwnedFd) -> bool {
    let mut value = [0u8; 1];
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    !matches!(rustix::fs::getxattr(link, "system.posix_acl_default", &mut value), Ok(_) | Err(Errno::RANGE))
}
