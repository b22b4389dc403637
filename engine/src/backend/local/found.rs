//! The folder as a whole: founding it, knowing what stands in it, and sweeping it.

use super::Folder;
use super::failure::failed;
use super::failure::retried;
use super::read::read_folder;
use super::reserve::RESERVE;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use rustix::fs::Access;
use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

/// Age at which a file in `tmp/` belongs to no living writer: a pack takes minutes at most.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// What file systems and file managers put into a folder on their own.
const HARMLESS: [&str; 6] = ["lost+found", ".Trash-0", ".Trash-1000", ".snapshot", ".zfs", ".DS_Store"];
/// Folders of a repository beside the areas, parents first.
const PLAIN: [&str; 3] = ["keys", "gc", "tmp"];
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
        self.sync_pending()?;
        self.remove_stale().map(|_| ())
    }

    /// Whether the folders may be written to, as far as can be told without doing so.
    pub(super) fn check_permitted(&self) -> Result<()> {
        let doing = || format!("cannot write to {}", self.root.display());
        self.must_stand()?;
        self.must_have_snapshots()?;
        for area in [Area::Packs, Area::Index, Area::DataKeys, Area::Pending, Area::Snapshots] {
            let folder = self.root.join(area.prefix());
            match retried(|| rustix::fs::access(&folder, Access::WRITE_OK | Access::EXEC_OK)) {
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
        self.stage(&doing, |file, staged| {
            retried(|| file.write(b"?")).map_err(|cause| failed(doing(), cause))?;
            retried(|| rustix::fs::unlink(staged)).map_err(|cause| failed(doing(), cause))
        })
    }

    pub(super) fn recognise(&self) -> Result<Option<String>> {
        let doing = || format!("cannot look into {}", self.root.display());
        let has = |name: &str| self.root.join(name).symlink_metadata().is_ok();
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
        let program = if has("config") && restic.into_iter().all(|name| self.root.join(name).is_dir()) {
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

    pub(super) fn remove_stale(&self) -> Result<u64> {
        let doing = || format!("cannot sweep {}", self.root.join("tmp").display());
        // Age by the store's own time: that of a file made now.
        let now = self.stage(&doing, |file, staged| {
            retried(|| rustix::fs::unlink(staged)).map_err(|cause| failed(doing(), cause))?;
            file.metadata().and_then(|metadata| metadata.modified()).map_err(|cause| failed(doing(), cause))
        })?;
        let mut removed = 0;
        for entry in read_folder(&self.root.join("tmp")).map_err(|cause| failed(doing(), cause))? {
            let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) else {
                continue;
            };
            let ours = is_staged_here(&entry.file_name());
            let stale = now.duration_since(modified).is_ok_and(|age| age > STALE);
            // Somebody else's file that cannot be removed is not worth failing for.
            if stale && !ours && retried(|| rustix::fs::unlink(entry.path())).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
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
        let areas = Area::ALL.into_iter().filter(|area| !but.contains(area)).map(Area::prefix);
        for name in PLAIN.into_iter().chain(areas) {
            let path = self.root.join(name.trim_end_matches('/'));
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                other => other?,
            }
            self.queue_sync(path.parent().unwrap_or(&self.root));
        }
        Ok(())
    }

    /// Empty folders of an interrupted founding may be used again; anything else is somebody's.
    fn refuse_if_occupied(&self, doing: &dyn Fn() -> String) -> Result<()> {
        if let Some(program) = self.recognise()? {
            return Err(Error::new(Kind::Conflict, doing()).because(format!("it is {program}")));
        }
        if self.stat(&Name::Config)?.is_some() {
            return Err(Error::new(Kind::Conflict, doing()).because("there is a repository already"));
        }
        for entry in read_folder(&self.root).map_err(|cause| failed(doing(), cause))? {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let folder_of_ours = PLAIN.contains(&name.as_ref())
                || Area::ALL.iter().any(|area| area.prefix().split('/').next() == Some(name.as_ref()));
            let vacant = match () {
                () if HARMLESS.contains(&name.as_ref()) || name == RESERVE || name == "tmp" => true,
                () if name == "keys" => holds_only_slots(&entry.path()).map_err(|cause| failed(doing(), cause))?,
                () if folder_of_ours => holds_no_file(&entry.path()).map_err(|cause| failed(doing(), cause))?,
                () => false,
            };
            if !vacant {
                let why = format!("it is not empty: there is {name}");
                return Err(Error::new(Kind::Invalid, doing()).because(why));
            }
        }
        Ok(())
    }

    /// Whether the head of a file of this folder mentions `word`.
    fn begins_with(&self, file: &str, word: &str) -> bool {
        let mut head = Vec::new();
        let path = self.root.join(file);
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return false;
        }
        let read = std::fs::File::open(path).and_then(|file| file.take(LOOK_BYTES).read_to_end(&mut head));
        read.is_ok() && String::from_utf8_lossy(&head).contains(word)
    }
}

/// Whether `keys` holds nothing but key slots and lists of them: what an interrupted creation leaves behind. They belong to no
/// repository, and the next one passes over them.
fn holds_only_slots(keys: &Path) -> io::Result<bool> {
    for folder in read_folder(keys)? {
        if !folder.file_type()?.is_dir() {
            return Ok(false);
        }
        for file in read_folder(&folder.path())? {
            let name = format!("keys/{}/{}", folder.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            if !matches!(Name::parse(&name), Some(Name::Slot(_) | Name::KeyList(_))) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Whether there are only folders below `path`, as far down as a repository goes.
fn holds_no_file(path: &Path) -> io::Result<bool> {
    let mut open = vec![(path.to_path_buf(), 0)];
    while let Some((folder, depth)) = open.pop() {
        for entry in read_folder(&folder)? {
            if depth > 2 || !entry.file_type()?.is_dir() {
                return Ok(false);
            }
            open.push((entry.path(), depth + 1));
        }
    }
    Ok(true)
}

/// Whether a temporary file is one of this process.
fn is_staged_here(name: &OsStr) -> bool {
    let process = name.to_str().and_then(|name| name.split_once('-')).map(|(process, _)| process);
    process == Some(std::process::id().to_string().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn age(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn only_old_leftovers_of_others_are_swept() {
        let room = tempfile::tempdir().unwrap();
        let backend = crate::backend::LocalBackend::new(room.path());
        backend.0.prepare().unwrap();
        let (foreign, fresh) = (room.path().join("tmp/0-1-aa"), room.path().join("tmp/0-2-bb"));
        let own = room.path().join("tmp").join(format!("{}-1-aa", std::process::id()));
        for path in [&foreign, &fresh, &own] {
            std::fs::write(path, b"x").unwrap();
        }
        age(&foreign, 90_000);
        age(&own, 90_000);
        age(&fresh, 80_000);
        assert_eq!(backend.0.remove_stale().unwrap(), 1);
        assert!(!foreign.exists() && fresh.exists() && own.exists());
        assert_eq!(backend.0.remove_stale().unwrap(), 0);
    }

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
