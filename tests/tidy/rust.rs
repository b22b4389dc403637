//! Rust text as the rules need it: comments and literals blanked, functions and test code located.

use std::ops::Range;

/// One Rust file.
pub struct Rust {
    /// Path below the project's top, with `/`.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// The same, byte for byte in place, but with comments and the insides of literals blanked.
    pub code: String,
    /// Byte ranges that are compiled for tests only.
    tests: Vec<Range<usize>>,
}

/// One function with a body.
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`.
    pub line: usize,
    /// Lines from there to its closing brace, both counted.
    pub lines: usize,
}

impl Rust {
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let tests = test_items(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, tests }
    }

    /// Declares the whole file to be test code.
    pub fn make_test(&mut self) {
        self.tests = std::iter::once(0..self.code.len() + 1).collect();
    }

    /// True when the byte at `offset` is compiled for tests only.
    pub fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&offset))
    }

    /// The line (from 1) of a byte.
    pub fn line(&self, offset: usize) -> usize {
        1 + self.code.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count()
    }

    /// A finding at a byte of this file.
    pub fn finding(&self, offset: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.path, self.line(offset))
    }

    /// Offsets of a word in the code, whole words only.
    pub fn find(&self, word: &str) -> Vec<usize> {
        find_word(&self.code, word)
    }

    /// Modules declared as `#[cfg(test)] mod name;`, whose files are test code: `name`, or the file that a
    /// `#[path = "file.rs"]` between the two names.
    pub fn test_modules(&self) -> Vec<String> {
        let declared = self.tests.iter().filter_map(|range| {
            let (_, name) = self.code.get(range.clone())?.trim_end().strip_suffix(';')?.rsplit_once("mod ")?;
            let other =
                self.text.get(range.clone())?.split_once("#[path = \"").and_then(|(_, rest)| rest.split('"').next());
            Some(other.unwrap_or(name).trim().to_owned())
        });
        declared.collect()
    }

    /// Every function with a body.
    pub fn functions(&self) -> Vec<Function> {
        self.find("fn").into_iter().filter_map(|at| self.function(at)).collect()
    }

    fn function(&self, at: usize) -> Option<Function> {
        let head = self.code[at + 2..].trim_start();
        let name: String = head.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = item_end(&self.code, at);
        if name.is_empty() || self.code.as_bytes().get(end) != Some(&b'}') {
            return None;
        }
        Some(Function { name, line: self.line(at), lines: self.line(end) - self.line(at) + 1 })
    }
}

/// Offsets of `word` in `code` where it is no part of a longer word.
pub fn find_word(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let starts = code.match_indices(word).map(|(at, _)| at);
    let whole = starts.filter(|at| {
        let open = !word.starts_with(is_ident) || *at == 0 || !is_ident(char::from(bytes[*at - 1]));
        let close = !word.ends_with(is_ident) || !bytes.get(at + word.len()).is_some_and(|b| is_ident(char::from(*b)));
        open && close
    });
    whole.collect()
}

/// True for characters of identifiers.
pub fn is_ident(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// Where the item that starts at `from` ends: its closing brace, or the semicolon of one without a body.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if byte == b'}' && depth == 0 {
                    return at;
                }
            }
            b';' if depth == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

fn test_items(code: &str) -> Vec<Range<usize>> {
    let marks = code.match_indices("#[cfg(test)]").map(|(at, mark)| (at, at + mark.len()));
    marks.map(|(at, after)| at..item_end(code, after) + 1).collect()
}

/// Blanks comments and the insides of string and character literals; lengths and lines stay.
pub fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        match opaque(bytes, at) {
            Some((inside, next)) => {
                code[inside].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
                at = next;
            }
            None => at += 1,
        }
    }
    String::from_utf8(code).expect("whole characters were replaced by spaces")
}

/// The opaque stretch that begins at `at`, if one does, and where the code goes on.
fn opaque(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let end = at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        return Some((at..end, end));
    }
    if rest.starts_with(b"/*") {
        let end = block_comment_end(bytes, at);
        return Some((at..end, end));
    }
    match bytes[at] {
        b'"' => {
            let close = closing_quote(bytes, at + 1, b'"');
            Some((at + 1..close, close + 1))
        }
        b'r' => raw_string(bytes, at),
        b'\'' => character(bytes, at),
        _ => None,
    }
}

/// Block comments nest.
fn block_comment_end(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0usize, from);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn closing_quote(bytes: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// `r"..."` and `r#"..."#`, also behind `b` or `c`; a raw identifier (`r#type`) is code.
fn raw_string(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let ident = |back: usize| at >= back && is_ident(char::from(bytes[at - back]));
    let prefixed = at >= 1 && matches!(bytes[at - 1], b'b' | b'c') && !ident(2);
    if ident(1) && !prefixed {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let inside = &bytes[open + 1..];
    let length = inside.windows(close.len()).position(|window| window == close).unwrap_or(inside.len());
    Some((open + 1..open + 1 + length, (open + 1 + length + close.len()).min(bytes.len())))
}

/// A character literal; a lifetime is code.
fn character(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let first = *bytes.get(at + 1)?;
    let close = if first == b'\\' {
        closing_quote(bytes, at + 1, b'\'')
    } else {
        let width = match first {
            0xf0.. => 4,
            0xe0.. => 3,
            0xc0.. => 2,
            _ => 1,
        };
        at + 1 + width
    };
    (bytes.get(close) == Some(&b'\'')).then_some((at + 1..close, close + 1))
}
