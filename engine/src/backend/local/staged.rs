//! Files in `tmp/`: made, compared with what was to be written, and given the name that others read.

use super::Folder;
use super::failure::failed;
use super::failure::is_unknown_call;
use super::failure::retried;
use super::kinds::is_of_one_machine;
use super::share::Share;
use super::sweep::staged_name;
use super::way::HANDLE;
use super::way::split;
use crate::backend::Payload;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::random::SystemRng;
use crate::random::array;
use bytes::Bytes;
use rustix::fs::Advice;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// A file in `tmp/` that has no name yet that anybody reads.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) file: File,
    folder: OwnedFd,
    name: String,
}

impl Staged {
    pub(super) fn remove(&self) -> io::Result<()> {
        retried(|| rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty()))
    }
}

impl Folder {
    /// Creates a temporary file, lets `work` fill and rename it, and removes it when that fails.
    /// `doing` words the failure of creating it.
    pub(super) fn stage<T>(
        &self,
        doing: &dyn Fn() -> String,
        work: impl FnOnce(&mut Staged) -> Result<T>,
    ) -> Result<T> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let name = staged_name(number, u64::from_le_bytes(array(&SystemRng)?));
        let opened = match self.create_staged(name.clone()) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                self.restore_folders()?;
                self.create_staged(name)
            }
            other => other,
        };
        let mut staged = opened.map_err(|cause| failed(doing(), cause))?;
        let result = work(&mut staged);
        if result.is_err() {
            // What cannot be removed now is swept a day later.
            let _ = staged.remove();
        }
        result
    }

    fn create_staged(&self, name: String) -> io::Result<Staged> {
        let top = self.top()?;
        let folder = self.open_from(&top, "tmp", HANDLE)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = retried(|| rustix::fs::openat(&folder, &name, flags, Mode::RUSR | Mode::WUSR))?;
        let staged = Staged { file: File::from(file), folder, name };
        match Share::of(&top) {
            Ok(share) if !share.is_private() => share.give_file(&staged.file),
            _ => {}
        }
        Ok(staged)
    }

    /// Gives the staged file the name at `target`, a path below the location, unless that is taken: `AlreadyExists`.
    pub(super) fn publish(&self, staged: &Staged, target: &str) -> io::Result<()> {
        let (folder, name) = split(target);
        let to = self.below(folder)?;
        let Staged { file, folder: from, name: old } = staged;
        if !self.by_link.load(Ordering::Relaxed) {
            match retried(|| rustix::fs::renameat_with(from, old, &to, name, RenameFlags::NOREPLACE)) {
                Ok(()) => return Ok(()),
                Err(cause) if Errno::from_io_error(&cause).is_some_and(is_unknown_call) => {
                    self.by_link.store(true, Ordering::Relaxed);
                }
                // A file server may have done it and lost the answer.
                Err(cause) => return if stands_at(file, &to, name) { Ok(()) } else { Err(cause) },
            }
        }
        match retried(|| rustix::fs::linkat(from, old, &to, name, AtFlags::empty())) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && stands_at(file, &to, name) => {}
            Err(cause) => match Errno::from_io_error(&cause) {
                Some(errno) if is_unknown_call(errno) || errno == Errno::PERM => {
                    return self.rename_if_free(staged, &to, name);
                }
                _ => return Err(cause),
            },
        }
        // A second name left in tmp/ is harmless and is swept a day later.
        let _ = staged.remove();
        Ok(())
    }

    /// Where there are neither hard links nor a rename that refuses to replace. Two processes could
    /// both succeed here, but object names are random or hashes: only a `config` can be wanted twice.
    fn rename_if_free(&self, staged: &Staged, to: &OwnedFd, name: &str) -> io::Result<()> {
        let _turn = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        match retried(|| rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                retried(|| rustix::fs::renameat(&staged.folder, &staged.name, to, name))
            }
            Err(cause) => Err(cause),
        }
    }

    /// File servers have been seen to keep something else than was sent: the first pack is compared.
    pub(super) fn read_back_once(&self, staged: &Staged, body: &Payload) -> Result<()> {
        if self.trusted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let doing = || format!("cannot read back what was just written to {}", self.root.display());
        let found = retried(|| rustix::fs::fstatfs(&staged.file)).map_err(|cause| failed(doing(), cause))?;
        if !is_of_one_machine(found.f_type) {
            let _ = rustix::fs::fadvise(&staged.file, 0, None, Advice::DontNeed);
            if !reads_back(staged, body.parts()).map_err(|cause| failed(doing(), cause))? {
                return Err(Error::new(Kind::Damaged, doing()).because("the file server returned other bytes"));
            }
        }
        self.trusted.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether what stands under `name` is this very file.
fn stands_at(file: &File, folder: &OwnedFd, name: &str) -> bool {
    match (rustix::fs::fstat(file), rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)) {
        (Ok(ours), Ok(theirs)) => ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino,
        _ => false,
    }
}

/// Whether the staged file holds exactly these parts, when it is opened anew.
fn reads_back(staged: &Staged, parts: &[Bytes]) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(retried(|| rustix::fs::openat(&staged.folder, &staged.name, flags, Mode::empty()))?);
    let mut found = Vec::new();
    for part in parts {
        found.clear();
        let length = u64::try_from(part.len()).map_err(io::Error::other)?;
        (&mut file).take(length).read_to_end(&mut found)?;
        if found.as_slice() != part.as_ref() {
            return Ok(false);
        }
    }
    Ok(file.read(&mut [0])? == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn staged(folder: &Path) -> Staged {
        let handle = OwnedFd::from(File::open(folder).unwrap());
        let file = File::options().create(true).append(true).read(true).open(folder.join("staged")).unwrap();
        Staged { file, folder: handle, name: "staged".to_owned() }
    }

    #[test]
    fn reading_back_notices_every_difference() {
        let folder = tempfile::tempdir().unwrap();
        let (path, staged) = (folder.path().join("staged"), staged(folder.path()));
        let parts = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"two")];
        std::fs::write(&path, b"onetwo").unwrap();
        assert!(reads_back(&staged, &parts).unwrap());
        for other in ["onetwO", "onetw", "onetwoo", "", "Onetwo"] {
            std::fs::write(&path, other).unwrap();
            assert!(!reads_back(&staged, &parts).unwrap(), "{other}");
        }
    }

    #[test]
    fn names_are_taken_once_in_each_of_the_three_ways() {
        let folder = tempfile::tempdir().unwrap();
        let backend = crate::backend::LocalBackend::new(folder.path());
        let room = &backend.0;
        let target = folder.path().join("name");
        for way in 0..3 {
            let path = folder.path().join("staged");
            let _ = std::fs::remove_file(&target);
            for expected in [true, false] {
                let staged = staged(folder.path());
                std::fs::write(&path, format!("{way} {expected}")).unwrap();
                room.by_link.store(way == 1, Ordering::Relaxed);
                let result = if way == 2 {
                    room.rename_if_free(&staged, &room.top().unwrap(), "name")
                } else {
                    room.publish(&staged, "name")
                };
                assert_eq!(result.is_ok(), expected, "way {way}: {result:?}");
                assert_eq!(path.exists(), !expected, "way {way}");
            }
            assert_eq!(std::fs::read_to_string(&target).unwrap(), format!("{way} true"));
        }
    }
}
