//! The options of what removes snapshots, and of what keeps them.

use crate::args::FilterArgs;
use crate::args::PruneHow;
use crate::args::parse_host;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;
use strongroom::Age;
use strongroom::GroupBy;
use strongroom::Keep;
use strongroom::KeepRules;

/// Remove snapshots: by ID, or all that no rule keeps
#[derive(Args, Debug)]
#[command(
    mut_group("PruneHow", |how| how.requires("prune")),
    after_help = "Rules add up: a snapshot stays when any of them keeps it. Ages are written as 1y6m or 30d (y m w d h)
and count back from the newest snapshot of the group, not from now. Days and what is longer are those of the
local calendar and time zone; hours are as long as ever, also when clocks are put forward or back.
A snapshot dated more than a day ahead of this machine's clock is kept and named, and no rule counts it.
What only forgotten snapshots needed stays stored until a prune gives the space back.
A snapshot whose record is damaged is forgotten when its ID is named.

Examples:
  strongroom forget ab12cd34
  strongroom forget --dry-run --keep-daily 7 --keep-weekly 4 --keep-monthly 12
  strongroom forget --prune --keep-daily 7 --keep-weekly 4
  strongroom forget --prune --max-unused 0 ab12cd34
  strongroom forget --host web1 --keep-within 30d --keep-within-monthly 1y --keep-tag release"
)]
pub struct ForgetArgs {
    /// Which snapshots: IDs or their beginnings, 'latest', 'latest~2'
    #[arg(value_name = "SNAPSHOT", conflicts_with_all = ["keep", "which"])]
    pub ids: Vec<String>,
    /// Remove nothing; tell what would be removed, and why the rest stays
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Prune afterwards: give back the space of what only they needed
    #[arg(long)]
    pub prune: bool,
    #[command(flatten)]
    pub keep: KeepArgs,
    #[command(flatten)]
    pub which: WhichArgs,
    #[command(flatten)]
    pub how: PruneHow,
}

/// What to keep.
#[derive(Args, Clone, Debug)]
#[group(id = "keep", multiple = true)]
#[command(next_help_heading = "What to keep")]
pub struct KeepArgs {
    /// The last N snapshots ('unlimited': all of them)
    #[arg(short = 'l', long, value_name = "N", value_parser = keep, allow_negative_numbers = true)]
    keep_last: Option<Keep>,
    /// The newest snapshot of each of the last N hours that have one
    #[arg(short = 'H', long, value_name = "N", value_parser = keep, allow_negative_numbers = true)]
    keep_hourly: Option<Keep>,
    /// The same for days
    #[arg(short = 'd', long, value_name = "N", value_parser = keep, allow_negative_numbers = true)]
    keep_daily: Option<Keep>,
    /// The same for weeks, from Monday to Sunday
    #[arg(short = 'w', long, value_name = "N", value_parser = keep, allow_negative_numbers = true)]
    keep_weekly: Option<Keep>,
    /// The same for months
    #[arg(short = 'm', long, value_name = "N", value_parser = keep, allow_negative_numbers = true)]
    keep_monthly: Option<Keep>,
    /// The same for years
    #[arg(short = 'y', long, value_name = "N", value_parser = keep, allow_negative_numbers = true)]
    keep_yearly: Option<Keep>,
    /// Everything within this age
    #[arg(long, value_name = "AGE")]
    keep_within: Option<Within>,
    /// The newest snapshot of each hour within this age
    #[arg(long, value_name = "AGE")]
    keep_within_hourly: Option<Within>,
    /// The same for days
    #[arg(long, value_name = "AGE")]
    keep_within_daily: Option<Within>,
    /// The same for weeks
    #[arg(long, value_name = "AGE")]
    keep_within_weekly: Option<Within>,
    /// The same for months
    #[arg(long, value_name = "AGE")]
    keep_within_monthly: Option<Within>,
    /// The same for years
    #[arg(long, value_name = "AGE")]
    keep_within_yearly: Option<Within>,
    /// Snapshots with all of these tags; '' for those without (repeatable: any of the lists)
    #[arg(long, value_name = "TAG[,TAG]")]
    keep_tag: Vec<String>,
    /// Snapshots whose ID begins with ID (repeatable)
    #[arg(long, value_name = "ID", value_parser = id)]
    keep_id: Vec<String>,
}

/// Which snapshots the rules look at.
#[derive(Args, Clone, Debug)]
#[group(id = "which", multiple = true)]
#[command(next_help_heading = "Which snapshots")]
pub struct WhichArgs {
    /// Only of this host (repeatable: any of them)
    #[arg(long, value_name = "HOST", value_parser = parse_host)]
    host: Vec<String>,
    /// Only with all of these tags, separated by commas; '' for those without (repeatable: any of the lists)
    #[arg(long, value_name = "TAG[,TAG]")]
    tag: Vec<String>,
    /// Only with this path (repeatable: all of them)
    #[arg(long, value_name = "PATH")]
    path: Vec<PathBuf>,
    /// Apply the rules to each group by itself: host, paths, tags, label; '' for one group [default: host,paths]
    #[arg(short, long, value_name = "WHAT", value_delimiter = ',', value_parser = ["host", "paths", "tags", "label", ""])]
    group_by: Option<Vec<String>>,
    /// Remove also all snapshots of a group
    #[arg(long)]
    pub unsafe_allow_remove_all: bool,
}

/// Protect snapshots: 'forget' refuses to remove them
#[derive(Args, Debug)]
#[command(after_help = "The snapshot is written anew, with another ID.
Example:
  strongroom protect latest")]
pub struct ProtectArgs {
    /// Which snapshots: IDs or their beginnings, 'latest', 'latest~2'
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub ids: Vec<String>,
}

/// Take the protection of snapshots away
#[derive(Args, Debug)]
#[command(after_help = "The snapshot is written anew, with another ID.
Example:
  strongroom unprotect ab12cd34")]
pub struct UnprotectArgs {
    /// Which snapshots: IDs or their beginnings, 'latest', 'latest~2'
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub ids: Vec<String>,
}

impl ForgetArgs {
    /// Whether a rule says what to keep.
    pub fn has_rules(&self) -> bool {
        self.keep.rules() != KeepRules::default()
    }
}

impl KeepArgs {
    /// The engine's form.
    pub fn rules(&self) -> KeepRules {
        KeepRules {
            last: self.keep_last.unwrap_or_default(),
            hourly: self.keep_hourly.unwrap_or_default(),
            daily: self.keep_daily.unwrap_or_default(),
            weekly: self.keep_weekly.unwrap_or_default(),
            monthly: self.keep_monthly.unwrap_or_default(),
            yearly: self.keep_yearly.unwrap_or_default(),
            within: self.keep_within.and_then(Within::age),
            within_hourly: self.keep_within_hourly.and_then(Within::age),
            within_daily: self.keep_within_daily.and_then(Within::age),
            within_weekly: self.keep_within_weekly.and_then(Within::age),
            within_monthly: self.keep_within_monthly.and_then(Within::age),
            within_yearly: self.keep_within_yearly.and_then(Within::age),
            tags: FilterArgs { tag: self.keep_tag.clone(), ..FilterArgs::default() }.filter().tags,
            ids: self.keep_id.clone(),
        }
    }
}

impl WhichArgs {
    /// The filter every other verb has.
    pub fn filter(&self) -> FilterArgs {
        FilterArgs { host: self.host.clone(), tag: self.tag.clone(), path: self.path.clone() }
    }

    /// What groups have in common.
    pub fn group_by(&self) -> GroupBy {
        let Some(words) = &self.group_by else { return GroupBy::default() };
        let has = |word: &str| words.iter().any(|other| other == word);
        GroupBy { host: has("host"), paths: has("paths"), tags: has("tags"), label: has("label") }
    }
}

/// An age, or none at all: `0` and `0d` turn a rule off.
#[derive(Clone, Copy, Debug)]
struct Within(Option<Age>);

impl Within {
    fn age(self) -> Option<Age> {
        self.0
    }
}

impl FromStr for Within {
    type Err = <Age as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_nothing = text.strip_prefix('0').is_some_and(|unit| ["", "y", "m", "w", "d", "h"].contains(&unit));
        if is_nothing { Ok(Self(None)) } else { text.parse().map(|age| Self(Some(age))) }
    }
}

/// How many: a number, or all. As elsewhere, -1 means all as well.
fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "unlimited" | "-1" => Ok(Keep::All),
        // As elsewhere: a script may have a number for every rule, and turn some of them off.
        "0" => Ok(Keep::None),
        _ => text.parse().map(Keep::Newest).map_err(|_| "write a number, or 'unlimited'".into()),
    }
}

/// The beginning of an ID.
fn id(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if plain { Ok(text.to_ascii_lowercase()) } else { Err("an ID has hexadecimal digits only".into()) }
}
