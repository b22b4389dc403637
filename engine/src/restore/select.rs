//! Include and exclude patterns: which entries of a snapshot are restored.

use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::restore::options::RestoreOptions;
use globset::GlobBuilder;
use globset::GlobSet;
use globset::GlobSetBuilder;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Patterns as they are understood for entries: one without a slash matches any component, one that begins with a
/// slash stands at the snapshot's root, any other matches whole components anywhere. What matches takes
/// everything below it along.
pub(crate) struct Select {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Select {
    /// Parses the patterns; a bad one is `Invalid`.
    pub(crate) fn new(options: &RestoreOptions) -> Result<Self> {
        Ok(Self {
            include: globs(&options.include, &options.include_any_case)?,
            exclude: globs(&options.exclude, &options.exclude_any_case)?,
        })
    }

    /// True when the entry at `path` (as it stands in the snapshot) is to be restored.
    pub(crate) fn wants(&self, path: &EntryPath) -> bool {
        match (&self.include, &self.exclude) {
            (None, None) => true,
            (include, exclude) => {
                include.as_ref().is_none_or(|set| touches(set, path))
                    && !exclude.as_ref().is_some_and(|set| touches(set, path))
            }
        }
    }
}

/// True when the path or a directory above it matches.
fn touches(set: &GlobSet, path: &EntryPath) -> bool {
    let bytes = path.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([bytes.len()]).any(|end| set.is_match(Path::new(OsStr::from_bytes(bytes.get(..end).unwrap_or(bytes)))))
}

fn globs(exact: &[String], any_case: &[String]) -> Result<Option<GlobSet>> {
    if exact.is_empty() && any_case.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    let marked = exact.iter().map(|text| (text, false)).chain(any_case.iter().map(|text| (text, true)));
    for (text, any) in marked {
        let bad = |cause: globset::Error| {
            Error::new(Kind::Invalid, format!("the pattern '{text}' cannot be understood")).because(cause)
        };
        for spelling in spellings(text) {
            let glob = GlobBuilder::new(&spelling)
                .literal_separator(true)
                .case_insensitive(any)
                .backslash_escape(true)
                .build()
                .map_err(bad)?;
            set.add(glob);
        }
    }
    let set = set.build().map_err(|cause| Error::new(Kind::Invalid, "the patterns cannot be used").because(cause))?;
    Ok(Some(set))
}

/// The globs over whole paths that a pattern stands for.
fn spellings(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_end_matches('/');
    match pattern.strip_prefix('/') {
        Some(anchored) => vec![anchored.trim_start_matches('/').to_owned()],
        None => vec![pattern.to_owned(), format!("**/{pattern}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let options = RestoreOptions { include: list(include), exclude: list(exclude), ..Default::default() };
        let path = EntryPath::parse(path.as_bytes()).expect("a valid path");
        Select::new(&options).expect("valid patterns").wants(&path)
    }

    #[test]
    fn a_pattern_without_a_slash_matches_any_component_and_all_below() {
        assert!(wants(&["*.txt"], &[], "home/ann/a.txt"));
        assert!(wants(&["ann"], &[], "home/ann/deep/er/file"));
        assert!(!wants(&["ann"], &[], "home/anna/file"));
        assert!(!wants(&["*.txt"], &[], "home/ann/a.txt2"));
    }

    #[test]
    fn a_leading_slash_stands_at_the_root() {
        assert!(wants(&["/home/ann"], &[], "home/ann/x"));
        assert!(!wants(&["/ann"], &[], "home/ann/x"));
        assert!(wants(&["ann/x"], &[], "home/ann/x"));
        assert!(!wants(&["/home/*"], &[], "home"));
    }

    #[test]
    fn excludes_win_over_includes() {
        assert!(!wants(&["home"], &["*.tmp"], "home/a.tmp"));
        assert!(wants(&["home"], &["*.tmp"], "home/a"));
        assert!(!wants(&[], &["/home/**/cache"], "home/a/b/cache/file"));
    }

    #[test]
    fn case_is_ignored_only_when_asked() {
        let options = RestoreOptions { include_any_case: vec!["*.JPG".into()], ..Default::default() };
        let path = EntryPath::parse(b"a/b.jpg").expect("a valid path");
        assert!(Select::new(&options).expect("valid").wants(&path));
        assert!(!wants(&["*.JPG"], &[], "a/b.jpg"));
    }

    #[test]
    fn a_broken_pattern_is_refused() {
        let options = RestoreOptions { include: vec!["a[".into()], ..Default::default() };
        assert_eq!(Select::new(&options).map(|_| ()).expect_err("no glob").kind(), Kind::Invalid);
    }
}
