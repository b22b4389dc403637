//! Turns entries into work: directories and special files are made at once, files are judged and cut into pieces.

use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::event::Action;
use crate::restore::compare;
use crate::restore::extents::ExtentMap;
use crate::restore::file::FileJob;
use crate::restore::file::FilePlan;
use crate::restore::file::How;
use crate::restore::judge::Judgement;
use crate::restore::judge::Standing;
use crate::restore::judge::judge;
use crate::restore::judge::judge_file;
use crate::restore::levels::Levels;
use crate::restore::owner::Owner;
use crate::restore::owner::Owners;
use crate::restore::patch;
use crate::restore::remove;
use crate::restore::select::Select;
use crate::restore::site::Site;
use crate::restore::special;
use crate::restore::target::Dir;
use crate::restore::window::Item;
use crate::restore::window::Link;
use crate::restore::window::Original;
use crate::restore::window::Piece;
use crate::restore::window::Share;
use crate::restore::window::Step;
use crate::restore::window::Window;
use rustix::fs::FileType;
use std::collections::HashMap;
use std::sync::Arc;

/// Files from this size on are patched in place rather than written anew.
const PATCH_BYTES_MIN: u64 = 64 << 20;

/// Turns entries into windows of work; lives as long as the walk.
pub(crate) struct Planner {
    site: Arc<Site>,
    select: Arc<Select>,
    levels: Levels,
    owners: Owners,
    /// First restored names of inodes with several, and how many names are still to come.
    originals: HashMap<(u64, u64), (Arc<Original>, u64)>,
    /// The file whose content goes on in the next item, and how far it got.
    current: Option<(Arc<FileJob>, u64)>,
    selected: u64,
    /// The one entry asked for is no directory: nothing else in the target is ours to judge.
    single_file: bool,
}

/// An entry in its place.
struct Placed {
    place: EntryPath,
    dir: Arc<Dir>,
    metadata: Metadata,
    owner: Owner,
    standing: Option<Standing>,
}

/// The content of an entry as far as its first item has it.
struct Beginning<'a> {
    /// All of it.
    bytes: u64,
    chunks: &'a [ChunkRef],
    last: bool,
    lost: Option<&'a str>,
}

impl Planner {
    pub(crate) fn new(site: Arc<Site>, select: Arc<Select>, root: Arc<Dir>) -> Self {
        let owners = Owners::new(site.options.owner.clone());
        let (levels, originals) = (Levels::new(root), HashMap::new());
        Self { site, select, levels, owners, originals, current: None, selected: 0, single_file: false }
    }

    /// Plans the steps of one window; `end` when nothing follows.
    pub(crate) fn window(&mut self, steps: Vec<Step>, end: bool) -> Window {
        let mut window = Window::default();
        for step in steps {
            if self.site.tally.is_halted() {
                return window;
            }
            match step {
                Step::Item(item) => self.take(*item, &mut window),
                Step::Lost(gap, why) => self.site.lose(&gap, &why),
            }
        }
        if end {
            self.levels.leave_all(&self.site, &mut window, !self.single_file);
        }
        window.selected = self.selected;
        compare::reuse_what_stands(&self.site, &mut window);
        window
    }

    fn take(&mut self, item: Item, window: &mut Window) {
        let Some(mut entry) = item.entry else {
            if let Some((file, at)) = self.current.take() {
                if let Some(why) = &item.lost {
                    file.fail(&self.site, &unlisted(why));
                }
                self.add(file, at, &item.chunks, false, item.last, window);
            }
            return;
        };
        self.current = None;
        self.single_file |= self.site.options.path.as_ref() == Some(&entry.path);
        self.levels.go_to(&self.site, &item.place, window);
        if item.selected {
            self.selected += 1;
            self.site.tally.expect(entry.content.bytes().max(total(&item.chunks)));
        }
        let owner = self.owners.adopt(&mut entry.metadata);
        if entry.metadata.kind == FileKind::Directory {
            self.levels.enter(item.place, entry.metadata, owner, item.selected);
            if item.selected {
                self.levels.make(&self.site);
            }
            return;
        }
        if !item.selected {
            return;
        }
        let Some(dir) = self.levels.make(&self.site) else {
            if self.levels.is_spared() {
                return self.skip(&item.place, entry.content.bytes().max(total(&item.chunks)));
            }
            self.site.tally.fail(Some(&item.place), "its parent directory could not be made", true);
            return;
        };
        match self.site.target.look(&dir, item.place.name()) {
            Ok(standing) => {
                let standing = standing.map(Standing::from);
                let bytes = entry.content.bytes().max(total(&item.chunks));
                let Entry { metadata, .. } = entry;
                let placed = Placed { place: item.place, dir, metadata, owner, standing };
                let content = Beginning { bytes, chunks: &item.chunks, last: item.last, lost: item.lost.as_deref() };
                self.put(placed, &content, window);
            }
            Err(errno) => self.site.tally.io(&item.place, "look at", errno),
        }
    }

    /// An entry that is left as it stands.
    fn skip(&self, place: &EntryPath, bytes: u64) {
        self.site.tally.passed(bytes);
        self.site.tally.done(place, Action::Skipped, bytes);
    }

    fn put(&mut self, mut placed: Placed, content: &Beginning<'_>, window: &mut Window) {
        let bytes = content.bytes;
        if let Some(why) = placed.standing.as_ref().and_then(|old| self.site.spare.why(old)) {
            self.site.tally.keep(Some(&placed.place), why);
            return self.skip(&placed.place, bytes);
        }
        let policy = self.site.options.overwrite;
        let modified = placed.metadata.modified;
        let mut judgement = if placed.metadata.has_content() {
            let length = if placed.metadata.extents.is_some() { placed.metadata.size } else { bytes };
            judge_file(policy, placed.standing.as_ref(), modified, length)
        } else {
            judge(policy, placed.standing.as_ref(), modified)
        };
        if judgement != Judgement::Write && self.is_unfinished(&placed) {
            judgement = Judgement::Write;
        }
        if judgement == Judgement::Leave {
            return self.skip(&placed.place, bytes);
        }
        if let Some(why) = content.lost
            && judgement == Judgement::Write
        {
            return self.site.tally.fail(Some(&placed.place), unlisted(why), true);
        }
        if let Some(old) = &placed.standing
            && old.kind == FileType::Directory
        {
            if let Err(why) = remove::make_way(&self.site, &self.select, &placed.dir, &placed.place) {
                return self.site.tally.fail(Some(&placed.place), why, true);
            }
            placed.standing = None;
        }
        let key = (placed.metadata.device, placed.metadata.inode);
        let linked = placed.metadata.links > 1 && key.1 != 0;
        if linked && self.link(key, &placed, bytes, window) {
            return;
        }
        let file = if placed.metadata.has_content() {
            match self.file(&placed, judgement, content) {
                Ok(file) => Some(file),
                Err(why) => return self.site.tally.fail(Some(&placed.place), why, true),
            }
        } else {
            let Placed { place, dir, metadata, owner, standing } = &placed;
            special::put(&self.site, place, dir, metadata, *owner, standing.as_ref());
            None
        };
        if linked {
            let Placed { place, dir, metadata, owner, .. } = placed;
            let (more, name) = (metadata.links - 1, place.name().into());
            let original = Original { dir, name, file: file.clone(), metadata, owner };
            self.originals.insert(key, (Arc::new(original), more));
        }
        if let Some(file) = file {
            if judgement == Judgement::Equal {
                self.site.tally.passed(bytes);
                let none = window.pieces.len()..window.pieces.len();
                window.shares.push(Share { file, pieces: none, first: true, last: true });
            } else {
                self.add(file, 0, content.chunks, true, content.last, window);
            }
        }
    }

    /// True when an earlier restore was stopped while it changed the file that stands there: nobody wants that kept.
    fn is_unfinished(&self, placed: &Placed) -> bool {
        let is_large = |old: &Standing| old.kind == FileType::RegularFile && old.size >= PATCH_BYTES_MIN;
        placed.metadata.has_content()
            && placed.standing.as_ref().is_some_and(is_large)
            && patch::is_unfinished(&self.site, &placed.dir, placed.place.name())
    }

    /// True when this is a further name of an inode that was restored already.
    fn link(&mut self, key: (u64, u64), placed: &Placed, bytes: u64, window: &mut Window) -> bool {
        let Some((original, more)) = self.originals.get_mut(&key) else { return false };
        let same = original.metadata.kind == placed.metadata.kind
            && original.metadata.size == placed.metadata.size
            && original.metadata.modified == placed.metadata.modified;
        if !same {
            return false;
        }
        window.links.push(Link {
            path: placed.place.clone(),
            dir: Arc::clone(&placed.dir),
            name: placed.place.name().into(),
            standing: placed.standing,
            original: Arc::clone(original),
            bytes,
        });
        *more = more.saturating_sub(1);
        if *more == 0 {
            self.originals.remove(&key);
        }
        true
    }

    fn file(&self, placed: &Placed, judgement: Judgement, content: &Beginning<'_>) -> Result<Arc<FileJob>, String> {
        let Beginning { bytes, chunks, last, .. } = *content;
        let metadata = &placed.metadata;
        let map = match &metadata.extents {
            Some(extents) => Some(ExtentMap::new(extents, metadata.size, bytes)?),
            None => None,
        };
        let regular = placed.standing.filter(|old| old.kind == FileType::RegularFile);
        let reuse = regular.is_some() && map.is_none() && judgement == Judgement::Write;
        let how = match (&placed.standing, &regular) {
            (None, _) if last && chunks.len() <= 1 => How::Create,
            (_, Some(old))
                if reuse
                    && bytes >= PATCH_BYTES_MIN
                    && old.size >= PATCH_BYTES_MIN
                    && !old.has_other_names
                    && is_as_private(old, metadata, placed.owner) =>
            {
                How::Patch
            }
            _ => How::Replace,
        };
        let file = FileJob::new(FilePlan {
            path: placed.place.clone(),
            dir: Arc::clone(&placed.dir),
            name: placed.place.name().into(),
            metadata: metadata.clone(),
            owner: placed.owner,
            how,
            standing: placed.standing,
            map,
            bytes,
            // A file trusted as it stands has nothing written: a worker must let it finish.
            single: last && chunks.len() == 1 && !reuse && judgement == Judgement::Write,
            reuse,
        });
        if judgement == Judgement::Write && !reuse {
            file.touch();
        }
        Ok(file)
    }

    /// Adds the next chunks of a file.
    fn add(
        &mut self,
        file: Arc<FileJob>,
        mut at: u64,
        chunks: &[ChunkRef],
        first: bool,
        last: bool,
        window: &mut Window,
    ) {
        let share = u32::try_from(window.shares.len()).unwrap_or(u32::MAX);
        let start = window.pieces.len();
        for chunk in chunks {
            window.pieces.push(Piece { id: chunk.id, length: chunk.length, share, at, wanted: true });
            at = at.saturating_add(u64::from(chunk.length));
        }
        if !file.plan.single {
            file.expect(chunks.len() as u64);
        }
        if last && at != file.plan.bytes {
            file.fail(&self.site, "its chunks do not add up to its length");
        }
        if !last {
            self.current = Some((Arc::clone(&file), at));
        }
        window.shares.push(Share { file, pieces: start..window.pieces.len(), first, last });
    }
}

fn unlisted(why: &str) -> String {
    format!("the list of its chunks cannot be read: {why}")
}

fn total(chunks: &[ChunkRef]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.length)).sum()
}

/// Whether nobody can read the old file who may not read the new one: content written in place is seen through the
/// old owner and mode until the new ones are set.
fn is_as_private(old: &Standing, new: &Metadata, owner: Owner) -> bool {
    old.mode & 0o777 & !new.mode == 0
        && owner.uid.is_none_or(|uid| uid == old.uid)
        && owner.gid.is_none_or(|gid| gid == old.gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_private_when_nobody_may_read_or_change_it_who_may_not_later() {
        let old = |mode| Standing {
            kind: FileType::RegularFile,
            size: 1,
            modified: crate::time::Timestamp::default(),
            has_other_names: false,
            mode,
            uid: 1,
            gid: 2,
            rdev: 0,
            device: 0,
            inode: 1,
        };
        let new = |mode| Metadata { mode, ..Metadata::new(FileKind::File) };
        let same = Owner { uid: Some(1), gid: Some(2) };
        for (was, will, owner, wanted) in [
            (0o600, 0o600, same, true),
            (0o600, 0o644, same, true),
            (0o640, 0o600, same, false),
            (0o602, 0o644, same, false),
            (0o600, 0o600, Owner { uid: Some(9), ..same }, false),
            (0o600, 0o600, Owner { gid: Some(9), ..same }, false),
            (0o600, 0o600, Owner::default(), true),
        ] {
            assert_eq!(is_as_private(&old(was), &new(will), owner), wanted, "{was:o} {will:o} {owner:?}");
        }
    }
}
