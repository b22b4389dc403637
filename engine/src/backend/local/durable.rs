//! Durable writes: staged, synced, named, and the name synced as well.

use super::Folder;
use super::failure::failed;
use super::failure::is_unknown_call;
use super::failure::retried;
use super::kinds::is_of_one_machine;
use super::share::Share;
use super::sweep::staged_name;
use super::way::HANDLE;
use super::way::READ_FOLDER;
use super::way::folder_of;
use super::way::split;
use crate::backend::Area;
use crate::backend::Name;
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
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// Parts handed to one vectored write at most (the system's limit).
const SLICES_MAX: usize = 1024;

/// Directories whose new names may not have reached the disk.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    folders: BTreeSet<PathBuf>,
    /// Folders this backend has put into: those above them were queued for a sync at that time.
    known: HashSet<PathBuf>,
    /// A directory sync failed: its names may be gone, and a second sync would only hide it.
    lost: Option<String>,
}

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
    pub(super) fn put(&self, name: &Name, body: &Payload) -> Result<()> {
        let doing = || format!("cannot store {name} in {}", self.root.display());
        if body.len() > name.bytes_max() {
            let why = format!("{} bytes are more than any reader accepts", body.len());
            return Err(Error::new(Kind::Invalid, doing()).because(why));
        }
        let target = name.to_string();
        let folder = folder_of(name);
        self.ensure_folder(&folder)?;
        if name.is_pack() {
            self.refuse_if_lost()?
        } else {
            self.sync_pending()?
        }
        self.stage(&doing, |staged| {
            write_parts(&mut staged.file, body.parts()).map_err(|cause| failed(doing(), cause))?;
            settle(&staged.file, body.len()).map_err(|cause| failed(doing(), cause))?;
            if name.is_pack() {
                self.read_back_once(staged, body)?;
            }
            self.publish(staged, &target).map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound => Error::new(Kind::NoRepository, doing()).because(cause),
                _ => failed(doing(), cause),
            })
        })?;
        self.queue_sync(&self.root.join(folder));
        if name.is_pack() { Ok(()) } else { self.sync_pending() }
    }

    pub(super) fn delete(&self, name: &Name) -> Result<()> {
        let doing = || format!("cannot delete {name} in {}", self.root.display());
        match self.remove_below(&name.to_string()) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return self.must_stand(),
            Err(cause) => return Err(failed(doing(), cause)),
        }
        self.queue_sync(&self.root.join(folder_of(name)));
        self.sync_pending()
    }

    /// The bytes were synced before they got their name; whoever gave it may have died before its folder was.
    pub(super) fn adopt(&self, name: &Name) -> Result<()> {
        self.queue_sync(&self.root.join(folder_of(name)));
        Ok(())
    }

    /// Makes durable what the folders of an area show, and that what they show no more is gone.
    pub(super) fn sync_area(&self, area: Area) -> Result<()> {
        for folder in self.folders(area)? {
            self.queue_sync(&folder);
        }
        self.sync_pending()
    }

    /// Makes every name given so far durable. One thread at a time: a second one that found nothing
    /// left to do would otherwise return before the first has done it.
    pub(super) fn sync_pending(&self) -> Result<()> {
        let _turn = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_if_lost()?;
        while let Some(folder) = self.next_unsynced() {
            let doing = || format!("cannot sync {}", folder.display());
            let directory = self.open_to_sync(&folder).map_err(|cause| {
                self.queue_sync(&folder);
                failed(doing(), cause)
            })?;
            match rustix::fs::fsync(&directory) {
                Ok(()) => {}
                // Some FUSE and CIFS mounts have no such thing as a directory sync.
                Err(errno) if is_unknown_call(errno) => {}
                Err(Errno::INTR) => self.queue_sync(&folder),
                Err(errno) => {
                    self.unsynced().lost = Some(format!("{}: {errno}", doing()));
                    return Err(failed(doing(), errno.into()));
                }
            }
        }
        Ok(())
    }

    /// One of our own folders, or one above the location.
    fn open_to_sync(&self, folder: &Path) -> io::Result<OwnedFd> {
        match folder.strip_prefix(&self.root).ok().and_then(Path::to_str) {
            Some(below) => self.folder_below(below),
            None => retried(|| rustix::fs::open(folder, READ_FOLDER, Mode::empty())),
        }
    }

    /// Remembers that names in `folder` are not durable yet.
    pub(super) fn queue_sync(&self, folder: &Path) {
        self.unsynced().folders.insert(folder.to_path_buf());
    }

    fn unsynced(&self) -> std::sync::MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_unsynced(&self) -> Option<PathBuf> {
        self.unsynced().folders.pop_first()
    }

    fn refuse_if_lost(&self) -> Result<()> {
        match &self.unsynced().lost {
            None => Ok(()),
            Some(why) => {
                let doing = format!("cannot go on writing to {}", self.root.display());
                Err(Error::new(Kind::BackendBusy, doing).because(format!("an earlier sync failed: {why}")))
            }
        }
    }

    /// Makes the folder of an object when it is missing: fan-out folders are made when first used,
    /// the others are missing only where a copying tool left out empty ones.
    fn ensure_folder(&self, folder: &str) -> Result<()> {
        let path = self.root.join(folder);
        if self.unsynced().known.contains(&path) {
            return Ok(());
        }
        if folder == Area::Snapshots.prefix().trim_end_matches('/') {
            // Made with the repository, and never again: empty, it would say that nothing is needed.
            self.must_have_snapshots()?;
        }
        let doing = || format!("cannot create {}", path.display());
        match self.make_folder(folder) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                self.restore_folders()?;
                self.make_folder(folder).map_err(|cause| failed(doing(), cause))?;
            }
            Err(cause) => return Err(failed(doing(), cause)),
        }
        let mut unsynced = self.unsynced();
        // Whoever made the folder may have died before syncing the one above: always do it once.
        for above in path.ancestors().skip(1).take_while(|above| above.starts_with(&self.root)) {
            unsynced.folders.insert(above.to_path_buf());
        }
        unsynced.known.insert(path);
        Ok(())
    }

    /// Makes a folder in one that stands; one that stands itself stays as it is.
    pub(super) fn make_folder(&self, folder: &str) -> io::Result<()> {
        if folder.is_empty() {
            return self.top().map(|_| ());
        }
        let top = self.top()?;
        let (above, name) = split(folder);
        let above = self.below(above)?;
        match retried(|| rustix::fs::mkdirat(&above, name, Mode::RWXU)) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                // What stands there may be a link, or no folder at all.
                return self.open_from(&top, folder, HANDLE).map(|_| ());
            }
            other => other?,
        }
        let share = Share::of(&top)?;
        if !share.is_private() {
            share.give_folder(self.open_from(&top, folder, READ_FOLDER)?);
        }
        Ok(())
    }

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
    fn read_back_once(&self, staged: &Staged, body: &Payload) -> Result<()> {
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

/// Writes all parts back to back.
fn write_parts(file: &mut File, parts: &[Bytes]) -> io::Result<()> {
    for group in parts.chunks(SLICES_MAX) {
        let mut slices: Vec<IoSlice<'_>> =
            group.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            match retried(|| file.write_vectored(left))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut left, written),
            }
        }
    }
    Ok(())
}

/// Syncs the content and checks that it has the length it should. A failed sync is final: the
/// system may have dropped the bytes and would answer a second sync with success.
pub(super) fn settle(file: &File, length: u64) -> io::Result<()> {
    file.sync_all()?;
    let found = file.metadata()?.len();
    if found == length {
        return Ok(());
    }
    Err(io::Error::other(format!("{found} of {length} bytes are there after writing")))
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
    fn more_parts_than_one_write_takes_arrive_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut staged = staged(folder.path());
        let parts: Vec<Bytes> = (0..3000u32).map(|n| Bytes::from(format!("{n},"))).collect();
        write_parts(&mut staged.file, &parts).unwrap();
        assert!(reads_back(&staged, &parts).unwrap());
    }

    #[test]
    fn a_file_shorter_than_written_is_no_success() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(9).unwrap();
        settle(&file, 9).unwrap();
        settle(&file, 10).unwrap_err();
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

    #[test]
    fn after_a_lost_sync_nothing_is_promised_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let backend = crate::backend::LocalBackend::new(folder.path());
        backend.0.sync_pending().unwrap();
        backend.0.unsynced().lost = Some("disk on fire".into());
        for _ in 0..2 {
            assert_eq!(backend.0.sync_pending().unwrap_err().kind(), Kind::BackendBusy);
        }
        backend.0.refuse_if_lost().unwrap_err();
    }

    #[test]
    fn a_pack_that_somebody_else_has_put_is_made_durable_by_the_next_barrier() {
        let folder = tempfile::tempdir().unwrap();
        let backend = crate::backend::LocalBackend::new(folder.path());
        let name = Name::Pack(crate::id::PackId::from_bytes([1; 32]));
        backend.0.adopt(&name).unwrap();
        // There is no such folder: the barrier shows that it tries.
        backend.0.sync_pending().unwrap_err();
        std::fs::create_dir_all(folder.path().join(folder_of(&name))).unwrap();
        backend.0.sync_pending().unwrap();
        assert!(backend.0.next_unsynced().is_none());
    }

    #[test]
    fn what_others_have_stored_or_deleted_in_an_area_is_synced_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let backend = crate::backend::LocalBackend::new(folder.path());
        std::fs::write(folder.path().join("config"), "it stands").unwrap();
        backend.0.sync_area(Area::Index).unwrap();
        for below in ["index", "packs/ab", "packs/cd", "packs/other"] {
            std::fs::create_dir_all(folder.path().join(below)).unwrap();
        }
        assert_eq!(backend.0.folders(Area::Index).unwrap(), [folder.path().join("index")]);
        let mut packs = backend.0.folders(Area::Packs).unwrap();
        packs.sort();
        assert_eq!(packs, ["packs", "packs/ab", "packs/cd"].map(|below| folder.path().join(below)));
        backend.0.sync_area(Area::Packs).unwrap();
        assert!(backend.0.next_unsynced().is_none());
        // Whoever has lost a sync promises nothing for others either.
        backend.0.unsynced().lost = Some("disk on fire".into());
        backend.0.sync_area(Area::Index).unwrap_err();
    }

    #[test]
    fn a_directory_that_cannot_be_opened_stays_queued() {
        let folder = tempfile::tempdir().unwrap();
        let backend = crate::backend::LocalBackend::new(folder.path());
        let missing = folder.path().join("missing");
        backend.0.queue_sync(&missing);
        backend.0.sync_pending().unwrap_err();
        backend.0.sync_pending().unwrap_err();
        std::fs::create_dir(&missing).unwrap();
        backend.0.sync_pending().unwrap();
    }
}
