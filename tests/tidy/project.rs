//! The project as the rules see it: its Rust files, manifests and other texts, from disk or from snippets.

use super::rust::Rust;
use std::fs;
use std::path::Path;

/// Folders that hold what others made, or what machines made; beside a second work tree `.git` is a file.
const SKIPPED: &[&str] = &[".git", "target", "corpus", "artifacts", "golden", "__pycache__"];

/// Everything the rules read.
pub struct Project {
    /// All Rust files.
    pub rust: Vec<Rust>,
    /// All texts, Rust files included: path and content.
    pub texts: Vec<(String, String)>,
    /// Names at the top.
    pub top: Vec<String>,
}

impl Project {
    /// This project, from disk.
    pub fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand below the top");
        let mut texts = Vec::new();
        collect(root, "", &mut texts);
        let names = fs::read_dir(root).expect("the top can be listed");
        let top = names.map(|name| name.expect("a name").file_name().to_string_lossy().into_owned()).collect();
        Self::new(texts, top)
    }

    /// A project of snippets, to try a rule on.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let texts: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let top = texts.iter().filter_map(|(path, _)| path.split('/').next()).map(str::to_owned).collect();
        Self::new(texts, top)
    }

    fn new(texts: Vec<(String, String)>, top: Vec<String>) -> Self {
        let sources = texts.iter().filter(|(path, _)| path.ends_with(".rs"));
        let mut rust: Vec<Rust> = sources.map(|(path, text)| Rust::new(path, text)).collect();
        let declared: Vec<String> = rust.iter().flat_map(test_files).collect();
        for file in &mut rust {
            let is_test = declared
                .iter()
                .any(|test| file.path == format!("{test}.rs") || file.path.starts_with(&format!("{test}/")));
            if is_test || !is_shipped(&file.path) {
                file.make_test();
            }
        }
        Self { rust, texts, top }
    }

    /// The text of one file; empty when there is none.
    pub fn text(&self, path: &str) -> &str {
        self.texts.iter().find(|(name, _)| name == path).map_or("", |(_, text)| text)
    }

    /// Every `Cargo.toml`.
    pub fn manifests(&self) -> impl Iterator<Item = &(String, String)> {
        self.texts.iter().filter(|(path, _)| path == "Cargo.toml" || path.ends_with("/Cargo.toml"))
    }

    /// The engine's files with their paths below `engine/src/`.
    pub fn engine(&self) -> impl Iterator<Item = (&str, &Rust)> {
        self.rust.iter().filter_map(|file| Some((file.path.strip_prefix("engine/src/")?, file)))
    }
}

/// True for code that users run; everything else is measured by the looser rules for tests.
fn is_shipped(path: &str) -> bool {
    let package = ["engine/", "cli/", "dumpers/", "service/"].iter().any(|top| path.starts_with(top));
    package && path.contains("/src/")
}

/// Paths, without `.rs`, of the modules that a file declares for tests only.
fn test_files(file: &Rust) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let folder = ["/mod", "/lib", "/main"].iter().find_map(|name| stem.strip_suffix(name)).unwrap_or(stem);
    let beside = stem.rsplit_once('/').map_or("", |(above, _)| above);
    let place = |name: String| match name.strip_suffix(".rs") {
        Some(file) => format!("{beside}/{file}"),
        None => format!("{folder}/{name}"),
    };
    file.test_modules().into_iter().map(place).collect()
}

fn collect(root: &Path, below: &str, texts: &mut Vec<(String, String)>) {
    let mut names: Vec<_> = fs::read_dir(root.join(below)).expect("a folder of the project").flatten().collect();
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type().expect("a file type");
        if SKIPPED.contains(&name.as_str()) {
            continue;
        } else if kind.is_dir() {
            collect(root, &path, texts);
        } else if kind.is_file()
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            texts.push((path, text));
        }
    }
}
