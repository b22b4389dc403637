//! Extended attributes and inode flags of one file.

use super::inspect;
use crate::entry::Xattr;
use crate::entry::flags::KEPT;
use crate::limits::XATTR_BYTES_MAX;
use crate::limits::XATTRS_BYTES_MAX;
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
    /// It was told that there is no /proc.
    is_told: bool,
}

impl Attributes {
    pub(crate) fn new() -> Self {
        let (names, value) = (vec![0; NAMES_BYTES_MAX], vec![0; XATTR_BYTES_MAX]);
        Self { names: names.into_boxed_slice(), value: value.into_boxed_slice(), is_told: false }
    }

    /// All extended attributes, sorted by name; what could not be kept goes to `warnings`.
    pub(crate) fn xattrs(&mut self, from: Handle<'_>, warnings: &mut Vec<String>) -> Vec<Xattr> {
        let mut path = match from {
            Handle::Open(_) => None,
            Handle::Named(directory, name) => Some(proc_path(directory, Some(name))),
        };
        let mut listed = self.list(from, path.as_deref());
        if let (Err(io::Errno::BADF), Handle::Open(file)) = (listed, from) {
            // Opened for looking only: its attributes are reached through its name in /proc.
            path = Some(proc_path(file, None));
            listed = self.list(from, path.as_deref());
        }
        let length = match listed {
            Ok(length) => length,
            // No such thing on this file system.
            Err(io::Errno::NOTSUP) => return Vec::new(),
            Err(io::Errno::NOENT) => {
                self.unreachable(from, warnings);
                return Vec::new();
            }
            Err(why) => {
                warnings.push(format!("extended attributes cannot be listed: {why}"));
                return Vec::new();
            }
        };
        let mut xattrs: Vec<Xattr> = Vec::new();
        let mut total = 0;
        let listed = self.names.get(..length).unwrap_or_default();
        for name in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let read = match (from, &path) {
                (Handle::Open(file), None) => rustix::fs::fgetxattr(file, name, &mut *self.value),
                (Handle::Open(_), Some(path)) => rustix::fs::getxattr(&path[..], name, &mut *self.value),
                (Handle::Named(..), path) => {
                    rustix::fs::lgetxattr(path.as_deref().unwrap_or_default(), name, &mut *self.value)
                }
            };
            match read {
                Ok(length) if total + name.len() + length <= XATTRS_BYTES_MAX => {
                    total += name.len() + length;
                    let value = self.value.get(..length).unwrap_or_default().to_vec();
                    xattrs.push(Xattr { name: name.to_vec(), value });
                }
                Ok(_) => warnings.push(format!("extended attribute {} is too large", name.escape_ascii())),
                // Removed since it was listed, alone or with its file.
                Err(io::Errno::NODATA | io::Errno::NOENT) => {}
                Err(why) => warnings.push(format!("extended attribute {} cannot be read: {why}", name.escape_ascii())),
            }
        }
        xattrs.sort();
        xattrs
    }

    fn list(&mut self, from: Handle<'_>, path: Option<&[u8]>) -> io::Result<usize> {
        match (from, path) {
            (Handle::Open(file), None) => rustix::fs::flistxattr(file, &mut *self.names),
            (Handle::Open(_), Some(path)) => rustix::fs::listxattr(path, &mut *self.names),
            (Handle::Named(..), path) => rustix::fs::llistxattr(path.unwrap_or_default(), &mut *self.names),
        }
    }

    /// What is still there and cannot be reached tells that /proc is missing, which is said once.
    fn unreachable(&mut self, from: Handle<'_>, warnings: &mut Vec<String>) {
        let is_there = match from {
            Handle::Open(_) => true,
            Handle::Named(directory, name) => inspect::stat_at(directory, name).is_ok(),
        };
        if is_there && !self.is_told {
            self.is_told = true;
            let text = "extended attributes of links and special files cannot be read where /proc is not mounted";
            warnings.push(text.to_owned());
        }
    }
}

/// The inode flags that a user may set; 0 where the file system has none.
pub(super) fn flags(file: BorrowedFd<'_>) -> u32 {
    rustix::fs::ioctl_getflags(file).map_or(0, |flags| flags.bits() & KEPT)
}

/// A path of any depth that leads to `name` without following it, or to what is open itself: only /proc can say that.
fn proc_path(open: BorrowedFd<'_>, name: Option<&CStr>) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}", open.as_raw_fd()).into_bytes();
    if let Some(name) = name {
        path.push(b'/');
        path.extend_from_slice(name.to_bytes());
    }
    path
}
