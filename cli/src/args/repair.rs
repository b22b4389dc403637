//! The options of `repair`.

use crate::args::ChosenArgs;
use crate::args::FromArgs;
use clap::Args;
use clap::Subcommand;

/// Make good what is damaged, from what is left
#[derive(Args, Debug)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "A repair adds to the repository and leaves what is damaged where it is, as evidence. In this order it saves most:
'repair index', 'repair packs', then 'repair fetch' if another repository has the same files and a backup of what is
still there, and 'repair snapshots' last. It ends with 3 when something stays lost; that is named.

Examples:
  strongroom repair index --dry-run
  strongroom repair packs
  strongroom repair snapshots --all --dry-run"
)]
pub struct RepairArgs {
    /// What to repair
    #[command(subcommand)]
    pub verb: RepairVerb,
}

/// What to repair.
#[derive(Debug, Subcommand)]
pub enum RepairVerb {
    Index(RepairIndexArgs),
    Packs(RepairPacksArgs),
    Fetch(Box<RepairFetchArgs>),
    Snapshots(RepairSnapshotsArgs),
    Keys(RepairKeysArgs),
}

/// List packs in the index that it has lost, and put lost data keys back
#[derive(Args, Debug)]
#[command(
    after_help = "Reads every pack that no index object names. A damaged index object stays until the next prune, and is not needed.

Example:
  strongroom repair index --dry-run"
)]
pub struct RepairIndexArgs {
    /// Store nothing; tell what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Have the list of keys name those that are there, when it is damaged or they are known to be right
#[derive(Args, Debug)]
#[command(
    after_help = "The list tells 'check' which keys there should be. What this names first is what 'check' called unknown: 'key remove' takes
away what is not yours. Keys that are missing are not missed any more.

Example:
  strongroom repair keys --dry-run"
)]
pub struct RepairKeysArgs {
    /// Store nothing; tell what would be named
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Save what still opens of damaged packs
#[derive(Args, Debug)]
#[command(
    after_help = "Reads all packs, or those named, and copies what is good of damaged ones into new packs. A damaged pack stays, and is
condemned: backups store again what it has lost, and a prune removes it when no snapshot needs it any more.

Examples:
  strongroom repair packs --dry-run
  strongroom repair packs 4f3a9c
  strongroom repair packs --read-data"
)]
pub struct RepairPacksArgs {
    /// Only these packs: IDs or their beginnings
    #[arg(value_name = "PACK")]
    pub ids: Vec<String>,
    /// Open and verify everything in the packs, also in those that are as they were stored
    #[arg(long)]
    pub read_data: bool,
    /// Store nothing; tell what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Fetch what is lost from another repository that has the same files
#[derive(Args, Debug)]
#[command(
    after_help = "Snapshots are matched by host and paths, copies first, files by path. Their bytes are read there, and stored here only
where they are exactly what is missing. Without an option of its own the other repository is unlocked as this one is.

Examples:
  strongroom repair fetch --from-repo /mnt/second --all
  strongroom repair fetch --from-repo /mnt/second --from-key-file second.key latest"
)]
pub struct RepairFetchArgs {
    #[command(flatten)]
    pub which: ChosenArgs,
    #[command(flatten)]
    pub from: FromArgs,
    /// Store nothing; tell what is missing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// Write snapshots that have lost data again, without what is lost
#[derive(Args, Debug)]
#[command(
    after_help = "The new snapshots keep host, time, label and tags, get the tag 'repaired', and say what is left out of them. A file that
has lost a part is left out whole. The old snapshots stay unless --forget is given.

Examples:
  strongroom repair snapshots --all --dry-run
  strongroom repair snapshots latest
  strongroom repair snapshots --forget --host web1"
)]
pub struct RepairSnapshotsArgs {
    #[command(flatten)]
    pub which: ChosenArgs,
    /// Remove an old snapshot once the one that stands for it is stored
    #[arg(long)]
    pub forget: bool,
    /// Read all data of the snapshots, not only their catalogs
    #[arg(long)]
    pub read_data: bool,
    /// Store nothing; tell what would be left out
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}
