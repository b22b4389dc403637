//! The options of the smaller verbs.

use crate::args::FilterArgs;
use crate::args::Selector;
use crate::args::parse_budget;
use crate::args::parse_read_data;
use crate::args::parse_time;
use clap::ArgGroup;
use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use std::ffi::OsString;
use std::path::PathBuf;
use strongroom::ReadBudget;
use strongroom::ReadData;
use strongroom::Timestamp;

/// Make a repository
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:
  strongroom -r /mnt/backup init
  strongroom -r /mnt/backup --key-file ~/strongroom.key init --label laptop")]
pub struct InitArgs {
    /// A label for the first key, which anybody can read
    #[arg(long)]
    pub label: Option<String>,
    /// Memory that each attempt to unlock with the password takes
    #[arg(long, value_enum, default_value_t)]
    pub kdf: Kdf,
    /// Make no recovery code
    #[arg(long)]
    pub no_recovery_code: bool,
}

/// Memory that each attempt to unlock with the password takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kdf {
    /// 64 MiB for each attempt
    #[default]
    Standard,
    /// 256 MiB for each attempt
    High,
}

/// List snapshots
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom snapshots
  strongroom snapshots --host web1 --tag nightly --latest 3 --json")]
pub struct SnapshotsArgs {
    /// Only these snapshots
    #[arg(value_name = "SNAPSHOT")]
    pub ids: Vec<String>,
    /// A table for each group: host, paths, tags, separated by commas
    #[arg(short, long, value_name = "WHAT", value_delimiter = ',', value_parser = ["host", "paths", "tags"])]
    pub group_by: Vec<String>,
    /// Shorter lines: no paths
    #[arg(short, long)]
    pub compact: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Only the newest N of each group (without --group-by: of each host and paths)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub latest: Option<u32>,
}

/// List what is in a snapshot
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom ls latest
  strongroom ls -l latest /home/ann
  strongroom ls --recursive ab12cd34 /etc")]
pub struct LsArgs {
    /// Which snapshot
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    pub selector: Selector,
    /// Only these folders and what is directly in them
    #[arg(value_name = "FOLDER")]
    pub folders: Vec<OsString>,
    /// Mode, owner, size and time too
    #[arg(short, long)]
    pub long: bool,
    /// Everything below these folders too (without FOLDER everything is listed anyway)
    #[arg(long)]
    pub recursive: bool,
    /// Sizes with units
    #[arg(long)]
    pub human_readable: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Find files in all snapshots
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom find '*.conf'
  strongroom find -l -i --newest 2026-01-31 report.odt
  strongroom find --snapshot latest /etc/nginx")]
pub struct FindArgs {
    /// Names, or paths when they contain a /; * ? [] and ** are wild
    #[arg(value_name = "PATTERN", required = true)]
    pub patterns: Vec<OsString>,
    /// Ignore case
    #[arg(short, long)]
    pub ignore_case: bool,
    /// Mode, owner, size and time too
    #[arg(short, long)]
    pub long: bool,
    /// Only what was modified at or after this time
    #[arg(short = 'O', long, value_name = "TIME", value_parser = parse_time)]
    pub oldest: Option<Timestamp>,
    /// Only what was modified at or before this time: 2026-01-31, '2026-01-31 18:00' or 2026-01-31T18:00:00Z
    #[arg(short = 'N', long, value_name = "TIME", value_parser = parse_time)]
    pub newest: Option<Timestamp>,
    /// Only in these snapshots (repeatable)
    #[arg(short, long, value_name = "SNAPSHOT")]
    pub snapshot: Vec<String>,
    /// Newest snapshots first
    #[arg(short = 'R', long)]
    pub reverse: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Show what differs between two snapshots, or between a snapshot and the disk
#[derive(Args, Debug)]
#[command(after_help = "Marks: + added, - removed, M content, T type, U only metadata (with --metadata)
Examples:
  strongroom diff latest~1 latest
  strongroom diff latest --disk
  strongroom diff latest:/home/ann --disk /mnt/ann --content")]
#[command(group(ArgGroup::new("against").args(["after", "disk"]).required(true)))]
pub struct DiffArgs {
    /// The older snapshot
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    pub before: Selector,
    /// The newer snapshot
    #[arg(value_name = "SNAPSHOT")]
    pub after: Option<Selector>,
    /// Compare with the files of this machine, where ROOT stands for the top of the snapshot, or of the part named
    /// [default: where it was]
    #[arg(long, value_name = "ROOT", num_args = 0..=1)]
    pub disk: Option<Option<PathBuf>>,
    /// With --disk: read the files and compare their content too
    #[arg(long, requires = "disk")]
    pub content: bool,
    /// Show differences of metadata too
    #[arg(long)]
    pub metadata: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Write a file, or a folder as an archive, to standard output
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom dump latest /home/ann/notes.txt
  strongroom dump latest stdin | psql shop
  strongroom dump --archive zip --target etc.zip latest /etc")]
pub struct DumpArgs {
    /// Which snapshot
    #[arg(value_name = "SNAPSHOT[:PATH]")]
    pub selector: Selector,
    /// What in it; / for everything
    #[arg(value_name = "PATH", default_value = "/")]
    pub inside: OsString,
    /// How to pack a folder
    #[arg(short, long, value_enum, default_value_t)]
    pub archive: Archive,
    /// Write to FILE, which must not exist yet
    #[arg(short, long, value_name = "FILE")]
    pub target: Option<PathBuf>,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// How to pack a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Archive {
    /// A tar archive
    #[default]
    Tar,
    /// A zip archive
    Zip,
}

/// Check that everything needed is there, and with --read-data that it can be restored
#[derive(Args, Debug)]
#[command(
    after_help = "A check proves only the key that it is run with. Run it with each of the others now and then, also with
--use-recovery-code: a damaged key may show only when it is used.

Examples:
  strongroom check
  strongroom check --read-data
  strongroom check --read-data-subset 1/7
  strongroom check --read-data-subset 10G
  strongroom check --read-data --budget 10%/day"
)]
pub struct CheckArgs {
    /// Read and verify all data, or with --budget a little of it each time
    #[arg(long, conflicts_with = "read_data_subset")]
    pub read_data: bool,
    /// Read what was verified longest ago, within AMOUNT (10% of what is stored, or 5GiB) for each TIME (run, hour,
    /// day, week, or so many: 12h, 30d, 2w); what was verified when is remembered in the cache folder
    #[arg(long, value_name = "AMOUNT/TIME", conflicts_with = "read_data_subset", value_parser = parse_budget)]
    pub budget: Option<ReadBudget>,
    /// Read and verify a part of the data: 2/7 (the second of seven parts), or a random 10% or 10G
    #[arg(long, value_name = "PART", value_parser = parse_read_data)]
    pub read_data_subset: Option<ReadData>,
    /// Packs verified at once [default: one for each core; never more than 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

/// Show how much is stored
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom stats
  strongroom stats --mode by-snapshot --host web1
  strongroom stats latest --mode restore-size")]
pub struct StatsArgs {
    /// Only these snapshots [default: all that match]
    #[arg(value_name = "SNAPSHOT")]
    pub ids: Vec<String>,
    /// What to count
    #[arg(long, value_enum, default_value_t)]
    pub mode: StatsMode,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// What to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StatsMode {
    /// Both: what a restore of the snapshots would give, and what the whole repository stores
    #[default]
    All,
    /// Files and bytes a restore of the snapshots would give
    RestoreSize,
    /// What the whole repository stores, whichever snapshots are named
    RawData,
    /// A line for each snapshot
    BySnapshot,
}

/// Change the tags of snapshots
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("change").args(["set", "add", "remove"]).required(true).multiple(true)))]
#[command(after_help = "A changed snapshot gets a new ID.
Examples:
  strongroom tag --add keep,monthly latest
  strongroom tag --set nightly --host web1
  strongroom tag --remove test ab12cd34")]
pub struct TagArgs {
    /// Which snapshots [default: all that match]
    #[arg(value_name = "SNAPSHOT")]
    pub ids: Vec<String>,
    /// These tags in place of those there are; '' for none
    #[arg(long, value_name = "TAG[,TAG]", conflicts_with_all = ["add", "remove"])]
    pub set: Vec<String>,
    /// These tags too
    #[arg(long, value_name = "TAG[,TAG]")]
    pub add: Vec<String>,
    /// Not these tags
    #[arg(long, value_name = "TAG[,TAG]")]
    pub remove: Vec<String>,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Manage passwords, key files and recovery codes
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  strongroom key list")]
pub struct KeyArgs {
    #[command(subcommand)]
    pub verb: KeyVerb,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyVerb {
    /// List the ways to unlock the repository
    #[command(after_help = "Example:\n  strongroom key list --json")]
    List,
    /// Add a password, a key file or a recovery code
    #[command(after_help = "Examples:
  strongroom key add
  strongroom key add --new-key-file ~/strongroom.key --label laptop
  strongroom key add --new-recovery-code")]
    Add(NewKeyArgs),
    /// Remove a way to unlock, but not the one this command unlocks with
    #[command(after_help = "Example:\n  strongroom key remove 0123abcd")]
    Remove {
        /// Its ID as 'key list' shows it, or the beginning
        id: String,
    },
    /// Put a new password in place of the password, key file or code that this command unlocks with
    #[command(after_help = "Example:\n  strongroom key passwd --new-password-file /run/new-password")]
    Passwd {
        /// Read the new password from FILE [default: ask]
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        /// A label for the new key, which anybody can read
        #[arg(long)]
        label: Option<String>,
        /// Memory that each attempt to unlock with the password takes
        #[arg(long, value_enum, default_value_t)]
        kdf: Kdf,
    },
    /// Make a new root key: what is stored from now on cannot be read with the old one
    #[command(
        after_help = "Only the key that this command unlocks with stays, or the new one given in its place, and a
new recovery code is made if there was one. All other keys are removed: add them again.
What is stored already stays readable to whoever kept the old root key, unless --reencrypt
seals it anew: all of it is then read and written again, and snapshots get new IDs.
'strongroom prune --reencrypt' does the same later, and goes on where that was stopped.
Examples:
  strongroom key rotate --reencrypt
  strongroom key rotate --new-password-file /run/new-password"
    )]
    Rotate(RotateArgs),
}

/// What opens the new root key.
#[derive(Args, Debug, Default)]
pub struct RotateArgs {
    /// Read a new password from FILE [default: what this command unlocks with stays]
    #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
    pub new_password_file: Option<PathBuf>,
    /// Unlock with this key file from now on; it is made when it does not exist
    #[arg(long, value_name = "FILE")]
    pub new_key_file: Option<PathBuf>,
    /// Then seal anew what was stored before
    #[arg(long)]
    pub reencrypt: bool,
    /// Make no recovery code, even if there was one
    #[arg(long)]
    pub no_recovery_code: bool,
    /// A label for the key, which anybody can read [default: as it was]
    #[arg(long)]
    pub label: Option<String>,
    /// Memory that each attempt to unlock with the password takes
    #[arg(long, value_enum, default_value_t)]
    pub kdf: Kdf,
}

/// The key to add.
#[derive(Args, Debug, Default)]
pub struct NewKeyArgs {
    /// Read the new password from FILE [default: ask]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new_key_file", "new_recovery_code"])]
    pub new_password_file: Option<PathBuf>,
    /// Add this key file; it is made when it does not exist
    #[arg(long, value_name = "FILE", conflicts_with = "new_recovery_code")]
    pub new_key_file: Option<PathBuf>,
    /// Make a new recovery code and print it
    #[arg(long)]
    pub new_recovery_code: bool,
    /// A label for the password or key file, which anybody can read
    #[arg(long)]
    pub label: Option<String>,
    /// Memory that each attempt to unlock with the password takes
    #[arg(long, value_enum, default_value_t)]
    pub kdf: Kdf,
}

/// Print an object of the repository as JSON
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom cat config
  strongroom cat snapshot latest
  strongroom cat pack 0123abcd")]
pub struct CatArgs {
    /// What kind of object
    #[arg(value_enum)]
    pub what: CatWhat,
    /// Its ID or the beginning of it; for a snapshot also 'latest'; none for config
    pub id: Option<String>,
}

/// Kinds of objects that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CatWhat {
    /// The repository's configuration
    Config,
    /// A snapshot's record
    Snapshot,
    /// Which chunks are in which packs
    Index,
    /// A pack's table
    Pack,
}

/// Print the manual page, or write all of them into a folder
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  strongroom man | man -l -
  strongroom man --folder /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write strongroom.1, strongroom-backup.1 and so on here
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}
