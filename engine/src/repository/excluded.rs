//! What patterns leave out of a snapshot that is there: what a backup of the same files would have left out.

use crate::catalog;
use crate::catalog::PageSource;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::pattern::Pattern;
use crate::pattern::Patterns;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::Arc;

/// The kind of source that stands below absolute paths.
const FOLDER: &str = "folder";

/// Patterns, and where the files of one snapshot were.
///
/// Patterns mean absolute paths. A snapshot's record has those of what was asked for, and its entries have the end of
/// them: all of it, or less where a relative path was given.
pub(super) struct Excluded {
    texts: Vec<String>,
    patterns: Arc<Patterns>,
    /// What was asked for: where it stands in the snapshot (nothing: at the root), and its absolute path (`/` is nothing).
    places: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A path that was asked for, and where it may stand in the snapshot: the longest first, the root last.
struct Asked {
    real: Vec<u8>,
    ends: Vec<Vec<u8>>,
}

/// Understands the patterns; one that makes no sense is `Invalid`.
pub(super) fn understood(patterns: &[OsString]) -> Result<Arc<Patterns>> {
    Ok(Arc::new(Patterns::parse(patterns, false)?))
}

impl Excluded {
    /// Finds out where the entries of `snapshot` were.
    pub(super) async fn of(
        pages: &Arc<dyn PageSource>,
        snapshot: &Snapshot,
        texts: &[OsString],
        patterns: Arc<Patterns>,
    ) -> Result<Self> {
        let texts = texts.iter().cloned().map(|text| Pattern::from(text).shown()).collect();
        let mut this = Self { texts, patterns, places: BTreeMap::new() };
        if snapshot.source_kind != FOLDER {
            // The names of other sources stand at the root, and were never anywhere else.
            this.places.insert(Vec::new(), Vec::new());
            return Ok(this);
        }
        let mut asked: Vec<Asked> = Vec::new();
        for path in &snapshot.paths {
            asked.push(Asked::find(pages, snapshot, path).await?);
        }
        loop {
            this.places = placed(&asked);
            // What nobody has asked for tells that one of the paths stands further above.
            let Some(stray) = this.stray(pages, snapshot).await? else { return Ok(this) };
            let Some((length, one)) = moved(&mut asked, stray.as_bytes()) else { return Ok(this) };
            one.ends.retain(|end| end.len() <= length);
        }
    }

    /// The patterns that the record of the snapshot without these entries names.
    pub(super) fn recorded(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut all = snapshot.excludes.clone();
        all.extend(self.texts.iter().filter(|new| !snapshot.excludes.contains(new)).cloned());
        all
    }

    /// Why the entry is left out, if it is, and whether for its own sake and not with a folder above it.
    pub(super) fn why(&self, entry: &Entry) -> Option<(&str, bool)> {
        let bytes = entry.path.as_bytes();
        let mut real = self.places.get(&b""[..]).cloned();
        // Why the folder above is left out, where it stays only to lead to what was asked for by name.
        let mut above = None;
        for end in ends(bytes) {
            let path = bytes.get(..end).unwrap_or(bytes);
            let is_directory = end < bytes.len() || entry.metadata.kind == FileKind::Directory;
            let why = match (self.places.get(path), &mut real) {
                // What leaves out the folders above says nothing of what was asked for by name.
                (Some(asked), _) => {
                    real = Some(asked.clone());
                    self.patterns.why(asked, is_directory)
                }
                _ if above.is_some() => above,
                (None, Some(real)) => {
                    real.push(b'/');
                    real.extend_from_slice(name(path));
                    self.patterns.why(real, is_directory)
                }
                (None, None) if self.leads(path) => None,
                // No path tells where it was: then it is taken for where it stands.
                (None, None) => {
                    let taken = [b"/", path].concat();
                    let why = self.patterns.why(&taken, is_directory);
                    real = Some(taken);
                    why
                }
            };
            match why {
                Some(why) if !self.leads(path) => return Some((why, end == bytes.len())),
                why => above = why,
            }
        }
        None
    }

    /// Whether the entry says nothing but where something was asked for: a folder that leads there, or is it.
    pub(super) fn is_frame(&self, entry: &Entry) -> bool {
        let path = entry.path.as_bytes();
        entry.metadata.kind == FileKind::Directory && (self.places.contains_key(path) || self.leads(path))
    }

    /// Whether something that was asked for stands below.
    fn leads(&self, path: &[u8]) -> bool {
        let below = [path, b"/"].concat();
        self.places.range(below.clone()..).next().is_some_and(|(place, _)| place.starts_with(&below))
    }

    /// The first entry that neither was asked for, with what is above it, nor leads to what was.
    async fn stray(&self, pages: &Arc<dyn PageSource>, snapshot: &Snapshot) -> Result<Option<EntryPath>> {
        let is_covered = |path: &[u8]| self.places.keys().any(|place| is_within(path, place));
        let above = self.places.keys().flat_map(|place| ends(place).map(|end| place.get(..end).unwrap_or_default()));
        let leading: BTreeSet<&[u8]> = above.chain([&b""[..]]).filter(|path| !is_covered(path)).collect();
        for path in leading {
            let directory = EntryPath::parse(path).ok();
            let children = catalog::children(Arc::clone(pages), snapshot.root, directory.as_ref()).await?;
            let mut paths = children.into_iter().map(|child| child.path);
            if let Some(stray) = paths.find(|path| !is_covered(path.as_bytes()) && !self.leads(path.as_bytes())) {
                return Ok(Some(stray));
            }
        }
        Ok(None)
    }
}

impl Asked {
    /// Looks up which ends of the path are entries.
    async fn find(pages: &Arc<dyn PageSource>, snapshot: &Snapshot, path: &[u8]) -> Result<Self> {
        let real = path.strip_suffix(b"/").unwrap_or(path).to_vec();
        let mut ends = Vec::new();
        for (at, _) in real.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let Some(Ok(end)) = real.get(at + 1..).map(EntryPath::parse) else { continue };
            if catalog::find(Arc::clone(pages), snapshot.root, &end).await?.is_some() {
                ends.push(end.as_bytes().to_vec());
            }
        }
        ends.push(Vec::new());
        Ok(Self { real, ends })
    }
}

/// The path that stands further above, and how long the end is that explains the stray entry: it is above it or below it.
/// The one that is now taken to stand beside the stray does it before others, then the longest, then the outermost path,
/// for others follow it.
fn moved<'a>(asked: &'a mut [Asked], stray: &[u8]) -> Option<(usize, &'a mut Asked)> {
    let beside = stray.strip_suffix(name(stray)).and_then(|above| above.strip_suffix(b"/")).unwrap_or_default();
    let explained = asked.iter_mut().filter_map(|one| {
        let mut shorter = one.ends.iter().skip(1);
        let end = shorter.find(|end| is_within(stray, end) || is_within(end, stray))?.len();
        let is_beside = one.ends.first().is_some_and(|now| is_within(now, beside));
        Some(((is_beside, end, Reverse(one.real.len())), one))
    });
    explained.max_by_key(|(key, _)| *key).map(|((_, length, _), one)| (length, one))
}

/// The first choice for each path: where it stands as a part of another one that was asked for, or else its longest end.
fn placed(asked: &[Asked]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut outermost: Vec<&Asked> = asked.iter().collect();
    outermost.sort_by_key(|one| one.real.len());
    let mut places: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for one in outermost {
        let inside = |(place, real): (&Vec<u8>, &Vec<u8>)| {
            let rest = one.real.strip_prefix(real.as_slice())?.strip_prefix(b"/")?;
            Some(if place.is_empty() { rest.to_vec() } else { [place.as_slice(), b"/", rest].concat() })
        };
        let inside = places.iter().filter_map(inside).find(|end| one.ends.contains(end));
        if let Some(end) = inside.or_else(|| one.ends.first().cloned()) {
            places.insert(end, one.real.clone());
        }
    }
    places
}

/// Where each part of a path ends.
fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain((!path.is_empty()).then_some(path.len()))
}

/// The last part of a path.
fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Whether `path` is `above`, or stands below it; everything stands below the root.
fn is_within(path: &[u8], above: &[u8]) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
