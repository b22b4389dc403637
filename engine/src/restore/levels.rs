//! The directories between the target and the entry the walk is at: made when something in them is wanted.

use crate::entry::EntryPath;
use crate::entry::Metadata;
use crate::event::Action;
use crate::restore::flags;
use crate::restore::folders;
use crate::restore::identity;
use crate::restore::identity::Identity;
use crate::restore::identity::open_judged;
use crate::restore::judge::Judgement;
use crate::restore::judge::Standing;
use crate::restore::judge::judge;
use crate::restore::metadata;
use crate::restore::opened;
use crate::restore::options::Overwrite;
use crate::restore::owner::Owner;
use crate::restore::patch;
use crate::restore::site::Site;
use crate::restore::target::Dir;
use crate::restore::target::Found;
use crate::restore::window::LeftDir;
use crate::restore::window::Window;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::Arc;

/// The chain of directories the walk is in, the target first.
pub(crate) struct Levels(Vec<Level>);

struct Level {
    /// `None` is the target.
    place: Option<EntryPath>,
    metadata: Option<(Metadata, Owner)>,
    selected: bool,
    state: State,
    names: Vec<Box<[u8]>>,
}

enum State {
    Unmade,
    Made {
        dir: Arc<Dir>,
        existed: bool,
    },
    /// It cannot be made, or must not: nothing below it is restored.
    Blocked,
    /// What stands there is left alone, with all that is in it.
    Spared,
}

impl Levels {
    pub(crate) fn new(root: Arc<Dir>) -> Self {
        let state = State::Made { existed: !root.fresh, dir: root };
        Self(vec![Level { place: None, metadata: None, selected: false, state, names: Vec::new() }])
    }

    /// Leaves every directory that `place` is not in, and enters those above it that the snapshot does not list.
    pub(crate) fn go_to(&mut self, site: &Site, place: &EntryPath, window: &mut Window) {
        let inside = |level: &Level| match &level.place {
            Some(above) => place.is_within(above) && place != above,
            None => true,
        };
        while self.0.last().is_some_and(|level| !inside(level)) {
            self.leave(site, window);
        }
        let known = self.0.last().and_then(|level| level.place.as_ref()).map_or(0, |place| place.components().count());
        let depth = place.components().count();
        if depth > known + 1 {
            let mut above = self.0.last().and_then(|level| level.place.clone());
            for name in place.components().take(depth - 1).skip(known) {
                let next = match &above {
                    Some(above) => above.join(name),
                    None => EntryPath::parse(name),
                };
                let Ok(next) = next else { return };
                self.note(site, &next);
                self.0.push(Level::new(next.clone(), None, false));
                above = Some(next);
            }
        }
        self.note(site, place);
    }

    /// Remembers that the snapshot has this name here.
    fn note(&mut self, site: &Site, place: &EntryPath) {
        if site.options.delete
            && let Some(level) = self.0.last_mut()
            && level.names.last().is_none_or(|last| &**last != place.name())
        {
            level.names.push(place.name().into());
        }
    }

    /// Enters a directory of the snapshot.
    pub(crate) fn enter(&mut self, place: EntryPath, metadata: Metadata, owner: Owner, selected: bool) {
        self.0.push(Level::new(place, Some((metadata, owner)), selected));
    }

    /// The entry asked for is a folder, and the target becomes it when the job has made it or found it empty. One that held
    /// something before may be anybody's, so that it keeps its own owner, mode and attributes, unless it is to be made
    /// equal by deleting, or an earlier restore was stopped before it had them.
    pub(crate) fn become_target(&mut self, site: &Site, metadata: Metadata, owner: Owner, selected: bool) {
        let Some(Level { state: State::Made { dir, existed }, metadata: of_target, .. }) = self.0.first_mut() else {
            return;
        };
        let Ok(fd) = site.target.handle(dir) else { return };
        let Ok(old) = rustix::fs::fstat(&fd).map(Standing::from) else { return };
        let is_asked = selected && site.options.overwrite != Overwrite::Never;
        if *existed && !(is_asked && (site.options.delete || patch::is_folder_marked(&fd))) {
            let is_owned = owner.uid.is_none_or(|uid| uid == old.uid) && owner.gid.is_none_or(|gid| gid == old.gid);
            if !is_owned || old.mode != metadata::recorded_mode(&metadata) {
                site.tally.keep(None, "it held something before, and keeps its own owner and mode");
            }
            return;
        }
        if !site.options.dry_run {
            patch::mark_folder(&fd);
            let mode = opened::narrow(site, &fd, &old, &metadata, owner);
            if mode & 0o700 != 0o700
                && !site.target.is_root()
                && let Err(errno) = site.opened.widen(dir, &fd, mode)
                && let Some(path) = &site.options.path
            {
                site.tally.io(path, "open", errno);
            }
        }
        *of_target = Some((metadata, owner));
    }

    /// The innermost directory, made together with those above it; `None` when it cannot be.
    pub(crate) fn make(&mut self, site: &Site) -> Option<Arc<Dir>> {
        let first = self.0.iter().rposition(|level| !matches!(level.state, State::Unmade)).unwrap_or(0);
        let reached = self.0.get(first).map(|level| &level.state);
        let mut spared = matches!(reached, Some(State::Spared));
        let mut above = match reached {
            Some(State::Made { dir, .. }) => Some(Arc::clone(dir)),
            _ => None,
        };
        for level in self.0.iter_mut().skip(first + 1) {
            level.state = match &above {
                Some(parent) => level.make(site, parent),
                None if spared => State::Spared,
                None => State::Blocked,
            };
            spared |= matches!(level.state, State::Spared);
            above = match &level.state {
                State::Made { dir, .. } => Some(Arc::clone(dir)),
                _ => None,
            };
        }
        above
    }

    /// True when the innermost directory is something that is left alone, or in it.
    pub(crate) fn is_spared(&self) -> bool {
        self.0.last().is_some_and(|level| matches!(level.state, State::Spared))
    }

    /// Leaves the innermost directory: its times and mode are set with the window.
    pub(crate) fn leave(&mut self, site: &Site, window: &mut Window) {
        let Some(level) = self.0.pop() else { return };
        // The target has metadata only when it is to get it.
        let keeps_its_own = level.place.is_some() && level.keeps_its_own(site);
        let State::Made { dir, existed } = level.state else { return };
        let keep = existed && keeps_its_own;
        let mut names = level.names;
        names.sort_unstable();
        window.left.push(LeftDir {
            names: (!dir.fresh && site.deletes_in(level.place.as_ref())).then_some(names),
            dir,
            place: level.place,
            metadata: if keep { None } else { level.metadata },
            existed,
            selected: level.selected,
        });
    }

    /// Leaves all but the target, or the target as well.
    pub(crate) fn leave_all(&mut self, site: &Site, window: &mut Window, target_too: bool) {
        let stay = usize::from(!target_too);
        while self.0.len() > stay {
            self.leave(site, window);
        }
    }
}

impl Level {
    fn new(place: EntryPath, metadata: Option<(Metadata, Owner)>, selected: bool) -> Self {
        Self { place: Some(place), metadata, selected, state: State::Unmade, names: Vec::new() }
    }

    /// True when a directory that stands there already does not get the snapshot's owner and mode.
    fn keeps_its_own(&self, site: &Site) -> bool {
        !self.selected || self.metadata.is_none() || site.options.overwrite == Overwrite::Never
    }

    /// True when it is there for what is below it: it is not to be restored itself, or was never backed up itself.
    fn only_leads(&self, site: &Site, place: &EntryPath) -> bool {
        !self.selected || !site.is_listed(Some(place))
    }

    fn make(&self, site: &Site, parent: &Arc<Dir>) -> State {
        let Some(place) = &self.place else { return State::Blocked };
        match self.make_at(site, parent, place) {
            Ok(state) => state,
            Err(errno) => {
                site.tally.io(place, "make the directory", errno);
                State::Blocked
            }
        }
    }

    fn make_at(&self, site: &Site, parent: &Arc<Dir>, place: &EntryPath) -> Result<State, Errno> {
        let name = place.name();
        let standing = match site.target.look(parent, name)? {
            Found::This(stat) => Some(Standing::from(stat)),
            Found::Nothing => None,
            Found::Another => return Err(Errno::EXIST),
        };
        let dry = site.options.dry_run;
        if let Some(why) = standing.as_ref().and_then(|old| site.spare.why(old)) {
            site.tally.keep(Some(place), why);
            return Ok(State::Spared);
        }
        match standing {
            Some(old) if old.kind == FileType::Directory => return self.enter_existing(site, parent, place, &old),
            // Whole systems are reached through such links, and nobody has asked for what stands in the place of one.
            Some(old) if old.kind == FileType::Symlink && self.only_leads(site, place) => {
                site.tally.fail(Some(place), linked(&site.in_snapshot(place)), true);
                return Ok(State::Blocked);
            }
            Some(old) => {
                let modified = self.metadata.as_ref().map(|(metadata, _)| metadata.modified).unwrap_or_default();
                if judge(site.options.overwrite, Some(&old), modified) == Judgement::Leave {
                    site.tally.fail(Some(place), "something that is no directory stands in its place", true);
                    site.tally.done(place, Action::Skipped, 0);
                    return Ok(State::Blocked);
                }
                if !dry {
                    let dir = site.target.handle(parent)?;
                    flags::insist(site, &[(&dir, name)], || rustix::fs::unlinkat(&dir, name, AtFlags::empty()))?;
                }
                site.tally.warn(place, format!("{} stood in its place, and had to go", describe(old.kind)));
            }
            None => {}
        }
        // What stood in a gap may have been nobody else's business.
        let mode = if self.metadata.is_some() || site.lost().is_some() { 0o700 } else { 0o755 };
        let dir = if dry { Dir::below(parent, name, true, true) } else { folders::make(site, parent, name, mode)? };
        Ok(State::Made { dir, existed: false })
    }

    fn enter_existing(
        &self,
        site: &Site,
        parent: &Arc<Dir>,
        place: &EntryPath,
        old: &Standing,
    ) -> Result<State, Errno> {
        let name = place.name();
        if site.options.dry_run {
            return Ok(State::Made { dir: Dir::below(parent, name, false, true), existed: true });
        }
        let fd = open_judged(site.target.handle(parent)?, name, OFlags::PATH | OFlags::DIRECTORY, old)?;
        let identity = Identity::of(&fd)?;
        if site.target.has_made(&identity) && !identity::is_loose(&fd) {
            return Err(Errno::STALE);
        }
        let mode = match &self.metadata {
            Some((metadata, owner)) if !self.keeps_its_own(site) => opened::narrow(site, &fd, old, metadata, *owner),
            _ => old.mode,
        };
        // Who owns it now may give it an access list at any time.
        let dir = Dir::below(parent, name, false, site.target.is_plain(&fd));
        let fd = site.target.keep(&dir, fd, identity);
        let shut = mode & 0o700 != 0o700 && !site.target.is_root() && old.uid == site.target.me;
        if shut && self.metadata.is_some() && site.options.overwrite != Overwrite::Never {
            site.opened.widen(&dir, &fd, mode)?;
        }
        dir.list(&fd);
        Ok(State::Made { dir, existed: true })
    }
}

/// Why nothing is restored below a link, and how it is.
fn linked(path: &EntryPath) -> String {
    format!("it is a link in the target, and stays: what is below it is restored with SNAPSHOT:{path} --target THERE")
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "a symbolic link",
        FileType::RegularFile => "a file",
        _ => "something that is no folder",
    }
}
