//! What killed runs leave in `tmp/`: how much it is, and its removal once no living run can need it.

use super::Folder;
use super::failure::failed;
use super::failure::retried;
use super::way::Listing;
use super::way::is_file;
use crate::backend::Leftovers;
use crate::error::Result;
use rustix::fs::Stat;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;

/// Seconds after which a file in `tmp/` belongs to no living writer: a pack takes minutes at most.
const STALE_SECONDS: i64 = 24 * 60 * 60;

impl Folder {
    pub(super) fn leftovers(&self) -> Result<Leftovers> {
        let mut all = Leftovers::default();
        if let Some(listing) = self.staging()? {
            staged_files(&listing).for_each(|(_, stat)| all.add(&stat));
        }
        Ok(all)
    }

    pub(super) fn sweep(&self) -> Result<Leftovers> {
        let doing = || format!("cannot sweep {}", self.root.join("tmp").display());
        // Age by the store's own time: that of a file made now.
        let now = self.stage(&doing, |staged| {
            staged.remove().map_err(|cause| failed(doing(), cause))?;
            retried(|| rustix::fs::fstat(&staged.file)).map_err(|cause| failed(doing(), cause))
        })?;
        let mut removed = Leftovers::default();
        let Some(listing) = self.staging()? else { return Ok(removed) };
        for (name, stat) in staged_files(&listing) {
            let is_stale = now.st_mtime.saturating_sub(stat.st_mtime) > STALE_SECONDS;
            // Somebody else's file that cannot be removed is not worth failing for.
            if is_stale && listing.remove(&name).is_ok() {
                removed.add(&stat);
            }
        }
        Ok(removed)
    }

    /// What stands in `tmp/`; tools that copy leave it out when it is empty.
    fn staging(&self) -> Result<Option<Listing>> {
        match self.names_below("tmp") {
            Ok(listing) => Ok(Some(listing)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => self.must_stand().map(|()| None),
            Err(cause) => Err(failed(format!("cannot look into {}", self.root.join("tmp").display()), cause)),
        }
    }
}

impl Leftovers {
    fn add(&mut self, stat: &Stat) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
    }
}

/// Files of our own form; whatever else stands there is somebody else's.
fn staged_files(listing: &Listing) -> impl Iterator<Item = (OsString, Stat)> {
    let ours = listing.names.iter().filter(|name| is_staged(name));
    // One that cannot be looked at has just got its name.
    let found = ours.filter_map(|name| Some((name.clone(), listing.stat(name).ok()?)));
    found.filter(|(_, stat)| is_file(stat))
}

/// The name of a temporary file: who made it, its number there, and a random one.
pub(super) fn staged_name(number: u64, random: u64) -> String {
    format!("{}-{number}-{random:016x}", std::process::id())
}

/// Whether a file has such a name.
pub(super) fn is_staged(name: &OsStr) -> bool {
    let Some(parts) = name.to_str().map(|name| name.split('-').collect::<Vec<_>>()) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let is_random =
        |text: &str| text.len() == 16 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    matches!(parts.as_slice(), [process, number, random] if is_number(process) && is_number(number) && is_random(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::Duration;
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
        // One of a process of the same number: in containers all have the same.
        let (old, fresh) = (at(&staged_name(1, 2)), at("0-2-00000000000000ff"));
        let foreign = ["letter", "0-1-aa", "0-1-00000000000000FF", "-1-00000000000000ff", "1-2-3-00000000000000ff"];
        for path in foreign.iter().map(|name| at(name)).chain([old.clone(), fresh.clone()]) {
            std::fs::write(&path, b"abc").unwrap();
            age(&path, 90_000);
        }
        age(&fresh, 80_000);
        std::fs::create_dir(at("1-1-0000000000000000")).unwrap();
        symlink(&old, at("1-1-0000000000000001")).unwrap();
        assert_eq!(backend.0.leftovers().unwrap(), Leftovers { files: 2, bytes: 6 });
        assert_eq!(backend.0.sweep().unwrap(), Leftovers { files: 1, bytes: 3 });
        assert!(!old.exists() && fresh.exists() && foreign.iter().all(|name| at(name).exists()));
        assert_eq!(backend.0.sweep().unwrap(), Leftovers::default());
    }
}
