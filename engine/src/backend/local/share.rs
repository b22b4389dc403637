//! Who else gets at what is made here: those whom the folder of the repository lets in.

use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::Stat;
use rustix::fs::Uid;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

/// What a new file or folder is given besides its owner's rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Rights of the group, as three bits.
    group_may: u32,
    setgid: u32,
    /// The group of the repository's folder.
    group: u32,
    /// Whose the repository is, where root writes into it.
    owner: Option<u32>,
}

impl Share {
    /// By the repository's folder.
    pub(super) fn of(top: &OwnedFd) -> io::Result<Self> {
        let me = rustix::process::geteuid();
        Ok(Self::by(&rustix::fs::fstat(top)?, me.is_root()))
    }

    /// A folder that gives its group no more than everybody says nothing about its group: that is how folders are made
    /// where nobody thought of it. Others never get anything.
    fn by(top: &Stat, am_root: bool) -> Self {
        let (group, others) = (top.st_mode >> 3 & 7, top.st_mode & 7);
        Self {
            group_may: if group & !others == 0 { 0 } else { group },
            setgid: top.st_mode & 0o2000,
            group: top.st_gid,
            owner: (am_root && top.st_uid != 0).then_some(top.st_uid),
        }
    }

    /// Whether the owner's rights are all there is to give.
    pub(super) fn is_private(&self) -> bool {
        self.group_may == 0 && self.owner.is_none()
    }

    /// Whether a folder is as it was when it was made, by this user and for nobody else yet.
    pub(super) fn is_yet_to_give(&self, folder: &Stat) -> bool {
        let me = rustix::process::geteuid().as_raw();
        let is_ours = folder.st_uid == me || Some(folder.st_uid) == self.owner;
        let is_given = self.group_may == 0 && Some(folder.st_uid) == self.owner;
        !self.is_private() && is_ours && !is_given && folder.st_mode & 0o777 == 0o700
    }

    /// Gives a new file to those who should have it.
    pub(super) fn give_file(&self, file: impl AsFd) {
        self.give(file, 0o600 | (self.group_may & 6) << 3);
    }

    /// The same with a new folder.
    pub(super) fn give_folder(&self, folder: impl AsFd) {
        self.give(folder, 0o700 | self.group_may << 3 | self.setgid);
    }

    /// What cannot be given is kept: a private file is a nuisance for others, one of the wrong group a leak.
    fn give(&self, made: impl AsFd, mode: u32) {
        if let Some(owner) = self.owner {
            // Some file servers keep root from giving anything away.
            let _ = rustix::fs::fchown(&made, Some(Uid::from_raw(owner)), Some(Gid::from_raw(self.group)));
        }
        if self.group_may == 0 {
            return;
        }
        let is_of_group = || rustix::fs::fstat(&made).is_ok_and(|stat| stat.st_gid == self.group);
        if is_of_group() || rustix::fs::fchown(&made, None, Some(Gid::from_raw(self.group))).is_ok() {
            let _ = rustix::fs::fchmod(&made, Mode::from_raw_mode(mode));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;

    /// Modes that files and folders get below a folder of this mode.
    fn modes(mode: u32) -> (u32, u32) {
        let room = tempfile::tempdir().unwrap();
        std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let top = OwnedFd::from(std::fs::File::open(room.path()).unwrap());
        let share = Share::by(&rustix::fs::fstat(&top).unwrap(), false);
        let (file, folder) = (tempfile::tempfile().unwrap(), tempfile::tempdir().unwrap());
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        share.give_file(&file);
        share.give_folder(std::fs::File::open(folder.path()).unwrap());
        (file.metadata().unwrap().mode() & 0o7777, folder.path().metadata().unwrap().mode() & 0o7777)
    }

    #[test]
    fn the_group_gets_what_the_folder_gives_it_and_others_get_nothing() {
        for (top, file, folder) in [
            (0o700, 0o600, 0o700),
            (0o2770, 0o660, 0o2770),
            (0o770, 0o660, 0o770),
            (0o750, 0o640, 0o750),
            (0o775, 0o660, 0o770),
            (0o2775, 0o660, 0o2770),
        ] {
            assert_eq!(modes(top), (file, folder), "{top:o}");
        }
    }

    #[test]
    fn a_folder_that_nobody_had_time_to_give_is_told_from_one_that_is_as_it_should_be() {
        let room = tempfile::tempdir().unwrap();
        let set = |path: &std::path::Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let stat = |path: &std::path::Path| rustix::fs::stat(path).unwrap();
        let folder = room.path().join("ab");
        std::fs::create_dir(&folder).unwrap();
        for (top, mode, expected) in [
            (0o2770, 0o700, true),
            (0o770, 0o2700, true),
            (0o2770, 0o2770, false),
            (0o770, 0o750, false),
            (0o770, 0o755, false),
            (0o700, 0o700, false),
            (0o755, 0o700, false),
        ] {
            set(room.path(), top);
            set(&folder, mode);
            let share = Share::by(&stat(room.path()), false);
            assert_eq!(share.is_yet_to_give(&stat(&folder)), expected, "{top:o} {mode:o}");
        }
        set(room.path(), 0o770);
        set(&folder, 0o700);
        let share = Share { owner: None, ..Share::by(&stat(room.path()), false) };
        let mut strange = stat(&folder);
        strange.st_uid += 1;
        assert!(!share.is_yet_to_give(&strange), "it is somebody else's");
        let owner = Some(strange.st_uid);
        assert!(Share { owner, ..share }.is_yet_to_give(&strange), "root had no time to open it to the group");
        assert!(!Share { owner, group_may: 0, ..share }.is_yet_to_give(&strange));
        assert!(Share { owner, group_may: 0, ..share }.is_yet_to_give(&stat(&folder)));
    }

    #[test]
    fn a_folder_that_is_open_to_everybody_shares_nothing() {
        for top in [0o755, 0o711, 0o777, 0o2755] {
            assert_eq!(modes(top), (0o600, 0o700), "{top:o}");
        }
    }
}
