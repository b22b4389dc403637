//! The house rules, kept by machine: layers, lengths, imports, words and dependencies.
//!
//! A rule is a function from a [`Project`] to findings (`path:line: what is wrong`). The tests here run
//! every rule over the project itself; `teeth` runs each over text that breaks it, because a rule that
//! cannot fail holds nothing. What the rules allow stands in `tables`, and the drawing of who may use
//! whom in `engine/docs/DESIGN.md`, from where `layers` reads it.

mod layers;
mod manifests;
mod project;
mod readme;
mod rust;
mod shape;
mod tables;
mod teeth;
mod words;

use project::Project;

/// A rule: all its findings in a project, none when the project keeps it.
type Rule = fn(&Project) -> Vec<String>;

fn holds(rule: Rule) {
    let findings = rule(&Project::load());
    assert!(findings.is_empty(), "{} finding(s)\n{}\n", findings.len(), findings.join("\n"));
}

#[test]
fn rooms_use_only_the_rooms_that_the_design_allows() {
    holds(layers::rooms);
}

#[test]
fn packages_use_only_the_packages_below_them() {
    holds(layers::packages);
}

#[test]
fn one_package_is_used_in_one_place() {
    holds(layers::confined);
}

#[test]
fn files_are_short_enough_to_read() {
    holds(shape::file_length);
}

#[test]
fn functions_are_short_enough_to_read() {
    holds(shape::function_length);
}

#[test]
fn the_first_line_of_a_file_says_its_job() {
    holds(shape::first_line);
}

#[test]
fn imports_stand_one_to_a_line_and_name_what_they_take() {
    holds(shape::imports);
}

#[test]
fn the_engine_knows_no_terminal_environment_or_home() {
    holds(words::engine);
}

#[test]
fn nothing_outside_tests_panics_on_purpose() {
    holds(words::panics);
}

#[test]
fn a_silenced_lint_gives_its_reason() {
    holds(words::silenced);
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    holds(words::machines);
}

#[test]
fn every_limit_is_used() {
    holds(words::limits);
}

#[test]
fn every_dependency_states_its_reason() {
    holds(manifests::reasons);
}

#[test]
fn what_is_shipped_is_stripped() {
    holds(manifests::shipped);
}

#[test]
fn nothing_unexpected_stands_at_the_top() {
    holds(manifests::top);
}

#[test]
fn the_readme_shows_the_example_that_is_compiled_and_run() {
    holds(readme::example);
}

#[test]
fn every_promise_names_tests_that_exist() {
    holds(readme::promises);
}

#[test]
fn the_readme_lists_every_variable_of_the_command() {
    holds(readme::variables);
}
