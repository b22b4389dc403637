//! Rules about the shape of files: how long, how they open, how they import.

use super::project::Project;
use super::rust::Rust;
use super::tables::FILE_LINES_MAX;
use super::tables::FUNCTION_LINES_MAX;

/// Files that are too long.
pub fn file_length(project: &Project) -> Vec<String> {
    let long = project.rust.iter().map(|file| (file, file.text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > FILE_LINES_MAX);
    long.map(|(file, lines)| format!("{}:1: {lines} lines, at most {FILE_LINES_MAX}", file.path)).collect()
}

/// Functions that are too long.
pub fn function_length(project: &Project) -> Vec<String> {
    let all = project.rust.iter().flat_map(|file| file.functions().into_iter().map(move |function| (file, function)));
    let long = all.filter(|(_, function)| function.lines > FUNCTION_LINES_MAX);
    let say = |(file, it): (&Rust, super::rust::Function)| {
        format!("{}:{}: fn {} has {} lines, at most {FUNCTION_LINES_MAX}", file.path, it.line, it.name, it.lines)
    };
    long.map(say).collect()
}

/// Files whose first line is not `//! ` and words (fuzz targets may open with `#![no_main]`).
pub fn first_line(project: &Project) -> Vec<String> {
    let says_its_job = |file: &&Rust| {
        let mut lines = file.text.lines();
        lines.next().is_none_or(|line| line.strip_prefix("//! ").is_none_or(|job| job.trim().is_empty()))
    };
    let silent = project.rust.iter().filter(says_its_job);
    silent.map(|file| format!("{}:1: the first line is not `//!` and the file's job", file.path)).collect()
}

/// Imports of several things at once, and globs outside tests.
pub fn imports(project: &Project) -> Vec<String> {
    let mut findings = Vec::new();
    for file in &project.rust {
        for at in file.find("use") {
            let statement = file.code[at..].split(';').next().unwrap_or_default();
            // `use<'a>` bounds captures; it is no import.
            if statement.starts_with("use<") || !starts_a_statement(&file.code, at) {
                continue;
            }
            if statement.contains('{') {
                findings.push(file.finding(at, "one import to a line"));
            }
            if statement.contains('*') && !file.is_test(at) {
                findings.push(file.finding(at, "a glob import does not say what it takes"));
            }
        }
    }
    findings
}

/// True when only a visibility stands between the last end of something and `at`.
fn starts_a_statement(code: &str, at: usize) -> bool {
    let before = code[..at].rsplit(['\n', ';', '{', '}']).next().unwrap_or_default().trim();
    before.is_empty() || before.starts_with("pub") || before.ends_with(']')
}
