//! Proof that a document which says something wrong is found.

use super::findings;
use super::program::Program;
use super::tables::Document;

/// The document with one passage replaced, which must be there.
fn altered(from: &str, to: &str) -> Document {
    let text = Document::load().text;
    assert!(text.contains(from), "{from:?} is not in the document");
    Document { text: text.replacen(from, to, 1) }
}

#[test]
fn whatever_the_document_says_wrong_is_found() {
    let program = Program::load();
    for (from, to) in [
        // A size, an offset, and both so that they add up but make another head.
        ("| 12 | 4 | T: bytes", "| 12 | 5 | T: bytes"),
        ("| 42 | 24 | nonce, random |", "| 43 | 24 | nonce, random |"),
        ("| 32 | 24 | nonce of the table, random |", "| 32 | 12 | nonce of the table, random |"),
        ("| 124 + n | 4 | length", "| 124 | 4 | length"),
        ("| 120 | 4 + n | label", "| 120 | 2 + n | label"),
        ("| 44 | 4 | length, 1 byte to 2 MiB |\n", ""),
        ("| 1 | 32 | key |", "| 1 | 16 | key |"),
        // Magics, types, fields, bits.
        ("`SRMPACK` and", "`SRMPAKK` and"),
        ("`SRM`, 2 |", "`SRM`, 3 |"),
        ("6 mark", "8 mark"),
        ("1 XChaCha20-Poly1305, 2 AES-256-GCM", "2 XChaCha20-Poly1305, 1 AES-256-GCM"),
        ("3 entries inner", "3 inner"),
        ("| 18 | exclude rules, `list of text` | yes |\n", ""),
        ("| 13 | 8 | device number;", "| 12 | 8 | device number;"),
        // Contexts and limits.
        ("strongroom 2026 index object", "strongroom 2027 index object"),
        ("| `gear table of the chunker` |", "| `gear table` |"),
        ("small object 16 MiB", "small object 8 MiB"),
        ("index object 256 MiB", "index object 64 MiB"),
        // A section that moved away.
        ("### Pack trailer", "### The end"),
    ] {
        let found = findings(&altered(from, to), &program);
        assert!(!found.is_empty(), "{from:?} as {to:?} is not found");
    }
}
