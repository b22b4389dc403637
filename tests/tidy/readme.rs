//! Rules that keep documents true: the README's example compiles, its variables are complete, promises are tested.

use super::project::Project;
use super::rust::Rust;
use super::rust::is_ident;
use std::collections::BTreeSet;

const README: &str = "README.md";
const PROMISES: &str = "engine/docs/PROMISES.md";
const EXAMPLE: &str = "engine/examples/embed.rs";

/// A README whose example is not, letter by letter, the one that is compiled and run (its first line left out).
pub fn example(project: &Project) -> Vec<String> {
    let compiled = project.text(EXAMPLE).split_once("\n\n").map(|(_, code)| code);
    let shown = project.text(README).split_once("```rust\n").and_then(|(_, rest)| rest.split("```").next());
    if compiled.is_some() && compiled == shown {
        return Vec::new();
    }
    vec![format!("{README}:1: its Rust code is not that of {EXAMPLE}")]
}

/// Promises without tests, and tests that do not exist.
pub fn promises(project: &Project) -> Vec<String> {
    let tests: BTreeSet<&str> = project.rust.iter().flat_map(tests).collect();
    let rows = rows(project.text(PROMISES));
    let mut findings = Vec::new();
    if rows.is_empty() {
        findings.push(format!("{PROMISES}:1: no table of promises"));
    }
    for row in rows {
        let held_by: Vec<&str> = row.rsplit('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2).collect();
        if held_by.is_empty() {
            findings.push(format!("{PROMISES}:1: no test holds: {row}"));
        }
        let gone = held_by.iter().filter(|name| !tests.contains(*name));
        findings.extend(gone.map(|name| format!("{PROMISES}:1: there is no test `{name}`")));
    }
    findings
}

/// Rows of the table of a document, without its head.
fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with('|')).skip(2).collect()
}

/// Names of functions that stand below a test attribute.
fn tests(file: &Rust) -> impl Iterator<Item = &str> {
    let marks = ["#[test]", "#[tokio::test"].into_iter().flat_map(|mark| file.code.match_indices(mark));
    marks.filter_map(|(at, _)| {
        let (_, name) = file.code[at..].split_once("fn ")?;
        name.split(|c| !is_ident(c)).next()
    })
}

/// Variables of the environment that the command reads and the README does not list.
pub fn variables(project: &Project) -> Vec<String> {
    let listed = project.text(README);
    let mut findings = BTreeSet::new();
    let reads = |path: &str| path.starts_with("cli/src/") || path.starts_with("service/src/");
    for file in project.rust.iter().filter(|file| reads(&file.path)) {
        for (at, _) in file.text.match_indices("\"STRONGROOM_") {
            let name: String = file.text[at + 1..].chars().take_while(|c| is_ident(*c)).collect();
            if !file.is_test(at) && !listed.contains(&format!("`{name}`")) {
                findings.insert(format!("{README}:1: does not list {name}"));
            }
        }
    }
    findings.into_iter().collect()
}
