//! Every line that `--json` prints is described in `docs/json.md`, and what is described there is printed.

mod document;
mod scenes;

use document::Document;
use scenes::Record;
use serde_json::Value;
use serde_json::json;

/// Every verb, and most ways in which one fails.
fn everything() -> Vec<(String, Value)> {
    let mut record = Record::default();
    scenes::backups(&mut record);
    scenes::looks(&mut record);
    scenes::changes(&mut record);
    scenes::copies(&mut record);
    scenes::keys(&mut record);
    scenes::damage(&mut record);
    scenes::failures(&mut record);
    scenes::signals(&mut record);
    record.messages
}

#[test]
fn every_line_of_every_verb_is_described_and_every_described_field_is_printed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let findings: Vec<String> = Document::parse(&text).findings(&everything()).into_iter().collect();
    assert!(findings.is_empty(), "{} finding(s)\n{}\n", findings.len(), findings.join("\n"));
}

/// A small document that describes `MESSAGES`.
const SMALL: &str = "
### ls: node

| field | type | present | meaning |
|---|---|---|---|
| all of `{node}` | | | |

### object: node

| field | type | present | meaning |
|---|---|---|---|
| `size` | `bytes` | always | |
| `name` | `text?` | sometimes | x |

### find: array

`[{node}]`
";

fn small() -> Vec<(String, Value)> {
    let node = json!({ "message_type": "node", "version": 1, "size": 5, "name": null });
    vec![("ls".to_owned(), node), ("find".to_owned(), json!([{ "size": 1, "name": "x" }]))]
}

#[test]
fn a_document_that_says_something_else_than_the_program_is_found() {
    let findings = |text: &str, messages: &[(String, Value)]| Document::parse(text).findings(messages);
    assert!(findings(SMALL, &small()).is_empty(), "{:?}", findings(SMALL, &small()));
    for (from, to) in [
        ("`bytes` | always", "`text` | always"),
        ("| `name` | `text?` | sometimes | x |\n", ""),
        ("`text?`", "`text`"),
        ("| sometimes |", "| often |"),
        ("| `name` |", "| `name` | `text?` | sometimes | |\n| `more` |"),
        ("### object: node", "### object: nodes"),
        ("### find: array", "### find: list"),
        ("### ls: node", "### ls node"),
    ] {
        assert!(SMALL.contains(from), "{from}");
        assert!(!findings(&SMALL.replacen(from, to, 1), &small()).is_empty(), "{from:?} as {to:?} is not found");
    }
    let more = "\n### ls: other\n\n| f | t | p | m |\n|---|---|---|---|\n| `size` | `text` | rarely | |\n";
    assert!(!findings(&format!("{SMALL}{more}"), &small()).is_empty(), "one name of two types");
    let mut messages = small();
    messages.push(("ls".to_owned(), json!({ "message_type": "node", "version": 1 })));
    assert!(!findings(SMALL, &messages).is_empty(), "a field that is always there is missing");
}
