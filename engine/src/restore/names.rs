//! Further names of files: linked to the first one, once that is known to be the snapshot's and nobody else's.
//!
//! A file that stands in the target with several names is kept only when all of them belong to one file of the snapshot:
//! what is set on it is seen under every name. The walk comes to the names one by one, so that a file whose content is
//! right as it is stays untouched until its last name was seen. When the walk ends before, another file with the same
//! content takes the names that are the snapshot's.

use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::event::Action;
use crate::restore::file::FileJob;
use crate::restore::file::FilePlan;
use crate::restore::file::How;
use crate::restore::flags;
use crate::restore::identity;
use crate::restore::identity::Identity;
use crate::restore::io;
use crate::restore::judge::Standing;
use crate::restore::metadata;
use crate::restore::owner::Owner;
use crate::restore::site::Site;
use crate::restore::special;
use crate::restore::special::Special;
use crate::restore::target::Dir;
use crate::restore::target::make_temp;
use crate::restore::window::Link;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Bytes copied at once.
const COPY_BYTES: usize = 1 << 20;

/// What the first restored name of an inode stands for.
pub(crate) enum First {
    /// A file whose success is still open.
    File(Arc<FileJob>),
    /// What was made, or stood there as it is to be; nothing when that failed.
    Whole(Option<Identity>),
}

impl First {
    pub(crate) fn file(&self) -> Option<&Arc<FileJob>> {
        match self {
            Self::File(file) => Some(file),
            Self::Whole(_) => None,
        }
    }

    fn identity(&self) -> Option<Identity> {
        match self {
            Self::File(file) => file.identity(),
            Self::Whole(identity) => *identity,
        }
    }
}

/// The first restored name of an inode.
pub(crate) struct Original {
    pub(crate) path: EntryPath,
    pub(crate) dir: Arc<Dir>,
    pub(crate) name: Box<[u8]>,
    pub(crate) first: First,
    pub(crate) metadata: Metadata,
    pub(crate) owner: Owner,
    /// What stands there with other names that were not seen yet.
    pub(crate) shared: Option<Mutex<Shared>>,
}

/// A file of the target with several names, for as long as not all of them are known to be the snapshot's.
pub(crate) struct Shared {
    standing: Standing,
    /// Names that were not seen yet.
    missing: u64,
    /// The names of the snapshot that it has or got.
    names: Vec<Name>,
}

/// One of them.
struct Name {
    path: EntryPath,
    dir: Arc<Dir>,
    name: Box<[u8]>,
    bytes: u64,
}

impl Shared {
    /// `standing` was found under its first name.
    pub(crate) fn new(standing: Standing) -> Mutex<Self> {
        Mutex::new(Self { standing, missing: standing.links.saturating_sub(1), names: Vec::new() })
    }
}

impl Original {
    /// The shared file that stands there still, untouched, when not all of its names were seen.
    fn open_question(&self) -> Option<(&Arc<FileJob>, &Mutex<Shared>)> {
        let file = self.first.file().filter(|file| file.is_left_for_its_names())?;
        self.shared.as_ref().map(|shared| (file, shared))
    }
}

/// Gives a file a further name.
pub(crate) fn link(site: &Site, link: &Link) {
    let original = &link.original;
    let identity = original.first.identity();
    let is_lost = match original.first.file() {
        Some(file) => file.is_failed(),
        None => identity.is_none() && !site.options.dry_run,
    };
    if is_lost {
        return site.tally.fail(Some(&link.path), "it is a hard link to a file that could not be restored", true);
    }
    site.tally.passed(link.bytes);
    if site.options.dry_run {
        return site.tally.done(&link.path, Action::New, link.bytes);
    }
    match try_link(site, link, identity) {
        Ok(action) => site.tally.done(&link.path, action, link.bytes),
        Err(Errno::MLINK | Errno::XDEV | Errno::PERM | Errno::OPNOTSUPP) => {
            if let Err(errno) = copy(site, link) {
                site.tally.io(&link.path, "copy the linked file to", errno);
            }
            return;
        }
        Err(errno) => return site.tally.io(&link.path, "link", errno),
    }
    if let Some((file, shared)) = original.open_question() {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |old: &Standing| (old.device, old.inode) == (shared.standing.device, shared.standing.inode);
        if link.standing.as_ref().is_some_and(same) {
            shared.missing = shared.missing.saturating_sub(1);
        }
        if shared.missing == 0 {
            site.settled(original);
            file.finish_kept(site);
        } else {
            let (path, name) = (link.path.clone(), link.name.clone());
            shared.names.push(Name { path, dir: Arc::clone(&link.dir), name, bytes: link.bytes });
        }
    }
}

/// Gives what is `first` another name, and nothing that has the first name by now.
fn try_link(site: &Site, link: &Link, first: Option<Identity>) -> Result<Action, Errno> {
    let from = site.target.handle(&link.original.dir)?;
    let to = site.target.handle(&link.dir)?;
    let name = &*link.original.name;
    let first = first.ok_or(Errno::STALE)?;
    let original = first.open(&from, name, OFlags::PATH)?;
    if link.standing.is_none() {
        let make = || link_open(&original, &to, &link.name);
        flags::insist(site, &[(&from, name), (&to, &link.name)], make)?;
        return Ok(Action::New);
    }
    let standing = identity::open(&to, &link.name, OFlags::PATH)?;
    if identity::are_one(&original, &standing)? {
        return Ok(Action::Unchanged);
    }
    let make = |temp: &[u8]| link_open(&original, &to, temp);
    let insist = |temp: &[u8]| flags::insist(site, &[(&from, name), (&to, b".")], || make(temp));
    let ((), temp) = make_temp(insist)?;
    let rename = || rustix::fs::renameat(&to, temp.as_slice(), &to, &*link.name);
    if let Err(errno) = flags::insist(site, &[(&to, &link.name), (&to, &temp)], rename) {
        let _ = rustix::fs::unlinkat(&to, temp.as_slice(), AtFlags::empty());
        return Err(errno);
    }
    Ok(Action::Changed)
}

/// Gives something open another name: who may rename it meanwhile changes nothing about what it is.
fn link_open(original: &OwnedFd, to: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let place = format!("/proc/self/fd/{}", original.as_raw_fd());
    match rustix::fs::linkat(CWD, place, to, name, AtFlags::SYMLINK_FOLLOW) {
        // Where there is no /proc: that takes root, or a new kernel.
        Err(Errno::NOENT) => rustix::fs::linkat(original, "", to, name, AtFlags::EMPTY_PATH),
        other => other,
    }
}

/// Where links cannot be made, the further name becomes a file of its own.
fn copy(site: &Site, link: &Link) -> Result<(), Errno> {
    let original = &link.original;
    let Some(first) = original.first.file() else {
        if original.metadata.has_content() {
            return Err(Errno::MLINK);
        }
        let (place, dir, standing) = (&link.path, &link.dir, link.standing.as_ref());
        let (want, owner) = (&original.metadata, original.owner);
        let _ = special::put(site, &Special { place, dir, want, owner, standing, keeps: false });
        return Ok(());
    };
    let from = first.open_finished(site, OFlags::RDONLY)?;
    copy_to(site, &from, first, &link.path, &link.dir, link.standing).map(drop)
}

/// Makes a file of its own of what `from` holds; what it is.
fn copy_to(
    site: &Site,
    from: &OwnedFd,
    first: &FileJob,
    path: &EntryPath,
    dir: &Arc<Dir>,
    standing: Option<Standing>,
) -> Result<Option<Identity>, Errno> {
    let length = first.length();
    let copy = FileJob::new(FilePlan {
        path: path.clone(),
        dir: Arc::clone(dir),
        name: path.name().into(),
        metadata: first.plan.metadata.clone(),
        owner: first.plan.owner,
        how: How::Replace,
        standing,
        map: None,
        bytes: length,
        single: false,
        reuse: false,
        shared: false,
    });
    copy.touch();
    let mut at = 0;
    let mut buffer = vec![0u8; COPY_BYTES];
    while at < length {
        let take = usize::try_from(length - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
        let part = buffer.get_mut(..take).unwrap_or_default();
        let whole = io::read_all(from, at, part);
        let done = whole.and_then(|whole| if whole { copy.write_raw(site, at, part) } else { Err(Errno::IO) });
        if let Err(errno) = done {
            copy.discard(site);
            site.ended(&copy);
            return Err(errno);
        }
        at += take as u64;
    }
    copy.settle(site, 1);
    if copy.is_finished() { Ok(copy.identity()) } else { Err(Errno::IO) }
}

/// The walk is over, and some names of this file are not the snapshot's: another file takes those that are.
pub(crate) fn part(site: &Site, original: &Arc<Original>) {
    let Some((file, shared)) = original.open_question() else { return };
    let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let standing = Some(shared.standing);
    let parted = keeping_time(site, &original.dir, || {
        let from = file.open_standing(site, OFlags::RDONLY)?;
        copy_to(site, &from, file, &original.path, &original.dir, standing)
    });
    let parted = match parted {
        Ok(parted) => parted,
        Err(errno) => return site.tally.io(&original.path, "part from its other names", errno),
    };
    for Name { path, dir, name, bytes } in &shared.names {
        let (path, name, original) = (path.clone(), name.clone(), Arc::clone(original));
        let link = Link { path, dir: Arc::clone(dir), name, standing, original, bytes: *bytes };
        if let Err(errno) = keeping_time(site, dir, || try_link(site, &link, parted)) {
            site.tally.io(&link.path, "link", errno);
        }
    }
}

/// Changes a directory that has got its time already.
fn keeping_time<T>(site: &Site, dir: &Arc<Dir>, change: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let fd = site.target.handle(dir)?;
    let modified = Standing::from(rustix::fs::fstat(&fd)?).modified;
    let result = change();
    let place = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::utimensat(CWD, place, &metadata::times(modified), AtFlags::empty())?;
    result
}
