//! Habits from other tools, and from names that sound alike: one line about what was probably meant.

use clap::error::ContextKind;
use clap::error::ContextValue;

/// Verbs of other tools, and what to say about each.
const VERBS: &[(&str, &str)] = &[
    ("create", "it is called 'strongroom backup'"),
    ("extract", "it is called 'strongroom restore'; 'strongroom dump' writes a file or an archive"),
    ("export-tar", "'strongroom dump SNAPSHOT /' writes a tar archive"),
    ("import-tar", "unpack the archive and back up what was in it; 'strongroom backup --stdin' stores it as one file"),
    ("info", "'strongroom stats' tells sizes, 'strongroom snapshots' lists what there is"),
    ("repo-info", "'strongroom stats' tells sizes, 'strongroom cat config' the configuration"),
    (
        "list",
        "'strongroom snapshots' lists snapshots, 'strongroom ls SNAPSHOT' what is in one, 'strongroom key list' keys",
    ),
    ("repo-list", "it is called 'strongroom snapshots'"),
    ("repo-create", "it is called 'strongroom init'"),
    ("repo-delete", "a repository is a folder: delete that, and everything in it is gone"),
    ("delete", "'strongroom forget' removes snapshots, 'strongroom prune' gives their space back"),
    ("remove", "'strongroom forget' removes snapshots, 'strongroom prune' gives their space back"),
    ("undelete", "nothing finds what was forgotten"),
    ("compact", "it is called 'strongroom prune'"),
    ("recreate", "it is called 'strongroom rewrite'"),
    ("rename", "snapshots have IDs and no names: 'strongroom tag' changes their tags, 'backup --label' gives a text"),
    ("transfer", "it is called 'strongroom copy'"),
    ("change-passphrase", "it is called 'strongroom key passwd'"),
    ("break-lock", "there are no locks: nothing has to be unlocked, whatever was interrupted"),
    ("with-lock", "there are no locks: run the command by itself"),
    ("unlock", "there are no locks: nothing has to be unlocked, whatever was interrupted"),
    ("recover", "nothing finds what was forgotten; 'strongroom repair' makes good what is damaged"),
    ("verify", "'strongroom check --read-data' verifies all that is stored"),
    ("rebuild-index", "it is called 'strongroom repair index'"),
    ("migrate", "there is nothing to migrate: there is one repository format"),
    ("upgrade", "there is nothing to upgrade: there is one repository format"),
    ("cache", "what is in the cache folder may be deleted at any time; --cache-dir names another"),
    ("config", "there is no configuration file: options and variables say everything"),
    ("generate", "'strongroom completions' and 'strongroom man' print what shells and manual readers need"),
    ("self-update", "strongroom is updated in the way it was installed"),
    ("mount", "snapshots cannot be mounted yet: 'ls', 'find', 'dump' and 'restore' look into them"),
    ("umount", "snapshots cannot be mounted yet: 'ls', 'find', 'dump' and 'restore' look into them"),
    ("serve", "there is no server: a repository is a folder, also one that another machine shares"),
];

/// The same for options.
const OPTIONS: &[(&str, &str)] = &[
    ("--list", "-v lists every entry"),
    ("--stats", "a backup always ends with its figures; 'strongroom stats' tells those of the repository"),
    ("--progress", "progress is shown on every terminal; -q turns it off"),
    ("-P", "snapshots are chosen with --host, --tag and --path; progress is shown on every terminal"),
    ("--glob-archives", "snapshots are chosen with --host, --tag and --path"),
    ("--match-archives", "snapshots are chosen with --host, --tag and --path"),
    ("--prefix", "snapshots are chosen with --host, --tag and --path"),
    ("--last", "'strongroom snapshots --latest N' lists the newest N"),
    ("--exclude-from", "it is called --exclude-file"),
    ("--pattern", "patterns are given with --exclude, and to 'restore' also with --include"),
    ("--patterns-from", "patterns are read from a file with --exclude-file, and by 'restore' also with --include-file"),
    ("--paths-from-stdin", "'--files-from-verbatim -' reads paths from standard input"),
    ("--content-from-command", "it is called --stdin-from-command"),
    ("--stdin-name", "it is called --stdin-filename"),
    ("--keep-minutely", "the shortest unit is the hour: --keep-hourly, or --keep-within for all of some hours"),
    ("--keep-secondly", "the shortest unit is the hour: --keep-hourly, or --keep-within for all of some hours"),
    ("--numeric-ids", "it is called --numeric-owner"),
    ("--strip-components", "'restore SNAPSHOT:PATH' puts the content of PATH directly into the target"),
    ("--stdout", "'strongroom dump' writes to standard output"),
    ("--repair", "'strongroom repair' makes good what 'strongroom check' finds"),
    ("--verify-data", "it is called --read-data"),
    ("--max-duration", "'check --budget' reads a part each time, what was verified longest ago first"),
    ("--comment", "it is called --label"),
    ("--timestamp", "it is called --time"),
    ("--encryption", "every repository is encrypted: leave it out"),
    ("--log-json", "it is called --json"),
    ("--debug", "-v tells more"),
    ("--info", "-v tells more"),
    ("--lock-wait", "there are no locks: leave it out"),
    ("--retry-lock", "there are no locks: leave it out"),
    ("--no-lock", "there are no locks: leave it out"),
    ("--rsh", "a repository is a folder: mount the one of the other machine, with sshfs for example"),
    ("--remote-path", "a repository is a folder: mount the one of the other machine, with sshfs for example"),
    ("--cleanup-cache", "what is in the cache folder may be deleted at any time"),
    ("--repository-version", "there is one repository format: leave it out"),
    ("--copy-chunker-params", "all repositories cut alike: leave it out"),
    ("--insecure-no-password", "every repository has a key: '--key-file' unlocks without a password"),
    ("--password", "others can read a command line: give --password-file, --password-command or --key-file"),
    ("--repo-file", "it is called --repository-file"),
    (
        "--recovery-code",
        "--use-recovery-code unlocks with the code there is, 'key add --new-recovery-code' makes a new one",
    ),
];

/// Advice about a command line that was not understood.
pub fn advice(wrong: &clap::Error) -> Option<&'static str> {
    [(ContextKind::InvalidSubcommand, VERBS), (ContextKind::InvalidArg, OPTIONS)].into_iter().find_map(
        |(kind, table)| {
            let Some(ContextValue::String(typed)) = wrong.get(kind) else { return None };
            table.iter().find(|(word, _)| word == typed).map(|(_, advice)| *advice)
        },
    )
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
        for (word, _) in VERBS.iter().chain(OPTIONS) {
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
