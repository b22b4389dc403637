//! Decides by the overwrite policy what happens to an entry whose place is taken.

use crate::restore::options::Overwrite;
use crate::time::Timestamp;
use rustix::fs::FileType;
use rustix::fs::Stat;

/// What stands in the target, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    pub(crate) modified: Timestamp,
    /// Its names, here and elsewhere: a change in place is seen under all of them.
    pub(crate) links: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) rdev: u64,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl From<Stat> for Standing {
    fn from(stat: Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: Timestamp { seconds: stat.st_mtime, nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) },
            links: stat.st_nlink,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev,
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// What to do with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Restore it (what is equal may be kept).
    Write,
    /// Its content is taken as equal: only its metadata is set.
    Equal,
    /// Leave what stands there alone.
    Leave,
}

/// Judges a regular file of `length` bytes.
pub(crate) fn judge_file(
    policy: Overwrite,
    standing: Option<&Standing>,
    modified: Timestamp,
    length: u64,
) -> Judgement {
    match judge(policy, standing, modified) {
        Judgement::Write if policy == Overwrite::IfChanged => match standing {
            Some(old) if old.kind == FileType::RegularFile && old.size == length && old.modified == modified => {
                Judgement::Equal
            }
            _ => Judgement::Write,
        },
        other => other,
    }
}

/// Judges anything else.
pub(crate) fn judge(policy: Overwrite, standing: Option<&Standing>, modified: Timestamp) -> Judgement {
    match (policy, standing) {
        (_, None) | (Overwrite::Always | Overwrite::IfChanged, _) => Judgement::Write,
        (Overwrite::Never, Some(_)) => Judgement::Leave,
        (Overwrite::IfNewer, Some(old)) if modified > old.modified => Judgement::Write,
        (Overwrite::IfNewer, Some(_)) => Judgement::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(seconds: i64, size: u64) -> Standing {
        Standing {
            kind: FileType::RegularFile,
            size,
            modified: Timestamp { seconds, nanoseconds: 5 },
            links: 1,
            mode: 0o644,
            uid: 0,
            gid: 0,
            rdev: 0,
            device: 0,
            inode: 1,
        }
    }

    #[test]
    fn every_policy_decides_as_its_name_says() {
        let now = Timestamp { seconds: 100, nanoseconds: 5 };
        let of = |policy, standing: Option<Standing>| judge_file(policy, standing.as_ref(), now, 10);
        for policy in [Overwrite::Always, Overwrite::IfChanged, Overwrite::IfNewer, Overwrite::Never] {
            assert_eq!(of(policy, None), Judgement::Write, "{policy:?}");
        }
        assert_eq!(of(Overwrite::Always, Some(old(100, 10))), Judgement::Write);
        assert_eq!(of(Overwrite::IfChanged, Some(old(100, 10))), Judgement::Equal);
        assert_eq!(of(Overwrite::IfChanged, Some(old(100, 11))), Judgement::Write);
        assert_eq!(of(Overwrite::IfChanged, Some(old(99, 10))), Judgement::Write);
        assert_eq!(of(Overwrite::IfNewer, Some(old(99, 10))), Judgement::Write);
        assert_eq!(of(Overwrite::IfNewer, Some(old(100, 10))), Judgement::Leave);
        assert_eq!(of(Overwrite::IfNewer, Some(old(101, 10))), Judgement::Leave);
        assert_eq!(of(Overwrite::Never, Some(old(1, 1))), Judgement::Leave);
    }
}
