//! The options of `backup`.

use crate::args::parse_host;
use crate::args::parse_size;
use crate::args::parse_time;
use crate::args::pattern;
use clap::Args;
use clap::ValueEnum;
use std::ffi::OsString;
use std::path::PathBuf;
use strongroom::Compression;
use strongroom::Timestamp;

/// Back up files, folders, standard input or the output of a command
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:
  strongroom backup ~/documents /etc
  strongroom backup / -x --exclude-caches --exclude '*.tmp' --tag nightly
  strongroom backup --stdin-filename x.sql --stdin-from-command -- pg_dump x
  strongroom backup --dry-run -v ~/documents

Patterns: '*.tmp' matches names anywhere, '/home/*/tmp' whole paths. * and ?
stop at a slash, ** does not; [a-z] is one of these, [!a-z] none of them; \\ in
front of a character takes it as it is; {} mean themselves. A slash at the end
asks for a folder; ! in front takes back what an earlier pattern left out.
What is named itself is left out by no pattern of a folder above it.")]
pub struct BackupArgs {
    /// What to back up; with --stdin-from-command: the command and its arguments
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Back up standard input (rather use --stdin-from-command: it notices a dump that failed)
    #[arg(long, help_heading = "Source", conflicts_with_all = ["stdin_from_command", "paths", "files_from", "files_from_verbatim", "files_from_raw", "require_all_sources"])]
    pub stdin: bool,
    /// Back up the output of a command; there is no snapshot unless it exits with 0
    #[arg(long, help_heading = "Source", requires = "paths", conflicts_with_all = ["files_from", "files_from_verbatim", "files_from_raw", "require_all_sources"])]
    pub stdin_from_command: bool,
    /// Store a stream without a byte too; otherwise it counts as a failed dump
    #[arg(long, help_heading = "Source")]
    pub allow_empty: bool,
    /// The name of the stream in the snapshot
    #[arg(long, help_heading = "Source", value_name = "NAME", default_value = "stdin")]
    pub stdin_filename: OsString,
    /// Also back up the paths in FILE: one pattern a line, # begins a comment; - is standard input
    #[arg(long, help_heading = "Source", value_name = "FILE")]
    pub files_from: Vec<PathBuf>,
    /// Also back up the paths in FILE: one a line, taken as they are
    #[arg(long, help_heading = "Source", value_name = "FILE")]
    pub files_from_verbatim: Vec<PathBuf>,
    /// Also back up the paths in FILE: separated by NUL, taken as they are
    #[arg(long, help_heading = "Source", value_name = "FILE")]
    pub files_from_raw: Vec<PathBuf>,
    /// Store nothing unless every path is there; else what is missing is skipped, and the run ends with 3
    #[arg(long, help_heading = "Source")]
    pub require_all_sources: bool,

    /// Leave out what matches (repeatable; patterns are explained below)
    #[arg(short, long, help_heading = "Leave out", value_name = "PATTERN", value_parser = pattern())]
    pub exclude: Vec<OsString>,
    /// The same, ignoring case
    #[arg(long, help_heading = "Leave out", value_name = "PATTERN", value_parser = pattern())]
    pub iexclude: Vec<OsString>,
    /// Leave out what matches a pattern in FILE, one a line
    #[arg(long, help_heading = "Leave out", value_name = "FILE")]
    pub exclude_file: Vec<PathBuf>,
    /// The same, ignoring case
    #[arg(long, help_heading = "Leave out", value_name = "FILE")]
    pub iexclude_file: Vec<PathBuf>,
    /// Leave out the content of folders that have a file NAME, which begins with HEADER
    #[arg(long, help_heading = "Leave out", value_name = "NAME[:HEADER]")]
    pub exclude_if_present: Vec<OsString>,
    /// Leave out the content of folders marked as caches by a CACHEDIR.TAG
    #[arg(long, help_heading = "Leave out")]
    pub exclude_caches: bool,
    /// Leave out files larger than SIZE: 500, 10M, 1.5GiB
    #[arg(long, help_heading = "Leave out", value_name = "SIZE", value_parser = parse_size)]
    pub exclude_larger_than: Option<u64>,
    /// Leave out what .gitignore files ignore
    #[arg(long, help_heading = "Leave out")]
    pub gitignore: bool,
    /// Stay on the file systems of the given paths
    #[arg(short = 'x', long, help_heading = "Leave out")]
    pub one_file_system: bool,

    /// Tags of the snapshot, separated by commas
    #[arg(long, help_heading = "Snapshot", value_name = "TAG[,TAG]")]
    pub tag: Vec<String>,
    /// A text for people, shown with the snapshot
    #[arg(long, help_heading = "Snapshot")]
    pub label: Option<String>,
    /// The host's name [default: what the system says; env: STRONGROOM_HOST]
    #[arg(short = 'H', long, help_heading = "Snapshot", value_parser = parse_host)]
    pub host: Option<String>,
    /// The snapshot's time: 2026-01-31, '2026-01-31 18:00' or 2026-01-31T18:00:00Z [default: now]
    #[arg(long, help_heading = "Snapshot", value_parser = parse_time)]
    pub time: Option<Timestamp>,
    /// Do not store a snapshot in which nothing changed
    #[arg(long, help_heading = "Snapshot")]
    pub skip_if_unchanged: bool,

    /// Compare with this snapshot [default: the newest of the same host and paths]
    #[arg(long, help_heading = "What changed", value_name = "SNAPSHOT", conflicts_with = "force")]
    pub parent: Option<String>,
    /// Read every file again
    #[arg(short, long, help_heading = "What changed")]
    pub force: bool,
    /// Do not take a file for changed because its inode number is new
    #[arg(long, help_heading = "What changed")]
    pub ignore_inode: bool,
    /// Do not take a file for changed because its ctime is new
    ///
    /// A file of the same size and mtime is then not read. New owners, permissions and times are still seen; new extended
    /// attributes, ACLs and inode flags are not, nor is new content whose mtime was set back.
    #[arg(long, help_heading = "What changed")]
    pub ignore_ctime: bool,

    /// Store nothing; list what would be taken, and what not
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// off, fast, auto, max or a zstd level from 1 to 22 [default: auto]
    #[arg(long, help_heading = "Effort", value_name = "MODE", value_parser = parse_compression)]
    pub compression: Option<Compression>,
    /// How to encrypt
    #[arg(long, help_heading = "Effort", value_enum, default_value_t)]
    pub cipher: BackupCipher,
    /// Threads that compress and encrypt [default: one for each core; never more than 6]
    #[arg(long, help_heading = "Effort", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Send at most this many KiB a second
    #[arg(long, help_heading = "Effort", value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit_upload: Option<u32>,
}

/// Which cipher seals the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BackupCipher {
    /// The fastest on this machine
    #[default]
    Auto,
    /// XChaCha20-Poly1305
    #[value(name = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    /// AES-256-GCM
    #[value(name = "aes-256-gcm")]
    Aes256Gcm,
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    text.parse::<Compression>().map_err(|why| why.to_string())
}
