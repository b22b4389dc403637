//! What a path means to the kernel where its text says something else: `..` behind a link, and a slash after one.

use super::place;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// The same place, in words whose text says what the kernel finds. A path that means what it says comes back as it is,
/// and so does one that leads nowhere.
pub(super) fn meant(path: &Path, current: Option<&Path>) -> PathBuf {
    followed(path, current).unwrap_or_else(|| path.to_owned())
}

fn followed(path: &Path, current: Option<&Path>) -> Option<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let asks_folder = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    let length = if asks_folder { bytes.len() } else { after_last_up(bytes)? };
    let (head, rest) = bytes.split_at_checked(length)?;
    let head = match path.is_absolute() {
        true => Path::new(OsStr::from_bytes(head)).to_owned(),
        false => current?.join(OsStr::from_bytes(head)),
    };
    let real = fs::canonicalize(&head).ok()?;
    let text = place::written(&head);
    let is_link = asks_folder && fs::symlink_metadata(&text).is_ok_and(|found| found.is_symlink());
    if !is_link && fs::canonicalize(&text).is_ok_and(|same| same == real) {
        return None;
    }
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    let whole = if rest.is_empty() { real } else { real.join(OsStr::from_bytes(rest)) };
    if path.is_absolute() {
        return Some(whole);
    }
    // It stays relative where it can: that decides where it stands in the snapshot.
    let below = current.and_then(|current| fs::canonicalize(current).ok());
    match below.and_then(|current| whole.strip_prefix(current).map(Path::to_owned).ok()) {
        Some(below) if below.as_os_str().is_empty() => Some(PathBuf::from(".")),
        Some(below) => Some(below),
        None => Some(whole),
    }
}

/// Where the last `..` of a path ends.
fn after_last_up(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    let mut found = None;
    for part in bytes.split(|byte| *byte == b'/') {
        end += part.len();
        if part == b".." {
            found = Some(end);
        }
        end += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_means_what_the_kernel_takes_it_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().canonicalize().expect("it is there");
        for name in ["top", "real/deep", "plain/sub", "else/where"] {
            fs::create_dir_all(home.join(name)).expect("folders");
        }
        symlink(home.join("real/deep"), home.join("top/link")).expect("a link");
        symlink(home.join("top"), home.join("way")).expect("a link");
        fs::write(home.join("plain/file"), "x").expect("a file");
        symlink("file", home.join("plain/name")).expect("a link");
        let whole = |path: &str| home.join(path).to_str().expect("UTF-8").to_owned();
        for (path, expected) in [
            ("top/link/../f", "real/f"),
            ("top/link/..", "real"),
            ("top/link/../../plain/sub/../f", "top/link/../../plain/sub/../f"),
            ("top/link/../deep/../f", "real/f"),
            ("top/link/", "real/deep"),
            ("top/link/.", "real/deep"),
            ("top/link", "top/link"),
            ("top/link/x", "top/link/x"),
            ("plain/sub/../f", "plain/sub/../f"),
            ("plain/sub/", "plain/sub/"),
            ("way/link/", "real/deep"),
            // The same folder by another name: nothing is wrong with the words given.
            ("way/../plain", "way/../plain"),
            ("plain/name/", "plain/name/"),
            ("missing/../f", "missing/../f"),
            (".", "."),
            ("./", "./"),
        ] {
            assert_eq!(meant(Path::new(path), Some(&home)), Path::new(expected), "{path}");
            let (absolute, expected) = (whole(path), whole(expected));
            assert_eq!(meant(Path::new(&absolute), None), Path::new(&expected), "{absolute}");
        }
        let inner = home.join("else");
        symlink(home.join("real"), inner.join("out")).expect("a link");
        assert_eq!(meant(Path::new("out/../f"), Some(&inner)), home.join("f"));
        symlink(&inner, inner.join("self")).expect("a link");
        assert_eq!(meant(Path::new("self/"), Some(&inner)), Path::new("."));
    }
}
