//! Extended attributes and inode flags of one file.

use crate::entry::Xattr;
use crate::limits::XATTR_BYTES_MAX;
use crate::limits::XATTRS_BYTES_MAX;
use rustix::fs::IFlags;
use rustix::io;
use std::ffi::CStr;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

/// The largest list of names that Linux gives.
const NAMES_BYTES_MAX: usize = 64 * 1024;

/// Where a file's attributes are read from.
#[derive(Clone, Copy)]
pub(crate) enum Handle<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// What must not or cannot be opened: its directory and its name.
    Named(BorrowedFd<'a>, &'a CStr),
}

/// Reads attributes through buffers that are kept.
pub(crate) struct Attributes {
    names: Box<[u8]>,
    value: Box<[u8]>,
}

impl Attributes {
    pub(crate) fn new() -> Self {
        Self { names: vec![0; NAMES_BYTES_MAX].into_boxed_slice(), value: vec![0; XATTR_BYTES_MAX].into_boxed_slice() }
    }

    /// All extended attributes, sorted by name; what could not be kept goes to `warnings`.
    pub(crate) fn xattrs(&mut self, from: Handle<'_>, warnings: &mut Vec<String>) -> Vec<Xattr> {
        let path = match from {
            Handle::Open(_) => Vec::new(),
            Handle::Named(directory, name) => proc_path(directory, name),
        };
        let listed = match from {
            Handle::Open(file) => rustix::fs::flistxattr(file, &mut *self.names),
            Handle::Named(..) => rustix::fs::llistxattr(&path[..], &mut *self.names),
        };
        let length = match listed {
            Ok(length) => length,
            // No such thing on this file system; or gone, or no /proc to reach it through.
            Err(io::Errno::NOTSUP | io::Errno::BADF | io::Errno::NOENT) => return Vec::new(),
            Err(why) => {
                warnings.push(format!("extended attributes cannot be listed: {why}"));
                return Vec::new();
            }
        };
        let mut xattrs: Vec<Xattr> = Vec::new();
        let mut total = 0;
        let listed = self.names.get(..length).unwrap_or_default();
        for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let read = match from {
                Handle::Open(file) => rustix::fs::fgetxattr(file, name, &mut *self.value),
                Handle::Named(..) => rustix::fs::lgetxattr(&path[..], name, &mut *self.value),
            };
            match read {
                Ok(length) if total + name.len() + length <= XATTRS_BYTES_MAX => {
                    total += name.len() + length;
                    let value = self.value.get(..length).unwrap_or_default().to_vec();
                    xattrs.push(Xattr { name: name.to_vec(), value });
                }
                Ok(_) => warnings.push(format!("extended attribute {} is too large", name.escape_ascii())),
                // Removed since it was listed.
                Err(io::Errno::NODATA) => {}
                Err(why) => warnings.push(format!("extended attribute {} cannot be read: {why}", name.escape_ascii())),
            }
        }
        xattrs.sort();
        xattrs
    }
}

/// The inode flags that a user may set; 0 where the file system has none.
pub(super) fn flags(file: BorrowedFd<'_>) -> u32 {
    // Compression and the like say how a file system stores bytes, as far as it is the user's wish.
    let settable = IFlags::APPEND
        | IFlags::COMPRESSED
        | IFlags::DIRSYNC
        | IFlags::IMMUTABLE
        | IFlags::JOURNALING
        | IFlags::NOATIME
        | IFlags::NOCOW
        | IFlags::NODUMP
        | IFlags::NOTAIL
        | IFlags::SECURE_REMOVAL
        | IFlags::SYNC
        | IFlags::TOPDIR
        | IFlags::UNRM;
    rustix::fs::ioctl_getflags(file).map_or(0, |flags| (flags & settable).bits())
}

/// A path of any depth that leads to `name` without following it: only /proc can say that.
fn proc_path(directory: BorrowedFd<'_>, name: &CStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    path
}
