//! Files and folders of this machine as a source.
//!
//! The walk is our own, on plain system calls, because its speed is what an unchanged backup costs:
//! one getdents64 per 64 KiB of names, one statx per file, and nothing else for a file the parent snapshot
//! has. Everything is opened relative to its directory's descriptor and no link is followed, so that
//! nobody who moves things about during a backup can lead it elsewhere. The parts: `place` says where
//! each path asked for stands in the snapshot, `present` which of them are there, `meant` what the kernel takes
//! each for, `rules` what is left out, `listing` holds a directory's names, `inspect` and `attributes` read metadata, `content` reads bytes, `walk`
//! goes through directories and `visit` through the files in them, and `ahead` has the kernel read what
//! comes next when the disk is waited for.

mod ahead;
mod attributes;
mod content;
mod inspect;
mod listing;
mod meant;
mod place;
mod present;
mod rules;
#[cfg(test)]
mod tests;
mod visit;
mod walk;

pub(crate) use attributes::Attributes;
pub(crate) use attributes::Handle;
pub(crate) use inspect::Owners;
pub(crate) use inspect::open_at;
pub(crate) use inspect::stat_at;
pub(crate) use listing::Dirents;
pub(crate) use listing::Listing;

use crate::entry::EntryPath;
use crate::error::Result;
use crate::pattern::Pattern;
use crate::pattern::Patterns;
use crate::source::Estimate;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::verdict::Verdict;
use ahead::Ahead;
use place::Places;
use present::Present;
use rules::Marker;
use rules::Rules;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use walk::Walker;

/// Files and folders of this machine.
///
/// An absolute path `/home/ann/x` stands in the snapshot as `home/ann/x`, a relative one as it was
/// given without leading `./` and `../`; the content of `.` stands at the root. Where a path has `..` behind a link or
/// a slash after one, it stands where the kernel finds it.
#[derive(Clone, Debug)]
pub struct FolderSource {
    paths: Vec<PathBuf>,
    current: Option<PathBuf>,
    exclude: Vec<Pattern>,
    iexclude: Vec<Pattern>,
    markers: Vec<OsString>,
    caches: bool,
    larger_than: Option<u64>,
    gitignore: bool,
    one_file_system: bool,
    all_required: bool,
    /// Which paths were there when they were first looked for: the record and the walk speak of the same ones.
    present: OnceLock<Present>,
    /// Reads ahead whether or not the disk is waited for.
    read_ahead: bool,
}

impl FolderSource {
    /// Takes `paths` and everything below them. Relative ones need [`Self::relative_to`].
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            current: None,
            exclude: Vec::new(),
            iexclude: Vec::new(),
            markers: Vec::new(),
            caches: false,
            larger_than: None,
            gitignore: false,
            one_file_system: false,
            all_required: false,
            present: OnceLock::new(),
            read_ahead: false,
        }
    }

    /// `path`, relative to `current` unless it is absolute, in words that mean by their text what the kernel takes them
    /// for: `..` behind a link and a slash after one are followed.
    pub fn meant(path: &Path, current: &Path) -> PathBuf {
        meant::meant(path, Some(current))
    }

    /// The absolute folder that relative paths are below.
    #[must_use]
    pub fn relative_to(mut self, folder: PathBuf) -> Self {
        self.current = Some(folder);
        self
    }

    /// Leaves out what matches these [`Patterns`] (`!` takes back; the last match decides). They are matched
    /// below the paths given: what leaves out a folder above one of them leaves it alone. A path given that a pattern means
    /// itself is left out, and the snapshot is partial.
    #[must_use]
    pub fn exclude(mut self, patterns: Vec<OsString>) -> Self {
        self.exclude.extend(patterns.into_iter().map(Pattern::from));
        self
    }

    /// The same, upper and lower case not told apart.
    #[must_use]
    pub fn iexclude(mut self, patterns: Vec<OsString>) -> Self {
        self.iexclude.extend(patterns.into_iter().map(Pattern::from));
        self
    }

    /// One more exclude pattern, and what to tell of the things it leaves out: who asked for it, and why.
    #[must_use]
    pub fn exclude_because(mut self, pattern: OsString, reason: String) -> Self {
        self.exclude.push(Pattern::because(pattern, reason));
        self
    }

    /// The same, upper and lower case not told apart.
    #[must_use]
    pub fn iexclude_because(mut self, pattern: OsString, reason: String) -> Self {
        self.iexclude.push(Pattern::because(pattern, reason));
        self
    }

    /// Leaves out the content of folders that have one of these files, `NAME` or `NAME:HEADER` (how the
    /// file must begin). The folder and the marker itself are kept.
    #[must_use]
    pub fn exclude_if_present(mut self, markers: Vec<OsString>) -> Self {
        self.markers.extend(markers);
        self
    }

    /// Leaves out the content of cache folders, marked with a `CACHEDIR.TAG` of the right header.
    #[must_use]
    pub fn exclude_caches(mut self, yes: bool) -> Self {
        self.caches = yes;
        self
    }

    /// Leaves out files of more than `bytes`.
    #[must_use]
    pub fn exclude_larger_than(mut self, bytes: u64) -> Self {
        self.larger_than = Some(bytes);
        self
    }

    /// Leaves out what the `.gitignore` files in the folders walked say.
    #[must_use]
    pub fn gitignore(mut self, yes: bool) -> Self {
        self.gitignore = yes;
        self
    }

    /// Stays on the file system of each path given; mount points are kept as empty folders.
    #[must_use]
    pub fn one_file_system(mut self, yes: bool) -> Self {
        self.one_file_system = yes;
        self
    }

    /// Fails when one of the paths is not there; else that one is reported and the snapshot is partial.
    #[must_use]
    pub fn require_all(mut self, yes: bool) -> Self {
        self.all_required = yes;
        self
    }

    /// Reads ahead of the walk from the first name on, which cold disks alone would do otherwise.
    #[cfg(test)]
    fn read_ahead(mut self) -> Self {
        self.read_ahead = true;
        self
    }

    /// Whether this can be backed up at all. Fails with `SourceFailed` when none of the paths exists (or not all, where
    /// that was asked for), with `Invalid` when two paths would be stored as one or a pattern makes no sense; nothing is
    /// read beyond that.
    pub fn check(&self) -> Result<()> {
        self.plan().map(|_| ())
    }

    fn present(&self) -> &Present {
        self.present.get_or_init(|| Present::find(&self.paths, self.current.as_deref()))
    }

    fn places(&self) -> Result<Places> {
        let there = &self.present().there;
        // Where nothing is there that is said for itself.
        let paths = if there.is_empty() { &self.paths } else { there };
        Places::plan(paths, self.current.as_deref())
    }

    fn plan(&self) -> Result<(Places, Rules)> {
        let places = self.places()?;
        let cache_marker = self.caches.then_some(OsStr::new(rules::CACHE_MARKER));
        let markers = self.markers.iter().map(OsString::as_os_str).chain(cache_marker);
        let rules = Rules {
            exclude: Patterns::with_reasons(&self.exclude, false)?,
            iexclude: Patterns::with_reasons(&self.iexclude, true)?,
            markers: markers.map(Marker::parse).collect::<Result<_>>()?,
            gitignore: self.gitignore,
            larger_than: self.larger_than,
            one_file_system: self.one_file_system,
        };
        self.present().check(self.all_required)?;
        places.check()?;
        Ok((places, rules))
    }
}

impl Source for FolderSource {
    fn kind(&self) -> &str {
        "folder"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        let there = &self.present().there;
        let mut paths: Vec<_> = there.iter().map(|path| place::absolute(path, self.current.as_deref())).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    fn excludes(&self) -> Vec<String> {
        let patterns = self.exclude.iter().chain(&self.iexclude).map(Pattern::shown);
        // What leaves things out without a pattern is told by the option of the command that asks for it.
        let markers = self.markers.iter().map(|marker| format!("--exclude-if-present={}", marker.to_string_lossy()));
        let options = [
            self.caches.then(|| "--exclude-caches".to_owned()),
            self.larger_than.map(|bytes| format!("--exclude-larger-than={bytes}")),
            self.gitignore.then(|| "--gitignore".to_owned()),
            self.one_file_system.then(|| "--one-file-system".to_owned()),
        ];
        patterns.chain(markers).chain(options.into_iter().flatten()).collect()
    }

    fn leading(&self) -> Vec<EntryPath> {
        // Paths that cannot be placed end the run by themselves.
        self.places().map_or_else(|_| Vec::new(), |places| places.leading())
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(Self { present: OnceLock::new(), ..self.clone() }))
    }

    fn estimate(&self) -> Option<Estimate> {
        self.again().map(Estimate::Counted)
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let (places, rules) = self
            .plan()
            .map_err(|error| SourceError::Failed { message: error.to_string(), cause: Some(Box::new(error)) })?;
        let rules = Arc::new(rules);
        let ahead = Ahead::new(Arc::clone(&rules), self.read_ahead);
        let mut walker = Walker::new(&places, &rules, ahead, sink);
        self.present().complaints().for_each(|message| walker.absent(message));
        walker.run()
    }
}
