//! Patterns of names and paths, with one meaning wherever one is taken: what a backup or a rewrite leaves out, what a
//! restore takes, what a search finds.
//!
//! The last pattern of a list that matches decides, and a leading `!` takes back what an earlier one said. No library
//! has just these rules: those at hand take bytes for characters, give braces a meaning that names with braces in them
//! suffer from, or know nothing of names that are no text.

mod glob;
mod name;
#[cfg(test)]
mod tests;

pub use glob::Glob;

use crate::error::Result;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;

/// A pattern as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) text: Vec<u8>,
    /// What is told of the things it leaves out.
    pub(crate) reason: String,
}

impl Pattern {
    /// A pattern with a reason of its own.
    pub(crate) fn because(text: OsString, reason: String) -> Self {
        Self { text: text.into_vec(), reason }
    }

    /// As it is recorded and shown: bytes that are no text become the replacement character.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

impl From<OsString> for Pattern {
    fn from(text: OsString) -> Self {
        Self { reason: format!("by the pattern '{}'", String::from_utf8_lossy(text.as_bytes())), text: text.into_vec() }
    }
}

/// A list of patterns, ready to match; see [`Glob`] for what each means. The last that matches decides, and one that
/// begins with `!` takes back what an earlier one said.
#[derive(Debug, Default)]
pub struct Patterns {
    /// What each pattern means, in the order given.
    meanings: Vec<Meaning>,
    /// Those that stand for one name, wherever it is.
    names: Exact,
    /// Those that stand for one path.
    paths: Exact,
    /// All others, the last first.
    others: Vec<usize>,
    any_case: bool,
}

/// The numbers of patterns that stand for one text each.
#[derive(Debug, Default)]
struct Exact {
    texts: HashMap<Vec<u8>, Vec<usize>>,
    /// One bit for each length there is, from 63 on the same one: most names are out at that.
    lengths: u64,
}

#[derive(Debug)]
struct Meaning {
    takes_back: bool,
    glob: Glob,
    reason: String,
}

impl Patterns {
    /// Understands patterns; one that makes no sense is `Invalid`, and named.
    pub fn parse(patterns: &[OsString], any_case: bool) -> Result<Self> {
        let patterns: Vec<Pattern> = patterns.iter().cloned().map(Pattern::from).collect();
        Self::with_reasons(&patterns, any_case)
    }

    /// The same for patterns with reasons of their own.
    pub(crate) fn with_reasons(patterns: &[Pattern], any_case: bool) -> Result<Self> {
        let mut this = Self { any_case, ..Self::default() };
        for Pattern { text: pattern, reason } in patterns {
            let (takes_back, text) = match pattern.strip_prefix(b"!") {
                Some(rest) => (true, rest),
                None => (false, pattern.as_slice()),
            };
            let glob = Glob::understand(text, any_case).map_err(|why| glob::misunderstood(pattern, &why))?;
            let number = this.meanings.len();
            if let Some(name) = glob.as_name().and_then(name::only) {
                this.names.add(name.to_vec(), number);
            } else if let Some(path) = glob.as_path() {
                this.paths.add(path, number);
            } else {
                this.others.insert(0, number);
            }
            this.meanings.push(Meaning { takes_back, glob, reason: reason.clone() });
        }
        Ok(this)
    }

    /// True when there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.meanings.is_empty()
    }

    /// Whether the item at `path`, given from the root, is meant; what it stands in is not considered.
    pub fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        self.why(path, is_directory).is_some()
    }

    /// Why the item is meant, if it is.
    pub(crate) fn why(&self, path: &[u8], is_directory: bool) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let path = if self.any_case { Cow::Owned(name::fold(path)) } else { Cow::Borrowed(path) };
        let number = self.last(path.as_ref(), is_directory)?;
        let meaning = self.meanings.get(number).filter(|meaning| !meaning.takes_back);
        meaning.map(|meaning| meaning.reason.as_str())
    }

    /// The last pattern that matches.
    fn last(&self, path: &[u8], is_directory: bool) -> Option<usize> {
        let applies = |number: &usize| {
            is_directory || self.meanings.get(*number).is_some_and(|meaning| !meaning.glob.directories_only())
        };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let of = |list: &Exact, text: &[u8]| list.of(text).iter().copied().filter(applies).max();
        let below_root = path.strip_prefix(b"/").unwrap_or(path);
        let exact = of(&self.names, name).max(of(&self.paths, below_root));
        let fits = |number: &usize| {
            let Some(meaning) = self.meanings.get(*number).filter(|_| applies(number)) else { return false };
            match meaning.glob.as_name() {
                Some(one) => one.fits(name),
                None => meaning.glob.may_end(name) && meaning.glob.fits(path),
            }
        };
        let mut others = self.others.iter().copied().take_while(|number| exact.is_none_or(|exact| *number > exact));
        others.find(fits).or(exact)
    }
}

impl Exact {
    fn add(&mut self, text: Vec<u8>, number: usize) {
        self.lengths |= Self::bit(&text);
        self.texts.entry(text).or_default().push(number);
    }

    fn of(&self, text: &[u8]) -> &[usize] {
        if self.lengths & Self::bit(text) == 0 {
            return &[];
        }
        self.texts.get(text).map(Vec::as_slice).unwrap_or_default()
    }

    fn bit(text: &[u8]) -> u64 {
        1 << text.len().min(63)
    }
}
