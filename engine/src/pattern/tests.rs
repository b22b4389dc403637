//! What patterns mean, in tables.

use super::Glob;
use super::Pattern;
use super::Patterns;
use crate::error::Kind;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

fn list(patterns: &str) -> Vec<Pattern> {
    patterns.split(' ').map(|text| Pattern::from(std::ffi::OsString::from(text))).collect()
}

/// Whether an item is meant, or anything it stands in; a slash at its end makes it a folder.
fn meant(patterns: &str, path: &str) -> bool {
    let patterns = Patterns::with_reasons(&list(patterns), false).expect("valid patterns");
    let (path, is_directory) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
    let above = path.match_indices('/').filter(|(at, _)| *at > 0).map(|(at, _)| &path[..at]);
    let above = above.chain(["/"]).any(|above| patterns.matches(above.as_bytes(), true));
    above || patterns.matches(path.as_bytes(), is_directory)
}

#[test]
fn patterns_mean_what_they_mean_in_restic() {
    for (patterns, path, expected) in [
        ("foo", "/foo", true),
        ("foo", "/a/foo", true),
        ("foo", "/a/foo/b", true),
        ("foo", "/a/foobar", false),
        ("foo", "/a/xfoo", false),
        ("*.o", "/src/main.o", true),
        ("*.o", "/src/main.c", false),
        ("*.o", "/src/.o", true),
        ("*", "/a", true),
        ("?", "/a", true),
        ("?", "/ab", false),
        ("[ab].c", "/x/a.c", true),
        ("[^ab].c", "/x/a.c", false),
        ("[^ab].c", "/x/c.c", true),
        ("[a-c]x", "/bx", true),
        ("foo/bar", "/a/foo/bar", true),
        ("foo/bar", "/foo/bar", true),
        ("foo/bar", "/foo/x/bar", false),
        ("foo/bar", "/foo/bar/baz", true),
        ("foo/*.c", "/foo/a.c", true),
        ("foo/*.c", "/foo/x/a.c", false),
        ("/foo", "/foo", true),
        ("/foo", "/a/foo", false),
        ("/foo/*/x", "/foo/a/x", true),
        ("/foo/*/x", "/foo/a/b/x", false),
        ("/foo/**/x", "/foo/a/b/x", true),
        ("/foo/**/x", "/foo/x", true),
        ("/foo/**/x", "/bar/foo/x", false),
        ("/a/**/b/**/c", "/a/x/b/y/z/c", true),
        ("/a/**/b/**/c", "/a/x/y/z/c", false),
        ("a/**/b/c/**/b/d", "/x/a/b/c/b/c/b/d", true),
        ("foo/**/bar", "/a/foo/b/c/bar", true),
        ("**/foo", "/a/b/foo", true),
        ("**/foo", "/foo", true),
        ("foo/**", "/a/foo/b", true),
        ("foo/**", "/a/foo", true),
        ("foo/**", "/a/fo/b", false),
        ("**", "/a", true),
        ("/", "/a/b", true),
        ("foo/", "/a/foo/", true),
        ("foo/", "/a/foo", false),
        ("foo/", "/a/foo/b", true),
        ("/a/foo/", "/a/foo", false),
        ("/a/foo/", "/a/foo/", true),
        ("*.c !main.c", "/x/main.c", false),
        ("*.c !main.c", "/x/other.c", true),
        ("!main.c *.c", "/x/main.c", true),
        ("/data/* !/data/keep", "/data/keep/x", false),
        ("/data/* !/data/keep", "/data/drop/x", true),
        ("data !data/keep", "/data/keep", true),
        ("*.c !main.c main.c", "/main.c", true),
        ("/x/a !a", "/x/a", false),
        ("a\\*", "/a*", true),
        ("a\\*", "/ab", false),
        (".git", "/x/.git/config", true),
        ("./foo", "/x/foo", true),
        ("Foo", "/foo", false),
    ] {
        assert_eq!(meant(patterns, path), expected, "{patterns:?} on {path:?}");
    }
}

#[test]
fn braces_and_names_with_brackets_mean_themselves() {
    for (pattern, path, expected) in [
        ("{a,b}", "/a", false),
        ("{a,b}", "/{a,b}", true),
        ("*.{jpg,png}", "/x.jpg", false),
        ("{*}", "/{2b0f}", true),
        ("photo[1].jpg", "/photo1.jpg", true),
        ("photo[1].jpg", "/photo[1].jpg", false),
        ("photo\\[1\\].jpg", "/photo[1].jpg", true),
        ("photo[[]1].jpg", "/photo[1].jpg", true),
        ("photo[[]1[]].jpg", "/photo[1].jpg", true),
        ("[]x]", "/]", true),
        ("[!]x]", "/]", false),
        ("[!]x]", "/y", true),
        ("[a-]", "/-", true),
        ("[\\]]", "/]", true),
        ("[a\\-c]", "/b", false),
        ("\\!x", "/!x", true),
        ("[!x]", "/x", false),
        ("a*b*c", "/a-b-bb-c", true),
        ("a*b*c", "/a-b-bb-d", false),
        ("ab*ba", "/aba", false),
    ] {
        assert_eq!(meant(pattern, path), expected, "{pattern:?} on {path:?}");
    }
}

#[test]
fn characters_are_matched_and_not_their_bytes() {
    let fits = |pattern: &[u8], any_case: bool, name: &[u8]| {
        Glob::parse(OsStr::from_bytes(pattern), any_case).expect("a pattern").matches(name, false)
    };
    for (pattern, name, expected) in [
        ("?".as_bytes(), "ä".as_bytes(), true),
        (b"??", "ä".as_bytes(), false),
        (b"?", "\u{1f600}".as_bytes(), true),
        // Composed and decomposed they are different names.
        (b"??", "a\u{308}".as_bytes(), true),
        ("ä".as_bytes(), "a\u{308}".as_bytes(), false),
        ("[à-ü]".as_bytes(), "ö".as_bytes(), true),
        ("[à-ü]x".as_bytes(), b"\xc3x", false),
        ("[!x]".as_bytes(), "€".as_bytes(), true),
        ("[!€]".as_bytes(), "€".as_bytes(), false),
        ("[!€]".as_bytes(), "ä".as_bytes(), true),
        // What is no character is matched byte by byte.
        (b"?", b"\xff", true),
        (b"??", b"\xff\xfe", true),
        (b"?", b"\xc3", true),
        (b"[!a]", b"\xe4", true),
        (b"\xff*", b"\xffname", true),
        (b"*\xa4", "ä".as_bytes(), false),
        (b"*\xa4", b"x\xa4", true),
        (b"*.tmp", b"\xff\xfe.tmp", true),
        (b"[\xe0-\xff]", b"\xe4", true),
        (b"r\xe4t", b"r\xe4t", true),
        (b"r\xe4t", b"r\xe5t", false),
    ] {
        assert_eq!(fits(pattern, false, name), expected, "{} on {}", pattern.escape_ascii(), name.escape_ascii());
    }
    for (pattern, name, expected) in [
        ("Ä", "ä", true),
        ("*.ÄÖ", "x.äö", true),
        ("ΣΑΣ", "σας", true),
        ("[Α-Ω]", "σ", true),
        ("[ä]", "Ä", true),
        ("[!ä]", "Ä", false),
        ("k", "\u{212a}", true),
        ("*.JPG", "a.jpg", true),
        ("i", "ı", false),
        ("ß", "ẞ", true),
        ("a", "b", false),
    ] {
        assert_eq!(fits(pattern.as_bytes(), true, name.as_bytes()), expected, "{pattern} on {name}");
        assert!(pattern == name || !fits(pattern.as_bytes(), false, name.as_bytes()) || pattern.contains('['));
    }
    assert!(fits(b"A\xffB", true, b"a\xffb") && !fits(b"A\xffB", true, b"a\xdfb"));
}

#[test]
fn the_pattern_that_decides_is_named() {
    let said = |text: &str| Pattern::because(text.into(), format!("because of {text}"));
    let patterns = [said("*.o"), said("*.tmp"), said("!kept.tmp"), said("/a/*.o"), said("y.o"), said("/x/z.o")];
    let patterns = Patterns::with_reasons(&patterns, false).expect("valid patterns");
    for (path, reason) in [
        ("/x/w.o", Some("because of *.o")),
        ("/a/w.o", Some("because of /a/*.o")),
        ("/a/y.o", Some("because of y.o")),
        ("/x/z.o", Some("because of /x/z.o")),
        ("x/z.o", Some("because of /x/z.o")),
        ("/x/y.tmp", Some("because of *.tmp")),
        ("/x/kept.tmp", None),
    ] {
        assert_eq!(patterns.why(path.as_bytes(), false), reason, "{path}");
    }
    assert_eq!(list("*.o")[0].reason, "by the pattern '*.o'");
}

#[test]
fn a_list_may_take_no_account_of_case() {
    let patterns = Patterns::with_reasons(&list("*.JPG Foo/bar Ännchen /A/B"), true).expect("valid");
    for path in ["/x/a.jpg", "/x/FOO/Bar", "/x/äNNCHEN", "/a/b"] {
        assert!(patterns.matches(path.as_bytes(), false), "{path}");
    }
    assert!(!patterns.matches(b"/x/a.png", false));
}

#[test]
fn a_pattern_that_makes_no_sense_is_named() {
    for (pattern, why) in [
        ("[a", "not closed"),
        ("x/[a/b]", "not closed"),
        ("[]", "not closed"),
        ("a\\", "backslash"),
        ("[z-a]", "wrong way round"),
        ("", "names nothing"),
        ("!", "names nothing"),
        ("!.", "names nothing"),
    ] {
        let error = Patterns::parse(&[pattern.into()], false).expect_err("no sense");
        assert_eq!(error.kind(), Kind::Invalid);
        let text = error.in_one_line();
        assert!(text.contains(&format!("'{pattern}'")) && text.contains(why), "{text}");
    }
}
