//! Text from outside, made harmless: names, tags, arguments and messages of others show what they are and do nothing else.
//!
//! Every printer of this room passes what it prints through one of these functions. What must not reach a terminal as it is
//! stands in one place, `is_tricky`.

use serde_json::Value;
use std::borrow::Cow;

/// Raw bytes on one line: what commands the terminal, turns the direction of text or cannot be seen is escaped.
pub fn lossy(raw: &[u8]) -> String {
    escaped(String::from_utf8_lossy(raw), is_tricky, |c| c.escape_default().to_string())
}

/// The same for a text of several lines, whose line ends stay.
pub fn lines(text: &str) -> String {
    escaped(text.into(), |c| c != '\n' && is_tricky(c), |c| c.escape_default().to_string())
}

/// A JSON value on one line, which says the same to whoever parses it.
pub fn json(value: &Value) -> String {
    in_json(&value.to_string())
}

/// JSON text with the same characters escaped as JSON escapes them: outside strings it has none of them but line ends.
pub fn in_json(text: &str) -> String {
    let units = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    escaped(text.into(), |c| c != '\n' && is_tricky(c), units)
}

fn escaped(text: Cow<'_, str>, is_meant: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> String {
    if !text.chars().any(&is_meant) {
        return text.into_owned();
    }
    text.chars().map(|c| if is_meant(c) { escape(c) } else { c.to_string() }).collect()
}

/// What a terminal obeys, what turns the direction of text, and what takes no room: two names that look the same differ.
fn is_tricky(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TRICKY: &str =
        "\u{61c}\u{200b}\u{200f}\u{2028}\u{2029}\u{202e}\u{2066}\u{ad}\u{feff}\u{e0041}\u{7f}\u{9b}\x1b";

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(lossy(b"a\x1b[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(lossy(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn what_turns_text_or_cannot_be_seen_is_spelled_out() {
        let shown = lossy(TRICKY.as_bytes());
        assert!(shown.is_ascii(), "{shown}");
        for (text, plain) in [("a\u{200b}b", "a\\u{200b}b"), ("\u{e0041}", "\\u{e0041}"), ("é 日本 🙂", "é 日本 🙂")]
        {
            assert_eq!(lossy(text.as_bytes()), plain);
        }
        assert_eq!(lossy(shown.as_bytes()), shown, "what is escaped once is not escaped again");
        assert_eq!(lines("a\u{202e}\nb\n"), "a\\u{202e}\nb\n");
    }

    #[test]
    fn json_says_the_same_in_harmless_letters() {
        let value = json!({ TRICKY: [TRICKY, "é"] });
        let text = json(&value);
        assert!(text.chars().all(|c| !is_tricky(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("still JSON"), value);
        let pretty = in_json(&serde_json::to_string_pretty(&value).expect("JSON"));
        assert!(pretty.lines().count() > 1 && pretty.chars().all(|c| c == '\n' || !is_tricky(c)), "{pretty}");
    }
}
