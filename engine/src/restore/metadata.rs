//! Gives what was restored its owner, mode, attributes, times and flags.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::restore::acl;
use crate::restore::flags;
use crate::restore::judge::Standing;
use crate::restore::owner::Owner;
use crate::restore::patch;
use crate::restore::site::Site;
use crate::restore::tally::explain;
use crate::time::Timestamp;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::Stat;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::UTIME_OMIT;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

/// Owner, mode and time that something has at the moment.
#[derive(Clone, Copy, Debug)]
struct Known {
    uid: u32,
    gid: u32,
    mode: u32,
    modified: Timestamp,
}

impl From<Stat> for Known {
    fn from(stat: Stat) -> Self {
        let Standing { uid, gid, mode, modified, .. } = Standing::from(stat);
        Self { uid, gid, mode, modified }
    }
}

/// Everything but flags and name, through an open file or directory; `bare` when it certainly has no attributes yet.
/// Only what differs is written, and where a flag forbids that, the flag is lifted: the flags are to be set afterwards.
/// What it is now is always looked at: what was just created belongs to whom the file system decides, which is neither
/// this process nor its group on a server that squashes root, or where groups come from the directory.
pub(crate) fn apply(site: &Site, path: &EntryPath, fd: &OwnedFd, want: &Metadata, owner: Owner, bare: bool) {
    let look = || rustix::fs::fstat(fd).map(Known::from);
    let known = match look() {
        Ok(known) => known,
        Err(errno) => return warn(site, path, "read its state", errno),
    };
    let (mut known, chowned) = own(site, path, owner, known, |uid, gid| {
        let change = || rustix::fs::fchown(fd, uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        flags::unheld(site, fd, change)
    });
    if chowned && want.mode & 0o6000 != 0 {
        // Some file systems agree to a new owner and keep the old one.
        match look() {
            Ok(now) => known = now,
            Err(errno) => return warn(site, path, "read its state", errno),
        }
    }
    if !bare {
        remove_strangers(site, path, fd, &want.xattrs);
    }
    for xattr in want.xattrs.iter().filter(|xattr| !patch::is_mark(xattr) && (bare || !has(fd, xattr))) {
        let set = || rustix::fs::fsetxattr(fd, xattr.name.as_slice(), &xattr.value, XattrFlags::empty());
        let result = flags::unheld(site, fd, set);
        report_xattr(site, path, xattr, result);
    }
    // After the attributes: a file that its owner may not write takes none.
    let mode = allowed_mode(want, owner, known);
    if mode != known.mode || (chowned && mode & 0o6000 != 0) {
        let change = || rustix::fs::fchmod(fd, Mode::from_raw_mode(mode));
        report_held(site, path, "set its mode", fd, flags::unheld(site, fd, change));
    }
    if want.modified != known.modified {
        let change = || rustix::fs::futimens(fd, &times(want.modified));
        report_held(site, path, "set its time", fd, flags::unheld(site, fd, change));
    }
}

/// True when the file has this attribute already.
fn has(fd: &OwnedFd, xattr: &Xattr) -> bool {
    let mut value = vec![0; xattr.value.len() + 1];
    let read = rustix::fs::fgetxattr(fd, xattr.name.as_slice(), value.as_mut_slice());
    read.is_ok_and(|length| value.get(..length) == Some(xattr.value.as_slice()))
}

/// Everything but flags for what cannot be opened: symbolic links, devices, pipes and sockets; `fd` is a handle of it, so
/// that whoever may change the directory cannot pass something else off for it.
pub(crate) fn apply_named(site: &Site, path: &EntryPath, fd: &OwnedFd, want: &Metadata, owner: Owner) {
    let known = match rustix::fs::fstat(fd) {
        Ok(stat) => Known::from(stat),
        Err(errno) => return warn(site, path, "read its state", errno),
    };
    let (known, _) = own(site, path, owner, known, |uid, gid| {
        rustix::fs::chownat(fd, "", uid.map(Uid::from_raw), gid.map(Gid::from_raw), AtFlags::EMPTY_PATH)
    });
    let place = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let is_link = matches!(want.kind, FileKind::Symlink { .. });
    let has_list = |place: &str| !matches!(rustix::fs::getxattr(place, acl::ACCESS, &mut [0u8; 1]), Err(errno) if errno != Errno::RANGE);
    if !is_link && !want.xattrs.iter().any(|xattr| xattr.name == acl::ACCESS) && has_list(&place) {
        // Inherited from the directory.
        report(site, path, "remove an attribute of it", rustix::fs::removexattr(&place, acl::ACCESS));
    }
    for xattr in &want.xattrs {
        let result = rustix::fs::setxattr(&place, xattr.name.as_slice(), &xattr.value, XattrFlags::empty());
        report_xattr(site, path, xattr, result);
    }
    if !is_link {
        // After the attributes: an access list changes it.
        let mode = allowed_mode(want, owner, known);
        let now = rustix::fs::fstat(fd).map_or(known.mode, |stat| Known::from(stat).mode);
        if mode != now {
            report(site, path, "set its mode", rustix::fs::chmod(&place, Mode::from_raw_mode(mode)));
        }
    }
    let result = rustix::fs::utimensat(CWD, &place, &times(want.modified), AtFlags::empty());
    report(site, path, "set its time", result);
}

/// Changes the owner where it differs; what it is then, and whether a call was made.
fn own(
    site: &Site,
    path: &EntryPath,
    owner: Owner,
    known: Known,
    mut change: impl FnMut(Option<u32>, Option<u32>) -> Result<(), Errno>,
) -> (Known, bool) {
    let uid = owner.uid.filter(|uid| *uid != known.uid && *uid != u32::MAX);
    let gid = owner.gid.filter(|gid| *gid != known.gid && *gid != u32::MAX);
    if uid.is_none() && gid.is_none() {
        return (known, false);
    }
    let mut after = Known { uid: uid.unwrap_or(known.uid), gid: gid.unwrap_or(known.gid), ..known };
    match change(uid, gid) {
        Ok(()) => {}
        Err(Errno::PERM) if !site.target.is_root() => {
            site.tally.owner_refused();
            let group_only = uid.is_some() && gid.is_some() && change(None, gid).is_ok();
            after = Known { gid: if group_only { after.gid } else { known.gid }, ..known };
        }
        Err(errno) => {
            warn(site, path, "set its owner", errno);
            after = known;
        }
    }
    (after, true)
}

/// The mode that the snapshot gives; a stream may have none.
pub(super) fn recorded_mode(want: &Metadata) -> u32 {
    match want.mode & 0o7777 {
        0 if want.kind == FileKind::Stream => 0o600,
        mode => mode,
    }
}

/// The mode to set: what runs as its owner or group keeps that right only when they are the recorded ones.
fn allowed_mode(want: &Metadata, owner: Owner, known: Known) -> u32 {
    let mut mode = recorded_mode(want);
    if known.uid != owner.uid.unwrap_or(want.uid) {
        mode &= !0o4000;
    }
    if known.gid != owner.gid.unwrap_or(want.gid) && want.kind != FileKind::Directory {
        mode &= !0o2000;
    }
    mode
}

/// Removes attributes that the snapshot does not have, where that is ours to decide.
fn remove_strangers(site: &Site, path: &EntryPath, fd: &OwnedFd, wanted: &[Xattr]) {
    let mut list = vec![0u8; 4096];
    let length = loop {
        match rustix::fs::flistxattr(fd, list.as_mut_slice()) {
            Ok(length) => break length,
            Err(Errno::RANGE) if list.len() < 1 << 20 => list.resize(list.len() * 4, 0),
            Err(Errno::NOTSUP) => return,
            Err(errno) => return warn(site, path, "look for attributes that it should not have", errno),
        }
    };
    for name in list.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let ours =
            name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_") || name == b"security.capability";
        if ours && !wanted.iter().any(|xattr| xattr.name == name) {
            let remove = || rustix::fs::fremovexattr(fd, name);
            report_held(site, path, "remove an attribute of it", fd, flags::unheld(site, fd, remove));
        }
    }
}

/// The time of the last access stays.
pub(crate) fn times(modified: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanoseconds.into() },
    }
}

/// What only root sets is lost on whoever is not root, like an owner: that is counted. Anything else is a failure.
fn report_xattr(site: &Site, path: &EntryPath, xattr: &Xattr, result: Result<(), Errno>) {
    let Err(errno) = result else { return };
    let is_of_root = xattr.name.starts_with(b"security.") || xattr.name.starts_with(b"trusted.");
    if errno == Errno::PERM && is_of_root && !site.target.is_root() {
        return site.tally.attribute_refused();
    }
    let why = match errno {
        Errno::NOSPC | Errno::TOOBIG | Errno::RANGE => "it is larger than the file system has room for".to_owned(),
        Errno::NOTSUP => "the file system does not have such attributes".to_owned(),
        errno => explain(errno),
    };
    let name = String::from_utf8_lossy(&xattr.name);
    site.tally.fail(Some(path), format!("cannot set its attribute {name}: {why}"), false);
}

fn report_held(site: &Site, path: &EntryPath, doing: &str, fd: &OwnedFd, result: Result<(), Errno>) {
    if let Err(errno) = result {
        site.tally.fail(Some(path), format!("cannot {doing}: {}", flags::explain_held(fd, errno)), false);
    }
}

fn report(site: &Site, path: &EntryPath, doing: &str, result: Result<(), Errno>) {
    if let Err(errno) = result {
        warn(site, path, doing, errno);
    }
}

fn warn(site: &Site, path: &EntryPath, doing: &str, errno: Errno) {
    site.tally.fail(Some(path), format!("cannot {doing}: {}", explain(errno)), false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Control;
    use crate::restore::boundary::SegmentStore;
    use crate::restore::fake::FakeStore;
    use crate::restore::options::RestoreOptions;
    use crate::restore::spare::Spare;
    use crate::restore::tally::Tally;
    use crate::restore::target::Target;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    #[test]
    fn setuid_is_kept_only_for_its_recorded_owner() {
        let want = Metadata { mode: 0o6755, uid: 0, gid: 0, ..Metadata::new(FileKind::File) };
        let known = |uid, gid| Known { uid, gid, mode: 0o600, modified: Timestamp::default() };
        let kept = Owner { uid: Some(0), gid: Some(0) };
        assert_eq!(allowed_mode(&want, kept, known(0, 0)), 0o6755);
        assert_eq!(allowed_mode(&want, kept, known(1000, 0)), 0o2755);
        assert_eq!(allowed_mode(&want, Owner::default(), known(1000, 1000)), 0o755);
    }

    #[test]
    fn a_new_file_runs_as_nobody_but_whom_the_file_system_gave_it_to() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("NOT TESTED: only root can make a file of somebody else");
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (target, _) = Target::open(folder.path(), false, false).expect("a target");
        let site = Site::new(
            RestoreOptions::default(),
            target,
            Spare::default(),
            Tally::new(Control::new()),
            Arc::new(FakeStore::default()) as Arc<dyn SegmentStore>,
        );
        let place = EntryPath::parse(b"tool").expect("a valid path");
        let want = Metadata { mode: 0o6755, ..Metadata::new(FileKind::File) };
        let kept = Owner { uid: Some(0), gid: Some(0) };
        for (owner, after) in [(Owner::default(), (4242, 4242, 0o755)), (kept, (0, 0, 0o6755))] {
            let path = folder.path().join("tool");
            let file = OwnedFd::from(std::fs::File::create(&path).expect("a file"));
            // As a server does that squashes root, or a file system that takes the group from the folder.
            std::os::unix::fs::chown(&path, Some(4242), Some(4242)).expect("an owner");
            apply(&site, &place, &file, &want, owner, true);
            let stat = path.metadata().expect("a file");
            assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777), after);
        }
        assert_eq!(site.tally.report(0.0).failures, []);
    }
}
