//! Rules about who may use whom: rooms of the engine, packages of the workspace, packages of others.

use super::manifests::dependencies;
use super::project::Project;
use super::rust::Rust;
use super::rust::is_ident;
use super::tables::CONFINED;
use super::tables::LAYERS_FENCE;
use super::tables::LAYERS_FILE;
use super::tables::PACKAGES;
use super::tables::ROOMLESS;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Rooms, each with the rooms it may use.
type Layers = BTreeMap<String, BTreeSet<String>>;

/// Uses of a room from one that may not know it, and rooms the drawing does not have.
pub fn rooms(project: &Project) -> Vec<String> {
    let layers = drawn(project.text(LAYERS_FILE));
    if layers.is_empty() {
        return vec![format!("{LAYERS_FILE}:1: no block of layers ({LAYERS_FENCE})")];
    }
    let mut findings = Vec::new();
    for (path, file) in project.engine().filter(|(_, file)| !ROOMLESS.contains(&file.path.as_str())) {
        let room = module(path).first().map(|room| (*room).to_owned()).unwrap_or_default();
        let Some(may) = layers.get(&room) else {
            findings.push(format!("{}:1: the drawing in {LAYERS_FILE} has no room `{room}`", file.path));
            continue;
        };
        for (at, used) in used_rooms(path, file).into_iter().filter(|(at, _)| !file.is_test(*at)) {
            if used != room && !may.contains(&used) {
                findings.push(file.finding(at, format!("`{room}` may not use `{used}`")));
            }
        }
    }
    findings
}

/// Reads the drawing: lines of `rooms -> rooms they may use`; `ground` stands for the rooms of the first line.
fn drawn(design: &str) -> Layers {
    let block = design.split_once(LAYERS_FENCE).map_or("", |(_, rest)| rest.split("```").next().unwrap_or_default());
    let rows: Vec<(&str, &str)> = block.lines().filter_map(|line| line.split_once("->")).collect();
    let ground = rows.first().map_or("", |(rooms, _)| rooms);
    let mut layers = Layers::new();
    for (rooms, may) in &rows {
        let may = may.replace("ground", ground);
        let may: BTreeSet<String> = may.split_whitespace().map(str::to_owned).collect();
        layers.extend(rooms.split_whitespace().map(|room| (room.to_owned(), may.clone())));
    }
    layers
}

/// The module path of a file below `engine/src/`.
fn module(path: &str) -> Vec<&str> {
    let stem = path.trim_end_matches(".rs");
    stem.strip_suffix("/mod").unwrap_or(stem).split('/').collect()
}

/// Every room a file names, by `crate::room` or by as many `super::` as lead to the top.
fn used_rooms(path: &str, file: &Rust) -> Vec<(usize, String)> {
    let depth = module(path).len();
    let mut used = Vec::new();
    for (at, mark) in file.code.match_indices("crate::") {
        if !file.code[..at].ends_with(is_ident) {
            used.push((at, first_name(&file.code[at + mark.len()..])));
        }
    }
    for at in file.find("super::") {
        let chain = file.code[at..].split("super::").take_while(|between| between.is_empty()).count();
        let rest = file.code[at..].trim_start_matches("super::");
        if !file.code[..at].ends_with("super::") && chain >= depth {
            used.push((at, first_name(rest)));
        }
    }
    used
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| is_ident(*c)).collect()
}

/// Manifests that name a package of this workspace they must not know.
pub fn packages(project: &Project) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in project.manifests() {
        let Some((_, may)) = PACKAGES.iter().find(|(folder, _)| path.starts_with(folder)) else { continue };
        for (line, name) in dependencies(text) {
            if name.starts_with("strongroom") && !may.contains(&name.as_str()) {
                findings.push(format!("{path}:{line}: this package may not use {name}"));
            }
        }
    }
    findings
}

/// Packages of others named in a file that is not their place.
pub fn confined(project: &Project) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, file) in project.engine() {
        for (package, places) in CONFINED {
            if places.iter().any(|place| path == *place || (place.ends_with('/') && path.starts_with(place))) {
                continue;
            }
            for at in file.find(&format!("{package}::")).into_iter().filter(|at| !file.is_test(*at)) {
                // A room or item of our own may carry the package's name: `crate::x::zstd::..`.
                if !file.code[..at].ends_with("::") {
                    findings.push(file.finding(at, format!("{package} belongs to {}", places.join(", "))));
                }
            }
        }
    }
    findings
}
