//! The options of what carries snapshots elsewhere, or changes them afterwards.

use crate::args::ChosenArgs;
use crate::args::pattern;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use strongroom::Compression;

/// Copy snapshots from another repository into this one
#[derive(Args, Debug)]
#[command(
    after_help = "Everything is encrypted anew with this repository's keys, and nothing is stored twice. A snapshot that
was copied before is not copied again, but what its copy has lost is stored again. Without an option of its own the
other repository is unlocked as this one is.

Examples:
  strongroom -r /mnt/second copy --from-repo /mnt/first --all
  strongroom -r /mnt/second copy --from-repo /mnt/first --from-password-file first.pass --host web1"
)]
pub struct CopyArgs {
    #[command(flatten)]
    pub which: ChosenArgs,
    #[command(flatten)]
    pub from: FromArgs,
    /// Store nothing; tell what would be copied
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// off, fast, auto, max or a zstd level from 1 to 22 [default: auto]
    #[arg(long, help_heading = "Effort", value_name = "MODE")]
    pub compression: Option<Compression>,
    /// Threads that compress and encrypt [default: one for each core; never more than 6]
    #[arg(long, help_heading = "Effort", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Send at most this many KiB a second
    #[arg(long, help_heading = "Effort", value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_upload: Option<u32>,
}

/// Another repository, and what unlocks it.
#[derive(Args, Debug)]
pub struct FromArgs {
    /// Where the other repository is
    #[arg(long, value_name = "LOCATION", alias = "from-repository")]
    pub from_repo: OsString,
    /// Read the other repository's password from FILE, without the line end
    #[arg(long, value_name = "FILE", group = "from_key")]
    pub from_password_file: Option<PathBuf>,
    /// Run COMMAND in a shell and take the other repository's password from its output
    #[arg(long, value_name = "COMMAND", group = "from_key")]
    pub from_password_command: Option<String>,
    /// Unlock the other repository with a key file
    #[arg(long, value_name = "FILE", group = "from_key")]
    pub from_key_file: Option<PathBuf>,
}

/// Write snapshots anew without some of their files
#[derive(Args, Debug)]
#[command(
    after_help = "The new snapshots keep host, time, label and tags, and get the tag 'rewrite' unless --forget removes the old
ones. What was left out takes space until its snapshots are forgotten and pruned. Patterns mean what they mean in
'backup'. A snapshot of which nothing would be left is refused, with all others; one that is protected is never
removed, and told (exit code 3).

Examples:
  strongroom rewrite --exclude /home/ann/secret --dry-run --all
  strongroom rewrite --exclude '*.iso' --forget --host web1"
)]
pub struct RewriteArgs {
    #[command(flatten)]
    pub which: ChosenArgs,
    /// Leave out what matches, with all below it (repeatable)
    #[arg(short, long, value_name = "PATTERN", value_parser = pattern(), required = true)]
    pub exclude: Vec<OsString>,
    /// Remove the old snapshots once the new ones are stored
    #[arg(long)]
    pub forget: bool,
    /// Store nothing; list what would be left out
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}
