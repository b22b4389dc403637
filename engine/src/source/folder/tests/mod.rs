//! Promises of the folder source, kept against real folders.

mod ahead;
mod changing;
mod excludes;
mod kinds;
mod order;
mod places;

use super::FolderSource;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder with these files in it; a name that ends with a slash is a folder, content is the name.
fn tree(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        let path = folder.path().join(name);
        if name.ends_with('/') {
            fs::create_dir_all(&path).expect("a folder");
        } else {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, name).expect("a file");
        }
    }
    folder
}

/// The content of `folder` as a source: its entries stand at the snapshot's root.
fn content_of(folder: &Path) -> FolderSource {
    FolderSource::new(vec![".".into()]).relative_to(folder.to_path_buf())
}

/// What `source` gives; it must be whole.
fn whole(source: FolderSource) -> Recorder {
    let mut recorder = Recorder::new();
    let verdict = recorder.run(source).expect("a verdict");
    assert_eq!(verdict, Verdict::Whole, "{:?}", recorder.warned);
    recorder
}
