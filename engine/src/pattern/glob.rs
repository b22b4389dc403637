//! One pattern, matched against a whole path.

use super::name;
use super::name::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// One pattern over paths.
///
/// `*` stands for any characters of a name, `?` for one, `[a-z]` for one of these and `[!a-z]` or `[^a-z]` for one that is
/// none of these; a backslash takes its meaning from what follows. Braces mean themselves. `**` as a whole component
/// stands for any number of components, none included. A pattern that begins with a slash stands at the root, any other is
/// matched against the last components of a path. A slash at the end asks for a folder.
#[derive(Clone, Debug)]
pub struct Glob {
    /// Components between the `**`: all of them in order, the first at the beginning and the last at the end.
    runs: Vec<Vec<Name>>,
    directories_only: bool,
    any_case: bool,
}

impl Glob {
    /// Understands a pattern; one that makes no sense is `Invalid`.
    pub fn parse(pattern: &OsStr, any_case: bool) -> Result<Self> {
        Self::understand(pattern.as_bytes(), any_case).map_err(|why| misunderstood(pattern.as_bytes(), &why))
    }

    pub(super) fn understand(pattern: &[u8], any_case: bool) -> Result<Self, String> {
        let is_part = |part: &&[u8]| !matches!(*part, b"" | b".");
        let parts: Vec<&[u8]> = pattern.split(|byte| *byte == b'/').filter(is_part).collect();
        let is_anchored = pattern.starts_with(b"/");
        if parts.is_empty() && !is_anchored {
            return Err("it names nothing".to_owned());
        }
        let mut runs = vec![Vec::new()];
        if !is_anchored {
            runs.push(Vec::new());
        }
        for part in parts {
            let count = runs.len();
            match runs.last_mut() {
                Some(run) if part != b"**" => run.push(Name::parse(part, any_case)?),
                // One that is followed by another says no more than the other.
                Some(run) if run.is_empty() && count > 1 => {}
                _ => runs.push(Vec::new()),
            }
        }
        let directories_only = pattern.len() > 1 && pattern.ends_with(b"/");
        Ok(Self { runs, directories_only, any_case })
    }

    /// Whether it stands for `path` as a whole, given from the root with or without a slash before it.
    pub fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        let path = if self.any_case { Cow::Owned(name::fold(path)) } else { Cow::Borrowed(path) };
        (is_directory || !self.directories_only) && self.fits(&path)
    }

    /// The text of a pattern that stands for one name only.
    pub fn only_name(&self) -> Option<&OsStr> {
        self.as_name().and_then(name::only).map(OsStr::from_bytes)
    }

    /// The same with a path that is folded already where case says nothing, of what may be anything.
    pub(super) fn fits(&self, path: &[u8]) -> bool {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let Some((first, others)) = self.runs.split_first() else { return false };
        let Some((last, between)) = others.split_last() else {
            return without_end(first, path).is_some_and(<[u8]>::is_empty);
        };
        let Some(path) = without_end(last, path) else { return false };
        let Some(mut path) = without_begin(first, path) else { return false };
        for run in between {
            path = loop {
                if let Some(rest) = without_begin(run, path) {
                    break rest;
                }
                let Some((_, rest)) = first_of(path) else { return false };
                path = rest;
            };
        }
        true
    }

    pub(super) fn directories_only(&self) -> bool {
        self.directories_only
    }

    /// Whether a path that ends with `name` may fit.
    pub(super) fn may_end(&self, name: &[u8]) -> bool {
        self.runs.last().and_then(|run| run.last()).is_none_or(|last| last.fits(name))
    }

    /// The component that is all of it, wherever it stands.
    pub(super) fn as_name(&self) -> Option<&Name> {
        match self.runs.as_slice() {
            [none, one] if none.is_empty() => match one.as_slice() {
                [name] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// The one path from the root that it stands for, where it is one; nothing is the root.
    pub(super) fn as_path(&self) -> Option<Vec<u8>> {
        let [run] = self.runs.as_slice() else { return None };
        let names: Option<Vec<&[u8]>> = run.iter().map(name::only).collect();
        names.map(|names| names.join(&b'/'))
    }
}

/// Says that a pattern makes no sense, and why.
pub(super) fn misunderstood(pattern: &[u8], why: &str) -> Error {
    let shown = String::from_utf8_lossy(pattern);
    Error::new(Kind::Invalid, format!("cannot understand the pattern '{shown}'")).because(why.to_owned())
}

/// The path without the components at its end, if they fit.
fn without_end<'a>(run: &[Name], mut path: &'a [u8]) -> Option<&'a [u8]> {
    for name in run.iter().rev() {
        let (rest, last) = last_of(path)?;
        if !name.fits(last) {
            return None;
        }
        path = rest;
    }
    Some(path)
}

/// The path without the components at its beginning, if they fit.
fn without_begin<'a>(run: &[Name], mut path: &'a [u8]) -> Option<&'a [u8]> {
    for name in run {
        let (first, rest) = first_of(path)?;
        if !name.fits(first) {
            return None;
        }
        path = rest;
    }
    Some(path)
}

fn first_of(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().position(|byte| *byte == b'/');
    let (first, rest) = path.split_at(end.unwrap_or(path.len()));
    (!path.is_empty()).then_some((first, rest.get(1..).unwrap_or_default()))
}

/// What stands before the last component, and that one.
fn last_of(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, last) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[][..], path),
    };
    (!path.is_empty()).then_some((rest, last))
}
