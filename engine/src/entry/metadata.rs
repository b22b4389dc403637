//! Everything about an entry but its bytes.

use crate::time::Timestamp;

/// What sort of thing an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points, raw.
    Symlink {
        /// The link's text.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Device number.
        rdev: u64,
    },
    /// A block device.
    BlockDevice {
        /// Device number.
        rdev: u64,
    },
    /// A stream that is not a file: a dump, standard input.
    Stream,
}

/// One extended attribute (access control lists are extended attributes).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Raw name, for example `user.comment`.
    pub name: Vec<u8>,
    /// Raw value.
    pub value: Vec<u8>,
}

/// A stretch of a sparse file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u64,
}

/// Everything about an entry but its bytes. Unknown parts are empty, zero or `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Owner by number.
    pub uid: u32,
    /// Group by number.
    pub gid: u32,
    /// Owner by name, raw; empty when there is none.
    pub user: Vec<u8>,
    /// Group by name, raw; empty when there is none.
    pub group: Vec<u8>,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Last change of the inode.
    pub changed: Timestamp,
    /// Birth, where the file system keeps it.
    pub born: Option<Timestamp>,
    /// Length in bytes, holes included.
    pub size: u64,
    /// Names of the same inode.
    pub links: u64,
    /// Device the inode is on.
    pub device: u64,
    /// Inode number; with `device` and `links > 1` it tells hard links.
    pub inode: u64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// Inode flags (`FS_IOC_GETFLAGS`: immutable, append-only, no-dump, ...), those a user may set.
    pub flags: u32,
    /// The stretches that hold data, for sparse files only: the content is their bytes back to back.
    /// `None` for a file without holes.
    pub extents: Option<Vec<Extent>>,
}

impl Metadata {
    /// Metadata of `kind` with everything else empty.
    pub fn new(kind: FileKind) -> Self {
        Self {
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            user: Vec::new(),
            group: Vec::new(),
            modified: Timestamp::default(),
            changed: Timestamp::default(),
            born: None,
            size: 0,
            links: 1,
            device: 0,
            inode: 0,
            xattrs: Vec::new(),
            flags: 0,
            extents: None,
        }
    }

    /// True when entries of this kind may carry bytes.
    pub fn has_content(&self) -> bool {
        matches!(self.kind, FileKind::File | FileKind::Stream)
    }
}
