//! What can be read of the format in the engine's own text.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The engine's files by their path below `engine/src`, each without its tests.
pub struct Program {
    files: BTreeMap<String, String>,
}

impl Program {
    pub fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/src");
        let mut files = BTreeMap::new();
        collect(&root, "", &mut files);
        Self { files }
    }

    fn file(&self, path: &str) -> &str {
        self.files.get(path).unwrap_or_else(|| panic!("there is no {path} in the engine"))
    }

    /// The number after `before`; of a product (`8 * MIB`), its first factor.
    pub fn number(&self, path: &str, before: &str) -> Option<u64> {
        let (_, rest) = self.file(path).split_once(before)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }

    /// Name in words and number of every `Self::Name => number`.
    pub fn types(&self, path: &str) -> Vec<(String, u64)> {
        let arms = self.file(path).lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => "));
        let types: Vec<(String, u64)> =
            arms.filter_map(|(name, number)| Some((words(name), number.trim_end_matches(',').parse().ok()?))).collect();
        assert!(!types.is_empty(), "{path} gives no type a number");
        types
    }

    /// Tags of the fields that a file writes.
    pub fn tags(&self, path: &str) -> BTreeSet<u64> {
        let calls = self.file(path).split("writer.field(").skip(1);
        calls.filter_map(|call| call.split(',').next()?.parse().ok()).collect()
    }

    /// Bits of an entry's fields.
    pub fn bits(&self) -> BTreeSet<u64> {
        let lines = self.file("format/entry.rs").lines();
        let consts = lines.filter_map(|line| line.strip_prefix("const ")?.strip_suffix(';')?.split_once(": u32 = 1"));
        consts
            .filter_map(|(_, shift)| if shift.is_empty() { Some(0) } else { shift.strip_prefix(" << ")?.parse().ok() })
            .collect()
    }

    /// Every byte string that begins like an object of ours.
    pub fn magics(&self) -> BTreeSet<String> {
        self.literals("b\"SRM").into_iter().map(|rest| format!("SRM{rest}")).collect()
    }

    /// Every context of a key derivation. The seeded generator of tests derives nothing that is stored.
    pub fn contexts(&self) -> BTreeSet<String> {
        let beginnings = ["strongroom format", "strongroom 2026"];
        let all = beginnings.iter().flat_map(|start| {
            self.literals(&format!("\"{start}")).into_iter().map(move |rest| format!("{start}{rest}"))
        });
        all.filter(|context| !context.ends_with("for tests")).collect()
    }

    /// What follows `start` up to the closing quotation mark, wherever it stands in the engine.
    fn literals(&self, start: &str) -> Vec<String> {
        let rests = self.files.values().flat_map(|text| text.split(start).skip(1));
        let found: Vec<String> = rests.filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect();
        assert!(!found.is_empty(), "nothing in the engine begins with {start}");
        found
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for item in fs::read_dir(folder).expect("a folder of the engine").map(|item| item.expect("an item")) {
        let name = item.file_name().into_string().expect("a name in ASCII");
        let path = format!("{prefix}{name}");
        if item.file_type().expect("a type").is_dir() {
            collect(&item.path(), &format!("{path}/"), files);
        } else {
            let text = fs::read_to_string(item.path()).expect("a file of the engine");
            let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            files.insert(path, shipped.to_owned());
        }
    }
}

/// `DataKey` as `data key`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
