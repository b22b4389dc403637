//! The way from the location to what is in it. The location itself may be reached through links; below it nothing is:
//! a link to elsewhere would have a prune delete there.

use super::Folder;
use super::failure::retried;
use crate::backend::Name;
use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// A handle on a folder, for the `*at` calls.
pub(super) const HANDLE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A folder whose names are read, or synced.
pub(super) const READ_FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A file to be read. Non-blocking, so that a pipe in an object's place is an error and no endless wait.
const READ_FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A symbolic link in the place of a folder of the repository.
#[derive(Debug)]
pub(super) struct LinkOnTheWay(PathBuf);

impl fmt::Display for LinkOnTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is a symbolic link, and the folders of a repository are not followed through links",
            self.0.display()
        )
    }
}

impl std::error::Error for LinkOnTheWay {}

/// An open folder and all names in it.
pub(super) struct Listing {
    dir: Dir,
    pub(super) names: Vec<OsString>,
}

impl Listing {
    /// Whole, or the first error met.
    pub(super) fn read(folder: OwnedFd) -> io::Result<Self> {
        let (mut dir, mut names) = (Dir::new(folder)?, Vec::new());
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(Self { dir, names })
    }

    /// What stands under a name, a link as such.
    pub(super) fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        let folder = self.dir.fd()?;
        retried(|| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        let folder = self.dir.fd()?;
        retried(|| rustix::fs::unlinkat(folder, name, AtFlags::empty()))
    }
}

impl Folder {
    /// A handle on the location.
    pub(super) fn top(&self) -> io::Result<OwnedFd> {
        retried(|| rustix::fs::open(&self.root, HANDLE, Mode::empty()))
    }

    /// A handle on a folder by its path below the location; an empty path is the location.
    pub(super) fn below(&self, folder: &str) -> io::Result<OwnedFd> {
        let top = self.top()?;
        if folder.is_empty() { Ok(top) } else { self.open_from(&top, folder, HANDLE) }
    }

    /// All names in a folder.
    pub(super) fn names_below(&self, folder: &str) -> io::Result<Listing> {
        Listing::read(self.folder_below(folder)?)
    }

    /// A folder to read or sync.
    pub(super) fn folder_below(&self, folder: &str) -> io::Result<OwnedFd> {
        if folder.is_empty() {
            return retried(|| rustix::fs::open(&self.root, READ_FOLDER, Mode::empty()));
        }
        self.open_from(&self.top()?, folder, READ_FOLDER)
    }

    /// A file to read.
    pub(super) fn file_below(&self, path: &str) -> io::Result<File> {
        self.open_from(&self.top()?, path, READ_FILE).map(File::from)
    }

    /// What stands at a path, a link as such.
    pub(super) fn stat_below(&self, path: &str) -> io::Result<Stat> {
        let (folder, name) = split(path);
        let folder = self.below(folder)?;
        retried(|| rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Removes a file.
    pub(super) fn remove_below(&self, path: &str) -> io::Result<()> {
        let (folder, name) = split(path);
        let folder = self.below(folder)?;
        retried(|| rustix::fs::unlinkat(&folder, name, AtFlags::empty()))
    }

    /// Opens what stands at a path below `top`.
    pub(super) fn open_from(&self, top: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::NO_SYMLINKS;
        match retried(|| rustix::fs::openat2(top, path, flags, Mode::empty(), resolve)) {
            Err(cause) => match Errno::from_io_error(&cause) {
                // An old kernel, or a container that lets only known calls through.
                Some(Errno::NOSYS | Errno::PERM) => step_by_step(top, path, flags),
                Some(Errno::LOOP | Errno::NOTDIR) => Err(cause),
                _ => return Err(cause),
            },
            opened => return opened,
        }
        .map_err(|cause| match Errno::from_io_error(&cause) {
            Some(Errno::LOOP | Errno::NOTDIR) => {
                link_on_the_way(top, path).map_or(cause, |link| io::Error::other(LinkOnTheWay(self.root.join(link))))
            }
            _ => cause,
        })
    }
}

/// The same where the kernel cannot be told to follow no link.
fn step_by_step(top: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let (folder, name) = split(path);
    let step = |from: &OwnedFd, name: &str, flags: OFlags| {
        retried(|| rustix::fs::openat(from, name, flags | OFlags::NOFOLLOW, Mode::empty()))
    };
    let mut at: Option<OwnedFd> = None;
    for part in folder.split('/').filter(|part| !part.is_empty()) {
        at = Some(step(at.as_ref().unwrap_or(top), part, HANDLE)?);
    }
    step(at.as_ref().unwrap_or(top), name, flags)
}

/// The first folder on the way to a path that is a link.
fn link_on_the_way(top: &OwnedFd, path: &str) -> Option<PathBuf> {
    let parts = Path::new(path).iter().count();
    let mut folders: Vec<PathBuf> = Path::new(path).ancestors().take(parts).map(Path::to_owned).collect();
    folders.reverse();
    let is_link = |path: &PathBuf| {
        let stat = rustix::fs::statat(top, path, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    };
    folders.into_iter().find(is_link)
}

/// The folder and the name of what stands at a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The folder that an object stands in, by its path below the location.
pub(super) fn folder_of(name: &Name) -> String {
    split(&name.to_string()).0.to_owned()
}

/// Whether something is a plain file.
pub(super) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Whether something is a folder.
pub(super) fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::LocalBackend;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_folder_below_the_location_is_reached_through_a_link_on_old_kernels_either() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        std::fs::create_dir_all(at("real/packs/ab")).unwrap();
        std::fs::create_dir_all(at("outside/ab")).unwrap();
        std::fs::write(at("real/packs/ab/x"), b"x").unwrap();
        symlink(at("outside"), at("real/index")).unwrap();
        symlink(at("outside/ab"), at("real/packs/cd")).unwrap();
        symlink(at("real"), at("way")).unwrap();
        let backend = LocalBackend::new(at("way"));
        let top = backend.0.top().unwrap();
        for (path, is_reached) in
            [("packs/ab", true), ("packs", true), ("index", false), ("index/ab", false), ("packs/cd", false)]
        {
            assert_eq!(step_by_step(&top, path, HANDLE).is_ok(), is_reached, "{path}");
            let opened = backend.0.open_from(&top, path, HANDLE);
            assert_eq!(opened.is_ok(), is_reached, "{path}");
            if let Err(cause) = opened {
                assert!(cause.get_ref().is_some_and(|cause| cause.is::<LinkOnTheWay>()), "{path}: {cause}");
            }
        }
        assert!(backend.0.file_below("packs/ab/x").is_ok());
        assert!(step_by_step(&top, "packs/ab/x", READ_FILE).is_ok());
    }
}
