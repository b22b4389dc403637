//! Durable writes: staged, synced, named, and the name synced as well.

use super::Folder;
use super::failure::failed;
use super::failure::is_unknown_call;
use super::failure::retried;
use super::share::Share;
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
use bytes::Bytes;
use rustix::fs::Mode;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::PoisonError;

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

    /// Makes a folder in one that stands; one that stands itself stays as it is, unless it was made and not yet given to those
    /// who should have it.
    pub(super) fn make_folder(&self, folder: &str) -> io::Result<()> {
        if folder.is_empty() {
            return self.top().map(|_| ());
        }
        let top = self.top()?;
        let (above, name) = split(folder);
        let above = self.below(above)?;
        match retried(|| rustix::fs::mkdirat(&above, name, Mode::RWXU)) {
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                // What stands there may be a link, or no folder at all; or whoever made it died before it was given away.
                let found = rustix::fs::fstat(self.open_from(&top, folder, HANDLE)?)?;
                if !Share::of(&top)?.is_yet_to_give(&found) {
                    return Ok(());
                }
            }
            other => other?,
        }
        let share = Share::of(&top)?;
        if !share.is_private() {
            share.give_folder(self.open_from(&top, folder, READ_FOLDER)?);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::io::Seek;

    #[test]
    fn more_parts_than_one_write_takes_arrive_in_order() {
        let mut file = tempfile::tempfile().unwrap();
        let parts: Vec<Bytes> = (0..3000u32).map(|n| Bytes::from(format!("{n},"))).collect();
        write_parts(&mut file, &parts).unwrap();
        let mut found = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut found).unwrap();
        assert_eq!(found, parts.concat());
    }

    #[test]
    fn a_file_shorter_than_written_is_no_success() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(9).unwrap();
        settle(&file, 9).unwrap();
        settle(&file, 10).unwrap_err();
    }

    #[test]
    fn a_folder_whose_maker_died_before_it_was_shared_is_shared_by_the_next() {
        use std::os::unix::fs::PermissionsExt;
        let room = tempfile::tempdir().unwrap();
        let mode = |path: &str, mode| {
            std::fs::set_permissions(room.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::create_dir_all(room.path().join("packs/ab")).unwrap();
        mode("", 0o770);
        mode("packs", 0o770);
        for (before, after) in [(0o700, 0o770), (0o750, 0o750), (0o770, 0o770)] {
            mode("packs/ab", before);
            // Each process finds it once.
            let backend = crate::backend::LocalBackend::new(room.path());
            backend.0.ensure_folder("packs/ab").unwrap();
            let found = std::fs::metadata(room.path().join("packs/ab")).unwrap().permissions().mode() & 0o7777;
            assert_eq!(found, after, "{before:o}");
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
