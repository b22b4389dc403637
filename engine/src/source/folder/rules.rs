//! What is left out on purpose: patterns, marker files, `.gitignore` files, size.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::pattern::Patterns;
use ignore::gitignore::Gitignore;
use ignore::gitignore::GitignoreBuilder;
use rustix::fs::OFlags;
use std::ffi::CString;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The file that marks a cache, and how it must begin (<https://bford.info/cachedir/>).
pub(super) const CACHE_MARKER: &str = "CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55";
/// Longest `.gitignore` file that is honoured, in bytes.
const GITIGNORE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Everything that decides what is left out.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) exclude: Patterns,
    pub(super) iexclude: Patterns,
    pub(super) markers: Vec<Marker>,
    pub(super) gitignore: bool,
    pub(super) larger_than: Option<u64>,
    pub(super) one_file_system: bool,
}

/// A file whose presence excludes everything beside it.
#[derive(Debug)]
pub(super) struct Marker {
    name: CString,
    header: Vec<u8>,
}

impl Marker {
    /// Parses `NAME` or `NAME:HEADER`.
    pub(super) fn parse(text: &OsStr) -> Result<Self> {
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len());
        let (name, header) = (bytes.get(..colon).unwrap_or(bytes), bytes.get(colon + 1..).unwrap_or_default());
        let invalid = || Error::new(Kind::Invalid, format!("cannot understand the marker file {text:?}"));
        if name.is_empty() || name.contains(&b'/') {
            return Err(invalid().because("it must be NAME or NAME:HEADER, the name without a slash"));
        }
        let name = CString::new(name).map_err(|why| invalid().because(why))?;
        Ok(Self { name, header: header.to_vec() })
    }

    pub(super) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    /// Whether the file of that name in `directory` begins as it must.
    pub(super) fn is_genuine(&self, directory: BorrowedFd<'_>) -> bool {
        if self.header.is_empty() {
            return true;
        }
        read_small(directory, &self.name, self.header.len()).is_some_and(|begin| begin == self.header)
    }
}

impl Rules {
    /// Why a pattern excludes the absolute path, if one does; its ancestors are not considered.
    pub(super) fn why_excluded(&self, real: &[u8], is_directory: bool) -> Option<&str> {
        self.exclude.why(real, is_directory).or_else(|| self.iexclude.why(real, is_directory))
    }

    /// Why a file of `size` bytes is left out, if it is too large.
    pub(super) fn too_large(&self, size: u64) -> Option<String> {
        self.larger_than.filter(|limit| size > *limit).map(|limit| format!("larger than {}", in_words(limit)))
    }
}

/// The `.gitignore` file of a directory, and the lines in it that make no sense.
pub(super) fn gitignore(directory: BorrowedFd<'_>) -> (Option<Box<Gitignore>>, Vec<String>) {
    let Some(bytes) = read_small(directory, c".gitignore", GITIGNORE_BYTES_MAX) else {
        return (None, vec!["cannot be read, so it excludes nothing".to_string()]);
    };
    let mut builder = GitignoreBuilder::new("");
    let mut problems = Vec::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        if let Err(why) = builder.add_line(None, line) {
            problems.push(format!("{line:?} is ignored: {why}"));
        }
    }
    match builder.build() {
        Ok(built) if built.is_empty() => (None, problems),
        Ok(built) => (Some(Box::new(built)), problems),
        Err(why) => {
            problems.push(format!("excludes nothing: {why}"));
            (None, problems)
        }
    }
}

/// What a `.gitignore` says of `path`, relative to its directory; `None` when it says nothing.
pub(super) fn is_ignored(gitignore: &Gitignore, path: &[u8], is_directory: bool) -> Option<bool> {
    let matched = gitignore.matched(Path::new(OsStr::from_bytes(path)), is_directory);
    if matched.is_none() { None } else { Some(matched.is_ignore()) }
}

/// The line of a `.gitignore` that decides about `path`, as it was written.
pub(super) fn deciding_line(gitignore: &Gitignore, path: &[u8], is_directory: bool) -> String {
    let matched = gitignore.matched(Path::new(OsStr::from_bytes(path)), is_directory);
    matched.inner().map_or_else(String::new, |glob| glob.original().to_owned())
}

/// A limit as people write it: in the largest unit that divides it.
fn in_words(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes")];
    let fits = |(size, _): &(u64, &str)| bytes > 0 && bytes.is_multiple_of(*size);
    units.into_iter().find(fits).map_or_else(|| "0 bytes".to_owned(), |(size, unit)| format!("{} {unit}", bytes / size))
}

/// The first `limit` bytes of a small file, or `None` when it cannot be read.
fn read_small(directory: BorrowedFd<'_>, name: &std::ffi::CStr, limit: usize) -> Option<Vec<u8>> {
    use std::io::Read;
    // A fifo must not block us: its open returns at once, and reading it gives nothing.
    let file = super::inspect::open_at(directory, name, OFlags::NONBLOCK).ok()?;
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(u64::try_from(limit).ok()?).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_a_name_and_maybe_a_header() {
        let marker = Marker::parse(".nobackup".as_ref()).expect("a name");
        assert_eq!((marker.name(), marker.header.as_slice()), (&b".nobackup"[..], &b""[..]));
        let marker = Marker::parse(CACHE_MARKER.as_ref()).expect("a name and a header");
        assert_eq!(marker.name(), b"CACHEDIR.TAG");
        assert!(marker.header.starts_with(b"Signature: 8a47"));
        for text in ["", ":x", "a/b", "a\0"] {
            assert!(Marker::parse(text.as_ref()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_are_told_as_people_write_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (500, "500 bytes"),
            (4096, "4 KiB"),
            (3 << 29, "1536 MiB"),
            (1 << 30, "1 GiB"),
            (u64::MAX, "18446744073709551615 bytes"),
        ] {
            assert_eq!(in_words(bytes), text);
        }
    }

    #[test]
    fn the_last_matching_line_of_a_gitignore_decides() {
        let mut builder = GitignoreBuilder::new("");
        for line in ["*.o", "!keep.o", "/top", "build/"] {
            builder.add_line(None, line).expect("a valid line");
        }
        let built = builder.build().expect("valid lines");
        for (path, is_directory, expected) in [
            ("a.o", false, Some(true)),
            ("x/y/a.o", false, Some(true)),
            ("keep.o", false, Some(false)),
            ("top", false, Some(true)),
            ("x/top", false, None),
            ("build", true, Some(true)),
            ("build", false, None),
        ] {
            assert_eq!(is_ignored(&built, path.as_bytes(), is_directory), expected, "{path}");
        }
        assert_eq!(deciding_line(&built, b"x/y/a.o", false), "*.o");
        assert_eq!(deciding_line(&built, b"build", true), "build/");
    }
}
