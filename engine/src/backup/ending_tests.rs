//! Promises about what is said at the end of an entry: warnings, and what is known of content that is taken over.

use super::stream_tests::Told;
use super::told::repository;
use crate::backup::BackupReport;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::Extent;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::repository::Repository;
use crate::source::CHANGED;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Want;
use crate::source::give;
use crate::verdict::Verdict;

/// What is said of one entry.
#[derive(Clone, Default)]
struct Words {
    /// Its size is said at its beginning.
    size: Option<u64>,
    /// It ends with these.
    xattrs: Vec<Xattr>,
    flags: u32,
    extents: Option<Vec<Extent>>,
    warnings: Vec<String>,
    /// Said before its end.
    warned: Vec<String>,
    beside: bool,
}

fn xattr(value: &[u8]) -> Vec<Xattr> {
    vec![Xattr { name: b"user.tag".to_vec(), value: value.to_vec() }]
}

/// Backs up one entry of four bytes under a token that stays.
async fn run(repository: &Repository, wanted: Want, words: Words) -> (BackupReport, Entry) {
    let source = Told(move |sink: &mut dyn Sink| {
        let path = EntryPath::parse(b"key").expect("a path");
        let mut metadata = Metadata::new(FileKind::File);
        metadata.size = words.size.unwrap_or(0);
        let mut start = EntryStart::new(&path, &metadata).change_token(b"v1");
        start.size_is_known = words.size.is_some();
        let stream = if words.beside { Some(sink.open(start)?) } else { None };
        let want = stream.as_ref().map_or_else(|| sink.begin(start), |stream| Ok(stream.want()))?;
        assert_eq!(want, wanted);
        for warning in &words.warned {
            sink.warn(Some(&path), warning.clone(), true);
        }
        if want == Want::Bytes && !words.beside {
            give(b"four", sink)?;
        }
        let metadata = Metadata { xattrs: words.xattrs, flags: words.flags, extents: words.extents, ..metadata };
        match stream {
            Some(stream) => stream.end(metadata, words.warnings)?,
            None => sink.end(metadata, words.warnings)?,
        }
        Ok(Verdict::Whole)
    });
    let report = repository.backup(source).start().await.expect("a backup");
    let snapshot = report.snapshot.clone().expect("a snapshot");
    let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
    let entry = entries.next().await.expect("readable").expect("an entry");
    (report, entry)
}

fn said(warnings: &[&str]) -> Vec<String> {
    warnings.iter().map(|warning| (*warning).to_owned()).collect()
}

fn partial(warnings: &[&str]) -> Verdict {
    Verdict::Partial(warnings.iter().map(|warning| format!("/key: {warning}")).collect())
}

#[tokio::test]
async fn a_snapshot_is_partial_by_the_same_warning_the_first_time_and_the_next() {
    for beside in [false, true] {
        let repository = repository().await;
        let first = Words { warnings: said(&["one", CHANGED]), beside, ..Words::default() };
        let (report, entry) = run(&repository, Want::Bytes, first).await;
        assert_eq!((report.verdict, entry.warnings), (partial(&["one"]), said(&["one", CHANGED])));
        let next = Words { beside, ..Words::default() };
        let (report, _) = run(&repository, Want::Nothing, next).await;
        assert_eq!((report.verdict, report.warnings_total), (partial(&["one"]), 1));
    }
}

#[tokio::test]
async fn what_was_warned_of_before_the_end_is_told_once() {
    let repository = repository().await;
    let words = Words { warned: said(&["one"]), warnings: said(&["one", "two"]), ..Words::default() };
    let (report, _) = run(&repository, Want::Bytes, words).await;
    assert_eq!((report.verdict, report.warnings_total), (partial(&["one", "two"]), 2));
    let only_changed = Words { warnings: said(&[CHANGED]), ..Words::default() };
    let (report, _) = run(&super::told::repository().await, Want::Bytes, only_changed).await;
    assert_eq!((report.verdict, report.warnings_total), (Verdict::Whole, 0));
}

#[tokio::test]
async fn attributes_and_warnings_of_an_object_whose_content_is_as_before_are_those_of_now() {
    let repository = repository().await;
    let first = Words { size: Some(4), xattrs: xattr(b"old"), flags: 1, warnings: said(&["one"]), ..Words::default() };
    run(&repository, Want::Bytes, first).await;
    let silent = Words { size: Some(4), ..Words::default() };
    let (report, entry) = run(&repository, Want::Nothing, silent).await;
    assert_eq!((&entry.metadata.xattrs, entry.metadata.flags), (&xattr(b"old"), 1));
    assert_eq!((report.files_unchanged, report.files_changed), (1, 0));
    let new = Words { size: Some(4), xattrs: xattr(b"new"), flags: 2, warnings: said(&["two"]), ..Words::default() };
    let (report, entry) = run(&repository, Want::Nothing, new).await;
    assert_eq!((&entry.metadata.xattrs, entry.metadata.flags), (&xattr(b"new"), 2));
    assert_eq!((report.files_unchanged, report.files_changed), (0, 1));
    assert_eq!((report.verdict, entry.warnings), (partial(&["one", "two"]), said(&["one", "two"])));
}

#[tokio::test]
async fn a_sparse_object_of_unknown_size_keeps_its_size_and_its_holes_when_it_is_taken_over() {
    let repository = repository().await;
    let holes = Some(vec![Extent { offset: 96, length: 4 }]);
    let first = Words { size: Some(100), extents: holes.clone(), ..Words::default() };
    let (_, entry) = run(&repository, Want::Bytes, first).await;
    assert_eq!(entry.metadata.size, 100);
    let (_, entry) = run(&repository, Want::Nothing, Words::default()).await;
    assert_eq!((entry.metadata.size, entry.metadata.extents), (100, holes));
}
