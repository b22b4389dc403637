//! What killed runs leave in `tmp/`: how much it is, and its removal once no living run can need it.

use super::Folder;
use super::failure::failed;
use super::failure::retried;
use super::read::read_folder;
use crate::backend::Leftovers;
use crate::error::Result;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Age at which a file in `tmp/` belongs to no living writer: a pack takes minutes at most.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

impl Folder {
    pub(super) fn leftovers(&self) -> Result<Leftovers> {
        let mut all = Leftovers::default();
        for (_, metadata) in self.staged_files()? {
            all.add(metadata.len());
        }
        Ok(all)
    }

    pub(super) fn sweep(&self) -> Result<Leftovers> {
        let doing = || format!("cannot sweep {}", self.root.join("tmp").display());
        // Age by the store's own time: that of a file made now.
        let now = self.stage(&doing, |file, staged| {
            retried(|| rustix::fs::unlink(staged)).map_err(|cause| failed(doing(), cause))?;
            file.metadata().and_then(|metadata| metadata.modified()).map_err(|cause| failed(doing(), cause))
        })?;
        let mut removed = Leftovers::default();
        for (path, metadata) in self.staged_files()? {
            let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
            // Somebody else's file that cannot be removed is not worth failing for.
            if age.is_some_and(|age| age > STALE) && retried(|| rustix::fs::unlink(&path)).is_ok() {
                removed.add(metadata.len());
            }
        }
        Ok(removed)
    }

    /// Files of our own form in `tmp/`; whatever else stands there is somebody else's.
    fn staged_files(&self) -> Result<Vec<(PathBuf, Metadata)>> {
        let doing = || format!("cannot look into {}", self.root.join("tmp").display());
        let entries = match read_folder(&self.root.join("tmp")) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|cause| failed(doing(), cause))?,
        };
        let ours = entries.into_iter().filter(|entry| is_staged(&entry.file_name()));
        let found = ours.filter_map(|entry| entry.metadata().ok().map(|metadata| (entry.path(), metadata)));
        Ok(found.filter(|(_, metadata)| metadata.is_file()).collect())
    }
}

impl Leftovers {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// The name of a temporary file: who made it, its number there, and a random one.
pub(super) fn staged_name(number: u64, random: u64) -> String {
    format!("{}-{number}-{random:016x}", std::process::id())
}

/// Whether a file has such a name.
fn is_staged(name: &OsStr) -> bool {
    let Some(parts) = name.to_str().map(|name| name.split('-').collect::<Vec<_>>()) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let is_random = |text: &str| text.len() == 16 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    matches!(parts.as_slice(), [process, number, random] if is_number(process) && is_number(number) && is_random(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::path::Path;
    use std::time::SystemTime;

    fn age(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn only_old_files_of_our_own_form_are_swept() {
        let room = tempfile::tempdir().unwrap();
        let backend = crate::backend::LocalBackend::new(room.path());
        backend.0.prepare().unwrap();
        let at = |name: &str| room.path().join("tmp").join(name);
        let (old, fresh) = (at(&staged_name(1, 2)), at("0-2-00000000000000ff"));
        let foreign = ["letter", "0-1-aa", "0-1-00000000000000FF", "-1-00000000000000ff", "1-2-3-00000000000000ff"];
        for path in foreign.iter().map(|name| at(name)).chain([old.clone(), fresh.clone()]) {
            std::fs::write(&path, b"abc").unwrap();
            age(&path, 90_000);
        }
        age(&fresh, 80_000);
        std::fs::create_dir(at("1-1-0000000000000000")).unwrap();
        assert_eq!(backend.0.leftovers().unwrap(), Leftovers { files: 2, bytes: 6 });
        assert_eq!(backend.0.sweep().unwrap(), Leftovers { files: 1, bytes: 3 });
        assert!(!old.exists() && fresh.exists() && foreign.iter().all(|name| at(name).exists()));
        assert_eq!(backend.0.sweep().unwrap(), Leftovers::default());
    }
}
