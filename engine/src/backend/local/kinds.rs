//! Which file systems belong to this machine alone, told by the magic numbers that `statfs` gives.

use super::Folder;
use super::failure::retried;

/// File systems on a disk, or in the memory, that one machine has to itself: what it lists is all there is. On any
/// other one (of a server, shared by a cluster, of the host of a virtual machine, in user space, or not known here) others
/// may store and delete what shows here only later.
const OF_ONE_MACHINE: [i128; 27] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x2FC1_2FC1, // zfs
    0xF2F5_2010, // f2fs
    0xCA45_1A4E, // bcachefs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlayfs
    0x4D44,      // vfat, msdos
    0x2011_BAB0, // exfat
    0x7366_746E, // ntfs3
    0x5346_544E, // ntfs
    0x5265_4973, // reiserfs
    0x3153_464A, // jfs
    0x3434,      // nilfs2
    0x4244,      // hfs
    0x482B,      // hfs+
    0x0001_1954, // ufs
    0x2405_1905, // ubifs
    0x72B6,      // jffs2
    0x4D5A,      // minix, version 3
    0xADFF,      // affs
    0x1501_3346, // udf
    0x9660,      // iso9660
    0x7371_7368, // squashfs
    0xE0F5_E1E2, // erofs
];

impl Folder {
    /// Looks once what kind of file system it is on. Asking a file server that is gone may take for ever.
    pub(super) fn learn_kind(&self) {
        if self.is_of_one_machine.get().is_none() && self.root.is_dir() {
            let _ = self.is_of_one_machine.set(self.is_of_this_machine());
        }
    }

    /// Whether only this machine writes to it, as far as has been looked at: nothing is asked of the kernel.
    pub(super) fn is_known_as_of_one_machine(&self) -> bool {
        self.is_of_one_machine.get().copied().unwrap_or_default()
    }

    /// Whether the folder is on a file system that only this machine writes to, as far as can be told.
    pub(super) fn is_of_this_machine(&self) -> bool {
        retried(|| rustix::fs::statfs(&self.root)).is_ok_and(|found| is_of_one_machine(found.f_type))
    }
}

/// The field's width and sign differ between machines; the magic numbers have 32 bits.
pub(super) fn is_of_one_machine(magic: impl Into<i128>) -> bool {
    OF_ONE_MACHINE.contains(&(magic.into() & 0xFFFF_FFFF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::backend::LocalBackend;

    #[test]
    fn what_is_not_known_to_be_of_this_machine_is_a_file_server() {
        let others: [(&str, u32); 18] = [
            ("9p", 0x0102_1997),
            ("AFS", 0x5346_414F),
            ("AFS of the kernel", 0x6B41_4653),
            ("Ceph", 0x00C3_6400),
            ("CIFS", 0xFF53_4D42),
            ("Coda", 0x7375_7245),
            ("FUSE", 0x6573_5546),
            ("GFS2", 0x0116_1970),
            ("GPFS", 0x4750_4653),
            ("Lustre", 0x0BD0_0BD0),
            ("NCP", 0x564C),
            ("NFS", 0x6969),
            ("OCFS2", 0x7461_636F),
            ("SMB", 0x517B),
            ("SMB2", 0xFE53_4D42),
            ("vboxsf", 0x786F_4256),
            ("vmhgfs", 0xBACB_ACBC),
            ("one of tomorrow", 0x1234_5678),
        ];
        for (name, magic) in others {
            assert!(!is_of_one_machine(magic), "{name}");
        }
    }

    #[test]
    fn a_disk_is_known_however_wide_the_number_is_given() {
        assert!(is_of_one_machine(0xEF53_i64) && is_of_one_machine(0x9123_683E_u32));
        assert!(is_of_one_machine(i64::from(0x9123_683E_u32.cast_signed())));
        let folder = tempfile::tempdir().unwrap();
        for (path, is_known) in [(folder.path().to_owned(), true), (folder.path().join("nothing"), false)] {
            let backend = LocalBackend::new(path);
            assert!(!backend.properties().lists_at_once, "nobody has looked yet");
            backend.0.learn_kind();
            assert_eq!(backend.properties().lists_at_once, is_known);
        }
    }
}
