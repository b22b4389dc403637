//! Where each path asked for stands in the snapshot, and what is really there.

use super::meant::meant;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// The number of the root in [`Places`].
pub(super) const ROOT: usize = 0;

/// The paths asked for as one tree of snapshot paths; only the last places of a path are walked.
#[derive(Debug)]
pub(super) struct Places(Vec<Place>);

/// One snapshot directory or file that was asked for, or that leads to one.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The absolute path on this machine, without a slash at its end; empty for `/`.
    pub(super) real: Vec<u8>,
    /// Asked for by name, so that everything below is taken; else it only leads there.
    pub(super) target: bool,
    /// Names below it that were asked for, or lead there.
    pub(super) children: BTreeMap<Vec<u8>, usize>,
}

/// A path cut into cleaned components.
struct Cleaned {
    /// Components of the snapshot path.
    entry: Vec<Vec<u8>>,
    /// Components of the absolute path; its end equals `entry`.
    real: Vec<Vec<u8>>,
}

impl Places {
    /// Places `paths`, the relative ones below `current`. `Invalid` when two would be stored as one.
    pub(super) fn plan(paths: &[PathBuf], current: Option<&Path>) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::new(Kind::Invalid, "no path to back up was given"));
        }
        let mut places = Self(vec![Place::default()]);
        for path in paths {
            places.insert(path, &Cleaned::new(path, current)?)?;
        }
        Ok(places)
    }

    pub(super) fn get(&self, place: usize) -> Option<&Place> {
        self.0.get(place)
    }

    /// How many paths were asked for at or below a place.
    pub(super) fn targets(&self, place: usize) -> usize {
        let (mut found, mut todo) = (0, vec![place]);
        while let Some(place) = todo.pop().and_then(|number| self.get(number)) {
            found += usize::from(place.target);
            todo.extend(place.children.values());
        }
        found
    }

    /// Folders that only lead to what was asked for.
    pub(super) fn leading(&self) -> Vec<EntryPath> {
        let mut found = Vec::new();
        let mut todo = vec![(ROOT, Vec::new())];
        while let Some((at, above)) = todo.pop() {
            // What is below a place asked for is a part of it.
            let Some(place) = self.get(at).filter(|place| !place.target) else { continue };
            found.extend(EntryPath::parse(&above).ok());
            for (name, number) in &place.children {
                let slash: &[u8] = if above.is_empty() { b"" } else { b"/" };
                todo.push((*number, [above.as_slice(), slash, name].concat()));
            }
        }
        found
    }

    /// Fails with `Invalid` when two different real places would be stored under one snapshot path.
    pub(super) fn check(&self) -> Result<()> {
        self.check_below(ROOT, false)
    }

    fn insert(&mut self, asked: &Path, cleaned: &Cleaned) -> Result<()> {
        if !cleaned.entry.is_empty() {
            EntryPath::parse(&cleaned.entry.join(&b'/'))
                .map_err(|why| Error::new(Kind::Invalid, format!("cannot back up {}", asked.display())).because(why))?;
        }
        let above = cleaned.real.len().saturating_sub(cleaned.entry.len());
        let mut at = ROOT;
        for (depth, name) in cleaned.entry.iter().enumerate() {
            at = self.child(at, name, joined(cleaned.real.iter().take(above + depth + 1)));
        }
        let real = joined(cleaned.real.iter());
        let place = self.0.get_mut(at).expect("children are numbered when they are made");
        if place.target && place.real != real {
            return Err(clash(&place.real, &real));
        }
        place.real = real;
        place.target = true;
        Ok(())
    }

    /// The number of `name` below `parent`, made when it is new.
    fn child(&mut self, parent: usize, name: &[u8], real: Vec<u8>) -> usize {
        let next = self.0.len();
        let place = self.0.get_mut(parent).expect("parents are numbered before their children");
        let number = *place.children.entry(name.to_vec()).or_insert(next);
        if number == next {
            self.0.push(Place { real, target: false, children: BTreeMap::new() });
        }
        number
    }

    fn check_below(&self, at: usize, covered: bool) -> Result<()> {
        let Some(place) = self.get(at) else { return Ok(()) };
        let covered = covered || place.target;
        for (name, number) in &place.children {
            let Some(child) = self.get(*number) else { continue };
            let same = is_child(&place.real, name, &child.real);
            if covered && !same {
                let inside = [place.real.as_slice(), b"/", name.as_slice()].concat();
                let is_folder = fs::symlink_metadata(real_path(&place.real)).is_ok_and(|found| found.is_dir());
                if !is_folder || fs::symlink_metadata(real_path(&inside)).is_ok() {
                    return Err(clash(&inside, &child.real));
                }
            }
            self.check_below(*number, covered && same)?;
        }
        Ok(())
    }
}

impl Cleaned {
    fn new(path: &Path, current: Option<&Path>) -> Result<Self> {
        Self::as_written(&meant(path, current), current)
    }

    fn as_written(path: &Path, current: Option<&Path>) -> Result<Self> {
        let invalid = |why: &str| {
            Error::new(Kind::Invalid, format!("cannot back up {:?}", path.display().to_string()))
                .because(why.to_string())
        };
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(invalid("the path is empty"));
        }
        if bytes.contains(&0) {
            return Err(invalid("the path has a NUL byte"));
        }
        let (mut entry, mut ups) = (Vec::new(), 0_usize);
        for part in bytes.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    if entry.pop().is_none() {
                        ups += 1;
                    }
                }
                name => entry.push(name.to_vec()),
            }
        }
        if bytes.first() == Some(&b'/') {
            return Ok(Self { real: entry.clone(), entry });
        }
        let current = current.ok_or_else(|| invalid("the path is relative and the current folder is unknown"))?;
        let mut real = Self::as_written(current, None)?.real;
        real.truncate(real.len().saturating_sub(ups));
        real.extend(entry.iter().cloned());
        Ok(Self { entry, real })
    }
}

/// An absolute path by its text alone.
pub(super) fn written(path: &Path) -> PathBuf {
    match Cleaned::as_written(path, None) {
        Ok(cleaned) => real_path(&joined(cleaned.real.iter())).to_owned(),
        Err(_) => path.to_owned(),
    }
}

/// The absolute, cleaned form of `path`; as it is when that cannot be told.
pub(super) fn absolute(path: &Path, current: Option<&Path>) -> Vec<u8> {
    match Cleaned::new(path, current) {
        Ok(cleaned) if cleaned.real.is_empty() => b"/".to_vec(),
        Ok(cleaned) => joined(cleaned.real.iter()),
        Err(_) => path.as_os_str().as_bytes().to_vec(),
    }
}

/// The same where it can be told, with nothing for `/`.
pub(super) fn real_of(path: &Path, current: Option<&Path>) -> Option<Vec<u8>> {
    Cleaned::new(path, current).ok().map(|cleaned| joined(cleaned.real.iter()))
}

/// The path to give to the system for `real`, where `/` is kept as nothing.
pub(super) fn real_path(real: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(if real.is_empty() { b"/" } else { real }))
}

/// True when `real` is what `name` in the directory `parent` is called.
pub(super) fn is_child(parent: &[u8], name: &[u8], real: &[u8]) -> bool {
    real.strip_prefix(parent).and_then(|rest| rest.strip_prefix(b"/")) == Some(name)
}

fn joined<'a>(parts: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut path = Vec::new();
    for part in parts {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    path
}

fn clash(one: &[u8], other: &[u8]) -> Error {
    let what = format!("cannot back up both {} and {}", real_path(one).display(), real_path(other).display());
    Error::new(Kind::Invalid, what).because("they would be stored under the same path")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(path: &str) -> (String, String) {
        let cleaned = Cleaned::new(Path::new(path), Some(Path::new("/home/ann"))).expect("a valid path");
        let show = |parts: &[Vec<u8>]| String::from_utf8(parts.join(&b'/')).expect("UTF-8");
        (show(&cleaned.entry), show(&cleaned.real))
    }

    #[test]
    fn paths_are_placed_as_restic_places_them() {
        for (path, entry, real) in [
            ("/home/ann/x", "home/ann/x", "home/ann/x"),
            ("/", "", ""),
            ("//a/./b/../c/", "a/c", "a/c"),
            ("/../..", "", ""),
            ("data/x", "data/x", "home/ann/data/x"),
            ("./data/", "data", "home/ann/data"),
            ("../bob/y", "bob/y", "home/bob/y"),
            ("../../../../etc", "etc", "etc"),
            (".", "", "home/ann"),
            ("..", "", "home"),
            ("a/../..", "", "home"),
            ("a/../b", "b", "home/ann/b"),
        ] {
            assert_eq!(placed(path), (entry.to_string(), real.to_string()), "{path}");
        }
    }

    #[test]
    fn only_folders_above_what_was_asked_for_lead_there() {
        for (paths, expected) in [
            (["/a/b/c", "/a/d"].as_slice(), ["a", "a/b"].as_slice()),
            (&["/a", "/a/b/c"], &[]),
            (&["x", "../y/z"], &["y"]),
            (&["/"], &[]),
            (&[".", "/a/b"], &[]),
        ] {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let places = Places::plan(&paths, Some(Path::new("/home/ann"))).expect("valid paths");
            let mut leading: Vec<String> = places.leading().iter().map(ToString::to_string).collect();
            leading.sort();
            assert_eq!(leading, expected, "{paths:?}");
        }
    }

    #[test]
    fn a_relative_path_without_a_current_folder_is_refused() {
        assert!(Cleaned::new(Path::new("x"), None).is_err());
        assert!(Cleaned::new(Path::new(""), None).is_err());
    }

    #[test]
    fn two_folders_at_one_place_clash() {
        let paths = ["a/x", "/a/x"].map(PathBuf::from);
        let error = Places::plan(&paths, Some(Path::new("/tmp"))).expect_err("both are a/x");
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("/tmp/a/x") && error.to_string().contains(" /a/x"), "{error}");
    }
}
