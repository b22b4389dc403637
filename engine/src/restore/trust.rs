//! Whether what stands in the target may be kept and written to: only when nobody else can have it open or linked.
//!
//! Whoever made a file may hold it open for ever, whatever its owner and mode become. So it is kept only when it is in
//! the hands that it is to be in, or in ours, and open to nobody who may not have it open afterwards; else another one
//! takes its name, and who holds the old one holds nothing of ours.

use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::restore::acl;
use crate::restore::judge::Standing;
use crate::restore::metadata;
use crate::restore::owner::Owner;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use rustix::io::Errno;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Longer lists than this are taken for different ones.
const LIST_BYTES: usize = 4096;

/// True when nobody may have `old` open who may not have open what it is to become.
pub(crate) fn is_private(
    site: &Site,
    dir: &Arc<Dir>,
    name: &[u8],
    old: &Standing,
    want: &Metadata,
    owner: Owner,
) -> bool {
    let me = site.target.me;
    if !is_ours(me, old, owner) {
        return false;
    }
    if matches!(want.kind, FileKind::Symlink { .. }) {
        return true;
    }
    let Ok(dir) = site.target.handle(dir) else { return false };
    let place = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat();
    is_shut(me, old, want, owner) && gives_no_more(place, old, want)
}

/// It belongs to whom it is to belong to, or to us.
fn is_ours(me: u32, old: &Standing, owner: Owner) -> bool {
    old.uid == 0 || old.uid == me || owner.uid == Some(old.uid)
}

/// Its mode lets nobody in whom the new one keeps out; leave to execute opens nothing, and some file systems (FAT, CIFS)
/// give it to every file. Who is not root may be unable to give it another group, and has
/// chosen the one that a file of his own has.
fn is_shut(me: u32, old: &Standing, want: &Metadata, owner: Owner) -> bool {
    let more = old.mode & !metadata::recorded_mode(want) & 0o066;
    let is_group_meant = owner.gid.is_none_or(|gid| gid == old.gid) || me != 0 && me == old.uid;
    more == 0 && (is_group_meant || old.mode & 0o070 == 0)
}

/// It has no access list, or the one that it is to have. `place` leads to it, not followed if it is a link.
pub(crate) fn gives_no_more(place: Vec<u8>, old: &Standing, want: &Metadata) -> bool {
    if old.mode & 0o070 == 0 {
        // With these bits a list is shut off as a whole.
        return true;
    }
    let mut list = [0u8; LIST_BYTES];
    match rustix::fs::lgetxattr(place, acl::ACCESS, &mut list) {
        Ok(length) => {
            let wanted = want.xattrs.iter().find(|xattr| xattr.name == acl::ACCESS);
            wanted.is_some_and(|xattr| list.get(..length) == Some(xattr.value.as_slice()))
        }
        Err(errno) => errno == Errno::NODATA || errno == Errno::OPNOTSUPP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::FileType;

    fn old(uid: u32, gid: u32, mode: u32) -> Standing {
        Standing {
            kind: FileType::RegularFile,
            size: 1,
            modified: crate::time::Timestamp::default(),
            links: 1,
            mode,
            uid,
            gid,
            rdev: 0,
            device: 0,
            inode: 1,
        }
    }

    #[test]
    fn a_file_is_shut_when_nobody_may_open_it_who_may_not_later() {
        let same = Owner { uid: Some(1), gid: Some(2) };
        for (was, will, owner, wanted) in [
            (0o600, 0o600, same, true),
            (0o600, 0o644, same, true),
            (0o640, 0o600, same, false),
            (0o602, 0o644, same, false),
            (0o4755, 0o755, same, true),
            (0o755, 0o644, same, true),
            (0o755, 0o600, same, false),
            (0o600, 0o600, Owner { gid: Some(9), ..same }, true),
            (0o640, 0o640, Owner { gid: Some(9), ..same }, false),
            (0o640, 0o640, Owner::default(), true),
        ] {
            let want = Metadata { mode: will, ..Metadata::new(FileKind::File) };
            assert_eq!(is_shut(0, &old(1, 2, was), &want, owner), wanted, "{was:o} {will:o} {owner:?}");
        }
        let group_refused = Owner { gid: Some(9), ..same };
        let want = Metadata { mode: 0o640, ..Metadata::new(FileKind::File) };
        assert!(
            is_shut(1, &old(1, 2, 0o640), &want, group_refused) && !is_shut(3, &old(1, 2, 0o640), &want, group_refused)
        );
    }

    #[test]
    fn what_stands_is_ours_when_it_belongs_to_whom_it_is_to_belong_to_or_to_us() {
        let to = |uid| Owner { uid, gid: None };
        for (owns, will, wanted) in [
            (7, Some(7), true),
            (7, Some(8), false),
            (0, Some(8), true),
            (5, Some(8), true),
            (5, None, true),
            (7, None, false),
        ] {
            assert_eq!(is_ours(5, &old(owns, 2, 0o600), to(will)), wanted, "{owns} {will:?}");
        }
    }
}
