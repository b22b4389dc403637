//! The folder as a whole: founding it, and knowing what stands in it.

use super::Folder;
use super::failure::failed;
use super::failure::retried;
use super::reserve::RESERVE;
use super::sweep::is_staged;
use super::way::is_file;
use super::way::is_folder;
use super::way::split;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use rustix::fs::Access;
use rustix::fs::AtFlags;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;

/// What file systems and file managers put into a folder on their own.
const HARMLESS: [&str; 6] = ["lost+found", ".Trash-0", ".Trash-1000", ".snapshot", ".zfs", ".DS_Store"];
/// Folders that areas stand in; they are made before them.
const ABOVE: [&str; 2] = ["keys", "gc"];
/// Where objects are written before they get their names. It is made last: where it stands alone it is somebody else's.
const STAGING: &str = "tmp";
/// What helps where a repository would have to share its folder.
const OCCUPIED: &str = "a repository has its folder to itself: name an empty one, or one that does not exist yet";
/// Most bytes of a foreign file that are read to recognise it.
const LOOK_BYTES: u64 = 4096;

impl Folder {
    pub(super) fn prepare(&self) -> Result<()> {
        let doing = || format!("cannot create a repository in {}", self.root.display());
        let absolute = std::path::absolute(&self.root).map_err(|cause| failed(doing(), cause))?;
        // The nearest folder that stands already: it and the new ones below it get new names to sync.
        let standing = absolute.ancestors().find(|above| above.exists()).map_or(0, |above| above.components().count());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.root);
        made.map_err(|cause| match cause.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                Error::new(Kind::Invalid, doing()).because("there is a file in the place of a folder")
            }
            _ => failed(doing(), cause),
        })?;
        self.refuse_if_occupied(&doing)?;
        self.make_folders(&[]).map_err(|cause| failed(doing(), cause))?;
        for above in absolute.ancestors().skip(1).filter(|above| above.components().count() >= standing) {
            self.queue_sync(above);
        }
        self.sync_pending()
    }

    /// Whether the folders may be written to, as far as can be told without doing so.
    pub(super) fn check_permitted(&self) -> Result<()> {
        let doing = || format!("cannot write to {}", self.root.display());
        self.must_stand()?;
        self.must_have_snapshots()?;
        for area in [Area::Packs, Area::Index, Area::DataKeys, Area::Pending, Area::Snapshots] {
            let wanted = Access::WRITE_OK | Access::EXEC_OK;
            let asked = self
                .below(&area.to_string())
                .and_then(|folder| retried(|| rustix::fs::accessat(&folder, ".", wanted, AtFlags::empty())));
            match asked {
                // The first put makes it again, or says that there is no repository.
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(|cause| failed(doing(), cause))?,
            }
        }
        Ok(())
    }

    pub(super) fn check_writable(&self) -> Result<()> {
        let doing = || format!("cannot write to {}", self.root.display());
        self.check_permitted()?;
        self.stage(&doing, |staged| {
            retried(|| staged.file.write(b"?")).map_err(|cause| failed(doing(), cause))?;
            staged.remove().map_err(|cause| failed(doing(), cause))
        })
    }

    pub(super) fn recognise(&self) -> Result<Option<String>> {
        let doing = || format!("cannot look into {}", self.root.display());
        let has = |name: &str| self.stat_below(name).is_ok();
        match retried(|| std::fs::metadata(&self.root)) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(Error::new(
                    Kind::NoRepository,
                    format!("there is no repository at {}", self.root.display()),
                )
                .because("it is a file, not a folder"));
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(doing(), cause)),
        }
        let restic = ["data", "keys", "locks", "snapshots", "index"];
        let program = if has("config") && restic.into_iter().all(|name| self.below(name).is_ok()) {
            "a restic repository"
        } else if self.begins_with("config", "[repository]") && (self.begins_with("README", "Borg") || has("data")) {
            "a borg repository"
        } else if has("kopia.repository") || has("kopia.repository.f") {
            "a kopia repository"
        } else {
            return Ok(None);
        };
        Ok(Some(program.into()))
    }

    /// Makes missing folders of a repository that stands; `NoRepository` where none does.
    pub(super) fn restore_folders(&self) -> Result<()> {
        let doing = || format!("cannot find a repository in {}", self.root.display());
        match self.stat(&Name::Config)? {
            Some(_) => self.make_folders(&[Area::Snapshots]).map_err(|cause| failed(doing(), cause)),
            None => Err(Error::new(Kind::NoRepository, doing()).because("it has no config")),
        }
    }

    fn make_folders(&self, but: &[Area]) -> io::Result<()> {
        for folder in folders().filter(|folder| but.iter().all(|area| area.to_string() != *folder)) {
            self.make_folder(&folder)?;
            self.queue_sync(&self.root.join(split(&folder).0));
        }
        Ok(())
    }

    /// What a founding that was interrupted has left may be used again: its folders, empty but for key slots that
    /// belong to no repository. Anything else is somebody's, and stays as it is.
    fn refuse_if_occupied(&self, doing: &dyn Fn() -> String) -> Result<()> {
        if let Some(program) = self.recognise()? {
            return Err(Error::new(Kind::Conflict, doing()).because(format!("it is {program}")));
        }
        if self.stat(&Name::Config)?.is_some() {
            return Err(Error::new(Kind::Conflict, doing()).because("there is a repository already"));
        }
        match self.stranger().map_err(|cause| failed(doing(), cause))? {
            None => Ok(()),
            Some(path) => {
                let why = format!("it is not empty: there is {path}");
                Err(Error::new(Kind::Invalid, doing()).because(why).advise(OCCUPIED))
            }
        }
    }

    /// The first thing met that a founding which was interrupted has not left.
    fn stranger(&self) -> io::Result<Option<String>> {
        let ours: Vec<String> = folders().collect();
        let is_whole = ours.iter().all(|folder| self.below(folder).is_ok());
        let mut todo = vec![String::new()];
        while let Some(folder) = todo.pop() {
            let listing = self.names_below(&folder)?;
            for name in &listing.names {
                let shown = name.to_string_lossy();
                if folder.is_empty() && HARMLESS.contains(&shown.as_ref()) {
                    continue;
                }
                let path = if folder.is_empty() { shown.into_owned() } else { format!("{folder}/{shown}") };
                let stat = listing.stat(name)?;
                if is_folder(&stat) && ours.contains(&path) && (is_whole || path != STAGING) {
                    todo.push(path);
                } else if !is_file(&stat) || !is_left_over(&path, is_whole) {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }

    /// Whether the head of a file of this folder mentions `word`.
    fn begins_with(&self, file: &str, word: &str) -> bool {
        let mut head = Vec::new();
        let is_plain = |file: &File| file.metadata().is_ok_and(|metadata| metadata.is_file());
        let Some(file) = self.file_below(file).ok().filter(is_plain) else { return false };
        file.take(LOOK_BYTES).read_to_end(&mut head).is_ok() && String::from_utf8_lossy(&head).contains(word)
    }
}

/// The folders of a repository, each behind the one that it stands in.
fn folders() -> impl Iterator<Item = String> {
    let areas = Area::ALL.into_iter().map(|area| area.to_string());
    ABOVE.into_iter().map(str::to_owned).chain(areas).chain([STAGING.to_owned()])
}

/// Whether a founding that was interrupted leaves such a file: key slots belong to no repository yet, and what comes
/// after the folders stands beside all of them only.
fn is_left_over(path: &str, is_whole: bool) -> bool {
    match Name::parse(path) {
        Some(Name::DataKey(_)) => false,
        Some(_) => path.starts_with("keys/"),
        None => is_whole && (path == RESERVE || path.strip_prefix("tmp/").is_some_and(|name| is_staged(name.as_ref()))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn other_programs_are_recognised_by_what_they_leave() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = room.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let known = |path: &Path| crate::backend::LocalBackend::new(path).0.recognise().unwrap();

        let restic = at("restic");
        std::fs::write(restic.join("config"), b"sealed").unwrap();
        for folder in ["data", "keys", "locks", "snapshots"] {
            at(&format!("restic/{folder}"));
        }
        assert_eq!(known(&restic), None);
        at("restic/index");
        assert_eq!(known(&restic).as_deref(), Some("a restic repository"));

        let borg = at("borg");
        std::fs::write(borg.join("config"), b"[repository]\nversion = 1\n").unwrap();
        std::fs::write(borg.join("README"), b"This is a Borg Backup repository.\n").unwrap();
        assert_eq!(known(&borg).as_deref(), Some("a borg repository"));

        for file in ["kopia.repository", "kopia.repository.f"] {
            let kopia = at(file);
            std::fs::write(kopia.join(file), b"{}").unwrap();
            assert_eq!(known(&kopia).as_deref(), Some("a kopia repository"));
        }
        assert_eq!(known(&at("empty")), None);
        assert_eq!(known(&room.path().join("missing")), None);
    }
}
