//! Include and exclude patterns: which entries of a snapshot are restored.

use crate::entry::EntryPath;
use crate::error::Result;
use crate::pattern::Patterns;
use crate::restore::options::RestoreOptions;

/// Patterns over entries, whose paths begin at the snapshot's root. What matches takes everything below it along.
pub(crate) struct Select {
    include: [Patterns; 2],
    exclude: [Patterns; 2],
}

impl Select {
    /// Parses the patterns; a bad one is `Invalid`.
    pub(crate) fn new(options: &RestoreOptions) -> Result<Self> {
        let parsed = |exact, any_case| Ok([Patterns::parse(exact, false)?, Patterns::parse(any_case, true)?]);
        Ok(Self {
            include: parsed(&options.include, &options.include_any_case)?,
            exclude: parsed(&options.exclude, &options.exclude_any_case)?,
        })
    }

    /// True when the entry at `path` (as it stands in the snapshot) is to be restored.
    pub(crate) fn wants(&self, path: &EntryPath, is_directory: bool) -> bool {
        let takes_all = self.include.iter().all(Patterns::is_empty);
        (takes_all || touch(&self.include, path, is_directory)) && !touch(&self.exclude, path, is_directory)
    }
}

/// True when the path or a directory above it matches.
fn touch(lists: &[Patterns; 2], path: &EntryPath, is_directory: bool) -> bool {
    let bytes = path.as_bytes();
    let above = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| (at, true));
    let fits = |(end, is_directory)| {
        let part = bytes.get(..end).unwrap_or(bytes);
        lists.iter().any(|list| list.matches(part, is_directory))
    };
    lists.iter().any(|list| !list.is_empty()) && above.chain([(bytes.len(), is_directory)]).any(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn wants(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let list = |texts: &[&str]| texts.iter().map(Into::into).collect();
        let options = RestoreOptions { include: list(include), exclude: list(exclude), ..Default::default() };
        let is_directory = path.ends_with('/');
        let path = EntryPath::parse(path.trim_end_matches('/').as_bytes()).expect("a valid path");
        Select::new(&options).expect("valid patterns").wants(&path, is_directory)
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
    fn a_slash_at_the_end_asks_for_a_folder() {
        assert!(wants(&["ann/"], &[], "home/ann/"));
        assert!(wants(&["ann/"], &[], "home/ann/x"));
        assert!(!wants(&["ann/"], &[], "home/ann"));
    }

    #[test]
    fn excludes_win_over_includes() {
        assert!(!wants(&["home"], &["*.tmp"], "home/a.tmp"));
        assert!(wants(&["home"], &["*.tmp", "!kept.tmp"], "home/kept.tmp"));
        assert!(wants(&["home"], &["*.tmp"], "home/a"));
        assert!(!wants(&[], &["/home/**/cache"], "home/a/b/cache/file"));
    }

    #[test]
    fn case_is_ignored_only_when_asked() {
        let options = RestoreOptions { include_any_case: vec!["*.JPG".into()], ..Default::default() };
        let path = EntryPath::parse(b"a/b.jpg").expect("a valid path");
        assert!(Select::new(&options).expect("valid").wants(&path, false));
        assert!(!wants(&["*.JPG"], &[], "a/b.jpg"));
    }

    #[test]
    fn a_broken_pattern_is_refused() {
        let options = RestoreOptions { include: vec!["a[".into()], ..Default::default() };
        assert_eq!(Select::new(&options).map(|_| ()).expect_err("no glob").kind(), Kind::Invalid);
    }
}
