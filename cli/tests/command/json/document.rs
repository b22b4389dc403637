//! The document of all JSON messages as tables, and messages held against them.

use serde_json::Map;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// When a field is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Present {
    Always,
    Sometimes,
    Rarely,
}

struct Field {
    kind: String,
    present: Present,
}

/// One heading: fields by name, objects of which it has all fields, and for arrays what they may hold.
#[derive(Default)]
struct Section {
    heading: String,
    fields: BTreeMap<String, Field>,
    includes: Vec<String>,
    elements: Vec<String>,
}

/// The document; a section is known by verb and type, or as `object` and its name.
pub struct Document {
    sections: BTreeMap<(String, String), Section>,
    findings: Vec<String>,
}

/// Fields that were met: heading, type of the message, name.
#[derive(Default)]
struct Seen(BTreeSet<(String, String, String)>);

/// Headings that describe what `cat` shows of the inside of objects: there names have a meaning of their own.
const INSIDE: &[&str] = &["pack", "segment", "chunk", "index", "config"];

impl Document {
    pub fn parse(text: &str) -> Self {
        let mut document = Self { sections: BTreeMap::new(), findings: Vec::new() };
        for part in text.split("\n### ").skip(1) {
            let (heading, body) = part.split_once('\n').unwrap_or((part, ""));
            let Some((verbs, types)) = heading.split_once(": ") else {
                document.findings.push(format!("the heading {heading:?} is not `verbs: types`"));
                continue;
            };
            for verb in verbs.split(", ") {
                for kind in types.split(", ") {
                    let (section, findings) = section(heading, body.split("\n## ").next().unwrap_or_default());
                    document.findings.extend(findings);
                    if document.sections.insert((verb.to_owned(), kind.to_owned()), section).is_some() {
                        document.findings.push(format!("{verb}: {kind} is described twice"));
                    }
                }
            }
        }
        document
    }

    /// Everything in which the document and these messages, each with its verb, differ.
    pub fn findings(&self, messages: &[(String, Value)]) -> BTreeSet<String> {
        let mut findings: BTreeSet<String> = self.findings.iter().cloned().collect();
        findings.extend(self.names_of_two_types());
        let mut seen = Seen::default();
        for (verb, message) in messages {
            self.message(verb, message, &mut seen, &mut findings);
        }
        for ((_, kind), section) in &self.sections {
            for (name, field) in self.all_fields(section) {
                let met = (section.heading.clone(), kind.clone(), name.clone());
                if field.present != Present::Rarely && !seen.0.contains(&met) {
                    findings.insert(format!("nothing prints {}: {kind}: {name}", section.heading));
                }
            }
        }
        findings
    }

    /// Names that stand for things of different types in different places.
    fn names_of_two_types(&self) -> Vec<String> {
        let mut types: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for ((verb, kind), section) in &self.sections {
            if verb == "cat" || INSIDE.contains(&kind.as_str()) {
                continue;
            }
            for (name, field) in &section.fields {
                types.entry(name).or_default().insert(field.kind.trim_end_matches('?'));
            }
        }
        let several = types.into_iter().filter(|(_, kinds)| kinds.len() > 1);
        several.map(|(name, kinds)| format!("{name} has several types: {kinds:?}")).collect()
    }

    fn all_fields<'a>(&'a self, section: &'a Section) -> Vec<(&'a String, &'a Field)> {
        let included =
            section.includes.iter().filter_map(|name| self.sections.get(&("object".to_owned(), name.clone())));
        section.fields.iter().chain(included.flat_map(|section| &section.fields)).collect()
    }

    fn message(&self, verb: &str, message: &Value, seen: &mut Seen, findings: &mut BTreeSet<String>) {
        if let Value::Array(elements) = message {
            let Some(section) = self.sections.get(&(verb.to_owned(), "array".to_owned())) else {
                findings.insert(format!("{verb} prints an array"));
                return;
            };
            for element in elements {
                // The first that fits is meant; the last one tells what is wrong when none does.
                let mut wrong = BTreeSet::new();
                let fits = section.elements.iter().any(|name| {
                    wrong.clear();
                    let mut met = Seen::default();
                    self.object("object", name, element, &mut met, &mut wrong);
                    let fits = wrong.is_empty();
                    if fits {
                        seen.0.extend(met.0);
                    }
                    fits
                });
                if !fits {
                    findings.extend(wrong);
                }
            }
            return;
        }
        let kind = message["message_type"].as_str().unwrap_or_default();
        if message["version"] != 1 {
            findings.insert(format!("{verb}: {kind} has no version"));
        }
        let own = self.sections.contains_key(&(verb.to_owned(), kind.to_owned()));
        let mut fields = message.as_object().cloned().unwrap_or_default();
        fields.remove("message_type");
        fields.remove("version");
        self.object(if own { verb } else { "any" }, kind, &Value::Object(fields), seen, findings);
    }

    fn object(&self, verb: &str, kind: &str, value: &Value, seen: &mut Seen, findings: &mut BTreeSet<String>) {
        let Some(section) = self.sections.get(&(verb.to_owned(), kind.to_owned())) else {
            findings.insert(format!("{verb}: {kind} is not described: {value}"));
            return;
        };
        let none = Map::new();
        let object = value.as_object().unwrap_or(&none);
        let fields: BTreeMap<_, _> = self.all_fields(section).into_iter().collect();
        for (name, value) in object {
            let Some(field) = fields.get(name) else {
                findings.insert(format!("{verb}: {kind}: {name} is not described: {value}"));
                continue;
            };
            seen.0.insert((section.heading.clone(), kind.to_owned(), name.clone()));
            if !self.fits(&field.kind, value, seen, findings) {
                findings.insert(format!("{verb}: {kind}: {name} is no `{}`: {value}", field.kind));
            }
        }
        for (name, _) in
            fields.iter().filter(|(name, field)| field.present == Present::Always && !object.contains_key(**name))
        {
            findings.insert(format!("{verb}: {kind}: {name} is missing: {value}"));
        }
    }

    fn fits(&self, kind: &str, value: &Value, seen: &mut Seen, findings: &mut BTreeSet<String>) -> bool {
        if let Some(kind) = kind.strip_suffix('?') {
            return value.is_null() || self.fits(kind, value, seen, findings);
        }
        if let Some(kind) = inside(kind, '[', ']') {
            return value.as_array().is_some_and(|all| all.iter().all(|one| self.fits(kind, one, seen, findings)));
        }
        if let Some(name) = inside(kind, '{', '}') {
            self.object("object", name, value, seen, findings);
            return value.is_object();
        }
        let is_hexadecimal = || value.as_str().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match kind {
            "text" => value.is_string(),
            "id" => is_hexadecimal() && value != "",
            "hex" => is_hexadecimal(),
            "time" => value.as_str().is_some_and(|text| text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T')),
            "bool" => value.is_boolean(),
            "count" | "bytes" => value.is_u64(),
            "seconds" | "number" => value.as_f64().is_some_and(|number| number >= 0.0),
            "share" => value.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number)),
            _ => false,
        }
    }
}

fn inside(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// The tables below one heading.
fn section(heading: &str, body: &str) -> (Section, Vec<String>) {
    let (mut section, mut findings) = (Section { heading: heading.to_owned(), ..Section::default() }, Vec::new());
    section.elements =
        body.split("`[{").skip(1).filter_map(|rest| Some(rest.split_once("}]`")?.0.to_owned())).collect();
    for row in body.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> =
            row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('|').trim()).collect();
        let code = |at: usize| inside(cells.get(at).copied().unwrap_or_default(), '`', '`');
        if let Some(name) = cells[0].strip_prefix("all of `{").and_then(|rest| rest.strip_suffix("}`")) {
            section.includes.push(name.to_owned());
            continue;
        }
        let present = match cells.get(2).copied() {
            Some("always") => Some(Present::Always),
            Some("sometimes") => Some(Present::Sometimes),
            Some("rarely") => Some(Present::Rarely),
            _ => None,
        };
        match (code(0), code(1), present) {
            (Some(name), Some(kind), Some(present)) => {
                let field = Field { kind: kind.to_owned(), present };
                if section.fields.insert(name.to_owned(), field).is_some() {
                    findings.push(format!("{heading}: {name} stands there twice"));
                }
            }
            _ => findings.push(format!("{heading}: cannot read the row {row}")),
        }
    }
    (section, findings)
}
