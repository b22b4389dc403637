//! The document as sections and tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// `fixed` bytes and, perhaps, as many more as the letter says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Width {
    fixed: u64,
    more: Option<String>,
}

impl Width {
    /// `12`, `4 + n` or `Z`; `None` for what has no length of its own.
    fn parse(text: &str) -> Option<Self> {
        let (mut fixed, mut more) = (0, None);
        for term in text.split('+').map(str::trim) {
            match term.parse::<u64>() {
                Ok(number) => fixed += number,
                Err(_) if term.len() == 1 && term != "." && more.is_none() => more = Some(term.to_owned()),
                Err(_) => return None,
            }
        }
        Some(Self { fixed, more })
    }

    fn plus(&self, other: &Self) -> Self {
        Self { fixed: self.fixed + other.fixed, more: other.more.clone().or_else(|| self.more.clone()) }
    }
}

/// The document.
pub struct Document {
    pub text: String,
}

impl Document {
    pub fn load() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/docs/FORMAT.md");
        Self { text: fs::read_to_string(path).expect("the format document") }
    }

    /// What stands below a heading, down to the next one; empty when there is no such heading.
    pub fn section(&self, heading: &str) -> &str {
        let is_it = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim() == heading;
        let mut at = 0;
        let mut start = None;
        for line in self.text.split_inclusive('\n') {
            match start {
                Some(start) if line.starts_with('#') => return &self.text[start..at],
                None if is_it(line) => start = Some(at + line.len()),
                _ => {}
            }
            at += line.len();
        }
        start.map_or("", |start| &self.text[start..])
    }

    /// The cells of every row below each heading row of `| offset | bytes | field |` in `text`.
    fn offset_tables(text: &str) -> Vec<Vec<Vec<&str>>> {
        let mut tables = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line == "| offset | bytes | field |" {
                tables.push(rows(lines.by_ref()));
            }
        }
        tables
    }

    /// Rows that do not begin where the one before them ends.
    pub fn offsets_that_do_not_add_up(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for table in Self::offset_tables(&self.text) {
            let mut next = Some(Width { fixed: 0, more: None });
            for row in table {
                let (offset, bytes) = (Width::parse(row[0]), Width::parse(row[1]));
                // A row without an offset goes on after one without a length.
                if !row[0].is_empty() && (offset.is_none() || offset != next) {
                    findings.push(format!("`{}` does not stand at {next:?}", row.join(" | ")));
                }
                next = offset.zip(bytes).map(|(offset, bytes)| offset.plus(&bytes));
            }
        }
        findings
    }

    /// Bytes of the first table of offsets of a section, without what has no fixed length.
    pub fn length(&self, heading: &str) -> Option<u64> {
        let table = Self::offset_tables(self.section(heading)).into_iter().next()?;
        Some(
            table
                .iter()
                .filter(|row| !row[0].is_empty())
                .filter_map(|row| Width::parse(row[1]))
                .map(|it| it.fixed)
                .sum(),
        )
    }

    /// The numbers in the first column of a section's table with the heading row `| first | ..`.
    fn numbers(&self, heading: &str, first: &str) -> BTreeSet<u64> {
        let mut lines = self.section(heading).lines();
        let mut found = BTreeSet::new();
        while let Some(line) = lines.next() {
            if line.starts_with(&format!("| {first} |")) {
                found.extend(rows(lines.by_ref()).iter().filter_map(|row| row[0].parse::<u64>().ok()));
            }
        }
        found
    }

    /// The tags of a section's table of fields.
    pub fn tags(&self, heading: &str) -> BTreeSet<u64> {
        self.numbers(heading, "tag")
    }

    /// The bits of a section's table.
    pub fn bits(&self, heading: &str) -> BTreeSet<u64> {
        self.numbers(heading, "bit")
    }

    /// True when a table gives this magic: letters in quotes, and the byte after them in words or as a number.
    pub fn has_magic(&self, magic: &str) -> bool {
        if let Some(letters) = magic.strip_suffix("\\0") {
            return self.text.contains(&format!("| `{letters}` and a zero byte |"));
        }
        match magic.split_once("\\x0") {
            Some((letters, number)) => self.text.contains(&format!("| `{letters}`, {number} |")),
            None => self.text.contains(&format!("| `{magic}` |")),
        }
    }

    /// The paragraph of limits.
    pub fn limits(&self) -> String {
        let rest = self.text.split_once("**Limits**").map_or("", |(_, rest)| rest);
        rest.split("\n\n").next().unwrap_or_default().replace('\n', " ")
    }
}

/// The rows after a heading row: the line of dashes is left out, the first line that is no row ends them.
fn rows<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    let rows = lines.take_while(|line| line.starts_with('|')).filter(|line| !line.starts_with("|---"));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// True when `text` says `number name` with nothing before the number or after the name that changes either.
pub fn names(text: &str, number: u64, name: &str) -> bool {
    let wanted = format!("{number} {name}");
    text.match_indices(&wanted).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + wanted.len()..];
        !before.is_some_and(char::is_alphanumeric)
            && (after.is_empty() || after.starts_with([',', ';', '.', ' ', '\n']) && !after.starts_with(" inner"))
    })
}
