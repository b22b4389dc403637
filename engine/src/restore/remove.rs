//! Removes from the target what the snapshot does not have; links are unlinked, never followed.

use crate::entry::EntryPath;
use crate::event::Action;
use crate::limits::STRANGER_LEVELS_MAX;
use crate::restore::flags;
use crate::restore::judge::Standing;
use crate::restore::mounted;
use crate::restore::select::Select;
use crate::restore::site::Site;
use crate::restore::tally::explain;
use crate::restore::target::Dir;
use crate::restore::window::LeftDir;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Removes the directory that stands where another kind of entry goes: an empty one, or any when deleting is asked for.
pub(crate) fn make_way(site: &Site, select: &Select, dir: &Arc<Dir>, place: &EntryPath) -> Result<(), String> {
    if site.options.dry_run {
        return Ok(());
    }
    let words = |errno: Errno| format!("a directory stands in its place: {}", explain(errno));
    let parent = site.target.handle(dir).map_err(words)?;
    let remove_empty = || rustix::fs::unlinkat(&parent, place.name(), AtFlags::REMOVEDIR);
    match flags::insist(site, &[(&parent, place.name())], remove_empty) {
        Err(Errno::NOTEMPTY | Errno::EXIST) if site.deletes() => {
            remove(site, select, &parent, place, STRANGER_LEVELS_MAX).map_err(words)?;
            match rustix::fs::statat(&parent, place.name(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => Ok(()),
                _ => Err("a directory with something excluded stands in its place".to_owned()),
            }
        }
        other => other.map_err(words),
    }
}

/// What is said of a file system that stays.
const MOUNTED: &str = "another file system is mounted there";

/// Removes what is in a directory of the target but not in the snapshot's.
pub(crate) fn strangers(site: &Site, select: &Select, left: &LeftDir) {
    let Some(names) = &left.names else { return };
    let found = site.target.handle(&left.dir).and_then(|fd| Ok((list(&fd, b".")?, fd)));
    let (found, fd) = match found {
        Ok(found) => found,
        Err(errno) => {
            let text = format!("cannot look for what to remove: {}", explain(errno));
            return site.tally.fail(left.place.as_ref(), text, false);
        }
    };
    // A backup of one file system has the folder that another is mounted on, and nothing that is in it.
    if names.is_empty() && !found.is_empty() && is_mounted(site, &fd, left) {
        return site.tally.keep(left.place.as_ref(), MOUNTED);
    }
    let mut other_spellings = None;
    for name in &found {
        if site.tally.is_halted() {
            return;
        }
        if names.binary_search_by(|known| (**known).cmp(name.as_slice())).is_ok() {
            continue;
        }
        let place = match &left.place {
            Some(above) => above.join(name),
            None => EntryPath::parse(name),
        };
        let Ok(place) = place else { continue };
        let known = other_spellings.get_or_insert_with(|| spelled_otherwise(names, &found, |name| id(&fd, name)));
        if id(&fd, name).is_some_and(|id| known.contains(&id)) {
            site.tally.keep(Some(&place), "it is what the snapshot has under another spelling");
        } else if let Err(errno) = remove(site, select, &fd, &place, STRANGER_LEVELS_MAX) {
            site.tally.fail(Some(&place), format!("cannot remove it: {}", explain(errno)), false);
        }
    }
}

/// The files that the directory gives out under names of the snapshot which it does not list: it takes two spellings for
/// one name, and lists the other one.
fn spelled_otherwise(
    names: &[Box<[u8]>],
    found: &[Vec<u8>],
    look: impl Fn(&[u8]) -> Option<(u64, u64)>,
) -> HashSet<(u64, u64)> {
    let is_listed = |name: &[u8]| found.binary_search_by(|known| known.as_slice().cmp(name)).is_ok();
    names.iter().filter(|name| !is_listed(name)).filter_map(|name| look(name)).collect()
}

/// Device and inode of what stands at a name.
fn id(fd: &OwnedFd, name: &[u8]) -> Option<(u64, u64)> {
    rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// True when something is mounted on a directory below the target.
fn is_mounted(site: &Site, fd: &OwnedFd, left: &LeftDir) -> bool {
    let Some(above) = left.dir.parent() else { return false };
    // What cannot be told is not removed.
    site.target.handle(above).and_then(|above| mounted::is_mounted(fd, &*above)).unwrap_or(true)
}

/// Removes one thing with all below it, except what the patterns leave out, what is mounted there and what is spared: down
/// to so many levels of directories.
fn remove(site: &Site, select: &Select, parent: &OwnedFd, place: &EntryPath, levels: usize) -> Result<(), Errno> {
    let name = place.name();
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let wanted = select.wants(&site.in_snapshot(place), is_dir);
    if let Some(why) = site.spare.why(&Standing::from(stat)) {
        site.tally.keep(Some(place), why);
        return Ok(());
    }
    if is_dir {
        let inside = open(parent, name)?;
        if mounted::is_mounted(&inside, parent)? {
            site.tally.keep(Some(place), MOUNTED);
            return Ok(());
        }
        if let Some(why) = site.spare.why(&Standing::from(rustix::fs::fstat(&inside)?)) {
            site.tally.keep(Some(place), why);
            return Ok(());
        }
        if levels == 0 {
            site.tally.fail(Some(place), "cannot remove it: it is too many folders deep", false);
            return Ok(());
        }
        for name in list(&inside, b".")? {
            if let Ok(below) = place.join(&name) {
                remove(site, select, &inside, &below, levels - 1)?;
            }
        }
    }
    if !wanted {
        return Ok(());
    }
    if !site.options.dry_run {
        let how = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match flags::insist(site, &[(parent, name)], || rustix::fs::unlinkat(parent, name, how)) {
            // Something in it is excluded.
            Err(Errno::NOTEMPTY | Errno::EXIST) if is_dir => return Ok(()),
            other => other?,
        }
    }
    site.tally.done(place, Action::Deleted, 0);
    Ok(())
}

fn open(parent: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn list(parent: &OwnedFd, name: &[u8]) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(open(parent, name)?)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_name_that_the_snapshot_spells_otherwise_is_known() {
        let folder = |name: &[u8]| match name.to_ascii_lowercase().as_slice() {
            b"photo.jpg" => Some((1, 10)),
            b"other" => Some((1, 11)),
            _ => None,
        };
        let names = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().into()).collect::<Vec<Box<[u8]>>>();
        let found = [b"OTHER".to_vec(), b"Photo.JPG".to_vec()];
        assert_eq!(spelled_otherwise(&names(&["Photo.JPG", "photo.jpg"]), &found, folder), HashSet::from([(1, 10)]));
        assert_eq!(spelled_otherwise(&names(&["Other"]), &found, folder), HashSet::from([(1, 11)]));
        assert_eq!(spelled_otherwise(&names(&["OTHER", "none"]), &found, folder), HashSet::new());
    }
}
