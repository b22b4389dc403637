//! The command line: what can be typed.
//!
//! The names are restic's where restic has them. Every verb has its options in a struct of its own;
//! the values people write (sizes, times, selectors) are parsed once, here, and are typed below.

mod backup;
mod filter;
mod forget;
mod history;
mod prune;
mod repair;
mod restore;
mod values;
mod verbs;

pub use backup::BackupArgs;
pub use backup::BackupCipher;
pub use filter::ChosenArgs;
pub use filter::FilterArgs;
pub use filter::flat_tags;
pub use forget::ForgetArgs;
pub use forget::ProtectArgs;
pub use forget::UnprotectArgs;
pub use history::CopyArgs;
pub use history::FromArgs;
pub use history::RewriteArgs;
pub use prune::PruneArgs;
pub use prune::PruneHow;
pub use repair::RepairArgs;
pub use repair::RepairFetchArgs;
pub use repair::RepairIndexArgs;
pub use repair::RepairKeysArgs;
pub use repair::RepairPacksArgs;
pub use repair::RepairSnapshotsArgs;
pub use repair::RepairVerb;
pub use restore::RestoreArgs;
pub use restore::RestoreOverwrite;
pub use values::Selector;
pub use values::entry_path;
pub use values::parse_budget;
pub use values::parse_host;
pub use values::parse_read_data;
pub use values::parse_size;
pub use values::parse_time;
pub use values::pattern;
pub use values::raw_path;
pub use verbs::Archive;
pub use verbs::CatArgs;
pub use verbs::CatWhat;
pub use verbs::CheckArgs;
pub use verbs::DiffArgs;
pub use verbs::DumpArgs;
pub use verbs::FindArgs;
pub use verbs::InitArgs;
pub use verbs::Kdf;
pub use verbs::KeyArgs;
pub use verbs::KeyVerb;
pub use verbs::LsArgs;
pub use verbs::ManArgs;
pub use verbs::NewKeyArgs;
pub use verbs::RotateArgs;
pub use verbs::SnapshotsArgs;
pub use verbs::StatsArgs;
pub use verbs::StatsMode;
pub use verbs::TagArgs;

use crate::exit;
use clap::ArgAction;
use clap::Args;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use std::ffi::OsString;
use std::path::PathBuf;

/// Fast, deduplicated, encrypted backups that can be trusted.
///
/// Without any configuration, 'strongroom backup FOLDER' keeps a local repository in your data
/// folder, made on first use.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, propagate_version = false, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = format!("Example: strongroom -r /mnt/backup backup ~/documents\n\n{}", exit::help()))]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options every verb takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Where the repository is: a folder [env: STRONGROOM_REPOSITORY]
    #[arg(short, long, global = true, value_name = "LOCATION", alias = "repository")]
    pub repo: Option<OsString>,
    /// Read the location from the first line of FILE [env: STRONGROOM_REPOSITORY_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub repository_file: Option<PathBuf>,
    /// Read the password from FILE, without the line end [env: STRONGROOM_PASSWORD_FILE, or STRONGROOM_PASSWORD itself]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Run COMMAND in a shell and take the password from its output [env: STRONGROOM_PASSWORD_COMMAND]
    #[arg(long, global = true, value_name = "COMMAND")]
    pub password_command: Option<String>,
    /// Unlock with a key file in place of a password [env: STRONGROOM_KEY_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Unlock with the recovery code: asked for, or from env STRONGROOM_RECOVERY_CODE
    #[arg(long, global = true)]
    pub use_recovery_code: bool,
    /// Memory that trying a password may take, in bytes or with K, M, G: keys that ask for more are left out [default: 1G]
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_size)]
    pub kdf_limit: Option<u64>,
    /// Results, progress and errors as JSON, one value a line
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress, no remarks: only results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Tell more: list every entry
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// No colours [env: NO_COLOR]
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Keep caches in FOLDER; it may be deleted at any time [default: strongroom in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub cache_dir: Option<PathBuf>,
    /// Keep no cache: an interrupted backup reads its files again, but uploads nothing twice
    #[arg(long, global = true, conflicts_with = "cache_dir")]
    pub no_cache: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Init(InitArgs),
    Backup(Box<BackupArgs>),
    Snapshots(SnapshotsArgs),
    Ls(LsArgs),
    Find(FindArgs),
    Diff(DiffArgs),
    Restore(Box<RestoreArgs>),
    Dump(DumpArgs),
    Check(CheckArgs),
    Repair(RepairArgs),
    Stats(StatsArgs),
    Tag(TagArgs),
    Key(KeyArgs),
    Cat(CatArgs),
    Forget(Box<ForgetArgs>),
    Prune(PruneArgs),
    Protect(ProtectArgs),
    Unprotect(UnprotectArgs),
    Copy(Box<CopyArgs>),
    Rewrite(RewriteArgs),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  strongroom completions bash > /etc/bash_completion.d/strongroom")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    Man(ManArgs),
    /// Print the version
    #[command(after_help = "Example:\n  strongroom version --json")]
    Version,
}

/// The whole command, for help, completions and man pages.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    fn each_verb(command: &clap::Command, visit: &mut dyn FnMut(&clap::Command)) {
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            visit(verb);
            each_verb(verb, visit);
        }
    }

    #[test]
    fn every_verb_says_what_it_does_and_shows_an_example() {
        let mut seen = Vec::new();
        each_verb(&command(), &mut |verb| {
            let name = verb.get_name().to_owned();
            assert!(verb.get_about().is_some_and(|about| !about.to_string().is_empty()), "{name} has no about");
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example") && after.contains("strongroom "), "{name} has no example");
            seen.push(name);
        });
        for verb in [
            "init",
            "backup",
            "snapshots",
            "ls",
            "find",
            "diff",
            "restore",
            "dump",
            "check",
            "repair",
            "index",
            "packs",
            "fetch",
            "keys",
            "stats",
            "tag",
            "key",
            "list",
            "add",
            "remove",
            "passwd",
            "cat",
            "forget",
            "prune",
            "protect",
            "unprotect",
            "copy",
            "rewrite",
            "completions",
            "man",
            "version",
        ] {
            assert!(seen.iter().any(|name| name == verb), "{verb} is missing");
        }
    }

    #[test]
    fn every_option_and_argument_is_explained() {
        let mut seen = 0;
        let mut look = |command: &clap::Command| {
            for argument in command.get_arguments() {
                let text = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(text.len() >= 5, "{} {argument} says {text:?}", command.get_name());
                assert!(!text.ends_with('.'), "{} {argument} ends like a sentence", command.get_name());
                for value in argument.get_possible_values() {
                    // Shells and parts of a list speak for themselves.
                    let named = ["shell", "group_by"].contains(&argument.get_id().as_str());
                    assert!(named || value.get_help().is_some(), "{argument}: {} is not explained", value.get_name());
                }
                seen += 1;
            }
        };
        let mut command = command();
        command.build();
        look(&command);
        each_verb(&command, &mut look);
        assert!(seen > 100, "{seen}");
    }

    #[test]
    fn every_example_is_a_command_that_parses() {
        let mut examples = 0;
        each_verb(&command(), &mut |verb| {
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines().map(str::trim).filter(|line| line.starts_with("strongroom ")) {
                let plain = line.split(" > ").next().and_then(|line| line.split(" | ").next()).unwrap_or(line);
                let words: Vec<String> = plain.split_whitespace().map(|word| word.replace('\'', "")).collect();
                assert!(Cli::try_parse_from(&words).is_ok(), "{line}: {:?}", Cli::try_parse_from(&words).err());
                examples += 1;
            }
        });
        assert!(examples >= 21, "{examples}");
    }

    #[test]
    fn the_help_text_tells_the_exit_codes() {
        assert!(command().render_help().to_string().contains(&exit::help()));
    }

    #[test]
    fn global_options_stand_before_or_after_the_verb() {
        for words in [["strongroom", "-r", "/x", "snapshots"], ["strongroom", "snapshots", "-r", "/x"]] {
            assert_eq!(Cli::try_parse_from(words).expect("it parses").global.repo, Some("/x".into()));
        }
        for name in ["--repo", "--repository"] {
            let words = ["strongroom", "snapshots", name, "/x"];
            assert_eq!(Cli::try_parse_from(words).expect("it parses").global.repo, Some("/x".into()));
        }
    }

    #[test]
    fn a_command_after_two_dashes_is_taken_as_it_is() {
        let words = ["strongroom", "backup", "--stdin-from-command", "--", "pg_dump", "-v", "--exclude", "x"];
        let cli = Cli::try_parse_from(words).expect("it parses");
        let Verb::Backup(backup) = cli.verb else { panic!("not a backup") };
        assert_eq!(backup.paths, ["pg_dump", "-v", "--exclude", "x"].map(PathBuf::from));
        assert_eq!(cli.global.verbose, 0);
    }
}
