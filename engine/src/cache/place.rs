//! Folders and files of the cache: this user's own and nobody else's to write, and opened without following a link or
//! waiting for a pipe that stands in them.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Non-blocking: a pipe would be waited for without end.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Fails when a folder will not be used for caches: whoever else may write there could put files in the place of ours.
/// One that is not there yet is fine, and is made for its owner alone.
pub fn check_cache_folder(folder: &Path) -> Result<()> {
    let unsafe_because = match rustix::fs::stat(folder) {
        Ok(stat) => distrusted(&stat),
        Err(_) => None,
    };
    unsafe_because.map_or(Ok(()), |why| {
        Err(Error::new(Kind::CacheFailed, format!("the cache folder {} is not used", folder.display())).because(why))
    })
}

/// Why a folder is not used, if it is not.
fn distrusted(stat: &Stat) -> Option<&'static str> {
    match () {
        () if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => Some("it is no folder"),
        () if stat.st_uid != rustix::process::geteuid().as_raw() => Some("it belongs to another user"),
        () if stat.st_mode & 0o022 != 0 => Some("other users may write to it"),
        () => None,
    }
}

fn trusted(folder: OwnedFd) -> io::Result<OwnedFd> {
    distrusted(&rustix::fs::fstat(&folder)?).map_or(Ok(folder), |why| Err(io::Error::other(why)))
}

/// The cache folder, made where it is missing. It may itself be reached through links: whoever set it up chose so.
pub(super) fn folder(path: &Path) -> io::Result<OwnedFd> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    existing_folder(path)
}

/// The same, if it is there.
pub(super) fn existing_folder(path: &Path) -> io::Result<OwnedFd> {
    trusted(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

/// A folder in the cache folder, if it is there.
pub(super) fn existing_folder_in(above: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    trusted(rustix::fs::openat(above, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?)
}

/// The same, made where it is missing.
pub(super) fn folder_in(above: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(&above, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => existing_folder_in(above, name),
        Err(errno) => Err(errno.into()),
    }
}

/// A file to read.
pub(super) fn file(folder: impl AsFd, name: &str) -> io::Result<File> {
    open(folder, name, OFlags::RDONLY)
}

/// A file that only this user may read, made where it is missing.
pub(super) fn private_file(folder: impl AsFd, name: &str) -> io::Result<File> {
    let file = open(folder, name, OFlags::RDWR | OFlags::CREATE)?;
    if rustix::fs::fstat(&file)?.st_mode & 0o077 != 0 {
        rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
    }
    Ok(file)
}

fn open(folder: impl AsFd, name: &str, flags: OFlags) -> io::Result<File> {
    let file = rustix::fs::openat(folder, name, flags | FILE, Mode::RUSR | Mode::WUSR)?;
    if is_own_file(&rustix::fs::fstat(&file)?) {
        Ok(File::from(file))
    } else {
        Err(io::Error::other("it is no file of ours"))
    }
}

/// Removes what stands under a name and is no file of ours: in the cache folder nothing else has any business. A file
/// with a second name is one, or was one before somebody linked it to here.
pub(super) fn remove_strange(folder: impl AsFd, name: &str) -> io::Result<()> {
    match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(()),
        Ok(stat) if is_own_file(&stat) => Ok(()),
        Ok(_) => Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?),
        Err(errno) => Err(errno.into()),
    }
}

fn is_own_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_uid == rustix::process::geteuid().as_raw()
        && stat.st_nlink < 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
    }

    #[test]
    fn a_folder_is_made_for_its_owner_alone() {
        let room = tempfile::tempdir().expect("a folder");
        let path = room.path().join("a/b");
        folder_in(folder(&path).expect("made"), "c").expect("made");
        for made in ["a", "a/b", "a/b/c"] {
            assert_eq!(mode(&room.path().join(made)), 0o700, "{made}");
        }
    }

    #[test]
    fn a_folder_that_others_may_write_to_or_that_is_anothers_is_not_used() {
        let room = tempfile::tempdir().expect("a folder");
        let path = room.path().join("cache");
        check_cache_folder(&path).expect("nothing speaks against one that is not there");
        folder(&path).expect("made");
        for mode in [0o700, 0o755, 0o777, 0o1777, 0o770] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("changed");
            assert_eq!(folder(&path).is_ok(), mode & 0o022 == 0, "{mode:o}");
            assert_eq!(check_cache_folder(&path).is_ok(), mode & 0o022 == 0, "{mode:o}");
        }
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("changed");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(4711), None).expect("given away");
            assert!(folder(&path).is_err() && check_cache_folder(&path).is_err());
        }
    }
}
