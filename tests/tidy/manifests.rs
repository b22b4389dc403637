//! Rules about manifests and the top of the project: reasons for dependencies, nothing unexpected.

use super::project::Project;
use super::tables::TOP;

/// Dependencies of a manifest: line (from 1) and name.
pub fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies");
            // `[dependencies.name]` is a dependency of its own.
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.push((number + 1, name.to_owned()));
            }
            continue;
        }
        let name: String = line.chars().take_while(|c| c.is_alphanumeric() || "_-".contains(*c)).collect();
        if inside && !name.is_empty() && line.contains('=') {
            found.push((number + 1, name));
        }
    }
    found
}

/// Dependencies without a comment of their own directly above them.
pub fn reasons(project: &Project) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in project.manifests() {
        let lines: Vec<&str> = text.lines().collect();
        for (line, name) in dependencies(text) {
            let above = line.checked_sub(2).and_then(|at| lines.get(at)).copied().unwrap_or_default();
            if !above.trim().starts_with("# ") {
                findings.push(format!("{path}:{line}: {name} does not say what it is for"));
            }
        }
    }
    findings
}

/// A release that is shipped with its symbols: they are five times the program.
pub fn shipped(project: &Project) -> Vec<String> {
    let manifest = project.text("Cargo.toml");
    let release =
        manifest.split_once("[profile.release]").map_or("", |(_, rest)| rest.split("\n[").next().unwrap_or(""));
    let is_stripped = release.lines().any(|line| line.trim() == "strip = true");
    if is_stripped { Vec::new() } else { vec!["Cargo.toml:1: the release profile does not strip".to_owned()] }
}

/// Visible names at the top that are not in the list.
pub fn top(project: &Project) -> Vec<String> {
    let strange = project.top.iter().filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()));
    strange.map(|name| format!("{name}:1: does not belong at the top")).collect()
}
