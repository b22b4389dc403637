//! A stage for tests of whole restores: a source, a repository in memory that has it, and a target.

use crate::catalog::Gap;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Result;
use crate::job::Control;
use crate::restore::RestoreOptions;
use crate::restore::RestoreReport;
use crate::restore::boundary::EntryPage;
use crate::restore::boundary::SegmentStore;
use crate::restore::fake::FakeEntries;
use crate::restore::fake::FakeLists;
use crate::restore::fake::FakeStore;
use crate::restore::fake::scan;
use crate::restore::run_within;
use crate::restore::window::Limits;
use crate::time::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;

#[path = "../../../tests/support/trees.rs"]
pub(super) mod trees;
#[path = "../../../tests/support/walker.rs"]
pub(super) mod walker;

/// Limits that split everything.
pub(super) const TINY: Limits =
    Limits { entries: 7, pieces: 5, open_files: 2, entry_bytes: 1 << 20, range_bytes: 300_000 };

/// A source, a repository that has it, and a target.
pub(super) struct Scene {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: FakeStore,
    pub(super) entries: Vec<Entry>,
    /// Entries that cannot be read.
    pub(super) gaps: Vec<Gap>,
}

impl Scene {
    pub(super) fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            store: FakeStore::default(),
            entries: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// A nasty tree in `source`, scanned.
    pub(super) fn nasty(seed: u64) -> Self {
        let mut scene = Self::empty();
        std::fs::create_dir(scene.source()).expect("a folder");
        trees::build(seed, &scene.source());
        let source = scene.source();
        scene.entries = scan(&mut scene.store, &source);
        scene
    }

    pub(super) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(super) fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    pub(super) fn options(&self) -> RestoreOptions {
        RestoreOptions { target: self.target(), threads: 2, ..RestoreOptions::default() }
    }

    pub(super) fn add(&mut self, path: &str, kind: FileKind, bytes: &[u8]) {
        let content = self.store.content(bytes);
        let modified = Timestamp { seconds: 1_000_000, nanoseconds: 17 };
        let mode = if kind == FileKind::Directory { 0o755 } else { 0o644 };
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let metadata = Metadata { mode, uid, gid, modified, size: bytes.len() as u64, ..Metadata::new(kind) };
        let path = EntryPath::parse(path.as_bytes()).expect("a valid path");
        self.entries.push(Entry::new(path, metadata, content));
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
    }

    pub(super) fn chunks(&self, path: &str) -> Vec<ChunkRef> {
        let entry = self.entries.iter().find(|entry| entry.path.as_bytes() == path.as_bytes()).expect("the entry");
        match &entry.content {
            Content::Empty => Vec::new(),
            Content::Inline(chunks) => chunks.clone(),
            Content::Tree { root, .. } => self.store.lists[root].clone(),
        }
    }

    /// The entries in pages of five, each gap in its place.
    fn pages(&self) -> Vec<EntryPage> {
        let mut pages = Vec::new();
        let mut page = Vec::new();
        for entry in &self.entries {
            let held = self.gaps.iter().find(|gap| gap.holds(&entry.path));
            if (held.is_some() || page.len() == 5) && !page.is_empty() {
                pages.push(EntryPage::Entries(std::mem::take(&mut page)));
            }
            match held {
                Some(gap) if gap.last == entry.path => pages.push(EntryPage::Lost(gap.clone(), "it is damaged".into())),
                Some(_) => {}
                None => page.push(entry.clone()),
            }
        }
        pages.extend(Some(page).filter(|page| !page.is_empty()).map(EntryPage::Entries));
        pages
    }

    pub(super) async fn run(&mut self, limits: Limits, options: RestoreOptions) -> Result<RestoreReport> {
        self.run_under(Control::new(), limits, options).await
    }

    pub(super) async fn run_under(
        &mut self,
        control: Control,
        limits: Limits,
        options: RestoreOptions,
    ) -> Result<RestoreReport> {
        let store = Arc::new(std::mem::take(&mut self.store));
        let lists = Arc::new(FakeLists { lists: store.lists.clone(), cut: store.cut.clone() });
        let pages = Box::new(FakeEntries(self.pages().into_iter()));
        let lent: Arc<dyn SegmentStore> = Arc::clone(&store) as Arc<dyn SegmentStore>;
        let report = run_within(limits, control, pages, lists, lent, options).await;
        self.store = Arc::try_unwrap(store).map_err(|_| ()).expect("every thread has ended");
        report
    }

    /// With limits of its own.
    pub(super) async fn run_as(&mut self, limits: Limits) -> Result<RestoreReport> {
        self.run(limits, self.options()).await
    }

    pub(super) async fn restore(&mut self) -> RestoreReport {
        self.run(Limits::default(), self.options()).await.expect("a restore")
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.target().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, bytes).expect("a file");
    }

    pub(super) fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.target().join(path)).expect("the file is there")
    }

    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let listed = std::fs::read_dir(self.target().join(path)).expect("a folder");
        let mut names: Vec<String> =
            listed.map(|item| item.expect("an item").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

pub(super) fn same(scene: &Scene) {
    assert_eq!(walker::differences(&scene.source(), &scene.target()), Vec::<String>::new());
}

pub(super) fn messages(report: &RestoreReport) -> Vec<String> {
    let line = |warning: &crate::event::Warning| {
        let path = warning.path.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{path}: {}", warning.message)
    };
    report.failures.iter().map(line).collect()
}
