//! Reading objects back: whole, in part, and as lists.

use super::Folder;
use super::failure::failed;
use super::failure::kind_of;
use super::failure::retried;
use super::way::Listing;
use super::way::is_file;
use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::time::Timestamp;
use bytes::Bytes;
use rustix::fs::Stat;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
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
        match self.stat_below(&name.to_string()) {
            Ok(stat) => self.listed(name, &stat).map(Some),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => self.must_stand().map(|()| None),
            Err(cause) => Err(self.unread(name, cause)),
        }
    }

    pub(super) fn list(&self, area: Area) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let Some(listing) = self.names_of(area)? else { return Ok(found) };
        for name in listing.names.iter().filter_map(|name| name.to_str()) {
            if area != Area::Packs {
                self.note(area.parse(name), &listing, name, &mut found)?;
            } else if is_fan_out(name) {
                let below = self.names_below(&format!("{area}/{name}"));
                let packs = below.map_err(|cause| failed(self.listing(area), cause))?;
                for inner in packs.names.iter().filter_map(|inner| inner.to_str()) {
                    self.note(area.parse(&format!("{name}/{inner}")), &packs, inner, &mut found)?;
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
        let top = self.root.join(area.to_string());
        match self.below(&area.to_string()) {
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return self.must_stand().map(|()| Vec::new()),
            Err(cause) => return Err(failed(self.listing(area), cause)),
        }
        let mut folders = Vec::new();
        if area == Area::Packs
            && let Some(listing) = self.names_of(area)?
        {
            let names = listing.names.iter().filter_map(|name| name.to_str());
            folders.extend(names.filter(|name| is_fan_out(name)).map(|name| top.join(name)));
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

    /// What stands in the directory of an area. A missing one counts as empty only where a config stands beside it:
    /// copying tools leave out empty folders, but an unmounted disk must not look like an empty one. That of the
    /// snapshots never does: a prune would take a repository that has lost it for one without snapshots.
    fn names_of(&self, area: Area) -> Result<Option<Listing>> {
        match self.names_below(&area.to_string()) {
            Ok(listing) => Ok(Some(listing)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => match self.stat(&Name::Config)? {
                Some(_) if area == Area::Snapshots => Err(self.snapshots_lost()),
                Some(_) => Ok(None),
                None => Err(Error::new(Kind::NoRepository, self.listing(area)).because(cause)),
            },
            Err(cause) => Err(failed(self.listing(area), cause)),
        }
    }

    /// Fails when the folder of the snapshots is gone and the rest of the repository stands.
    pub(super) fn must_have_snapshots(&self) -> Result<()> {
        match self.below(&Area::Snapshots.to_string()) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => match self.stat(&Name::Config)? {
                Some(_) => Err(self.snapshots_lost()),
                None => Ok(()),
            },
            // Whoever lists it, or stores in it, is told.
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
    fn note(&self, name: Option<Name>, folder: &Listing, entry: &str, found: &mut Vec<Listed>) -> Result<()> {
        let Some(name) = name else {
            return Ok(());
        };
        match folder.stat(entry.as_ref()) {
            // Listed all the same: whoever reads it is told, and nobody takes its name for a free one.
            Ok(stat) if !is_file(&stat) => found.push(Listed { name, length: 0, modified: None }),
            Ok(stat) => found.push(self.listed(&name, &stat)?),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) if self.is_lost_alone(&name, &cause) => found.push(Listed { name, length: 0, modified: None }),
            Err(cause) => return Err(failed(self.reading(&name), cause)),
        }
        Ok(())
    }

    fn open(&self, name: &Name) -> Result<(File, u64)> {
        let file = match self.file_below(&name.to_string()) {
            Ok(file) => file,
            Err(cause) => {
                // A link or a socket cannot even be opened, and `stat` has the words for it; with nothing there, it
                // says whether the whole location is gone.
                self.stat(name)?;
                return Err(self.unread(name, cause));
            }
        };
        let stat = rustix::fs::fstat(&file).map_err(|cause| self.unread(name, cause.into()))?;
        let length = self.listed(name, &stat)?.length;
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

    fn listed(&self, name: &Name, stat: &Stat) -> Result<Listed> {
        if !is_file(stat) {
            return Err(Error::damaged(self.whole(name), "something that is no file stands in its place"));
        }
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Ok(Listed { name: *name, length, modified: Some(Timestamp { seconds: stat.st_mtime, nanoseconds }) })
    }

    fn listing(&self, area: Area) -> String {
        format!("cannot list {area} in {}", self.root.display())
    }

    pub(super) fn whole(&self, name: &Name) -> String {
        format!("{name} in {}", self.root.display())
    }

    pub(super) fn reading(&self, name: &Name) -> String {
        format!("cannot read {}", self.whole(name))
    }
}

fn is_fan_out(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
