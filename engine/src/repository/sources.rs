//! Where in a snapshot stand the things that were asked for, as far as its record and its entries tell.

use crate::catalog;
use crate::catalog::PageSource;
use crate::entry::EntryPath;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The kind of source that stands below absolute paths.
const FOLDER: &str = "folder";

/// What was asked for: where it stands in the snapshot (nothing: at the root), and its absolute path (`/` is nothing).
///
/// A snapshot's record has the absolute paths of what was asked for, and its entries have the end of them: all of it, or
/// less where a relative path was given.
pub(super) struct Sources(BTreeMap<Vec<u8>, Vec<u8>>);

/// A path that was asked for, and where it may stand in the snapshot: the longest first, the root last.
struct Asked {
    real: Vec<u8>,
    ends: Vec<Vec<u8>>,
}

impl Sources {
    /// Finds out where the entries of `snapshot` were.
    pub(super) async fn of(pages: &Arc<dyn PageSource>, snapshot: &Snapshot) -> Result<Self> {
        if snapshot.source_kind != FOLDER {
            // The names of other sources stand at the root, and were never anywhere else.
            return Ok(Self(BTreeMap::from([(Vec::new(), Vec::new())])));
        }
        let mut asked: Vec<Asked> = Vec::new();
        for path in &snapshot.paths {
            asked.push(Asked::find(pages, snapshot, path).await?);
        }
        loop {
            let this = Self(placed(&asked));
            // What nobody has asked for tells that one of the paths stands further above.
            let Some(stray) = this.stray(pages, snapshot).await? else { return Ok(this) };
            let Some((length, one)) = moved(&mut asked, stray.as_bytes()) else { return Ok(this) };
            one.ends.retain(|end| end.len() <= length);
        }
    }

    /// The entries that were asked for: what is below them was listed, and what is above them only leads there. Nothing
    /// when all of the snapshot was.
    pub(super) async fn listed(pages: &Arc<dyn PageSource>, snapshot: &Snapshot) -> Result<Option<Vec<EntryPath>>> {
        let mut places: Vec<Vec<u8>> = if snapshot.source_kind == FOLDER {
            let Self(mut places) = Self::of(pages, snapshot).await?;
            // A path without an entry, because a rewrite has left it out, looks like one that stands at the root.
            if let Some(real) = places.remove(&b""[..]) {
                let mut this = Self(places);
                if this.stray(pages, snapshot).await?.is_some() {
                    this.0.insert(Vec::new(), real);
                }
                places = this.0;
            }
            places.into_keys().collect()
        } else {
            snapshot.paths.clone()
        };
        if places.is_empty() && snapshot.source_kind != FOLDER {
            return Ok(None);
        }
        places.sort_unstable();
        let mut listed = Vec::new();
        for place in places {
            let Ok(path) = EntryPath::parse(&place) else { return Ok(None) };
            if catalog::find(Arc::clone(pages), snapshot.root, &path).await?.is_none() {
                return Ok(None);
            }
            listed.push(path);
        }
        Ok(Some(listed))
    }

    /// The absolute path of what was asked for and stands at `place`.
    pub(super) fn real(&self, place: &[u8]) -> Option<&Vec<u8>> {
        self.0.get(place)
    }

    /// Whether something that was asked for stands below.
    pub(super) fn leads(&self, path: &[u8]) -> bool {
        let below = [path, b"/"].concat();
        self.0.range(below.clone()..).next().is_some_and(|(place, _)| place.starts_with(&below))
    }

    /// The first entry that neither was asked for, with what is above it, nor leads to what was.
    async fn stray(&self, pages: &Arc<dyn PageSource>, snapshot: &Snapshot) -> Result<Option<EntryPath>> {
        let is_covered = |path: &[u8]| self.0.keys().any(|place| is_within(path, place));
        let above = self.0.keys().flat_map(|place| ends(place).map(|end| place.get(..end).unwrap_or_default()));
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
pub(super) fn ends(path: &[u8]) -> impl Iterator<Item = usize> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.chain((!path.is_empty()).then_some(path.len()))
}

/// The last part of a path.
pub(super) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Whether `path` is `above`, or stands below it; everything stands below the root.
fn is_within(path: &[u8], above: &[u8]) -> bool {
    above.is_empty() || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
