//! Habits from other tools, and from names that sound alike: one line about what was probably meant.

use clap::error::ContextKind;
use clap::error::ContextValue;

/// What was typed, and what to say about it.
const ADVICE: &[(&str, &str)] = &[
    ("unlock", "there are no locks: nothing has to be unlocked, whatever was interrupted"),
    ("recover", "nothing finds what was forgotten; 'strongroom repair' makes good what is damaged"),
    ("verify", "'strongroom check --read-data' verifies all that is stored"),
    ("rebuild-index", "it is called 'strongroom repair index'"),
    ("migrate", "there is nothing to migrate: there is one repository format"),
    ("cache", "what is in the cache folder may be deleted at any time; --cache-dir names another"),
    ("generate", "'strongroom completions' and 'strongroom man' print what shells and manual readers need"),
    (
        "list",
        "'strongroom snapshots' and 'strongroom key list' list what there is, 'strongroom cat' shows single objects",
    ),
    ("self-update", "strongroom is updated in the way it was installed"),
    ("mount", "snapshots cannot be mounted yet: 'ls', 'find', 'dump' and 'restore' look into them"),
    ("--no-lock", "there are no locks: leave it out"),
    ("--insecure-no-password", "every repository has a key: '--key-file' unlocks without a password"),
    ("--repo-file", "it is called --repository-file"),
    (
        "--recovery-code",
        "--use-recovery-code unlocks with the code there is, 'key add --new-recovery-code' makes a new one",
    ),
];

/// Advice about a command line that was not understood.
pub fn advice(wrong: &clap::Error) -> Option<&'static str> {
    [ContextKind::InvalidSubcommand, ContextKind::InvalidArg].into_iter().find_map(|kind| {
        let Some(ContextValue::String(typed)) = wrong.get(kind) else { return None };
        ADVICE.iter().find(|(word, _)| word == typed).map(|(_, advice)| *advice)
    })
}

/// Takes away what the parser guesses from letters alone; where there is advice a guess is only in its way.
pub fn without_guesses(wrong: &mut clap::Error) {
    for guess in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::Suggested] {
        wrong.remove(guess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_out_of_habit_is_answered() {
        for (word, _) in ADVICE {
            for words in [["strongroom", word, "snapshots"], ["strongroom", "snapshots", word]] {
                let verb = !word.starts_with('-');
                if verb && words[1] != *word {
                    continue;
                }
                let wrong = crate::args::command().try_get_matches_from(words).expect_err("it is not known");
                assert!(advice(&wrong).is_some(), "{words:?}: {wrong}");
                let mut wrong = wrong;
                without_guesses(&mut wrong);
                assert!(!wrong.to_string().contains("tip:"), "{wrong}");
            }
        }
        let plain =
            crate::args::command().try_get_matches_from(["strongroom", "nonsense"]).expect_err("it is not known");
        assert_eq!(advice(&plain), None);
    }
}
