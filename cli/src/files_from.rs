//! Lists in files: paths to back up, patterns to leave out.

use crate::args::BackupArgs;
use crate::show::Failure;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;
use strongroom::Glob;
use strongroom_service::lines;

/// All paths of `--files-from`, `--files-from-verbatim` and `--files-from-raw`.
pub fn paths(args: &BackupArgs) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for file in &args.files_from {
        for pattern in lines::meaningful(&read(file)?) {
            paths.extend(expand(&pattern)?);
        }
    }
    for file in &args.files_from_verbatim {
        paths.extend(lines::verbatim(&read(file)?).into_iter().map(PathBuf::from));
    }
    for file in &args.files_from_raw {
        paths.extend(lines::raw(&read(file)?).into_iter().map(PathBuf::from));
    }
    Ok(paths)
}

/// The patterns of several files, one a line.
pub fn patterns(files: &[PathBuf]) -> Result<Vec<OsString>, Failure> {
    let mut patterns = Vec::new();
    for file in files {
        patterns.extend(lines::meaningful(&read(file)?));
    }
    Ok(patterns)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    lines::read(file).map_err(|why| Failure::usage(format!("cannot read the list {}", file.display())).because(why))
}

/// A pattern that names exactly `folder`, when it is one of `paths` or below one.
pub fn inside(folder: &Path, paths: &[PathBuf]) -> Option<OsString> {
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
    let mut pattern = Vec::new();
    for byte in full.as_os_str().as_bytes() {
        if b"*?[]\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    Some(OsString::from_vec(pattern))
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

/// The paths a pattern stands for, sorted.
fn expand(pattern: &OsStr) -> Result<Vec<PathBuf>, Failure> {
    let bytes = pattern.as_bytes();
    if !bytes.iter().any(|byte| b"*?[\\".contains(byte)) {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let mut found = vec![PathBuf::from(if bytes.starts_with(b"/") { "/" } else { "" })];
    let mut is_wild = false;
    for part in bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        found = match part {
            b"." | b".." => found.into_iter().map(|path| path.join(OsStr::from_bytes(part))).collect(),
            b"**" => {
                is_wild = true;
                found.into_iter().flat_map(with_folders_below).collect()
            }
            _ => {
                let glob = Glob::parse(OsStr::from_bytes(part), false)?;
                match glob.only_name() {
                    Some(name) => found.into_iter().map(|path| path.join(name)).collect(),
                    None => {
                        is_wild = true;
                        found.iter().flat_map(|folder| matching(folder, &glob, part.starts_with(b"."))).collect()
                    }
                }
            }
        };
    }
    if !is_wild {
        return Ok(found);
    }
    let asks_folder = bytes.ends_with(b"/");
    found.retain(|path| if asks_folder { path.is_dir() } else { path.symlink_metadata().is_ok() });
    found.sort();
    found.dedup();
    // As in a shell: then it stands for itself, and is told as missing if that is not there either.
    Ok(if found.is_empty() { vec![PathBuf::from(pattern)] } else { found })
}

/// What is in a folder and fits. As in a shell a leading dot is matched by a dot only.
fn matching(folder: &Path, glob: &Glob, with_hidden: bool) -> Vec<PathBuf> {
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_bytes();
        (with_hidden || !name.starts_with(b".")) && glob.matches(name, true)
    };
    names(folder).into_iter().filter(fits).collect()
}

/// A folder and all below it, without hidden ones and what links lead to.
fn with_folders_below(top: PathBuf) -> Vec<PathBuf> {
    let mut all = vec![top];
    let mut next = 0;
    while let Some(folder) = all.get(next) {
        next += 1;
        let is_plain = |path: &PathBuf| {
            let hidden = path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
            !hidden && path.symlink_metadata().is_ok_and(|found| found.is_dir())
        };
        let below: Vec<PathBuf> = names(folder).into_iter().filter(is_plain).collect();
        all.extend(below);
    }
    all
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
        for name in ["a1", "a2", "b1", ".a3", "{x,y}", "p[1]", "ä"] {
            std::fs::create_dir_all(folder.path().join(name).join("deep")).expect("made");
        }
        let raw = folder.path().join(OsStr::from_bytes(b"r\xffw"));
        std::fs::write(&raw, "x").expect("written");
        let at = |name: &str| folder.path().join(name);
        let found = |end: &[u8]| {
            let pattern = [folder.path().as_os_str().as_bytes(), b"/", end].concat();
            expand(OsStr::from_bytes(&pattern)).expect("a pattern")
        };
        assert_eq!(found(b"a*/d?ep"), [at("a1/deep"), at("a2/deep")]);
        assert_eq!(found(b"c*"), [at("c*")], "it stands for itself");
        assert_eq!(found(b"not there"), [at("not there")]);
        assert_eq!(found(b"[{]x,y}"), [at("{x,y}")]);
        assert_eq!(found(b"{x,y*"), [at("{x,y}")]);
        for literal in [&b"p\\[1\\]"[..], b"p[[]1]", b"p[1]"] {
            assert_eq!(found(literal), [at("p[1]")], "{}", literal.escape_ascii());
        }
        assert_eq!(found("?".as_bytes()), [at("ä")], "a character");
        assert_eq!(found(b"r?w"), std::slice::from_ref(&raw), "and a byte that is none");
        assert_eq!(found(b"r\xff*"), [raw]);
        assert_eq!(found(b"a?/**/deep"), [at("a1/deep"), at("a2/deep")]);
        assert!(expand("a[".as_ref()).is_err());
    }

    #[test]
    fn a_repository_inside_the_source_is_named_exactly() {
        let inside = |folder: &str, path: &str| super::inside(Path::new(folder), &[PathBuf::from(path)]);
        assert_eq!(inside("/nowhere/re[po]", "/nowhere"), Some("/nowhere/re\\[po\\]".into()));
        assert_eq!(inside("/nowhere/a", "/nowhere/ab"), None);
    }
}
