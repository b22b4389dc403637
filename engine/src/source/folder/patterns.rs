//! Exclude patterns with restic's meaning.
//!
//! A pattern with a leading slash is matched against the absolute path, any other against the last
//! components of it; `**` stands for any number of components, `*` and `?` never match a slash, a
//! trailing slash asks for a directory, and a leading `!` takes back what an earlier pattern
//! excluded. The last pattern that matches decides. What is excluded is not walked, so nothing below it comes back.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use globset::Candidate;
use globset::GlobBuilder;
use globset::GlobSet;
use globset::GlobSetBuilder;

/// A pattern as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    /// What is told of the things it leaves out.
    pub(crate) reason: String,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { reason: format!("by the pattern '{text}'"), text }
    }
}

/// A list of patterns, ready to match.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// What each pattern means, in the order given.
    meanings: Vec<Meaning>,
    /// Patterns of one component, matched against names only: the cheap and common case.
    names: Numbered,
    /// All others, matched against whole absolute paths.
    paths: Numbered,
}

#[derive(Debug)]
struct Meaning {
    takes_back: bool,
    directories_only: bool,
    reason: String,
}

/// A glob set that knows which pattern each of its globs came from.
#[derive(Debug, Default)]
struct Numbered {
    set: GlobSet,
    patterns: Vec<usize>,
}

struct NumberedBuilder {
    set: GlobSetBuilder,
    patterns: Vec<usize>,
}

impl Patterns {
    /// Understands `patterns`; `Invalid` names the one that makes no sense.
    pub(crate) fn parse(patterns: &[Pattern], ignore_case: bool) -> Result<Self> {
        let mut meanings = Vec::new();
        let (mut names, mut paths) = (NumberedBuilder::new(), NumberedBuilder::new());
        for Pattern { text: pattern, reason } in patterns {
            let (takes_back, text) = match pattern.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, pattern.as_str()),
            };
            let reason = reason.clone();
            let (text, directories_only) = simplified(text);
            if text.is_empty() {
                let error = Error::new(Kind::Invalid, format!("cannot understand the exclude pattern {pattern:?}"));
                return Err(if pattern.is_empty() { error.because("it is empty") } else { error });
            }
            let number = meanings.len();
            meanings.push(Meaning { takes_back, directories_only, reason });
            let (list, text) = match text.as_str() {
                text if text.starts_with('/') => (&mut paths, escaped(text)),
                text if text.contains('/') => (&mut paths, format!("**/{}", escaped(text))),
                text => (&mut names, escaped(text)),
            };
            let glob = GlobBuilder::new(&text)
                .literal_separator(true)
                .backslash_escape(true)
                .case_insensitive(ignore_case)
                .build()
                .map_err(|why| misunderstood(pattern, &why))?;
            list.set.add(glob);
            list.patterns.push(number);
        }
        Ok(Self { meanings, names: names.build()?, paths: paths.build()? })
    }

    /// True when there is no pattern.
    pub(crate) fn is_empty(&self) -> bool {
        self.meanings.is_empty()
    }

    /// Why the item at the absolute path `real` is excluded, if it is; its ancestors are not considered.
    pub(crate) fn why_excluded(&self, real: &[u8], is_directory: bool) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let name = real.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let by_name = self.names.last(name, &self.meanings, is_directory);
        let by_path = self.paths.last(real, &self.meanings, is_directory);
        let last = by_name.max(by_path).and_then(|number| self.meanings.get(number));
        last.filter(|meaning| !meaning.takes_back).map(|meaning| meaning.reason.as_str())
    }
}

impl Numbered {
    /// The last pattern that matches.
    fn last(&self, text: &[u8], meanings: &[Meaning], is_directory: bool) -> Option<usize> {
        if self.patterns.is_empty() {
            return None;
        }
        let candidate = Candidate::from_bytes(text);
        if !self.set.is_match_candidate(&candidate) {
            return None;
        }
        let applies = |number: &usize| meanings.get(*number).is_some_and(|m| is_directory || !m.directories_only);
        let matched = self.set.matches_candidate(&candidate);
        matched.into_iter().filter_map(|glob| self.patterns.get(glob).copied()).filter(applies).max()
    }
}

impl NumberedBuilder {
    fn new() -> Self {
        Self { set: GlobSetBuilder::new(), patterns: Vec::new() }
    }

    fn build(self) -> Result<Numbered> {
        let set = self
            .set
            .build()
            .map_err(|why| Error::new(Kind::Invalid, "cannot use the exclude patterns together").because(why))?;
        Ok(Numbered { set, patterns: self.patterns })
    }
}

fn misunderstood(pattern: &str, why: &globset::Error) -> Error {
    let doing = format!("cannot understand the exclude pattern {pattern:?}");
    Error::new(Kind::Invalid, doing).because(why.kind().to_string())
}

/// The pattern without what changes nothing, and whether it asks for a directory. `a/**` matches
/// `a` itself, and an excluded directory hides all below it, so that `/**` at the end says nothing.
fn simplified(text: &str) -> (String, bool) {
    let directories_only = text.len() > 1 && text.ends_with('/');
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let anchored = text.starts_with('/');
    let end = parts.iter().rposition(|part| *part != "**").map_or(0, |last| last + 1);
    let begin = if anchored { 0 } else { parts.iter().position(|part| *part != "**").unwrap_or(end) };
    let kept = parts.get(begin..end).unwrap_or_default().join("/");
    match (anchored, kept.is_empty(), parts.is_empty()) {
        (true, true, _) => ("/".to_string(), directories_only && !parts.is_empty()),
        (true, false, _) => (format!("/{kept}"), directories_only),
        (false, true, false) => ("*".to_string(), directories_only),
        (false, ..) => (kept, directories_only),
    }
}

/// Braces have no meaning in restic's patterns, but they have in globset's.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    let (mut in_class, mut after_backslash) = (false, false);
    for letter in text.chars() {
        match letter {
            '{' | '}' if !in_class && !after_backslash => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
        in_class = !after_backslash && (letter == '[' || (in_class && letter != ']'));
        after_backslash = letter == '\\' && !after_backslash;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(patterns: &str, path: &str) -> bool {
        let list: Vec<Pattern> = patterns.split(' ').map(|text| String::from(text).into()).collect();
        let (path, is_directory) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        let patterns = Patterns::parse(&list, false).expect("valid patterns");
        // What stands in an excluded directory is not come to.
        let above = path.match_indices('/').filter(|(at, _)| *at > 0).map(|(at, _)| &path[..at]);
        let above = above.chain(["/"]).any(|above| patterns.why_excluded(above.as_bytes(), true).is_some());
        above || patterns.why_excluded(path.as_bytes(), is_directory).is_some()
    }

    #[test]
    fn the_pattern_that_decides_is_named() {
        let said = |text: &str| Pattern { text: text.into(), reason: format!("because of {text}") };
        let patterns = [said("*.o"), said("*.tmp"), said("!kept.tmp"), said("/a/*.o")];
        let patterns = Patterns::parse(&patterns, false).expect("valid patterns");
        for (path, reason) in [
            ("/x/y.o", Some("because of *.o")),
            ("/a/y.o", Some("because of /a/*.o")),
            ("/x/y.tmp", Some("because of *.tmp")),
            ("/x/kept.tmp", None),
        ] {
            assert_eq!(patterns.why_excluded(path.as_bytes(), false), reason, "{path}");
        }
        assert_eq!(Pattern::from("*.o".to_owned()).reason, "by the pattern '*.o'");
    }

    #[test]
    fn patterns_mean_what_they_mean_in_restic() {
        for (patterns, path, expected) in [
            ("foo", "/foo", true),
            ("foo", "/a/foo", true),
            ("foo", "/a/foo/b", true),
            ("foo", "/a/foobar", false),
            ("foo", "/a/xfoo", false),
            ("*.o", "/src/main.o", true),
            ("*.o", "/src/main.c", false),
            ("*.o", "/src/.o", true),
            ("*", "/a", true),
            ("?", "/a", true),
            ("?", "/ab", false),
            ("[ab].c", "/x/a.c", true),
            ("[^ab].c", "/x/a.c", false),
            ("[^ab].c", "/x/c.c", true),
            ("[a-c]x", "/bx", true),
            ("foo/bar", "/a/foo/bar", true),
            ("foo/bar", "/foo/bar", true),
            ("foo/bar", "/foo/x/bar", false),
            ("foo/bar", "/foo/bar/baz", true),
            ("foo/*.c", "/foo/a.c", true),
            ("foo/*.c", "/foo/x/a.c", false),
            ("/foo", "/foo", true),
            ("/foo", "/a/foo", false),
            ("/foo/*/x", "/foo/a/x", true),
            ("/foo/*/x", "/foo/a/b/x", false),
            ("/foo/**/x", "/foo/a/b/x", true),
            ("/foo/**/x", "/foo/x", true),
            ("foo/**/bar", "/a/foo/b/c/bar", true),
            ("**/foo", "/a/b/foo", true),
            ("**/foo", "/foo", true),
            ("foo/**", "/a/foo/b", true),
            ("foo/**", "/a/foo", true),
            ("foo/**", "/a/fo/b", false),
            ("**", "/a", true),
            ("/", "/a/b", true),
            ("foo/", "/a/foo/", true),
            ("foo/", "/a/foo", false),
            ("foo/", "/a/foo/b", true),
            ("/a/foo/", "/a/foo", false),
            ("/a/foo/", "/a/foo/", true),
            ("*.c !main.c", "/x/main.c", false),
            ("*.c !main.c", "/x/other.c", true),
            ("!main.c *.c", "/x/main.c", true),
            ("/data/* !/data/keep", "/data/keep/x", false),
            ("/data/* !/data/keep", "/data/drop/x", true),
            ("data !data/keep", "/data/keep", true),
            ("*.c !main.c main.c", "/main.c", true),
            ("{a,b}", "/a", false),
            ("{a,b}", "/{a,b}", true),
            ("a\\*", "/a*", true),
            ("a\\*", "/ab", false),
            (".git", "/x/.git/config", true),
            ("./foo", "/x/foo", true),
            ("Foo", "/foo", false),
        ] {
            assert_eq!(excluded(patterns, path), expected, "{patterns:?} on {path:?}");
        }
    }

    #[test]
    fn case_can_be_ignored() {
        let patterns =
            Patterns::parse(&["*.JPG".to_string().into(), "Foo/bar".to_string().into()], true).expect("valid");
        assert!(patterns.why_excluded(b"/x/a.jpg", false).is_some());
        assert!(patterns.why_excluded(b"/x/FOO/Bar", false).is_some());
        assert!(patterns.why_excluded(b"/x/a.png", false).is_none());
    }

    #[test]
    fn names_that_are_not_utf8_are_matched() {
        let patterns = Patterns::parse(&["*.tmp".to_string().into()], false).expect("valid");
        assert!(patterns.why_excluded(b"/x/\xff\xfe.tmp", false).is_some());
    }

    #[test]
    fn a_pattern_that_makes_no_sense_is_named() {
        let error = Patterns::parse(&["[a".to_string().into()], false).expect_err("an open class");
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains("[a"), "{error}");
        for empty in ["", "!", "!."] {
            assert!(Patterns::parse(&[empty.to_string().into()], false).is_err(), "{empty:?}");
        }
    }
}
