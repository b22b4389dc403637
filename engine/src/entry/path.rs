//! An entry's place below a snapshot's root: raw bytes, parsed once, ordered as a walk goes.

use crate::limits::PATH_BYTES_MAX;
use std::cmp::Ordering;
use std::fmt;

/// A relative path of raw bytes: components joined by `/`, none of them empty, `.` or `..`, no NUL.
/// Its order is component-wise, so that a directory is followed by what is in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EntryPath(Box<[u8]>);

/// Why bytes are not an entry path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing at all.
    #[error("the path is empty")]
    Empty,
    /// Longer than the format allows.
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// A component is empty, `.` or `..`.
    #[error("the path has an empty, '.' or '..' component")]
    Component,
    /// A NUL byte.
    #[error("the path has a NUL byte")]
    Nul,
}

impl EntryPath {
    /// Parses raw bytes such as `home/ann/notes.txt`.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        if bytes.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
            return Err(PathError::Component);
        }
        Ok(Self(bytes.into()))
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// The last component.
    pub fn name(&self) -> &[u8] {
        self.components().next_back().unwrap_or_default()
    }

    /// The directory above; `None` at the top.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        self.0.get(..slash).map(|bytes| Self(bytes.into()))
    }

    /// This path with one more component.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self::parse(&bytes)
    }

    /// True when this path is `ancestor` or stands below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        match self.0.strip_prefix(ancestor.as_bytes()) {
            Some(rest) => rest.is_empty() || rest.first() == Some(&b'/'),
            None => false,
        }
    }
}

impl Ord for EntryPath {
    /// Component-wise: `/` sorts before every other byte, so a directory's children follow it at once.
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |byte: &u8| if *byte == b'/' { 0u16 } else { u16::from(*byte) + 1 };
        let common = self.0.iter().zip(other.0.iter()).position(|(a, b)| a != b);
        match common {
            Some(at) => self.0.get(at).map(rank).cmp(&other.0.get(at).map(rank)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for EntryPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for EntryPath {
    /// For people: bytes that are not UTF-8 become the replacement character.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryPath({})", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).expect("a valid path")
    }

    #[test]
    fn a_directory_is_followed_by_its_children() {
        let mut paths = ["a-b", "a/b", "a", "a/b/c", "a!", "b"].map(path);
        paths.sort();
        assert_eq!(paths.map(|path| path.to_string()), ["a", "a/b", "a/b/c", "a!", "a-b", "b"]);
    }

    #[test]
    fn paths_that_could_escape_are_refused() {
        for (text, why) in [
            ("", PathError::Empty),
            ("/a", PathError::Component),
            ("a/", PathError::Component),
            ("a//b", PathError::Component),
            ("a/../b", PathError::Component),
            (".", PathError::Component),
            ("a\0b", PathError::Nul),
        ] {
            assert_eq!(EntryPath::parse(text.as_bytes()), Err(why), "{text:?}");
        }
        assert_eq!(EntryPath::parse(&vec![b'a'; PATH_BYTES_MAX + 1]), Err(PathError::TooLong));
    }

    #[test]
    fn within_means_whole_components() {
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(!path("ab").is_within(&path("a")));
    }
}
