//! The folder restored into: every directory in it is reached component by component, never through a link.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::job::open_files;
use crate::random::Rng;
use crate::random::SystemRng;
use crate::restore::folders;
use crate::restore::identity;
use crate::restore::identity::Identity;
use crate::restore::judge::Standing;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::Stat;
use rustix::io::Errno;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::Weak;

/// Directories kept open at once.
const OPEN_DIRECTORIES_MAX: usize = 256;
/// What names of files that are not finished yet begin with.
const TEMP_PREFIX: &str = ".strongroom-restore-";
/// Names that are tried for one of them.
const TEMP_TRIES: u32 = 100;

/// The folder restored into.
pub(crate) struct Target {
    root: Option<Arc<OwnedFd>>,
    shelf: Mutex<VecDeque<Weak<Dir>>>,
    /// Directories that were made where somebody else may rename them.
    made: Mutex<HashSet<(u64, u64)>>,
    /// Who restores.
    pub(crate) me: u32,
}

/// One directory below (or at) the target.
pub(crate) struct Dir {
    parent: Option<Arc<Dir>>,
    name: Box<[u8]>,
    fd: Mutex<Option<Arc<OwnedFd>>>,
    /// What it was when it was opened first: nothing else is taken for it.
    identity: OnceLock<Identity>,
    /// Empty when this job came to it: nothing in it needs looking at.
    pub(crate) fresh: bool,
    /// What is created in it inherits no access list.
    pub(crate) plain: bool,
    /// What was in it when this job came to it; nothing where that could not be read.
    names: OnceLock<Option<Names>>,
}

/// The names in a directory, as it spells them: their hashes, in order.
struct Names(RandomState, Vec<u64>);

impl Names {
    /// Reads the names of an open directory; nothing when it cannot be read.
    fn read(fd: &OwnedFd) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = rustix::fs::openat(fd, ".", flags, Mode::empty()).ok()?;
        let state = RandomState::new();
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(open).ok()? {
            names.push(state.hash_one(entry.ok()?.file_name().to_bytes()));
        }
        names.sort_unstable();
        Some(Self(state, names))
    }

    fn has(&self, name: &[u8]) -> bool {
        self.1.binary_search(&self.0.hash_one(name)).is_ok()
    }
}

/// What is found at a name.
pub(crate) enum Found {
    Nothing,
    This(Stat),
    /// Something that the directory did not list under this name when this job came to it: it takes two spellings for
    /// one name, or somebody has made it since.
    Another,
}

impl Target {
    /// Opens `path`, making it unless `dry_run`, and for nobody else if it is to be `private` until it has a mode of its
    /// own; the directory comes along.
    pub(crate) fn open(path: &Path, dry_run: bool, private: bool) -> Result<(Self, Arc<Dir>)> {
        let failed = |cause: std::io::Error| {
            Error::new(Kind::TargetFailed, format!("cannot restore into '{}'", path.display())).because(cause)
        };
        if path.symlink_metadata().is_ok() && !path.is_dir() {
            let text = format!("cannot restore into '{}'", path.display());
            return Err(Error::new(Kind::Invalid, text).because("it is no folder"));
        }
        let me = rustix::process::geteuid().as_raw();
        let is_there = path.symlink_metadata().is_ok();
        let opened = if dry_run || is_there { open_way(path) } else { make(path, private, me) };
        let root = match opened {
            Ok(fd) => Some(Arc::new(fd)),
            Err(Errno::NOENT) if dry_run => None,
            Err(errno) => return Err(failed(errno.into())),
        };
        let names = OnceLock::new();
        let (fresh, plain) = match &root {
            Some(fd) => {
                let empty = is_empty(fd).map_err(|errno| failed(errno.into()))?;
                names.get_or_init(|| Names::read(fd));
                (empty, is_plain(fd, me))
            }
            None => (true, true),
        };
        let target = Self { root, shelf: Mutex::default(), made: Mutex::default(), me };
        let (fd, identity) = (Mutex::default(), OnceLock::new());
        let root = Dir { parent: None, name: Box::default(), fd, identity, fresh, plain, names };
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

    /// A handle (`O_PATH`) of a directory for the `*at` calls; `STALE` when something else has its name by now.
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
            fd = Arc::new(match dir.identity.get() {
                Some(identity) => identity.open(&fd, &dir.name, flags)?,
                None => {
                    let first = rustix::fs::openat(&fd, &*dir.name, flags, Mode::empty())?;
                    let identity = Identity::of(&first)?;
                    dir.identity.get_or_init(|| identity).check(&first)?;
                    first
                }
            });
            self.shelve(dir, &fd);
        }
        Ok(fd)
    }

    /// The first handle of a directory: from now on it is this one.
    pub(crate) fn keep(&self, dir: &Arc<Dir>, fd: OwnedFd, identity: Identity) -> Arc<OwnedFd> {
        let fd = Arc::new(fd);
        dir.identity.get_or_init(|| identity);
        self.shelve(dir, &fd);
        fd
    }

    /// Notes a directory that was made where somebody else may rename it; false when it was noted before. What has no
    /// number was not, for all that is known.
    pub(crate) fn note_made(&self, identity: &Identity) -> bool {
        let Some(number) = identity.number() else { return true };
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(number)
    }

    /// True when this job has made it, under another name.
    pub(crate) fn has_made(&self, identity: &Identity) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        identity.number().is_some_and(|number| made.contains(&number))
    }

    /// True when no access list is inherited from the directory, and nobody else can change that.
    pub(crate) fn is_plain(&self, fd: &OwnedFd) -> bool {
        is_plain(fd, self.me)
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
    pub(crate) fn look(&self, dir: &Arc<Dir>, name: &[u8]) -> Result<Found, Errno> {
        if dir.fresh {
            return Ok(Found::Nothing);
        }
        match rustix::fs::statat(self.handle(dir)?, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) if dir.names.get().is_some_and(|names| names.as_ref().is_some_and(|names| !names.has(name))) => {
                Ok(Found::Another)
            }
            Ok(stat) => Ok(Found::This(stat)),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            Err(errno) => Err(errno),
        }
    }

    /// What stands at `name` now, however it got there.
    pub(crate) fn look_at(&self, dir: &Arc<Dir>, name: &[u8]) -> Option<Standing> {
        let found = rustix::fs::statat(self.handle(dir).ok()?, name, AtFlags::SYMLINK_NOFOLLOW);
        found.ok().map(Standing::from)
    }

    /// Gives something its name where nothing stood before; `EXIST` when something does now.
    pub(crate) fn name_new(&self, dir: &OwnedFd, temp: &[u8], name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::renameat_with(dir, temp, dir, name, RenameFlags::NOREPLACE) {
            // Not every file system can promise that.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            other => return other,
        }
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => rustix::fs::renameat(dir, temp, dir, name),
            Err(errno) => Err(errno),
        }
    }
}

/// Makes something that is not finished under a name that nobody can guess; one that is taken is no reason to fail.
pub(crate) fn make_temp<T>(mut make: impl FnMut(&[u8]) -> Result<T, Errno>) -> Result<(T, Vec<u8>), Errno> {
    let mut tries = TEMP_TRIES;
    loop {
        let mut random = [0u8; 12];
        SystemRng.fill(&mut random).map_err(|_| Errno::IO)?;
        let mut name = TEMP_PREFIX.as_bytes().to_vec();
        random.iter().for_each(|byte| name.extend_from_slice(format!("{byte:02x}").as_bytes()));
        tries -= 1;
        match make(&name) {
            Err(Errno::EXIST) if tries > 0 => {}
            other => return other.map(|made| (made, name)),
        }
    }
}

/// A handle of the folder that a path leads to, also through links: whoever restores has named it.
fn open_way(path: &Path) -> Result<OwnedFd, Errno> {
    let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    rustix::fs::open(here, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a folder, with those above it that are not there, and follows nothing that somebody puts in their place.
fn make(path: &Path, private: bool, me: u32) -> Result<OwnedFd, Errno> {
    let is_there = |above: &&Path| above.as_os_str().is_empty() || above.symlink_metadata().is_ok();
    let above = path.ancestors().find(is_there).unwrap_or(Path::new("/"));
    let mut fd = open_way(above)?;
    let mut names = path.strip_prefix(above).unwrap_or(path).components().peekable();
    while let Some(name) = names.next() {
        let mode = if private && names.peek().is_none() { 0o700 } else { 0o777 };
        let name = name.as_os_str().as_bytes();
        fd = match rustix::fs::mkdirat(&fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) => folders::open_made(&fd, name, mode, me)?,
            Err(Errno::EXIST) => identity::open(&fd, name, OFlags::PATH | OFlags::DIRECTORY)?,
            Err(errno) => return Err(errno),
        };
    }
    Ok(fd)
}

impl Dir {
    /// A directory below `parent`.
    pub(crate) fn below(parent: &Arc<Self>, name: &[u8], fresh: bool, plain: bool) -> Arc<Self> {
        Arc::new(Self {
            parent: Some(Arc::clone(parent)),
            name: name.into(),
            fd: Mutex::default(),
            identity: OnceLock::new(),
            fresh,
            plain,
            names: OnceLock::new(),
        })
    }

    /// Remembers what is in a directory that stood there before, which `fd` is a handle of.
    pub(crate) fn list(&self, fd: &OwnedFd) {
        self.names.get_or_init(|| Names::read(fd));
    }

    /// The directory above; `None` at the target itself.
    pub(crate) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// True when this job has made it: until it gets its owner nobody else can change what is in it.
    pub(crate) fn is_made(&self) -> bool {
        self.fresh && self.parent.is_some()
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

/// True when nothing is in a directory.
pub(crate) fn is_empty(fd: &OwnedFd) -> Result<bool, Errno> {
    let open = rustix::fs::openat(fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for entry in rustix::fs::Dir::new(open)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// True when no access list is inherited from the directory, and nobody but `me` or root can give it one.
fn is_plain(fd: &OwnedFd, me: u32) -> bool {
    if !rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_uid == me || stat.st_uid == 0) {
        return false;
    }
    let mut value = [0u8; 1];
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    !matches!(rustix::fs::getxattr(link, "system.posix_acl_default", &mut value), Ok(_) | Err(Errno::RANGE))
}
