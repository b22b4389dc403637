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
use crate::restore::groups::Groups;
use crate::restore::groups::Key;
use crate::restore::judge::Judgement;
use crate::restore::judge::Standing;
use crate::restore::judge::judge;
use crate::restore::judge::judge_file;
use crate::restore::levels::Levels;
use crate::restore::metadata;
use crate::restore::names::First;
use crate::restore::owner::Owner;
use crate::restore::owner::Owners;
use crate::restore::patch;
use crate::restore::remove;
use crate::restore::select::Select;
use crate::restore::site::Site;
use crate::restore::special;
use crate::restore::special::Special;
use crate::restore::target::Dir;
use crate::restore::target::Found;
use crate::restore::trust;
use crate::restore::window::Item;
use crate::restore::window::Piece;
use crate::restore::window::Share;
use crate::restore::window::Step;
use crate::restore::window::Window;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::Arc;

/// Files from this size on are patched in place rather than written anew.
const PATCH_BYTES_MIN: u64 = 64 << 20;

/// Turns entries into windows of work; lives as long as the walk.
pub(crate) struct Planner {
    site: Arc<Site>,
    select: Arc<Select>,
    levels: Levels,
    owners: Owners,
    groups: Groups,
    /// The file whose content goes on in the next item, and how far it got.
    current: Option<(Arc<FileJob>, u64)>,
    selected: u64,
    /// The one entry asked for is no directory: nothing else in the target is ours to judge.
    single_file: bool,
}

/// An entry in its place.
pub(crate) struct Placed {
    pub(crate) place: EntryPath,
    pub(crate) dir: Arc<Dir>,
    pub(crate) metadata: Metadata,
    pub(crate) owner: Owner,
    pub(crate) standing: Option<Standing>,
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
        let (levels, groups) = (Levels::new(root), Groups::default());
        Self { site, select, levels, owners, groups, current: None, selected: 0, single_file: false }
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
                Step::Target(mut entry, selected) => {
                    let owner = self.owners.adopt(&mut entry.metadata);
                    self.levels.become_target(&self.site, entry.metadata, owner, selected);
                }
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
        let standing = match self.site.target.look(&dir, item.place.name()) {
            Ok(Found::Nothing) => Ok(None),
            Ok(Found::This(stat)) => Ok(Some(Standing::from(stat))),
            Ok(Found::Another) => Err(Errno::EXIST),
            Err(errno) => Err(errno),
        };
        match standing {
            Ok(standing) => {
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
        let key = Groups::key(&placed);
        if judgement == Judgement::Leave {
            self.leave(key, &placed, content);
            return self.skip(&placed.place, bytes);
        }
        let keeps = placed.standing.as_ref().is_some_and(|old| self.may_keep(old, &placed, key.is_some()));
        if judgement == Judgement::Equal && !keeps {
            judgement = Judgement::Write;
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
        if key.is_some_and(|key| self.groups.link(key, &placed, bytes, window)) {
            return;
        }
        let first = if placed.metadata.has_content() {
            match self.file(&placed, judgement, keeps, content) {
                Ok(file) => First::File(file),
                Err(why) => return self.site.tally.fail(Some(&placed.place), why, true),
            }
        } else {
            let Placed { place, dir, metadata: want, owner, standing } = &placed;
            let special = Special { place, dir, want, owner: *owner, standing: standing.as_ref(), keeps };
            First::Whole(special::put(&self.site, &special))
        };
        let file = first.file().cloned();
        if let Some(key) = key {
            self.groups.begin(&self.site, key, placed, first);
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

    /// An entry that the policy leaves as it stands, which may be one name of several.
    fn leave(&mut self, key: Option<Key>, placed: &Placed, content: &Beginning<'_>) {
        let Some(key) = key else { return };
        let Self { site, groups, .. } = self;
        groups.leave(site, key, placed, || stands_whole(site, placed, content));
    }

    /// True when what stands there may be changed in place.
    fn may_keep(&self, old: &Standing, placed: &Placed, linked: bool) -> bool {
        let Placed { place, dir, metadata, owner, .. } = placed;
        // More names than the snapshot has: some are none of its.
        let may_be_its_names = linked && metadata.has_content() && old.links <= metadata.links;
        (old.links <= 1 || may_be_its_names) && trust::is_private(&self.site, dir, place.name(), old, metadata, *owner)
    }

    fn file(
        &self,
        placed: &Placed,
        judgement: Judgement,
        keeps: bool,
        content: &Beginning<'_>,
    ) -> Result<Arc<FileJob>, String> {
        let Beginning { bytes, chunks, last, .. } = *content;
        let metadata = &placed.metadata;
        let regular = placed.standing.filter(|old| old.kind == FileType::RegularFile);
        let reuse = regular.is_some() && judgement == Judgement::Write;
        let length = if metadata.extents.is_some() { metadata.size } else { bytes };
        let patches = |old: &Standing| {
            reuse && keeps && old.links <= 1 && length >= PATCH_BYTES_MIN && old.size >= PATCH_BYTES_MIN
        };
        let how = match (&placed.standing, &regular) {
            (None, _) if last && chunks.len() <= 1 => How::Create,
            (_, Some(old)) if patches(old) && !self.is_running(placed) => How::Patch,
            _ => How::Replace,
        };
        // A file trusted as it stands has nothing written: a worker must let it finish.
        let single = last && chunks.len() == 1 && !reuse && judgement == Judgement::Write;
        let shared = keeps && regular.is_some_and(|old| old.links > 1);
        let file = FileJob::new(FilePlan { single, reuse, shared, ..plan(placed, how, bytes)? });
        if judgement == Judgement::Write && !(reuse && keeps) {
            file.touch();
        }
        Ok(file)
    }

    /// True for a program that is running: nobody may write to it, but its name may go to another file.
    fn is_running(&self, placed: &Placed) -> bool {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let dir = self.site.target.handle(&placed.dir);
        let opened = dir.and_then(|dir| rustix::fs::openat(dir, placed.place.name(), flags, Mode::empty()));
        opened.is_err_and(|errno| errno == Errno::TXTBSY)
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

/// True when what stands there is in everything what the snapshot has, so that further names may be linked to it. A long
/// chunk list is not read for that.
fn stands_whole(site: &Arc<Site>, placed: &Placed, content: &Beginning<'_>) -> bool {
    let Placed { place, dir, metadata, owner, standing: Some(old) } = placed else { return false };
    let is_owned = owner.uid.is_none_or(|uid| uid == old.uid) && owner.gid.is_none_or(|gid| gid == old.gid);
    old.kind == FileType::RegularFile
        && metadata.has_content()
        && content.last
        && content.lost.is_none()
        && is_owned
        && old.mode == metadata::recorded_mode(metadata)
        && old.modified == metadata.modified
        && trust::is_private(site, dir, place.name(), old, metadata, *owner)
        && plan(placed, How::Replace, content.bytes).map(FileJob::new).is_ok_and(|file| {
            old.size == file.length()
                && total(content.chunks) == content.bytes
                && compare::has_all(site, &file, content.chunks)
        })
}

/// A file of `bytes` content bytes, of which nothing is known but where it goes.
fn plan(placed: &Placed, how: How, bytes: u64) -> Result<FilePlan, String> {
    let Placed { place, dir, metadata, owner, standing } = placed;
    let map = match &metadata.extents {
        Some(extents) => Some(ExtentMap::new(extents, metadata.size, bytes)?),
        None => None,
    };
    Ok(FilePlan {
        path: place.clone(),
        dir: Arc::clone(dir),
        name: place.name().into(),
        metadata: metadata.clone(),
        owner: *owner,
        how,
        standing: *standing,
        map,
        bytes,
        single: false,
        reuse: false,
        shared: false,
    })
}
