//! Where shards are made, kept, found again and thrown away.

use super::contents::Contents;
use super::file::ShardFile;
use super::shard::Shard;
use crate::cache::place;
use crate::crypto::name::NameKey;
use crate::id::RepositoryId;
use crate::random;
use crate::random::Rng;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

/// How the name of a file ends that is still being written.
const UNFINISHED: &str = ".tmp";
/// Age after which such a file is left over from a run that died.
const UNFINISHED_AGE: Duration = Duration::from_secs(24 * 3600);

/// The places for shards of one repository. Any number of programs may use them at once: files appear under their
/// names whole, and whoever has one open keeps it when it is removed.
#[derive(Clone, Debug)]
pub(crate) struct ShardFolder {
    /// The cache folder, if they stay for the next run, and the name of theirs in it.
    kept: Option<(PathBuf, String)>,
    /// Where they have no name and go with the run.
    temporary: Option<PathBuf>,
    key: NameKey,
}

impl ShardFolder {
    /// Below the cache folder, or in a folder for temporary files; with neither there are no shards. Their key is made
    /// from `names`, a key of the repository.
    pub(crate) fn new(
        cache: Option<&Path>,
        temporary: Option<&Path>,
        names: &NameKey,
        repository: &RepositoryId,
    ) -> Self {
        Self {
            kept: cache.map(|folder| (folder.to_owned(), format!("index-{repository}"))),
            temporary: temporary.map(Path::to_owned),
            key: NameKey::from_bytes(*names.name(b"index shards").as_bytes()),
        }
    }

    /// Whether there is any place for shards.
    pub(crate) fn exists(&self) -> bool {
        self.kept.is_some() || self.temporary.is_some()
    }

    /// Every shard that was kept and can be believed. What else stands there is removed.
    pub(crate) fn open_all(&self) -> Vec<Shard> {
        let Some((cache, name)) = &self.kept else { return Vec::new() };
        let folder = place::existing_folder(cache).and_then(|cache| place::existing_folder_in(cache, name));
        let Ok(folder) = folder else { return Vec::new() };
        let path = cache.join(name);
        let Ok(listed) = std::fs::read_dir(&path) else { return Vec::new() };
        let mut names: Vec<OsString> = listed.filter_map(|entry| entry.ok().map(|entry| entry.file_name())).collect();
        names.sort_unstable();
        names.into_iter().filter_map(|name| Self::open(self, &folder, path.join(name))).collect()
    }

    fn open(&self, folder: &OwnedFd, path: PathBuf) -> Option<Shard> {
        let file_name = path.file_name()?.to_str()?;
        if file_name.ends_with(UNFINISHED) {
            remove_left_over(&path);
            return None;
        }
        let Some((name, file)) = from_hex(file_name).zip(place::file(folder, file_name).ok()) else {
            // Nothing else belongs here. What cannot be removed is passed over again.
            let _ = std::fs::remove_file(&path);
            return None;
        };
        // A shard that cannot be believed removes its file.
        Shard::open(ShardFile { file, key: self.key.clone(), name, path: Some(path) }).ok()
    }

    /// The folder of those that stay, made where it is missing, when it is this user's alone to write.
    fn made(&self) -> Option<io::Result<PathBuf>> {
        let (cache, name) = self.kept.as_ref()?;
        let folder = place::folder(cache).and_then(|cache| place::folder_in(cache, name));
        Some(folder.map(|_| cache.join(name)))
    }

    /// Removes a shard that is of no more use. Whoever has it open may go on.
    pub(crate) fn remove(&self, shard: &Shard) {
        if let Some(path) = shard.path() {
            // Somebody else may have removed it, and a folder that is read-only keeps it.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Makes a shard, to be kept if `keep` and if that is possible, else one that goes with the run. `None` when its ids
    /// do not spread like hashes. The error says why there is no place for it.
    pub(crate) fn make(&self, contents: &impl Contents, keep: bool, rng: &dyn Rng) -> io::Result<Option<Shard>> {
        let mut failed = None;
        let kept = self.made();
        if let Some(Ok(folder)) = kept.as_ref().filter(|_| keep) {
            match self.make_kept(folder, contents, rng) {
                Ok(made) => return Ok(made),
                Err(error) => failed = Some(error),
            }
        }
        for folder in kept.into_iter().chain(self.temporary.clone().map(Ok)) {
            match folder.and_then(|folder| self.make_unnamed(&folder, contents, rng)) {
                Ok(made) => return Ok(made),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("there is no folder for it")))
    }

    fn make_kept(&self, folder: &Path, contents: &impl Contents, rng: &dyn Rng) -> io::Result<Option<Shard>> {
        let name = contents.name(&self.key);
        let path = folder.join(hex(&name));
        let (unfinished, file) = create(folder, rng)?;
        let file = ShardFile { file, key: self.key.clone(), name, path: Some(path.clone()) };
        let made = Shard::write(contents, file);
        let published = made.and_then(|made| match made {
            // Not synced: what a power cut leaves of it is not believed.
            Some(shard) => std::fs::rename(&unfinished, &path).map(|()| Some(shard)),
            None => Ok(None),
        });
        if !matches!(published, Ok(Some(_))) {
            let _ = std::fs::remove_file(&unfinished);
        }
        published
    }

    fn make_unnamed(&self, folder: &Path, contents: &impl Contents, rng: &dyn Rng) -> io::Result<Option<Shard>> {
        let (path, file) = create(folder, rng)?;
        std::fs::remove_file(&path)?;
        Shard::write(contents, ShardFile { file, key: self.key.clone(), name: contents.name(&self.key), path: None })
    }
}

/// A new file that nobody else may read, and its path.
fn create(folder: &Path, rng: &dyn Rng) -> io::Result<(PathBuf, File)> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let random: [u8; 16] = random::array(rng).map_err(io::Error::other)?;
    let path = folder.join(format!("strongroom-{}{UNFINISHED}", hex(&random)));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

fn remove_left_over(path: &Path) {
    let modified = std::fs::symlink_metadata(path).and_then(|found| found.modified());
    let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    if age.is_some_and(|age| age > UNFINISHED_AGE) {
        // Somebody else may have done it.
        let _ = std::fs::remove_file(path);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok().filter(|bytes: &[u8; 32]| rest.is_empty() && hex(bytes) == text)
}
