//! Rules about words: what the engine, shipped code and all files never say, and limits nobody reads.

use super::project::Project;
use super::rust::Rust;
use super::rust::find_word;
use super::rust::is_ident;
use super::tables::ENGINE_WORDS;
use super::tables::MACHINE_PATHS;
use super::tables::PANIC_WORDS;

/// Words that the engine must not say outside its tests.
pub fn engine(project: &Project) -> Vec<String> {
    let files: Vec<_> = project.engine().map(|(_, file)| file).collect();
    let rows = ENGINE_WORDS.iter();
    rows.flat_map(|(word, why)| outside_tests(&files, word, &format!("`{word}`: {why}"))).collect()
}

/// Deliberate panics in code that users run.
pub fn panics(project: &Project) -> Vec<String> {
    let files: Vec<_> = project.rust.iter().collect();
    PANIC_WORDS.iter().flat_map(|word| outside_tests(&files, word, &format!("`{word}` outside tests"))).collect()
}

fn outside_tests(files: &[&Rust], word: &str, what: &str) -> Vec<String> {
    let all = files.iter().flat_map(|file| file.find(word).into_iter().map(move |at| (file, at)));
    all.filter(|(file, at)| !file.is_test(*at)).map(|(file, at)| file.finding(at, what)).collect()
}

/// Lints silenced without a word why.
pub fn silenced(project: &Project) -> Vec<String> {
    let mut findings = Vec::new();
    for file in &project.rust {
        for mark in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in file.code.match_indices(mark) {
                let attribute = file.code[at..].split(']').next().unwrap_or_default();
                if find_word(attribute, "reason").is_empty() {
                    findings.push(file.finding(at, "a silenced lint without `reason = \"...\"`"));
                }
            }
        }
    }
    findings
}

/// Paths that exist on one machine only.
pub fn machines(project: &Project) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in &project.texts {
        for (number, line) in text.lines().enumerate() {
            for needle in MACHINE_PATHS.iter().filter(|needle| stands_alone(line, needle)) {
                findings.push(format!("{path}:{}: `{needle}` is a path of one machine", number + 1));
            }
        }
    }
    findings
}

/// True when `needle` begins a path somewhere in `line` rather than going on with one.
fn stands_alone(line: &str, needle: &str) -> bool {
    let before = |at: usize| line[..at].chars().next_back();
    line.match_indices(needle).any(|(at, _)| !before(at).is_some_and(|c| is_ident(c) || "./-*}$".contains(c)))
}

/// Limits that nothing outside the list itself refers to, not even another limit.
pub fn limits(project: &Project) -> Vec<String> {
    let Some((_, list)) = project.engine().find(|(path, _)| *path == "limits.rs") else { return Vec::new() };
    let mut findings = Vec::new();
    for (at, mark) in list.code.match_indices("const ") {
        let rest = &list.code[at + mark.len()..];
        let name: String = rest.chars().take_while(|c| is_ident(*c)).collect();
        if name == "_" || name.is_empty() {
            continue;
        }
        let elsewhere = project.engine().any(|(path, file)| path != "limits.rs" && !file.find(&name).is_empty());
        // Assertions relate limits to each other; only another limit's value counts as a use.
        let values = list.code.lines().filter(|line| !line.contains("assert!")).filter_map(|line| line.split_once('='));
        if !elsewhere && !values.into_iter().any(|(_, value)| !find_word(value, &name).is_empty()) {
            findings.push(list.finding(at, format!("nothing uses {name}")));
        }
    }
    findings
}
