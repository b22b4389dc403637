//! One regular file on its way: opened at its first piece, given its name when the last one is written.

use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::event::Action;
use crate::restore::extents::ExtentMap;
use crate::restore::flags;
use crate::restore::flags::LateFlags;
use crate::restore::identity::Identity;
use crate::restore::identity::open_judged;
use crate::restore::io;
use crate::restore::judge::Standing;
use crate::restore::metadata;
use crate::restore::owner::Owner;
use crate::restore::patch::Patch;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use crate::restore::target::make_temp;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// What is told of a file that was changed in place and not finished.
const MIXED: &str = "; it is a mix of old and new bytes until it is restored again";

/// How the content gets to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Nothing stands there and one write does it: created under its name.
    Create,
    /// Written beside it and renamed.
    Replace,
    /// Too large for that: only what differs is written into the file that stands there.
    Patch,
}

/// What is to become of one regular file.
pub(crate) struct FilePlan {
    pub(crate) path: EntryPath,
    pub(crate) dir: Arc<Dir>,
    pub(crate) name: Box<[u8]>,
    pub(crate) metadata: Metadata,
    pub(crate) owner: Owner,
    pub(crate) how: How,
    /// What stood there before.
    pub(crate) standing: Option<Standing>,
    pub(crate) map: Option<ExtentMap>,
    /// Content bytes.
    pub(crate) bytes: u64,
    /// One piece that is the whole content: written in one go, nobody else looks at this file.
    pub(crate) single: bool,
    /// The bytes that stand there may be reused.
    pub(crate) reuse: bool,
    /// It stands there with other names, of which it is not known yet whether all are the snapshot's.
    pub(crate) shared: bool,
}

/// One regular file on its way.
pub(crate) struct FileJob {
    pub(crate) plan: FilePlan,
    /// Pieces that are not settled, and one for as long as its last window is not being written.
    left: AtomicU64,
    touched: AtomicBool,
    failed: AtomicBool,
    finished: AtomicBool,
    open: Mutex<Option<Arc<Open>>>,
    /// What was made for it, where it is to be opened again.
    made: OnceLock<Identity>,
}

/// A file being written.
pub(crate) struct Open {
    fd: OwnedFd,
    /// The name it has now, unless it is patched in place.
    made: Option<Vec<u8>>,
    /// Set while the file that stands there is changed.
    patch: Option<Patch>,
    /// Its flags, where they had to be lifted for that.
    lifted: Option<u32>,
}

impl FileJob {
    pub(crate) fn new(plan: FilePlan) -> Arc<Self> {
        Arc::new(Self {
            plan,
            left: AtomicU64::new(1),
            touched: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            open: Mutex::default(),
            made: OnceLock::new(),
        })
    }

    /// The file's length in bytes, holes included.
    pub(crate) fn length(&self) -> u64 {
        if self.plan.map.is_some() { self.plan.metadata.size } else { self.plan.bytes }
    }

    /// `count` more pieces are to be written before it is finished.
    pub(crate) fn expect(&self, count: u64) {
        self.left.fetch_add(count, Ordering::AcqRel);
    }

    /// The content that stands there does not do.
    pub(crate) fn touch(&self) {
        self.touched.store(true, Ordering::Release);
    }

    /// True when content is to be written.
    pub(crate) fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Acquire)
    }

    /// True once it has its name and metadata.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// True when its content could not be restored.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Reports why the content cannot be restored, once; the file does not get its name.
    pub(crate) fn fail(&self, site: &Site, why: &str) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            let mixed = if self.is_begun() { MIXED } else { "" };
            site.tally.fail(Some(&self.plan.path), format!("{why}{mixed}"), true);
        }
    }

    fn fail_io(&self, site: &Site, doing: &str, errno: Errno) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            let dir = site.target.handle(&self.plan.dir).ok().filter(|_| errno == Errno::PERM);
            match dir.and_then(|dir| flags::why_held(&dir, &self.plan.name)) {
                Some(why) => site.tally.fail(Some(&self.plan.path), format!("cannot {doing}: {why}"), true),
                None => site.tally.io(&self.plan.path, doing, errno),
            }
            if self.is_begun() {
                site.tally.fail(Some(&self.plan.path), MIXED.trim_start_matches([';', ' ']), true);
            }
        }
    }

    /// True when the file that stands there was changed and is not finished.
    fn is_begun(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().is_some_and(|open| open.patch.is_some())
    }

    /// Writes one piece that was verified, and settles it.
    pub(crate) fn write(self: &Arc<Self>, site: &Site, at: u64, data: &[u8]) {
        if !self.is_failed() && !site.tally.is_halted() {
            let written = self.opened(site).and_then(|open| self.write_at(site, &open, at, data));
            match written {
                Ok(()) => site.tally.wrote(data.len() as u64),
                Err(errno) => self.fail_io(site, "write", errno),
            }
        }
        self.settle(site, 1);
    }

    /// Writes bytes without settling anything.
    pub(crate) fn write_raw(self: &Arc<Self>, site: &Site, at: u64, data: &[u8]) -> Result<(), Errno> {
        self.opened(site).and_then(|open| self.write_at(site, &open, at, data))
    }

    /// True when blocks of zeros are left out: where that was asked for, and in a copy of a sparse file.
    fn makes_holes(&self, site: &Site) -> bool {
        let is_copy = self.plan.map.is_none() && self.plan.metadata.extents.is_some();
        (site.options.sparse || is_copy) && self.plan.how != How::Patch
    }

    fn write_at(&self, site: &Site, open: &Open, at: u64, data: &[u8]) -> Result<(), Errno> {
        let fd = &open.fd;
        let holes = self.makes_holes(site);
        let put =
            |at: u64, data: &[u8]| if holes { io::put_around_zeros(fd, at, data) } else { io::put_all(fd, at, data) };
        match &self.plan.map {
            Some(map) => map.for_each(at, data, put)?,
            None => put(at, data)?,
        }
        open.patch.as_ref().map_or(Ok(()), |patch| patch.wrote(fd))
    }

    /// `count` pieces are done, one way or the other; the last one finishes the file.
    pub(crate) fn settle(self: &Arc<Self>, site: &Site, count: u64) {
        if self.left.fetch_sub(count, Ordering::AcqRel) != count {
            return;
        }
        if !self.is_failed()
            && !site.tally.is_halted()
            && let Err(errno) = self.finish(site)
        {
            self.fail_io(site, "finish", errno);
        }
        if !self.is_finished() {
            self.discard(site);
        }
        site.ended(self);
    }

    /// Removes what was written so far; what stood there before stays.
    pub(crate) fn discard(&self, site: &Site) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Open { fd, lifted: Some(flags), .. }) = open.as_deref() {
            flags::put_back(fd, *flags);
        }
        if let Some(made) = open.as_ref().and_then(|open| open.made.as_ref())
            && let Ok(dir) = site.target.handle(&self.plan.dir)
        {
            // A leftover is harmless: its name tells what it is, or it was reported as failed.
            let remove = || rustix::fs::unlinkat(&dir, made.as_slice(), AtFlags::empty());
            let _ = flags::insist(site, &[(&dir, made)], remove);
        }
    }

    fn finish(self: &Arc<Self>, site: &Site) -> Result<(), Errno> {
        if self.plan.standing.is_some() && !self.is_touched() {
            return self.finish_equal(site);
        }
        let open = self.opened(site)?;
        if let Some(patch) = &open.patch {
            rustix::fs::ftruncate(&open.fd, self.length())?;
            patch.end(&open.fd)?;
        }
        let bare = open.made.is_some() && self.plan.dir.plain;
        metadata::apply(site, &self.plan.path, &open.fd, &self.plan.metadata, self.plan.owner, bare);
        if self.plan.how == How::Replace
            && let Some(temp) = &open.made
        {
            let dir = site.target.handle(&self.plan.dir)?;
            let rename = || match self.plan.standing {
                Some(_) => rustix::fs::renameat(&dir, temp.as_slice(), &dir, &*self.plan.name),
                None => site.target.name_new(&dir, temp, &self.plan.name),
            };
            flags::insist(site, &[(&dir, &self.plan.name), (&dir, temp)], rename)?;
        }
        self.note_made(site, &open);
        self.set_flags(site, &open.fd, bare);
        self.finished.store(true, Ordering::Release);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let action = if self.plan.standing.is_some() { Action::Changed } else { Action::New };
        site.tally.done(&self.plan.path, action, self.plan.bytes);
        Ok(())
    }

    /// Remembers what was made, as it is under its name: a rename may give it another number or time of birth.
    fn note_made(&self, site: &Site, open: &Open) {
        let is_opened_again = self.plan.metadata.links > 1 || site.options.verify;
        if is_opened_again
            && open.made.is_some()
            && let Ok(identity) = Identity::of(&open.fd)
        {
            self.made.get_or_init(|| identity);
        }
    }

    /// The content is right as it is: only the metadata is set, once it is known whose all the names are.
    fn finish_equal(self: &Arc<Self>, site: &Site) -> Result<(), Errno> {
        if !self.plan.shared {
            self.set_metadata(site)?;
            site.tally.done(&self.plan.path, Action::Unchanged, self.plan.bytes);
        }
        self.finished.store(true, Ordering::Release);
        Ok(())
    }

    fn set_metadata(self: &Arc<Self>, site: &Site) -> Result<(), Errno> {
        match self.open_standing(site, OFlags::RDONLY) {
            Ok(fd) => {
                metadata::apply(site, &self.plan.path, &fd, &self.plan.metadata, self.plan.owner, false);
                self.set_flags(site, &fd, false);
            }
            Err(Errno::ACCESS) => {
                let fd = self.open_standing(site, OFlags::PATH)?;
                metadata::apply_named(site, &self.plan.path, &fd, &self.plan.metadata, self.plan.owner);
            }
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    /// True when it stands there as it was, because not all of its names were seen.
    pub(crate) fn is_left_for_its_names(&self) -> bool {
        self.plan.shared && self.is_finished() && !self.is_touched()
    }

    /// All names of a file that was left for them are the snapshot's.
    pub(crate) fn finish_kept(self: &Arc<Self>, site: &Site) {
        match self.set_metadata(site) {
            Ok(()) => site.tally.done(&self.plan.path, Action::Unchanged, self.plan.bytes),
            Err(errno) => self.fail_io(site, "finish", errno),
        }
    }

    /// Names of the same inode may still be coming, which an immutable one would not take.
    fn set_flags(self: &Arc<Self>, site: &Site, fd: &OwnedFd, bare: bool) {
        let want = self.plan.metadata.flags;
        if self.plan.metadata.links > 1
            && flags::differ(fd, want, bare)
            && let Some(identity) = self.identity()
        {
            let (path, dir) = (self.plan.path.clone(), Arc::clone(&self.plan.dir));
            site.flag_later(LateFlags { path, dir, identity, want });
        } else {
            flags::settle(site, &self.plan.path, fd, want, bare);
        }
    }

    /// What has the name once it is finished: what was made for it, or what stood there.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.made.get().copied().or_else(|| self.plan.standing.as_ref().map(Identity::from))
    }

    /// Opens the finished file, and no other that has its name by now.
    pub(crate) fn open_finished(&self, site: &Site, access: OFlags) -> Result<OwnedFd, Errno> {
        let identity = self.identity().ok_or(Errno::STALE)?;
        identity.open(site.target.handle(&self.plan.dir)?, &self.plan.name, access)
    }

    /// Fills `into` with the content from content offset `at` on; false when the file ends before.
    pub(crate) fn read(&self, fd: &OwnedFd, at: u64, into: &mut [u8]) -> Result<bool, Errno> {
        match &self.plan.map {
            None => io::read_all(fd, at, into),
            Some(map) => map.read(fd, at, into),
        }
    }

    /// True when there are only zeros in `fd` where the file is to have holes.
    pub(crate) fn has_holes(&self, fd: &OwnedFd) -> bool {
        let holes = self.plan.map.iter().flat_map(|map| map.holes(self.length()));
        holes.into_iter().all(|(from, to)| io::is_zero(fd, from, to).unwrap_or(false))
    }

    /// Opens the file that was judged, and no other.
    pub(crate) fn open_standing(&self, site: &Site, access: OFlags) -> Result<OwnedFd, Errno> {
        let old = self.plan.standing.as_ref().ok_or(Errno::STALE)?;
        open_judged(site.target.handle(&self.plan.dir)?, &self.plan.name, access, old)
    }

    /// Reads content back from where it is being written, or from the finished file.
    pub(crate) fn read_back(&self, site: &Site) -> Result<ReadBack, Errno> {
        if self.is_finished() {
            return self.open_finished(site, OFlags::RDONLY).map(ReadBack::Own);
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        open.map(ReadBack::Shared).ok_or(Errno::BADF)
    }

    fn opened(self: &Arc<Self>, site: &Site) -> Result<Arc<Open>, Errno> {
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*slot {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(self.open_new(site)?);
        *slot = Some(Arc::clone(&open));
        drop(slot);
        if self.plan.how == How::Replace {
            site.begun(self);
        }
        Ok(open)
    }

    /// The file that stands there, for writing; and its flags, where root had to lift them.
    fn open_to_patch(&self, site: &Site) -> Result<(OwnedFd, Option<u32>), Errno> {
        match self.open_standing(site, OFlags::RDWR) {
            Err(Errno::PERM) if site.target.is_root() => {
                let old = self.open_standing(site, OFlags::RDONLY)?;
                let lifted = flags::lift(&old);
                let opened = self.open_standing(site, OFlags::RDWR);
                if let (Err(_), Some(flags)) = (&opened, lifted) {
                    flags::put_back(&old, flags);
                }
                Ok((opened?, lifted))
            }
            opened => Ok((opened?, None)),
        }
    }

    /// Marks the file that stands there, and makes the holes that it is to have.
    fn begin_patch(&self, fd: &OwnedFd) -> Result<Patch, Errno> {
        let patch = Patch::begin(fd, self.plan.metadata.modified)?;
        for (from, to) in self.plan.map.iter().flat_map(|map| map.holes(self.length())) {
            io::clear(fd, from, to)?;
        }
        patch.wrote(fd)?;
        Ok(patch)
    }

    fn open_new(&self, site: &Site) -> Result<Open, Errno> {
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = site.target.handle(&self.plan.dir)?;
        let (fd, made) = match self.plan.how {
            How::Patch => {
                let (fd, lifted) = self.open_to_patch(site)?;
                let patch = self.begin_patch(&fd);
                if let (Err(_), Some(flags)) = (&patch, lifted) {
                    flags::put_back(&fd, flags);
                }
                return Ok(Open { fd, made: None, patch: Some(patch?), lifted });
            }
            // For nobody but us: its owner, its access list and its mode come last, in this order.
            How::Create => {
                let make =
                    || rustix::fs::openat(&dir, &*self.plan.name, create | OFlags::WRONLY, Mode::RUSR | Mode::WUSR);
                (flags::insist(site, &[(&dir, b".")], make)?, self.plan.name.to_vec())
            }
            How::Replace => {
                let open = |temp: &[u8]| rustix::fs::openat(&dir, temp, create | OFlags::RDWR, Mode::RUSR | Mode::WUSR);
                make_temp(|temp| flags::insist(site, &[(&dir, b".")], || open(temp)))?
            }
        };
        flags::set_early(&fd, self.plan.metadata.flags);
        let open = Open { fd, made: Some(made), patch: None, lifted: None };
        let is_long = self.plan.map.is_some() || (self.makes_holes(site) && self.length() > 0);
        let ready = if is_long { rustix::fs::ftruncate(&open.fd, self.length()) } else { Ok(()) };
        if let (Err(errno), Some(made)) = (ready, &open.made) {
            let _ = rustix::fs::unlinkat(&dir, made.as_slice(), AtFlags::empty());
            return Err(errno);
        }
        Ok(open)
    }
}

/// A file opened for reading back.
pub(crate) enum ReadBack {
    Own(OwnedFd),
    Shared(Arc<Open>),
}

impl ReadBack {
    pub(crate) fn fd(&self) -> &OwnedFd {
        match self {
            Self::Own(fd) => fd,
            Self::Shared(open) => &open.fd,
        }
    }
}
