//! A command line that was not understood: what is wrong with it, without what an argument could do to a terminal.

use crate::exit::Exit;
use crate::habits;
use crate::show::Failure;
use crate::show::Show;
use crate::show::lines;
use crate::show::lossy;
use clap::error::ContextKind;
use clap::error::ContextValue;
use clap::error::ErrorKind;
use std::io::Write;

/// Tells it, or shows the help that was asked for.
pub fn tell(mut wrong: clap::Error, show: &Show) -> Exit {
    if !wrong.use_stderr() {
        // Help that nobody reads to its end is no failure.
        let _ = wrong.print();
        return Exit::Done;
    }
    let advice = habits::advice(&wrong).map(str::to_owned).or_else(|| selection(&wrong));
    if advice.is_some() {
        habits::without_guesses(&mut wrong);
    }
    without_dashes(&mut wrong);
    make_harmless(&mut wrong);
    if show.json {
        let failure = failure(&wrong);
        advice.into_iter().fold(failure, Failure::hint).show(show);
    } else if wrong.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = wrong.print();
    } else {
        print(&wrong, advice.as_deref(), show);
    }
    Exit::Usage
}

/// The parser tells how an option is passed as the name of a file: nobody who misspells one means that.
fn without_dashes(wrong: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(mut tips)) = wrong.remove(ContextKind::Suggested) {
        tips.retain(|tip| !tip.to_string().contains("as a value"));
        if !tips.is_empty() {
            wrong.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
}

/// What is typed is shown again: it must not command the terminal, and the parser would take escapes for its own.
fn make_harmless(wrong: &mut clap::Error) {
    let clean = |text: &String| lossy(text.as_bytes());
    let values: Vec<(ContextKind, ContextValue)> = wrong
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(clean(text)))),
            ContextValue::Strings(texts) => Some((kind, ContextValue::Strings(texts.iter().map(clean).collect()))),
            _ => None,
        })
        .collect();
    for (kind, value) in values {
        wrong.insert(kind, value);
    }
}

/// As the parser words it, with its usage line; a hint stands last, as in every other error.
fn print(wrong: &clap::Error, advice: Option<&str>, show: &Show) {
    let text = wrong.render().to_string();
    let text = lines(text.trim_end());
    let paint = |code: &str, word: &str| if show.color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.into() };
    let text = match text.strip_prefix("error:") {
        Some(rest) => format!("{}{rest}", paint("1;31", "error:")),
        None => text,
    };
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{text}");
    if let Some(advice) = advice {
        let _ = writeln!(err, "{} {advice}", paint("1;36", "hint:"));
    }
}

/// The same for scripts: the first line, what it lists, and the parser's guess as the hint.
fn failure(wrong: &clap::Error) -> Failure {
    let text = wrong.render().to_string();
    let mut lines = text.trim().lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let named: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let failure = match wrong.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Failure::usage("no verb says what to do").hint("'strongroom help' lists the verbs");
        }
        ErrorKind::MissingRequiredArgument => {
            Failure::usage(format!("missing on the command line: {}", named.join(", ")))
        }
        _ => named.into_iter().fold(Failure::usage(first), Failure::because),
    };
    lines.find_map(|line| line.strip_prefix("tip: ").map(str::to_owned)).into_iter().fold(failure, Failure::hint)
}

/// What else would do where the arguments that are missing can be replaced.
fn selection(wrong: &clap::Error) -> Option<String> {
    let Some(ContextValue::Strings(missing)) = wrong.get(ContextKind::InvalidArg) else { return None };
    if wrong.kind() != ErrorKind::MissingRequiredArgument {
        return None;
    }
    let has = |word: &str| missing.iter().any(|one| one.contains(word));
    let text = match () {
        () if has("|--all") => "name snapshots, or take all of them with --all",
        () if has("|--disk") => "name a second snapshot, or compare with the files of this machine: --disk",
        () => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(words: &[&str]) -> clap::Error {
        let words = std::iter::once(&"strongroom").chain(words);
        crate::args::command().try_get_matches_from(words).expect_err("it is not understood")
    }

    #[test]
    fn scripts_are_told_what_is_missing_by_name() {
        for (words, names) in [
            (vec!["restore"], vec!["--target <FOLDER>", "<SNAPSHOT[:PATH]>"]),
            (vec!["find"], vec!["<PATTERN>"]),
            (vec!["diff", "latest"], vec!["<SNAPSHOT|--disk"]),
            (vec!["copy", "--from-repo", "x"], vec!["|--all"]),
            (vec!["protect"], vec!["<SNAPSHOT>"]),
            (vec!["tag", "latest"], vec!["--set", "--add", "--remove"]),
        ] {
            let failure = failure(&wrong(&words));
            assert!(failure.message.starts_with("missing on the command line: "), "{words:?}: {}", failure.message);
            for name in names {
                assert!(failure.message.contains(name), "{name}: {}", failure.message);
            }
        }
    }

    #[test]
    fn who_chooses_no_snapshot_is_told_of_the_word_for_all() {
        for words in [
            vec!["copy", "--from-repo", "x"],
            vec!["rewrite", "--exclude", "x"],
            vec!["repair", "snapshots"],
            vec!["repair", "fetch", "--from-repo", "x"],
        ] {
            assert!(selection(&wrong(&words)).is_some_and(|text| text.contains("--all")), "{words:?}");
        }
        assert!(selection(&wrong(&["diff", "latest"])).is_some_and(|text| text.contains("--disk")));
        assert_eq!(selection(&wrong(&["restore"])), None);
    }

    #[test]
    fn possible_values_are_told_to_scripts_as_well() {
        let failure = failure(&wrong(&["stats", "--mode", "all-of-it"]));
        assert!(failure.message.contains("all-of-it"), "{}", failure.message);
        assert!(failure.because.iter().any(|why| why.contains("raw-data")), "{:?}", failure.because);
    }
}
