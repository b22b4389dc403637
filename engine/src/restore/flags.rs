//! Inode flags: set as the snapshot has them, and lifted where one of them stands in the way of a change.

use crate::entry::EntryPath;
use crate::entry::flags::APPEND;
use crate::entry::flags::COMPRESSED;
use crate::entry::flags::IMMUTABLE;
use crate::entry::flags::KEPT;
use crate::entry::flags::NOCOW;
use crate::entry::flags::NOT_COMPRESSED;
use crate::entry::flags::STORAGE;
use crate::entry::flags::each;
use crate::entry::flags::letters;
use crate::restore::identity::Identity;
use crate::restore::site::Site;
use crate::restore::tally::explain;
use crate::restore::target::Dir;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::IFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Flags that refuse changes of a file, or in a directory; only root sets and lifts them.
const HELD: u32 = IMMUTABLE | APPEND;
/// Flags that concern bytes as they are written, some of them only while there are none.
const BEFORE_BYTES: u32 = NOCOW | COMPRESSED | NOT_COMPRESSED;

/// What is said of something that has such a flag.
const TAKES_ROOT: &str = "is immutable or append-only (chattr -i, -a), which takes root to change";

/// Whoever lifts a flag for the moment of one change keeps others from doing the same.
static LIFTING: Mutex<()> = Mutex::new(());

/// Flags of a file that are set when all of its names were made, which an immutable one would not take.
pub(crate) struct LateFlags {
    pub(crate) path: EntryPath,
    pub(crate) dir: Arc<Dir>,
    pub(crate) identity: Identity,
    pub(crate) want: u32,
}

impl LateFlags {
    /// Sets them.
    pub(crate) fn set(&self, site: &Site) {
        let file = site.target.handle(&self.dir);
        match file.and_then(|dir| self.identity.open(dir, self.path.name(), OFlags::RDONLY)) {
            Ok(fd) => settle(site, &self.path, &fd, self.want, false),
            Err(errno) => site.tally.io(&self.path, "set the flags of", errno),
        }
    }
}

/// Something whose flags were lifted, and what they were.
pub(crate) struct Lifted {
    fd: OwnedFd,
    flags: u32,
}

impl Lifted {
    /// Opens and lifts; `None` when there is nothing to lift, or it may not be.
    fn by_name(dir: &OwnedFd, name: &[u8]) -> Option<Self> {
        // Only what a flag can be read of: nothing that blocks, and no device that does something when it is opened.
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return None;
        }
        let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(dir, name, how, Mode::empty()).ok()?;
        let flags = lift(&fd)?;
        Some(Self { fd, flags })
    }

    /// As it was, unless it has no name any more.
    fn put_back(&self) {
        if rustix::fs::fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 0) {
            put_back(&self.fd, self.flags);
        }
    }
}

/// Lifts what refuses changes of an open file; what its flags were, when there was something to lift.
pub(crate) fn lift(fd: &OwnedFd) -> Option<u32> {
    let flags = read(fd).ok().filter(|flags| flags & HELD != 0)?;
    write(fd, flags & !HELD).ok().map(|()| flags)
}

/// Gives back what [`lift`] took away.
pub(crate) fn put_back(fd: &OwnedFd, flags: u32) {
    // Whoever has made this impossible meanwhile decides about the file.
    let _ = write(fd, flags);
}

/// Makes a change of an open file; root's are made also where a flag refuses them. The flag then stays away until the
/// file's own are set.
pub(crate) fn unheld<T>(site: &Site, fd: &OwnedFd, mut change: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match change() {
        Err(Errno::PERM) if site.target.is_root() && lift(fd).is_some() => change(),
        other => other,
    }
}

/// Makes a change of names in directories; root's are made also where a flag of a directory, or of what has the name,
/// refuses them. All have their flags back afterwards.
pub(crate) fn insist<T>(
    site: &Site,
    places: &[(&OwnedFd, &[u8])],
    mut change: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    match change() {
        Err(Errno::PERM) if site.target.is_root() => {
            let _alone = LIFTING.lock().unwrap_or_else(PoisonError::into_inner);
            let lift = |(dir, name): &(&OwnedFd, &[u8])| [Lifted::by_name(dir, b"."), Lifted::by_name(dir, name)];
            let lifted: Vec<_> = places.iter().flat_map(lift).flatten().collect();
            let result = if lifted.is_empty() { Err(Errno::PERM) } else { change() };
            lifted.iter().for_each(Lifted::put_back);
            result
        }
        other => other,
    }
}

/// Why a change of an open file failed: where a flag forbids it, that is said.
pub(crate) fn explain_held(fd: &OwnedFd, errno: Errno) -> String {
    let is_held = errno == Errno::PERM && read(fd).is_ok_and(|flags| flags & HELD != 0);
    if is_held { format!("it {TAKES_ROOT}") } else { explain(errno) }
}

/// Why a change of what has the name was not permitted, where a flag tells.
pub(crate) fn why_held(dir: &OwnedFd, name: &[u8]) -> Option<String> {
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let held = |name: &[u8]| {
        let fd = rustix::fs::openat(dir, name, how, Mode::empty());
        fd.and_then(|fd| read(&fd)).is_ok_and(|flags| flags & HELD != 0)
    };
    if held(name) {
        Some(format!("it {TAKES_ROOT}"))
    } else if held(b".") {
        Some(format!("its directory {TAKES_ROOT}"))
    } else {
        None
    }
}

/// Sets the flags that must be there before the first byte is. What is refused is told when all are set.
pub(crate) fn set_early(fd: &OwnedFd, want: u32) {
    if want & BEFORE_BYTES != 0
        && let Ok(now) = read(fd)
    {
        let _ = write(fd, now | want & BEFORE_BYTES);
    }
}

/// The bits that are the snapshot's to say at any time.
const OURS: u32 = KEPT & !STORAGE;

/// All bits of a file that has `now` and is to have `want`.
fn next(now: u32, want: u32) -> u32 {
    now & !OURS | want & KEPT
}

/// True when [`settle`] has something to change. `bare` when it certainly has no flags yet.
pub(crate) fn differ(fd: &OwnedFd, want: u32, bare: bool) -> bool {
    !(bare && want & KEPT == 0) && read(fd).is_ok_and(|now| next(now, want) != now)
}

/// Sets the flags, last of all: an immutable file takes nothing more. `bare` when it certainly has none yet.
pub(crate) fn settle(site: &Site, path: &EntryPath, fd: &OwnedFd, want: u32, bare: bool) {
    let want = want & KEPT;
    if bare && want == 0 {
        return;
    }
    let tell = |text: String| site.tally.fail(Some(path), text, false);
    let now = match read(fd) {
        Ok(now) => now,
        // Where there are no flags none is wrong.
        Err(_) if want == 0 => return,
        Err(errno) => return tell(format!("cannot set its flags {}: {}", letters(want), explain(errno))),
    };
    let next = next(now, want);
    if next == now {
        return;
    }
    let refused = write(fd, next).or_else(|_| one_by_one(fd, now, next)).err();
    let after = read(fd).unwrap_or(now);
    let (missing, left) = (want & !after, after & OURS & !want);
    for (doing, flags) in [("set", missing), ("clear", left)].into_iter().filter(|(_, flags)| *flags != 0) {
        let why = match refused {
            Some(errno) => explain(errno),
            None if flags == NOCOW => "that takes an empty file".to_owned(),
            None => "the file system does not take it".to_owned(),
        };
        tell(format!("cannot {doing} its flags {}: {why}", letters(flags)));
    }
}

/// A flag that is refused takes none of the others along. What forbids changes goes first and comes last.
fn one_by_one(fd: &OwnedFd, now: u32, next: u32) -> Result<(), Errno> {
    let steps = each(now & HELD).map(|flag| (flag, 0));
    let steps = steps.chain(each((now ^ next) & !HELD).map(|flag| (flag, next & flag)));
    let steps = steps.chain(each(next & HELD).map(|flag| (flag, flag)));
    let mut refused = Ok(());
    for (flag, value) in steps {
        if let Err(errno) = read(fd).and_then(|present| write(fd, present & !flag | value)) {
            refused = Err(errno);
        }
    }
    refused
}

/// All bits that the file system gives, known or not: those that are not ours go back as they came.
fn read(fd: &OwnedFd) -> Result<u32, Errno> {
    rustix::fs::ioctl_getflags(fd).map(|flags| flags.bits())
}

fn write(fd: &OwnedFd, flags: u32) -> Result<(), Errno> {
    rustix::fs::ioctl_setflags(fd, IFlags::from_bits_retain(flags))
}
