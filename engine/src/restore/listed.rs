//! The folders of the snapshot that were backed up with all below them, so that one look tells whether a path is in one.

use crate::entry::EntryPath;
use std::cmp::Ordering;

/// Sorted, and none of them within another.
#[derive(Debug)]
pub(crate) struct Listed(Vec<EntryPath>);

impl Listed {
    pub(crate) fn new(mut all: Vec<EntryPath>) -> Self {
        all.sort_unstable();
        // What is within a folder follows it at once.
        all.dedup_by(|next, kept| next.is_within(kept));
        Self(all)
    }

    /// True for one of them, and for what is below one.
    pub(crate) fn holds(&self, path: &EntryPath) -> bool {
        self.holds_by(path, EntryPath::cmp)
    }

    fn holds_by(&self, path: &EntryPath, mut compare: impl FnMut(&EntryPath, &EntryPath) -> Ordering) -> bool {
        let after = self.0.partition_point(|one| compare(one, path).is_le());
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|one| path.is_within(one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).expect("a path")
    }

    #[test]
    fn a_path_is_listed_when_it_or_a_folder_above_it_is() {
        let listed = Listed::new(["b", "a/c", "b/deep/er", "a-", "b", "d!/e"].map(path).to_vec());
        for (text, wanted) in [
            ("a", false),
            ("a/b", false),
            ("a/c", true),
            ("a/c/d/e", true),
            ("a/c!", false),
            ("a-/x", true),
            ("b/deep", true),
            ("b/deep/er/est", true),
            ("b!", false),
            ("d", false),
            ("d!", false),
            ("d!/e", true),
            ("e", false),
        ] {
            assert_eq!(listed.holds(&path(text)), wanted, "{text}");
        }
        assert!(!Listed::new(Vec::new()).holds(&path("a")));
    }

    #[test]
    fn ten_thousand_sources_cost_a_few_looks_for_each_folder() {
        let listed = Listed::new((0..10_000).map(|number| path(&format!("home/{number:05}/docs"))).collect());
        for number in 0..10_000 {
            for (below, wanted) in [("", false), ("/docs", true), ("/docs/a/b", true), ("/other", false)] {
                let mut looks = 0;
                let found = listed.holds_by(&path(&format!("home/{number:05}{below}")), |one, other| {
                    looks += 1;
                    one.cmp(other)
                });
                assert_eq!(found, wanted, "{number}{below}");
                assert!(looks <= 15, "{looks}");
            }
        }
    }
}
