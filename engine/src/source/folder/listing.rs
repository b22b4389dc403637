//! The names in one directory: read in few calls, kept compactly, given in order.
//!
//! All names stand in one allocation, so that a million of them cost little more than their letters.

use rustix::fs::FileType;
use rustix::fs::RawDir;
use rustix::io;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

/// Bytes asked for by one getdents64.
const DIRENTS_BYTES: usize = 64 * 1024;
/// A listing larger than this is given back to the system instead of being used again.
const KEPT_BYTES: usize = 1024 * 1024;

/// The names of one directory and how far they were given.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// All names, each ended by a NUL.
    names: Vec<u8>,
    items: Vec<Item>,
    given: usize,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    begin: u32,
    length: u16,
    kind: FileType,
}

/// The buffer that directories are read through.
pub(crate) struct Dirents(Box<[MaybeUninit<u8>]>);

impl Dirents {
    pub(crate) fn new() -> Self {
        Self(vec![MaybeUninit::uninit(); DIRENTS_BYTES].into_boxed_slice())
    }
}

impl Listing {
    /// Adds all names of the directory, without `.` and `..`. After an error it holds those read so far;
    /// `EOVERFLOW` when there are more than `most`.
    pub(crate) fn read(&mut self, directory: BorrowedFd<'_>, through: &mut Dirents, most: usize) -> io::Result<()> {
        let mut entries = RawDir::new(directory, &mut through.0);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                if self.items.len() >= most {
                    return Err(io::Errno::OVERFLOW);
                }
                self.add(name, entry.file_type())?;
            }
        }
        Ok(())
    }

    /// Adds one name; `EOVERFLOW` when the names of the directory exceed 4 GiB.
    pub(super) fn add(&mut self, name: &[u8], kind: FileType) -> io::Result<()> {
        let begin = u32::try_from(self.names.len()).map_err(|_| io::Errno::OVERFLOW)?;
        let length = u16::try_from(name.len()).map_err(|_| io::Errno::NAMETOOLONG)?;
        self.names.extend_from_slice(name);
        self.names.push(0);
        self.items.push(Item { begin, length, kind });
        Ok(())
    }

    /// Sorts by raw bytes and drops names that stand twice.
    pub(crate) fn sort(&mut self) {
        let names = &self.names;
        self.items.sort_unstable_by(|a, b| slice(names, a).cmp(slice(names, b)));
        self.items.dedup_by(|a, b| slice(names, a) == slice(names, b));
    }

    /// Whether `name` is in it; sorted listings only.
    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.items.binary_search_by(|item| slice(&self.names, item).cmp(name)).is_ok()
    }

    /// The next name and what the directory says it is.
    pub(crate) fn next(&mut self) -> Option<(&CStr, FileType)> {
        let given = self.given;
        self.given = (given + 1).min(self.items.len());
        self.at(given)
    }

    /// The name that comes next, without giving it.
    pub(crate) fn peek(&self) -> Option<(&CStr, FileType)> {
        self.at(self.given)
    }

    /// A copy of the names that come next, `most` of them.
    pub(super) fn rest(&self, most: usize) -> Self {
        let mut rest = Self::default();
        for at in self.given..self.items.len().min(self.given.saturating_add(most)) {
            if let Some((name, kind)) = self.at(at) {
                // A part of what was not too much is not too much.
                let _ = rest.add(name.to_bytes(), kind);
            }
        }
        rest
    }

    fn at(&self, number: usize) -> Option<(&CStr, FileType)> {
        let item = self.items.get(number)?;
        let begin = usize::try_from(item.begin).ok()?;
        let bytes = self.names.get(begin..begin + usize::from(item.length) + 1)?;
        Some((CStr::from_bytes_with_nul(bytes).ok()?, item.kind))
    }

    /// Gives no further name.
    pub(super) fn exhaust(&mut self) {
        self.given = self.items.len();
    }

    /// How many names it has.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Empties it for the next directory; `None` when it grew too large to be kept.
    pub(super) fn recycle(mut self) -> Option<Self> {
        if self.names.capacity() > KEPT_BYTES {
            return None;
        }
        self.names.clear();
        self.items.clear();
        self.given = 0;
        Some(self)
    }
}

fn slice<'a>(names: &'a [u8], item: &Item) -> &'a [u8] {
    let begin = usize::try_from(item.begin).unwrap_or(usize::MAX);
    names.get(begin..begin.saturating_add(usize::from(item.length))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_the_order_of_their_bytes_and_once() {
        let mut listing = Listing::default();
        for name in ["b", "a-b", "a", "a!", "a", "\u{ff}"] {
            listing.add(name.as_bytes(), FileType::Unknown).expect("few names");
        }
        listing.sort();
        assert!(listing.contains(b"a!") && !listing.contains(b"c"));
        let mut given = Vec::new();
        while let Some((name, _)) = listing.next() {
            given.push(name.to_str().expect("UTF-8").to_string());
        }
        assert_eq!(given, ["a", "a!", "a-b", "b", "\u{ff}"]);
    }

    #[test]
    fn a_million_names_cost_less_than_40_bytes_each_beside_their_letters() {
        assert!(size_of::<Item>() <= 12);
    }
}
