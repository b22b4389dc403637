//! Files of lines: one reader for all of them, whatever they hold.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What some editors put before a text; no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A whole file, or standard input for `-`.
pub fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut all = Vec::new();
        return std::io::stdin().lock().read_to_end(&mut all).map(|_| all);
    }
    std::fs::read(file)
}

/// Lines without comments, blank lines and the white space around them.
pub fn meaningful(raw: &[u8]) -> Vec<OsString> {
    let lines = text(raw).split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).map(owned).collect()
}

/// Lines as they are, but for empty ones.
pub fn verbatim(raw: &[u8]) -> Vec<OsString> {
    parts(text(raw), b'\n')
}

/// What NULs stand between, every byte of it.
pub fn raw(raw: &[u8]) -> Vec<OsString> {
    parts(raw, b'\0')
}

/// The first line without the white space around it.
pub fn first(raw: &[u8]) -> &OsStr {
    let line = text(raw).split(|byte| *byte == b'\n').next().unwrap_or_default();
    OsStr::from_bytes(line.trim_ascii())
}

fn text(raw: &[u8]) -> &[u8] {
    raw.strip_prefix(BYTE_ORDER_MARK).unwrap_or(raw)
}

fn parts(raw: &[u8], end: u8) -> Vec<OsString> {
    raw.split(|byte| *byte == end).filter(|part| !part.is_empty()).map(owned).collect()
}

fn owned(raw: &[u8]) -> OsString {
    OsStr::from_bytes(raw).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_what_they_promise_to_keep() {
        assert_eq!(
            meaningful(b" a b \n# no\n\n*.tmp\r\n\xff"),
            ["a b".as_ref(), "*.tmp".as_ref(), OsStr::from_bytes(b"\xff")]
        );
        assert_eq!(verbatim(b"a\n# b\n\n c"), ["a", "# b", " c"]);
        assert_eq!(raw(b"a\nb\0c\0"), ["a\nb", "c"]);
        assert_eq!(first(b"  /from/file \nsecond line\n"), "/from/file");
        assert_eq!(first(b"\n/second"), "");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(meaningful(b"\xef\xbb\xbf# no\na"), ["a"]);
        assert_eq!(verbatim(b"\xef\xbb\xbf/a\n\xef\xbb\xbfb"), ["/a", "\u{feff}b"]);
        assert_eq!(first(b"\xef\xbb\xbf/srv/b\r\n"), "/srv/b");
        // Nothing that writes NULs puts one there: it is a name.
        assert_eq!(raw(b"\xef\xbb\xbfa\0"), ["\u{feff}a"]);
    }
}
