//! What a source must keep to: entries in order, each once, and nothing below what is no folder.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use std::mem::discriminant;

/// What a source has said so far, as far as later words are judged by it.
#[derive(Default)]
pub(crate) struct Contract {
    last: Option<Last>,
}

/// The entry ended last.
struct Last {
    path: EntryPath,
    is_folder: bool,
}

impl Contract {
    /// Why an entry must not be begun now, if it must not: it could be stored, but not be restored.
    pub(crate) fn refuses(&self, path: &EntryPath) -> Option<String> {
        let last = self.last.as_ref()?;
        if !last.is_folder && *path != last.path && path.is_within(&last.path) {
            return Some(format!("it gave {path} below {}, which is no folder", last.path));
        }
        match path.cmp(&last.path) {
            std::cmp::Ordering::Less => Some(format!("it gave {path} after {}, which comes later", last.path)),
            std::cmp::Ordering::Equal => Some(format!("it gave {path} twice")),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// The same for an entry about to be ended: it must still be what it was begun as.
    pub(crate) fn refuses_end(path: &EntryPath, begun: &FileKind, ended: &Metadata) -> Option<String> {
        let same = discriminant(begun) == discriminant(&ended.kind);
        (!same).then(|| format!("it ended {path} as something else than it began"))
    }

    /// Takes down an entry that was ended.
    pub(crate) fn ended(&mut self, path: &EntryPath, kind: &FileKind) {
        self.last = Some(Last { path: path.clone(), is_folder: *kind == FileKind::Directory });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).expect("a path")
    }

    #[test]
    fn what_cannot_be_restored_into_a_folder_is_refused_with_its_path() {
        let device = || FileKind::CharDevice { rdev: 1 };
        for (last, kind, next, refused) in [
            ("a", FileKind::File, "a/b", Some("a/b below a")),
            ("a", FileKind::Stream, "a/b/c", Some("a/b/c below a")),
            ("a", device(), "a/b", Some("a/b below a")),
            ("a", FileKind::Symlink { target: b"b".to_vec() }, "a/b", Some("a/b below a")),
            ("a", FileKind::Fifo, "a/b", Some("a/b below a")),
            ("a", FileKind::Directory, "a/b", None),
            ("a", FileKind::File, "a!", None),
            ("a", FileKind::File, "ab", None),
            ("a", FileKind::File, "a", Some("a twice")),
            ("a", FileKind::Directory, "a", Some("a twice")),
            ("b", FileKind::File, "a", Some("a after b")),
            ("a/b", FileKind::File, "a", Some("a after a/b")),
        ] {
            let mut contract = Contract::default();
            assert_eq!(contract.refuses(&path(next)), None, "the first may be any");
            contract.ended(&path(last), &kind);
            let said = contract.refuses(&path(next));
            assert_eq!(said.is_some(), refused.is_some(), "{last} {next}: {said:?}");
            assert!(said.is_none_or(|said| said.contains(refused.expect("a reason"))), "{last} {next}");
        }
    }
}
