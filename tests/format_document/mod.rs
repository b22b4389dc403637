//! The format document against the program: offsets that add up, sizes, magics, contexts, type bytes, tags and limits.
//!
//! A finding says what is wrong in words; no finding means that document and program agree wherever both can be read by
//! machine. `teeth` alters the document and wants a finding each time.

mod program;
mod tables;
mod teeth;

use program::Program;
use tables::Document;

/// Heading of a table of offsets; file and constant (or the text just before the number) that hold its length.
const LENGTHS: &[(&str, &str, &str)] = &[
    ("Envelope", "format/envelope.rs", "const HEAD_BYTES: usize = "),
    ("Key slots", "format/keyslot.rs", "const CLEAR_BYTES_MIN: usize = "),
    ("Config", "format/config.rs", "const PUBLIC_BYTES_MIN: usize = "),
    ("Data keys", "crypto/seal.rs", "it is not "),
    ("Segments", "crypto/seal.rs", "const AAD_BYTES: usize = "),
    ("Pack head", "format/pack.rs", "const HEAD_BYTES: usize = "),
    ("Sealed table", "format/pack.rs", "const TABLE_FRAME_BYTES: usize = "),
    ("Pack trailer", "format/pack.rs", "const TRAILER_BYTES: usize = "),
    ("Index head", "format/index_parts.rs", "const HEAD_BYTES: usize = "),
    ("Index part", "format/index_parts.rs", "const PART_HEAD_BYTES: usize = "),
    ("Chunk record", "format/index.rs", "const RECORD_BYTES: usize = "),
    ("Catalog page", "format/page.rs", "const HEAD_BYTES: usize = "),
];

/// File with `Self::Name => number` arms, and the section that names each as `number name`.
const TYPES: &[(&str, &str)] = &[
    ("format/envelope.rs", "Envelope"),
    ("format/keyslot.rs", "Key slots"),
    ("class.rs", "Pack head"),
    ("class.rs", "Segments"),
    ("crypto/seal.rs", "Data keys"),
    ("format/page.rs", "Catalog page"),
];

/// Names that the document spells otherwise than the program.
const ALIASES: &[(&str, &str)] = &[
    ("slot", "reserved for key slots"),
    ("recovery", "recovery code"),
    ("x cha cha20 poly1305", "XChaCha20-Poly1305"),
    ("aes256 gcm", "AES-256-GCM"),
];

/// File that writes fields, and the section with their table.
const FIELDS: &[(&str, &str)] = &[
    ("format/config.rs", "Config"),
    ("format/keyslot.rs", "Key slots"),
    ("format/keylist.rs", "Lists of key slots"),
    ("format/snapshot.rs", "Snapshot record"),
    ("format/gc.rs", "Marks and tombs"),
];

/// Limit of the engine, and what the list of limits calls it.
const LIMITS: &[(&str, &str)] = &[
    ("SMALL_OBJECT_BYTES_MAX", "small object"),
    ("SEGMENT_BYTES_MAX", "segment plaintext"),
    ("CHUNK_BYTES_MAX", "chunk"),
    ("PACK_BYTES_MAX", "pack"),
    ("PACK_TABLE_BYTES_MAX", "pack table"),
    ("INDEX_BYTES_MAX", "index object"),
    ("INDEX_PART_BYTES", "index part"),
    ("PAGE_BYTES_MAX", "catalog page"),
    ("SNAPSHOT_METADATA_BYTES_MAX", "key-values of a snapshot (its field 21)"),
];

/// What most derivation contexts begin with; the table of purposes gives only the rest.
const PREFIX: &str = "strongroom format 1: ";

/// Everything in which document and program differ.
fn findings(document: &Document, program: &Program) -> Vec<String> {
    let mut findings = document.offsets_that_do_not_add_up();
    findings.extend(LENGTHS.iter().filter_map(|(section, file, before)| {
        let (written, built) = (document.length(section), program.number(file, before));
        (written != built || written.is_none())
            .then(|| format!("{section} has {written:?} bytes in the document, {built:?} in {file}"))
    }));
    for (file, section) in TYPES {
        let text = document.section(section);
        for (name, number) in program.types(file) {
            let name =
                ALIASES.iter().find(|(built, _)| *built == name).map_or(name, |(_, written)| (*written).to_owned());
            if !tables::names(text, number, &name) {
                findings.push(format!("{section} does not say `{number} {name}`"));
            }
        }
    }
    for (file, section) in FIELDS {
        let (written, built) = (document.tags(section), program.tags(file));
        if written != built || built.is_empty() {
            findings.push(format!("{section} lists the fields {written:?}, {file} writes {built:?}"));
        }
    }
    let (written, built) = (document.bits("Entry"), program.bits());
    if written != built || built.is_empty() {
        findings.push(format!("the entry has the bits {written:?}; the program knows {built:?}"));
    }
    for magic in program.magics() {
        if !document.has_magic(&magic) {
            findings.push(format!("the magic {magic:?} is not in the document"));
        }
    }
    for context in program.contexts() {
        let purpose = context.strip_prefix(PREFIX).map(|purpose| format!("| `{purpose}` |"));
        if !document.text.contains(&format!("\"{context}\""))
            && !purpose.is_some_and(|purpose| document.text.contains(&purpose))
        {
            findings.push(format!("the context {context:?} is not in the document"));
        }
    }
    for (limit, name) in LIMITS {
        let built = program.number("limits.rs", &format!("const {limit}: usize = ")).unwrap_or(1);
        if !document.limits().contains(&format!("{name} {built} MiB")) {
            findings.push(format!("the limits do not say `{name} {built} MiB`"));
        }
    }
    findings
}

#[test]
fn the_format_document_describes_what_the_program_does() {
    let findings = findings(&Document::load(), &Program::load());
    assert!(findings.is_empty(), "{} finding(s)\n{}\n", findings.len(), findings.join("\n"));
}
