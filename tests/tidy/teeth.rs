//! Proof that every tidy rule bites: text that breaks it is found, on the right line, and good text is not.

use super::Rule;
use super::layers;
use super::manifests;
use super::project::Project;
use super::readme;
use super::rust::Rust;
use super::rust::blank;
use super::shape;
use super::words;

/// A small drawing of layers.
const DESIGN: (&str, &str) = (
    "engine/docs/DESIGN.md",
    "# Design\n```layers\nid error -> ground\ncrypto backend -> ground\nstore -> ground crypto backend\n```\n",
);

fn bites(rule: Rule, path: &str, text: &str, expected: &[&str]) {
    let findings = rule(&Project::of(&[DESIGN, (path, text)]));
    let places: Vec<String> =
        findings.iter().map(|finding| finding.splitn(3, ':').take(2).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(places, expected, "{findings:#?}");
}

#[test]
fn a_room_that_uses_a_stranger_is_found() {
    bites(
        layers::rooms,
        "engine/src/crypto/seal.rs",
        "//! x\nuse crate::id::A;\nuse crate::backend::B;\n",
        &["engine/src/crypto/seal.rs:3"],
    );
    bites(
        layers::rooms,
        "engine/src/crypto/mod.rs",
        "fn f() {\n    crate::store::g()\n}\n",
        &["engine/src/crypto/mod.rs:2"],
    );
    bites(
        layers::rooms,
        "engine/src/crypto/seal.rs",
        "use super::key::K;\nuse super::super::store::S;\n",
        &["engine/src/crypto/seal.rs:2"],
    );
    bites(layers::rooms, "engine/src/id.rs", "use super::store::S;\n", &["engine/src/id.rs:1"]);
    bites(layers::rooms, "engine/src/crypto.rs", "use crate::Error;\n", &["engine/src/crypto.rs:1"]);
    bites(layers::rooms, "engine/src/attic.rs", "", &["engine/src/attic.rs:1"]);
}

#[test]
fn a_room_that_uses_what_it_may_is_not_found() {
    let text = "use crate::crypto::A;\nuse crate::error::E;\nuse super::B;\n// crate::attic::C\n";
    bites(layers::rooms, "engine/src/store/read.rs", text, &[]);
    bites(layers::rooms, "engine/src/crypto/seal.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::S;\n}\n", &[]);
    bites(layers::rooms, "engine/src/lib.rs", "pub use crate::store::S;\n", &[]);
}

#[test]
fn a_missing_drawing_is_found() {
    assert_eq!(layers::rooms(&Project::of(&[("engine/src/id.rs", "")])).len(), 1);
}

#[test]
fn a_package_that_looks_up_is_found() {
    bites(
        layers::packages,
        "dumpers/x/Cargo.toml",
        "[dependencies]\nstrongroom-cli = \"1\"\nstrongroom = \"1\"\n",
        &["dumpers/x/Cargo.toml:2"],
    );
    bites(
        layers::packages,
        "engine/Cargo.toml",
        "[dev-dependencies.strongroom-process]\npath = \"x\"\n",
        &["engine/Cargo.toml:1"],
    );
    bites(
        layers::packages,
        "cli/Cargo.toml",
        "[package]\nname = \"strongroom-cli\"\n[dependencies]\nstrongroom.workspace = true\n",
        &[],
    );
}

#[test]
fn a_package_outside_its_place_is_found() {
    let text = "use zstd::Encoder;\nfn f() { blake3::hash(b\"\") }\nuse crate::zstd::X;\n// zstd::Y\n";
    bites(layers::confined, "engine/src/store/a.rs", text, &["engine/src/store/a.rs:2", "engine/src/store/a.rs:1"]);
    bites(layers::confined, "engine/src/squeeze.rs", "use zstd::Encoder;\n", &[]);
    bites(layers::confined, "engine/src/crypto/name.rs", "use blake3::Hasher;\n", &[]);
}

#[test]
fn a_long_file_is_found() {
    bites(shape::file_length, "cli/src/a.rs", &"//\n".repeat(500), &["cli/src/a.rs:1"]);
    bites(shape::file_length, "cli/src/a.rs", &"//\n".repeat(499), &[]);
}

#[test]
fn a_long_function_is_found_whatever_its_literals_hold() {
    let body = |lines: usize| {
        format!(
            "//! x\nfn f<'a>(x: [u8; 2]) -> [u8; 2] {{\n{}}}\nfn g() {{}}\n",
            "let _ = (\"}\", '}', '{', r#\"}\"#, b'}'); // }\n".repeat(lines)
        )
    };
    bites(shape::function_length, "cli/src/a.rs", &body(68), &["cli/src/a.rs:2"]);
    bites(shape::function_length, "cli/src/a.rs", &body(67), &[]);
    bites(shape::function_length, "tests/a.rs", &body(68), &["tests/a.rs:2"]);
}

#[test]
fn a_silent_first_line_is_found() {
    for text in ["", "use a::b;\n//! late\n", "//!\n", "// no\n"] {
        bites(shape::first_line, "fuzz/a.rs", text, &["fuzz/a.rs:1"]);
    }
    bites(shape::first_line, "fuzz/a.rs", "//! Says its job.\n", &[]);
}

#[test]
fn crowded_and_greedy_imports_are_found() {
    bites(shape::imports, "cli/src/a.rs", "use a::{b, c};\npub use d::*;\n", &["cli/src/a.rs:1", "cli/src/a.rs:2"]);
    bites(shape::imports, "cli/src/a.rs", "pub(crate) use a::{\n    b,\n};\n", &["cli/src/a.rs:1"]);
    let good =
        "use a::b;\n// use c::*;\nfn f() -> impl use<'a> X {}\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
    bites(shape::imports, "cli/src/a.rs", good, &[]);
    bites(shape::imports, "tests/a.rs", "use super::*;\n", &[]);
}

#[test]
fn a_terminal_in_the_engine_is_found() {
    let text = "fn f() {\n    std::env::var(\"HOME\");\n    eprintln!();\n}\n";
    bites(words::engine, "engine/src/a.rs", text, &["engine/src/a.rs:2", "engine/src/a.rs:2", "engine/src/a.rs:3"]);
    bites(words::engine, "engine/src/a.rs", "use clap::Parser;\n", &["engine/src/a.rs:1"]);
    bites(words::engine, "engine/src/a.rs", "// println!\nconst A: &str = \"println!\";\nfn collapse() {}\n", &[]);
    bites(words::engine, "cli/src/a.rs", text, &[]);
}

#[test]
fn a_panic_outside_tests_is_found() {
    let text = "fn f() { x.unwrap() }\nfn g() { panic!(\"no\") }\n#[cfg(test)]\nmod tests {\n    fn h() { x.unwrap() }\n}\nfn i() { todo!() }\n";
    bites(words::panics, "engine/src/a.rs", text, &["engine/src/a.rs:1", "engine/src/a.rs:2", "engine/src/a.rs:7"]);
    bites(words::panics, "engine/src/a.rs", "fn f() { x.unwrap_or(1); /* panic! */ }\n", &[]);
    bites(words::panics, "tests/a.rs", text, &[]);
}

#[test]
fn a_file_declared_for_tests_counts_as_tests() {
    let files = [
        (
            "engine/src/a/mod.rs",
            "#[cfg(test)]\nmod trial;\nmod b;\n#[cfg(test)]\n#[path = \"c_tests.rs\"]\nmod tests;\n",
        ),
        ("engine/src/a/trial.rs", "fn f() { x.unwrap() }\n"),
        ("engine/src/a/c_tests.rs", "fn f() { x.unwrap() }\n"),
        ("engine/src/a/b.rs", "fn f() { x.unwrap() }\n"),
    ];
    assert_eq!(words::panics(&Project::of(&files)), ["engine/src/a/b.rs:1: `.unwrap()` outside tests"]);
}

#[test]
fn a_lint_silenced_without_reason_is_found() {
    bites(words::silenced, "cli/src/a.rs", "#[allow(dead_code)]\nfn f() {}\n", &["cli/src/a.rs:1"]);
    bites(words::silenced, "tests/a.rs", "#![expect(unused)]\n", &["tests/a.rs:1"]);
    bites(words::silenced, "cli/src/a.rs", "#[expect(dead_code, reason = \"it is\")]\nfn f() {}\n", &[]);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let here = concat!("see /wo", "rk/notes\n");
    bites(words::machines, "README.md", here, &["README.md:1"]);
    bites(words::machines, "a.py", concat!("x = '/ro", "ot/x'\n"), &["a.py:1"]);
    bites(words::machines, "README.md", concat!("target/wo", "rk/notes and ./wo", "rk/\n"), &[]);
}

#[test]
fn a_limit_nobody_reads_is_found() {
    let limits = "pub const A: usize = 1;\npub const B: usize = 2 * A;\npub const C: usize = 3;\nconst _: () = assert!(B < C);\n";
    let files = [("engine/src/limits.rs", limits), ("engine/src/a.rs", "// B\nuse crate::limits::C;\n")];
    assert_eq!(words::limits(&Project::of(&files)), ["engine/src/limits.rs:2: nothing uses B"]);
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let text = "[package]\nname = \"x\"\n[dependencies]\n# Why.\na = \"1\"\nb = \"1\"\n[target.'cfg(unix)'.dev-dependencies]\nc.workspace = true\n[features]\nd = []\n";
    bites(manifests::reasons, "cli/Cargo.toml", text, &["cli/Cargo.toml:6", "cli/Cargo.toml:8"]);
    bites(manifests::reasons, "Cargo.toml", "[workspace.dependencies]\nx = \"1\"\n", &["Cargo.toml:2"]);
}

#[test]
fn a_release_with_symbols_is_found() {
    let profiles = |text: &str| manifests::shipped(&Project::of(&[("Cargo.toml", text)])).len();
    assert_eq!(profiles("[profile.release]\nstrip = true\n\n[profile.bench]\nstrip = false\n"), 0);
    assert_eq!(profiles("[profile.release]\nlto = true\n[profile.bench]\nstrip = true\n"), 1);
}

#[test]
fn a_stranger_at_the_top_is_found() {
    bites(manifests::top, "notes.txt", "", &["notes.txt:1"]);
    bites(manifests::top, ".ci/run", "", &[]);
}

#[test]
fn literals_and_comments_are_blanked_in_place() {
    for (text, code) in [
        (r#"a("x\"y", 'b') // c"#, r#"a("    ", ' ')     "#),
        ("/* a /* b */ c */d", "                 d"),
        ("r#\"a\"b\"# r#type br\"x\" var", "r#\"   \"# r#type br\" \" var"),
        ("'a: loop { '\\'' '\\u{1f}' 'é' }", "'a: loop { '  ' '      ' '  ' }"),
        ("\"a\nb\"", "\" \n \""),
    ] {
        assert_eq!(blank(text), code);
        assert_eq!(blank(text).len(), text.len());
    }
}

#[test]
fn functions_without_bodies_and_function_types_are_not_counted() {
    let file = Rust::new(
        "a.rs",
        "trait T {\n    fn a(&self) -> [u8; 2];\n    fn b(&self) {\n    }\n}\ntype F = fn(u8) -> u8;\n",
    );
    let functions: Vec<_> = file.functions().into_iter().map(|it| (it.name, it.line, it.lines)).collect();
    assert_eq!(functions, [("b".to_owned(), 3, 2)]);
}

#[test]
fn a_readme_that_shows_other_code_is_found() {
    let example = ("engine/examples/embed.rs", "//! Job.\n\nfn main() {}\n");
    let shown =
        |code: &str| readme::example(&Project::of(&[example, ("README.md", &format!("# X\n```rust\n{code}```\n"))]));
    assert_eq!(shown("fn main() {}\n"), Vec::<String>::new());
    assert_eq!(shown("fn main() { }\n").len(), 1);
    assert_eq!(readme::example(&Project::of(&[example, ("README.md", "# X\n")])).len(), 1);
}

#[test]
fn a_promise_nobody_holds_is_found() {
    let test = ("tests/a.rs", "#[test]\nfn it_is_held() {}\nfn it_only_helps() {}\n// fn it_was_held() {}\n");
    let held = |row: &str| {
        readme::promises(&Project::of(&[
            test,
            ("engine/docs/PROMISES.md", &format!("# X\n\n| p | by |\n|---|---|\n{row}\n")),
        ]))
    };
    assert_eq!(held("| it | `it_is_held` |"), Vec::<String>::new());
    assert_eq!(held("| it | `it_is_held` `it_was_held` |").len(), 1);
    assert_eq!(held("| it | `it_only_helps` |").len(), 1);
    assert_eq!(held("| it | |").len(), 1);
    assert_eq!(held("").len(), 1);
}

#[test]
fn a_variable_the_readme_does_not_list_is_found() {
    let cli = ("cli/src/a.rs", "fn f() { read(\"STRONGROOM_A\"); read(\"NO_COLOR\"); }\n");
    let listed = |text: &str| readme::variables(&Project::of(&[cli, ("README.md", text)]));
    assert_eq!(listed("| `STRONGROOM_A` | x |"), Vec::<String>::new());
    assert_eq!(listed("| `STRONGROOM_AB` | x |").len(), 1);
}
