//! Compares two folders in everything a backup must keep, without a line of the engine.

use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

/// What is compared besides names, types and content.
#[derive(Clone, Copy, Debug)]
pub struct Walker {
    /// Users and groups.
    pub owners: bool,
    /// Modes.
    pub modes: bool,
    /// Modification times to the nanosecond, of directories too.
    pub times: bool,
    /// Extended attributes and access lists.
    pub xattrs: bool,
    /// Which names are the same inode.
    pub links: bool,
    /// Whether holes stayed holes, roughly.
    pub holes: bool,
    /// The two folders themselves, not only what is in them.
    pub roots: bool,
}

impl Default for Walker {
    fn default() -> Self {
        Self { owners: true, modes: true, times: true, xattrs: true, links: true, holes: true, roots: false }
    }
}

struct Item {
    path: PathBuf,
    metadata: Metadata,
    /// The first name of its inode, for those with several inside the folder.
    first_name: Option<Vec<u8>>,
}

/// Every difference of two folders, one line each, in everything.
pub fn differences(left: &Path, right: &Path) -> Vec<String> {
    Walker::default().differences(left, right)
}

impl Walker {
    /// Every difference of two folders, one line each.
    pub fn differences(&self, left: &Path, right: &Path) -> Vec<String> {
        let (a, b) = (self.walk(left), self.walk(right));
        let mut found = Vec::new();
        for (name, item) in &a {
            match b.get(name) {
                Some(other) => self.compare(name, item, other, &mut found),
                None => found.push(format!("{}: only left", name.escape_ascii())),
            }
        }
        for name in b.keys().filter(|name| !a.contains_key(*name)) {
            found.push(format!("{}: only right", name.escape_ascii()));
        }
        found
    }

    fn walk(&self, root: &Path) -> BTreeMap<Vec<u8>, Item> {
        let mut items = BTreeMap::new();
        let mut todo = vec![(Vec::new(), root.to_owned())];
        while let Some((name, path)) = todo.pop() {
            let metadata = std::fs::symlink_metadata(&path).expect("what was listed can be looked at");
            if metadata.is_dir() {
                for child in std::fs::read_dir(&path).expect("the folder can be listed") {
                    let child = child.expect("the folder can be listed").file_name();
                    let mut below = name.clone();
                    if !below.is_empty() {
                        below.push(b'/');
                    }
                    below.extend_from_slice(child.as_bytes());
                    todo.push((below, path.join(&child)));
                }
            }
            if !name.is_empty() || self.roots {
                items.insert(name, Item { path, metadata, first_name: None });
            }
        }
        let mut groups: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        for (name, item) in &mut items {
            if item.metadata.nlink() > 1 && !item.metadata.is_dir() {
                let first = groups.entry((item.metadata.dev(), item.metadata.ino())).or_insert_with(|| name.clone());
                item.first_name = Some(first.clone());
            }
        }
        items
    }

    fn compare(&self, name: &[u8], a: &Item, b: &Item, found: &mut Vec<String>) {
        let (x, y) = (&a.metadata, &b.metadata);
        let mut differ = |what: &str, left: String, right: String| {
            if left != right {
                found.push(format!("{}: {what}: {left} became {right}", name.escape_ascii()));
            }
        };
        let kind = |metadata: &Metadata| FileType::from_raw_mode(metadata.mode());
        differ("type", format!("{:?}", kind(x)), format!("{:?}", kind(y)));
        if kind(x) != kind(y) {
            return;
        }
        if self.modes && !x.is_symlink() {
            differ("mode", format!("{:o}", x.mode()), format!("{:o}", y.mode()));
        }
        if self.owners {
            differ("owner", format!("{}:{}", x.uid(), x.gid()), format!("{}:{}", y.uid(), y.gid()));
        }
        if self.times {
            let time = |metadata: &Metadata| format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
            differ("time", time(x), time(y));
        }
        if x.is_symlink() {
            let target = |item: &Item| format!("{:?}", std::fs::read_link(&item.path).expect("a link can be read"));
            differ("target", target(a), target(b));
        }
        differ("device", x.rdev().to_string(), y.rdev().to_string());
        if self.xattrs {
            differ("attributes", xattrs(&a.path), xattrs(&b.path));
        }
        if self.links {
            differ("linked to", format!("{:?}", a.first_name), format!("{:?}", b.first_name));
        }
        if x.is_file() {
            differ("size", x.len().to_string(), y.len().to_string());
            if x.len() == y.len() {
                differ("content", String::new(), first_difference(&a.path, &b.path));
            }
            let slack = 128 + x.blocks() / 8;
            if self.holes && y.blocks() > x.blocks() + slack {
                differ("blocks", x.blocks().to_string(), y.blocks().to_string());
            }
        }
    }
}

/// All extended attributes in a readable form.
pub fn xattrs(path: &Path) -> String {
    let mut names = vec![0u8; 64 << 10];
    let Ok(length) = rustix::fs::llistxattr(path, names.as_mut_slice()) else { return String::new() };
    names.truncate(length);
    let mut all = BTreeMap::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; 64 << 10];
        if let Ok(length) = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), value.as_mut_slice()) {
            value.truncate(length);
            all.insert(name.escape_ascii().to_string(), value.escape_ascii().to_string());
        }
    }
    format!("{all:?}")
}

fn first_difference(a: &Path, b: &Path) -> String {
    let (mut x, mut y) = (vec![0u8; 1 << 20], vec![0u8; 1 << 20]);
    let mut a = File::open(a).expect("the file can be opened");
    let mut b = File::open(b).expect("the file can be opened");
    let mut at = 0usize;
    loop {
        let (m, n) = (fill(&mut a, &mut x), fill(&mut b, &mut y));
        if x[..m] != y[..n] {
            let offset = x[..m].iter().zip(&y[..n]).position(|(a, b)| a != b).unwrap_or(m.min(n));
            return format!("other bytes from {}", at + offset);
        }
        if m == 0 {
            return String::new();
        }
        at += m;
    }
}

fn fill(file: &mut File, into: &mut [u8]) -> usize {
    let mut count = 0;
    while count < into.len() {
        match file.read(&mut into[count..]).expect("the file can be read") {
            0 => break,
            more => count += more,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::trees;
    use super::*;

    #[test]
    fn the_same_tree_built_twice_differs_in_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        for root in [&a, &b] {
            std::fs::create_dir(root).expect("a folder");
            trees::build(7, root);
        }
        assert_eq!(differences(&a, &b), Vec::<String>::new());
    }

    #[test]
    fn every_sort_of_difference_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        for root in [&a, &b] {
            std::fs::create_dir(root).expect("a folder");
            trees::build(8, root);
        }
        std::fs::remove_file(b.join("one")).expect("removed");
        std::fs::write(b.join("extra"), b"").expect("written");
        std::fs::remove_file(b.join("links/third")).expect("removed");
        std::fs::write(b.join("links/third"), std::fs::read(a.join("links/third")).expect("read")).expect("written");
        let zeros = std::fs::read(b.join("holes/all-hole")).expect("read");
        std::fs::write(b.join("holes/all-hole"), zeros).expect("written");
        let text = differences(&a, &b).join("\n");
        for part in ["one: only left", "extra: only right", "links/third: linked", "all-hole: blocks", "all-hole: time"]
        {
            assert!(text.contains(part), "{part} is missing from\n{text}");
        }
    }
}
