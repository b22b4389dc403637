//! The options of `restore`.

use crate::args::FilterArgs;
use crate::args::Selector;
use crate::args::pattern;
use clap::Args;
use clap::ValueEnum;
use std::ffi::OsString;
use std::path::PathBuf;

/// Restore a snapshot, or a part of one, into a folder
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom restore latest --target /tmp/back
  strongroom restore latest:/home/ann/documents --target /home/ann/documents --overwrite if-changed
  strongroom restore ab12cd34 --target / --include /etc/nginx --dry-run -v

Stopped midway, a restore leaves whole files: the old one or the new one of each. Only files from 64 MiB on that are
there already are changed in place. Such a file is then a mix of both; it is marked (attribute
user.strongroom.unfinished), and the next restore of it finishes it, whatever --overwrite says.")]
pub struct RestoreArgs {
    /// Which snapshot; with PATH only that part of it, whose content lands directly in the target
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    pub selector: Selector,
    /// Where to; only what differs is written
    #[arg(short, long, value_name = "FOLDER")]
    pub target: PathBuf,
    /// Only what matches; it is an error when nothing does
    #[arg(short, long, value_name = "PATTERN", value_parser = pattern(), help_heading = "What to restore")]
    pub include: Vec<OsString>,
    /// The same, ignoring case
    #[arg(long, value_name = "PATTERN", value_parser = pattern(), help_heading = "What to restore")]
    pub iinclude: Vec<OsString>,
    /// Patterns to include from FILE, one a line
    #[arg(long, value_name = "FILE", help_heading = "What to restore")]
    pub include_file: Vec<PathBuf>,
    /// Leave out what matches
    #[arg(short, long, value_name = "PATTERN", value_parser = pattern(), help_heading = "What to restore")]
    pub exclude: Vec<OsString>,
    /// The same, ignoring case
    #[arg(long, value_name = "PATTERN", value_parser = pattern(), help_heading = "What to restore")]
    pub iexclude: Vec<OsString>,
    /// Patterns to exclude from FILE, one a line
    #[arg(long, value_name = "FILE", help_heading = "What to restore")]
    pub exclude_file: Vec<PathBuf>,
    /// What to do with files that are there
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub overwrite: RestoreOverwrite,
    /// Delete from folders that were backed up what the snapshot does not have, also what the backup excluded; delete
    /// nothing if part of the snapshot cannot be read
    #[arg(long)]
    pub delete: bool,
    /// Read back what was restored and compare
    #[arg(long)]
    pub verify: bool,
    /// Write nothing; list what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Write runs of zeros as holes
    #[arg(long)]
    pub sparse: bool,
    /// Give what belongs to FROM to TO, also in access lists; users as name or number, groups with a leading :
    /// (repeatable)
    #[arg(long, value_name = "FROM=TO", value_parser = parse_owner, conflicts_with = "no_owner")]
    pub map_owner: Vec<(String, String)>,
    /// Owners by number: ignore the recorded names
    #[arg(long, conflicts_with = "no_owner")]
    pub numeric_owner: bool,
    /// Do not restore owners, nor people in access lists
    #[arg(long)]
    pub no_owner: bool,
    /// Threads for the work [default: one for each core; never more than 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// What to do with files that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RestoreOverwrite {
    /// Write what differs in content
    #[default]
    Always,
    /// The same, but trust files of equal size and time without reading them
    IfChanged,
    /// Only what is newer in the snapshot
    IfNewer,
    /// Leave them alone
    Never,
}

fn parse_owner(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() && from.starts_with(':') == to.starts_with(':') => {
            Ok((from.into(), to.into()))
        }
        _ => Err(format!("'{text}' is no mapping: write it as ann=bob, 1000=1001 or :staff=:users")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_map_users_to_users_and_groups_to_groups() {
        assert_eq!(parse_owner("ann=1001"), Ok(("ann".into(), "1001".into())));
        assert_eq!(parse_owner(":staff=:users"), Ok((":staff".into(), ":users".into())));
        for text in ["", "ann", "=bob", "ann=", ":staff=bob"] {
            assert!(parse_owner(text).is_err(), "{text}");
        }
    }
}
