//! Reading objects back: whole, in part, and as lists.

use super::Folder;
use super::failure::failed;
use super::failure::kind_of;
use super::failure::retried;
use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::time::Timestamp;
use bytes::Bytes;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use std::fs::DirEntry;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;

impl Folder {
    pub(super) fn get(&self, name: &Name) -> Result<Bytes> {
        let (file, length) = self.open(name)?;
        self.read_exactly(name, file, length)
    }

    pub(super) fn get_range(&self, name: &Name, offset: u64, length: u64) -> Result<Bytes> {
        let (mut file, there) = self.open(name)?;
        if offset.checked_add(length).is_none_or(|end| end > there) {
            let why = format!("it ends at byte {there}, before the {length} bytes at {offset}");
            return Err(Error::damaged(self.whole(name), why));
        }
        file.seek(SeekFrom::Start(offset)).map_err(|cause| self.unread(name, cause))?;
        self.read_exactly(name, file, length)
    }

    pub(super) fn stat(&self, name: &Name) -> Result<Option<Listed>> {
        match retried(|| std::fs::symlink_metadata(self.path(name))) {
            Ok(metadata) => self.listed(name, &metadata).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => self.must_stand().map(|()| None),
            Err(cause) => Err(self.unread(name, cause)),
        }
    }

    pub(super) fn list(&self, area: Area) -> Result<Vec<Listed>> {
        let doing = || format!("cannot list {area} in {}", self.root.display());
        let top = self.root.join(area.prefix());
        let mut found = Vec::new();
        for entry in self.entries(&top, area)? {
            let Some(file_name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            if area != Area::Packs {
                self.note(area.parse(&file_name), &entry, &mut found)?;
            } else if is_fan_out(&file_name) {
                for pack in read_folder(&entry.path()).map_err(|cause| failed(doing(), cause))? {
                    let inner = pack.file_name();
                    let name = inner.to_str().and_then(|inner| area.parse(&format!("{file_name}/{inner}")));
                    self.note(name, &pack, &mut found)?;
                }
            }
        }
        // A file server may repeat entries of a directory that changes while it is read.
        found.sort_unstable_by_key(|listed| listed.name);
        found.dedup_by_key(|listed| listed.name);
        Ok(found)
    }

    /// The folders that objects of an area lie in; none where they are missing.
    pub(super) fn folders(&self, area: Area) -> Result<Vec<PathBuf>> {
        let top = self.root.join(area.prefix());
        if retried(|| std::fs::metadata(&top)).is_err_and(|cause| cause.kind() == io::ErrorKind::NotFound) {
            return self.must_stand().map(|()| Vec::new());
        }
        let mut folders = Vec::new();
        if area == Area::Packs {
            let spread = self.entries(&top, area)?.into_iter();
            folders.extend(spread.filter(|one| one.file_name().to_str().is_some_and(is_fan_out)).map(|one| one.path()));
        }
        folders.push(top);
        Ok(folders)
    }

    /// Fails when the whole location is gone: then nothing in it is merely absent.
    pub(super) fn must_stand(&self) -> Result<()> {
        let doing = || format!("cannot find a repository in {}", self.root.display());
        match retried(|| std::fs::metadata(&self.root)) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(Error::new(Kind::NoRepository, doing()).because("it is not a folder")),
            Err(cause) if matches!(kind_of(&cause), Kind::NotFound | Kind::Damaged) => {
                Err(Error::new(Kind::NoRepository, doing()).because(cause))
            }
            Err(cause) => Err(failed(doing(), cause)),
        }
    }

    /// The directory of an area. A missing one counts as empty only where a config stands beside it:
    /// copying tools leave out empty folders, but an unmounted disk must not look like an empty one. That of the
    /// snapshots never does: a prune would take a repository that has lost it for one without snapshots.
    fn entries(&self, top: &Path, area: Area) -> Result<Vec<DirEntry>> {
        let doing = || format!("cannot list {area} in {}", self.root.display());
        match read_folder(top) {
            Ok(entries) => Ok(entries),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => match self.stat(&Name::Config)? {
                Some(_) if area == Area::Snapshots => Err(self.snapshots_lost()),
                Some(_) => Ok(Vec::new()),
                None => Err(Error::new(Kind::NoRepository, doing()).because(cause)),
            },
            Err(cause) => Err(failed(doing(), cause)),
        }
    }

    /// Fails when the folder of the snapshots is gone and the rest of the repository stands.
    pub(super) fn must_have_snapshots(&self) -> Result<()> {
        let folder = self.root.join(Area::Snapshots.prefix());
        match retried(|| std::fs::metadata(&folder)) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => match self.stat(&Name::Config)? {
                Some(_) => Err(self.snapshots_lost()),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn snapshots_lost(&self) -> Error {
        Error::new(Kind::Damaged, format!("the folder snapshots is missing in {}", self.root.display()))
            .because("with it all snapshots are lost, and without them a prune would remove everything that is stored")
            .advise(
                "bring the folder back from a copy of the repository, or from where a repair of the file system has put \
                 it (lost+found); only if there never was a snapshot, make an empty folder of that name",
            )
    }

    /// Adds one directory entry to a listing, unless it is a stranger or just went away.
    fn note(&self, name: Option<Name>, entry: &DirEntry, found: &mut Vec<Listed>) -> Result<()> {
        let Some(name) = name else {
            return Ok(());
        };
        match retried(|| entry.metadata()) {
            // Listed all the same: whoever reads it is told, and nobody takes its name for a free one.
            Ok(metadata) if !metadata.is_file() => found.push(Listed { name, length: 0, modified: None }),
            Ok(metadata) => found.push(self.listed(&name, &metadata)?),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) if self.is_lost_alone(&name, &cause) => found.push(Listed { name, length: 0, modified: None }),
            Err(cause) => return Err(failed(self.reading(&name), cause)),
        }
        Ok(())
    }

    fn open(&self, name: &Name) -> Result<(File, u64)> {
        let path = self.path(name);
        // Non-blocking, so that a pipe in an object's place is an error and no endless wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match retried(|| rustix::fs::open(&path, flags, Mode::empty())) {
            Ok(file) => File::from(file),
            Err(cause) => {
                // A link or a socket cannot even be opened, and `stat` has the words for it; with nothing there, it
                // says whether the whole location is gone.
                self.stat(name)?;
                return Err(self.unread(name, cause));
            }
        };
        let metadata = file.metadata().map_err(|cause| self.unread(name, cause))?;
        let length = self.listed(name, &metadata)?.length;
        if length > name.bytes_max() {
            return Err(Error::damaged(self.whole(name), format!("its {length} bytes are more than it can have")));
        }
        Ok((file, length))
    }

    /// Reads `length` bytes, which were compared with the file's own length before.
    pub(super) fn read_exactly(&self, name: &Name, file: impl Read, length: u64) -> Result<Bytes> {
        let capacity = usize::try_from(length).map_err(|cause| Error::damaged(self.whole(name), cause))?;
        let mut bytes = Vec::with_capacity(capacity);
        let mut rest = file.take(length);
        retried(|| rest.read_to_end(&mut bytes)).map_err(|cause| self.unread(name, cause))?;
        if bytes.len() != capacity {
            return Err(Error::damaged(self.whole(name), format!("only {} of {length} bytes are there", bytes.len())));
        }
        Ok(Bytes::from(bytes))
    }

    fn listed(&self, name: &Name, metadata: &Metadata) -> Result<Listed> {
        if !metadata.is_file() {
            return Err(Error::damaged(self.whole(name), "something that is no file stands in its place"));
        }
        Ok(Listed { name: *name, length: metadata.len(), modified: metadata.modified().ok().map(Timestamp::from) })
    }

    pub(super) fn whole(&self, name: &Name) -> String {
        format!("{name} in {}", self.root.display())
    }

    pub(super) fn reading(&self, name: &Name) -> String {
        format!("cannot read {}", self.whole(name))
    }
}

/// All entries of a directory, or the first error met.
pub(super) fn read_folder(path: &Path) -> io::Result<Vec<DirEntry>> {
    retried(|| std::fs::read_dir(path))?.collect()
}

fn is_fan_out(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
