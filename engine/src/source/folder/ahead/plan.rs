//! What is to be looked at next, and how far that is ahead of the walk.
//!
//! Everything is kept by its key: the snapshot path with NUL for each slash, which sorts as the walk goes. So
//! the nearest work is always the first, the walk's own key says what is too late, and neither excluded
//! names nor folders that were listed out of turn bring the two out of step.

use super::super::listing::Listing;
use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Files looked at and not yet reached by the walk.
pub(super) const FILES_MAX: usize = 384;
/// Bytes of such files.
pub(super) const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Listings kept at once; each keeps a descriptor.
const LISTINGS_MAX: usize = 64;
/// Files handed out together.
const BATCH: usize = 4;

/// A directory whose names are to be looked at.
#[derive(Debug)]
pub(in crate::source::folder) struct Place {
    pub(in crate::source::folder) directory: Arc<OwnedFd>,
    /// Its snapshot path; nothing at the root.
    pub(in crate::source::folder) path: Vec<u8>,
    /// Its absolute path; nothing for `/`.
    pub(in crate::source::folder) real: Vec<u8>,
    /// The device it is on.
    pub(in crate::source::folder) device: u64,
}

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: CString,
    pub(super) key: Vec<u8>,
}

/// Something for a helper to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Look at these files.
    Files(Arc<Place>, Vec<Item>),
    /// List this directory.
    Directory(Arc<Place>, Item),
}

/// The directories at hand and the files ahead.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By the key of the next name.
    listings: BTreeMap<Vec<u8>, (Arc<Place>, Listing)>,
    /// What was handed out and not yet reached, with the bytes read of it.
    ahead: BTreeMap<Vec<u8>, u64>,
    bytes: u64,
    /// Where the walk is.
    position: Vec<u8>,
    /// That was handed out before the walk came there.
    foreseen: bool,
}

impl Place {
    /// The path of `name` in it.
    pub(super) fn path_of(&self, name: &CStr) -> Vec<u8> {
        joined(&self.path, name)
    }

    /// The absolute path of `name` in it.
    pub(super) fn real_of(&self, name: &CStr) -> Vec<u8> {
        [&self.real, &b"/"[..], name.to_bytes()].concat()
    }
}

impl Plan {
    /// The walk is at `path`: what stands before it need not be looked at any more.
    pub(super) fn reached(&mut self, path: &[u8]) {
        self.position.clear();
        self.position.extend_from_slice(path);
        self.position.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = 0);
        self.foreseen = false;
        while let Some(first) = self.ahead.first_entry()
            && *first.key() <= self.position
        {
            self.foreseen = *first.key() == self.position;
            self.bytes -= first.remove();
        }
    }

    /// Adds the names of a directory, unless there are too many directories at hand.
    pub(super) fn add(&mut self, place: Arc<Place>, listing: Listing) {
        if self.listings.len() < LISTINGS_MAX {
            self.put(place, listing);
        } else {
            self.forget(&key(place.path.clone()));
        }
    }

    /// A directory that was handed out was not listed after all.
    pub(super) fn forget(&mut self, key: &[u8]) {
        self.ahead.remove(key);
    }

    /// Whether the walk is where nothing was looked at before it came.
    pub(super) fn is_surprised(&self) -> bool {
        !self.foreseen
    }

    /// Forgets what was handed out: the walk is before it, and nearer work must not wait for it.
    pub(super) fn turn_back(&mut self) {
        self.ahead.clear();
        self.bytes = 0;
    }

    /// No name is left to be handed out.
    pub(super) fn is_empty(&self) -> bool {
        self.listings.is_empty()
    }

    /// Nothing more is handed out until the walk comes nearer.
    pub(super) fn is_far(&self) -> bool {
        self.ahead.len() >= FILES_MAX || self.bytes >= BYTES_MAX
    }

    /// The walk came so near that helpers should go on.
    pub(super) fn is_near(&self) -> bool {
        self.ahead.len() <= FILES_MAX * 3 / 4 && self.bytes <= BYTES_MAX / 2
    }

    /// Counts the bytes read of a file, unless the walk reached it meanwhile.
    pub(super) fn read(&mut self, key: &[u8], bytes: u64) {
        if let Some(counted) = self.ahead.get_mut(key) {
            self.bytes = self.bytes - *counted + bytes;
            *counted = bytes;
        }
    }

    /// The nearest work; `None` when there is none or the walk is far behind.
    pub(super) fn take(&mut self) -> Option<Work> {
        loop {
            if self.is_far() {
                return None;
            }
            let (_, (place, mut listing)) = self.listings.pop_first()?;
            let mut files = Vec::new();
            let mut directory = None;
            while files.len() < BATCH
                && let Some((name, kind)) = listing.peek()
                && (kind != FileType::Directory || files.is_empty())
            {
                let item = item(&place, name);
                listing.next();
                // What the walk passed, or is in, it has seen itself.
                if item.key <= self.position || self.ahead.contains_key(&item.key) {
                    continue;
                }
                if kind == FileType::Directory {
                    directory = Some(item);
                    break;
                }
                if kind == FileType::RegularFile {
                    files.push(item);
                }
            }
            for item in files.iter().chain(&directory) {
                self.ahead.insert(item.key.clone(), 0);
            }
            self.put(place.clone(), listing);
            match directory {
                Some(item) => return Some(Work::Directory(place, item)),
                None if !files.is_empty() => return Some(Work::Files(place, files)),
                None => {}
            }
        }
    }

    /// Keeps a listing by its next name; one that is used up is dropped.
    fn put(&mut self, place: Arc<Place>, listing: Listing) {
        if let Some((name, _)) = listing.peek() {
            let key = item(&place, name).key;
            self.listings.insert(key, (place, listing));
        }
    }
}

/// The item called `name` in `place`.
fn item(place: &Place, name: &CStr) -> Item {
    Item { name: name.to_owned(), key: key(joined(&place.path, name)) }
}

fn key(mut path: Vec<u8>) -> Vec<u8> {
    path.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = 0);
    path
}

fn joined(path: &[u8], name: &CStr) -> Vec<u8> {
    let mut joined = path.to_vec();
    if !joined.is_empty() {
        joined.push(b'/');
    }
    joined.extend_from_slice(name.to_bytes());
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Arc<Place> {
        let directory = Arc::new(std::fs::File::open("/").expect("the root").into());
        Arc::new(Place { directory, path: path.into(), real: path.into(), device: 0 })
    }

    fn listing(names: &[(&str, FileType)]) -> Listing {
        let mut listing = Listing::default();
        for (name, kind) in names {
            listing.add(name.as_bytes(), *kind).expect("few names");
        }
        listing.sort();
        listing
    }

    fn text(work: Option<Work>) -> String {
        let show = |item: &Item| String::from_utf8(item.key.clone()).expect("UTF-8").replace('\0', "/");
        match work {
            Some(Work::Files(_, items)) => items.iter().map(show).collect::<Vec<_>>().join(" "),
            Some(Work::Directory(_, item)) => format!("[{}]", show(&item)),
            None => String::new(),
        }
    }

    const FILE: FileType = FileType::RegularFile;
    const FOLDER: FileType = FileType::Directory;

    #[test]
    fn the_nearest_is_handed_out_first_and_once() {
        let mut plan = Plan::default();
        let names = [("a", FILE), ("b", FOLDER), ("b!", FILE), ("c", FILE), ("l", FileType::Symlink)];
        plan.add(place(""), listing(&names));
        plan.reached(b"");
        assert_eq!(text(plan.take()), "a");
        assert_eq!(text(plan.take()), "[b]");
        // What is in the folder comes before the name that its own name is the beginning of.
        plan.add(place("b"), listing(&[("x", FILE), ("y", FOLDER)]));
        assert_eq!(text(plan.take()), "b/x");
        assert_eq!(text(plan.take()), "[b/y]");
        plan.add(place(""), listing(&names));
        assert_eq!(text(plan.take()), "b! c");
        assert_eq!(text(plan.take()), "");
        assert!(plan.is_empty());
    }

    #[test]
    fn what_the_walk_passed_is_not_handed_out() {
        let mut plan = Plan::default();
        plan.add(place("d"), listing(&[("a", FILE), ("b", FOLDER), ("c", FILE), ("d", FILE)]));
        plan.reached(b"d/c/x");
        assert_eq!(text(plan.take()), "d/d");
        plan.reached(b"d/d");
        assert!(!plan.is_surprised());
        plan.reached(b"e");
        assert!(plan.is_surprised());
    }

    #[test]
    fn no_more_is_handed_out_than_the_walk_will_soon_reach() {
        let names: Vec<_> = (0..10_000).map(|number| format!("{number:05}")).collect();
        let names: Vec<_> = names.iter().map(|name| (name.as_str(), FILE)).collect();
        let mut plan = Plan::default();
        plan.add(place(""), listing(&names));
        while plan.take().is_some() {}
        assert!(plan.ahead.len() < FILES_MAX + BATCH && !plan.is_near());
        plan.reached(b"00200");
        assert!(plan.is_near() && plan.take().is_some());
        plan.read(b"00300", BYTES_MAX);
        assert!(plan.take().is_none());
        plan.reached(b"00300");
        assert!(plan.take().is_some());
        assert_eq!(plan.bytes, 0);
    }

    #[test]
    fn directories_at_hand_are_few() {
        let mut plan = Plan::default();
        for number in 0..1000 {
            plan.add(place(&format!("{number:04}")), listing(&[("a", FILE)]));
        }
        assert_eq!(plan.listings.len(), LISTINGS_MAX);
    }
}
