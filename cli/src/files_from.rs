//! Lists in files: paths to back up, patterns to leave out.

use crate::args::BackupArgs;
use crate::show::Failure;
use globset::GlobBuilder;
use std::io::Read;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// All paths of `--files-from`, `--files-from-verbatim` and `--files-from-raw`.
pub fn paths(args: &BackupArgs) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for file in &args.files_from {
        for pattern in meaningful_lines(&read(file)?) {
            paths.extend(expand(&pattern)?);
        }
    }
    for file in &args.files_from_verbatim {
        paths.extend(split(&read(file)?, b'\n'));
    }
    for file in &args.files_from_raw {
        paths.extend(split(&read(file)?, b'\0'));
    }
    Ok(paths)
}

/// The patterns of several files, one a line.
pub fn patterns(files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut patterns = Vec::new();
    for file in files {
        patterns.extend(meaningful_lines(&read(file)?));
    }
    Ok(patterns)
}

/// A pattern that names exactly `folder`, when it is one of `paths` or below one.
pub fn inside(folder: &Path, paths: &[PathBuf]) -> Option<String> {
    let real = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    let (folder, written) = (real(folder)?, std::path::absolute(folder).ok()?);
    let mut above = paths.iter().filter_map(|path| std::path::absolute(path).ok());
    // Sources are walked by the path they are given as: that is how the pattern must begin.
    let full = above.find_map(|path| {
        if written.starts_with(&path) {
            return Some(written.clone());
        }
        let rest = folder.strip_prefix(real(&path)?).ok()?;
        Some(path.join(rest))
    })?;
    let text = full.to_str()?;
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '{' | '}' | '\\') && !cfg!(windows) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    Some(pattern)
}

/// Whether `path` is `folder` or stands in it; a link to it is neither.
pub fn is_within(path: &Path, folder: &Path) -> bool {
    let real = match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) => {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            std::fs::canonicalize(above).map(|above| above.join(name))
        }
        _ => std::fs::canonicalize(path),
    };
    matches!((real, std::fs::canonicalize(folder)), (Ok(real), Ok(folder)) if real.starts_with(&folder))
}

/// A whole file, or standard input for `-`.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let result = if file == Path::new("-") {
        let mut all = Vec::new();
        std::io::stdin().lock().read_to_end(&mut all).map(|_| all)
    } else {
        std::fs::read(file)
    };
    result.map_err(|why| Failure::usage(format!("cannot read the list {}", file.display())).because(why))
}

/// Lines without comments, blank lines and the white space around them.
fn meaningful_lines(raw: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(raw);
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn split(raw: &[u8], end: u8) -> Vec<PathBuf> {
    raw.split(|byte| *byte == end).filter(|part| !part.is_empty()).map(path_of).collect()
}

#[cfg(unix)]
fn path_of(raw: &[u8]) -> PathBuf {
    PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(raw))
}

#[cfg(not(unix))]
fn path_of(raw: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(raw.strip_suffix(b"\r").unwrap_or(raw)).into_owned())
}

/// The paths a pattern stands for, sorted.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let is_wild = |text: &str| text.contains(['*', '?', '[']);
    if !is_wild(pattern) {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let mut found = vec![PathBuf::new()];
    for part in Path::new(pattern).components() {
        let text = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !is_wild(&text) {
            found = found.into_iter().map(|path| path.join(part)).collect();
            continue;
        }
        let glob = GlobBuilder::new(&text).literal_separator(true).build();
        let wrong = |why| Failure::usage(format!("'{pattern}' is no pattern")).because(why);
        let matcher = glob.map_err(wrong)?.compile_matcher();
        found = found
            .iter()
            .flat_map(|folder| names(folder))
            .filter(|path| {
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                // As in a shell: a leading dot is matched by a dot only.
                path.file_name().is_some_and(|name| matcher.is_match(name)) && (!hidden || text.starts_with('.'))
            })
            .collect();
    }
    found.retain(|path| path.symlink_metadata().is_ok());
    found.sort();
    // As in a shell: then it stands for itself, and is told as missing if that is not there either.
    Ok(if found.is_empty() { vec![PathBuf::from(pattern)] } else { found })
}

/// What is in a folder; nothing where it cannot be read.
fn names(folder: &Path) -> Vec<PathBuf> {
    let at = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(at) else { return Vec::new() };
    entries.flatten().map(|entry| folder.join(entry.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_to_what_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a1", "a2", "b1", ".a3"] {
            std::fs::create_dir_all(folder.path().join(name).join("deep")).expect("made");
        }
        let base = folder.path().display();
        let found = expand(&format!("{base}/a*/d?ep")).expect("found");
        assert_eq!(found, ["a1/deep", "a2/deep"].map(|name| folder.path().join(name)));
        let none = format!("{base}/c*");
        assert_eq!(expand(&none).expect("itself"), [PathBuf::from(&none)]);
        assert_eq!(expand("/not there").expect("taken as it is"), [PathBuf::from("/not there")]);
    }

    #[test]
    fn lists_keep_what_they_promise_to_keep() {
        assert_eq!(meaningful_lines(b" a b \n# no\n\n*.tmp\r\n"), ["a b", "*.tmp"]);
        assert_eq!(split(b"a\n# b\n\n c", b'\n'), ["a", "# b", " c"].map(PathBuf::from));
        assert_eq!(split(b"a\nb\0c\0", b'\0'), ["a\nb", "c"].map(PathBuf::from));
    }

    #[cfg(unix)]
    #[test]
    fn a_repository_inside_the_source_is_named_exactly() {
        let inside = |folder: &str, path: &str| super::inside(Path::new(folder), &[PathBuf::from(path)]);
        assert_eq!(inside("/nowhere/re[po]", "/nowhere"), Some("/nowhere/re\\[po\\]".into()));
        assert_eq!(inside("/nowhere/a", "/nowhere/ab"), None);
    }
}
