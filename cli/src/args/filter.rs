//! Which snapshots: options shared by every verb that looks at several.

use crate::args::parse_host;
use crate::args::raw_path;
use clap::ArgGroup;
use clap::Args;
use std::path::PathBuf;
use strongroom::SnapshotFilter;

/// Only snapshots that match all of these.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which snapshots")]
pub struct FilterArgs {
    /// Only of this host (repeatable: any of them)
    #[arg(short = 'H', long, value_name = "HOST", value_parser = parse_host)]
    pub host: Vec<String>,
    /// Only with all of these tags, separated by commas; '' for those without (repeatable: any of the lists)
    #[arg(long, value_name = "TAG[,TAG]")]
    pub tag: Vec<String>,
    /// Only with this path (repeatable: all of them)
    #[arg(long, value_name = "PATH")]
    pub path: Vec<PathBuf>,
}

impl FilterArgs {
    /// The engine's form.
    pub fn filter(&self) -> SnapshotFilter {
        // Parts put together again: a slash at the end says nothing.
        let absolute = |path: &PathBuf| -> PathBuf {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).components().collect()
        };
        SnapshotFilter {
            hosts: self.host.clone(),
            tags: self.tag.iter().map(|list| split_tags(list)).collect(),
            paths: self.path.iter().map(|path| raw_path(&absolute(path))).collect(),
        }
    }
}

/// Snapshots by name, or all that match; nobody changes or copies all of them by leaving out a word.
#[derive(Args, Clone, Debug, Default)]
#[command(group(ArgGroup::new("chosen").args(["ids", "all", "host", "tag", "path"]).required(true).multiple(true)))]
pub struct ChosenArgs {
    /// Which snapshots: IDs or their beginnings, 'latest', 'latest~2'
    #[arg(value_name = "SNAPSHOT")]
    pub ids: Vec<String>,
    /// All that match; without filters all there are
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// `a,b` as tags; empty ones do not exist.
fn split_tags(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// All tags of several comma-separated lists.
pub fn flat_tags(lists: &[String]) -> Vec<String> {
    lists.iter().flat_map(|list| split_tags(list)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_in_one_list_belong_together() {
        let args = FilterArgs { tag: vec!["a, b".into(), "c,".into()], ..FilterArgs::default() };
        assert_eq!(args.filter().tags, [vec!["a".to_owned(), "b".into()], vec!["c".into()]]);
        assert_eq!(flat_tags(&args.tag), ["a", "b", "c"]);
    }

    #[test]
    fn a_path_is_the_same_with_a_slash_at_its_end() {
        let args = FilterArgs { path: vec!["/srv/data/".into(), "/".into()], ..FilterArgs::default() };
        assert_eq!(args.filter().paths, [&b"/srv/data"[..], b"/"]);
    }
}
