//! Locations: what a person writes to say where a repository is.

use crate::backend::Backend;
use crate::backend::LocalBackend;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Schemes that later releases will open; refused by name, so that nobody makes a folder called `s3:bucket`.
const LATER: [&str; 13] =
    ["s3", "b2", "sftp", "rclone", "rest", "http", "https", "gs", "azure", "swift", "ssh", "smb", "webdav"];

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A folder of this machine, taken literally: neither `~` nor variables are expanded.
    Local(PathBuf),
}

impl Location {
    /// Parses `/path`, `path`, `file:/path`, `file:///path` or `C:\path`. `Unsupported` for schemes
    /// of later releases, `Invalid` for what cannot be told from a mistake.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_os(OsStr::new(text))
    }

    /// The same of bytes: names of folders need not be text.
    pub fn parse_os(location: &OsStr) -> Result<Self> {
        // What is not text can only be part of the path, which stands last: what is before it has as many bytes here.
        let skipped = before_path(&location.to_string_lossy())?;
        let path = location.as_bytes().get(skipped..).unwrap_or_default();
        Ok(Self::Local(PathBuf::from(OsStr::from_bytes(path))))
    }

    /// The backend of this location; touches nothing yet.
    pub fn open(&self) -> Result<Arc<dyn Backend>> {
        match self {
            Self::Local(path) => Ok(Arc::new(LocalBackend::new(path.clone()))),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How many bytes stand before the path.
fn before_path(text: &str) -> Result<usize> {
    let refused = |why: String| Error::new(Kind::Invalid, format!("cannot use \"{text}\" as a location")).because(why);
    if text.is_empty() {
        return Err(refused("it is empty".into()));
    }
    if text.contains('\0') {
        return Err(refused("it holds a NUL byte".into()));
    }
    let Some((scheme, rest)) = split_scheme(text) else {
        return Ok(0);
    };
    let scheme = scheme.to_ascii_lowercase();
    if LATER.contains(&scheme.as_str()) {
        return Err(Error::new(Kind::Unsupported, format!("cannot open {scheme}: locations"))
            .because("not in this release; a local folder can be used"));
    }
    if scheme != "file" {
        return Err(refused(format!("\"{scheme}:\" is no known scheme; write \"./{text}\" for a folder of that name")));
    }
    let path = match rest.strip_prefix("//") {
        Some(after) if after.starts_with('/') => after,
        Some(_) => return Err(refused("a file: location names no host; write file:/path".into())),
        None => rest,
    };
    if path.is_empty() {
        return Err(refused("it names no folder".into()));
    }
    Ok(text.len() - path.len())
}

/// What stands before the first colon and after it, unless that colon belongs to a path or a drive.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_path = scheme.is_empty() || scheme.contains(['/', '\\']) || scheme.starts_with(['.', '~']);
    let is_drive = scheme.len() == 1 && scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
    (!is_path && !is_drive).then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(path: &str) -> Location {
        Location::Local(PathBuf::from(path))
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        for path in
            ["/srv/backup", "./x", "../x", "x", "x y", "~/x", "/a:b", "./s3:x", "C:\\x", "d:/x", "C:", ".", ":x"]
        {
            assert_eq!(Location::parse(path).unwrap(), local(path), "{path}");
        }
    }

    #[test]
    fn file_locations_are_paths() {
        assert_eq!(Location::parse("file:/srv/x").unwrap(), local("/srv/x"));
        assert_eq!(Location::parse("file:///srv/x").unwrap(), local("/srv/x"));
        assert_eq!(Location::parse("FILE:x").unwrap(), local("x"));
        assert_eq!(Location::parse("file:///srv/x").unwrap().to_string(), "/srv/x");
    }

    #[test]
    fn a_path_that_is_not_text_is_taken_byte_by_byte() {
        let raw = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
        for text in [raw(b"/srv/\xff\xfe/b"), raw(b"file:/srv/\xff\xfe/b"), raw(b"file:///srv/\xff\xfe/b")] {
            let found = Location::parse_os(text).unwrap();
            assert_eq!(found, Location::Local(PathBuf::from(raw(b"/srv/\xff\xfe/b"))), "{text:?}");
        }
        assert_eq!(Location::parse_os(raw(b"\xff:x")).unwrap_err().kind(), Kind::Invalid);
        assert_eq!(Location::parse_os(raw(b"s3:\xff")).unwrap_err().kind(), Kind::Unsupported);
    }

    #[test]
    fn schemes_of_later_releases_are_refused_by_name() {
        for text in ["s3:host/bucket", "S3:x", "b2:x", "sftp:u@h:/x", "rclone:r:x", "rest:http://h/", "https://h/x"] {
            let error = Location::parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported, "{text}");
            let scheme = text.split(':').next().unwrap().to_lowercase();
            assert!(error.to_string().contains(&scheme), "{error}");
        }
    }

    #[test]
    fn mistakes_are_refused_and_not_created_as_folders() {
        for text in ["", "fiel:/x", "user@host:/x", "file:", "file://host/x", "file://", "a\0b", "host:backup"] {
            assert_eq!(Location::parse(text).unwrap_err().kind(), Kind::Invalid, "{text}");
        }
    }
}
