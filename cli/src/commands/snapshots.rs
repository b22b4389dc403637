//! `snapshots`: which there are.

use crate::args::SnapshotsArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::clock;
use crate::show::counted;
use crate::show::lossy;
use crate::show::short;
use crate::show::snapshot as json;
use crate::show::table;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::Verdict;

/// What the snapshots of one group have in common: its name, and one text or several.
type Group = Vec<(&'static str, Common)>;

/// What is the same in all snapshots of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Common {
    One(String),
    List(Vec<Vec<u8>>),
}

impl Common {
    /// In one line, for people.
    fn words(&self) -> String {
        match self {
            Self::One(text) => lossy(text.as_bytes()),
            Self::List(list) if list.is_empty() => "none".into(),
            Self::List(list) => list.iter().map(|one| lossy(one)).collect::<Vec<_>>().join(", "),
        }
    }

    /// As it is, for scripts.
    fn json(&self) -> Value {
        let text = |raw: &Vec<u8>| String::from_utf8_lossy(raw).into_owned();
        match self {
            Self::One(text) => json!(text),
            Self::List(list) => list.iter().map(text).collect(),
        }
    }
}

/// Lists the snapshots, in tables or as one JSON array.
pub async fn run(context: &Context, args: SnapshotsArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let snapshots = context.select(&repository, &args.ids, &args.filter).await?;
    let grouping: Vec<&str> = args.group_by.iter().map(String::as_str).collect();
    let latest = args.latest.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let snapshots = match latest {
        Some(count) if grouping.is_empty() => newest(snapshots, &["host", "paths"], count),
        Some(count) => newest(snapshots, &grouping, count),
        None => snapshots,
    };
    let groups = grouped(snapshots, &grouping);
    if context.show.json {
        context.show.json(&array(&groups, grouping.is_empty()))?;
        return Ok(Exit::Done);
    }
    if groups.is_empty() {
        context.show.say("no snapshots")?;
    }
    for (number, (group, snapshots)) in groups.iter().enumerate() {
        if number > 0 {
            context.show.say("")?;
        }
        if !group.is_empty() {
            let common: Vec<String> = group.iter().map(|(name, value)| format!("{name} {}", value.words())).collect();
            context.show.line(&format!("snapshots of {}:", common.join(", ")))?;
        }
        context.show.line(&lines(snapshots, args.compact))?;
        context.show.say(&counted(snapshots.len() as u64, "snapshot"))?;
    }
    Ok(Exit::Done)
}

/// What decides the group of a snapshot.
fn group_of(snapshot: &Snapshot, by: &[&str]) -> Group {
    let tags = || snapshot.tags.iter().map(|tag| tag.clone().into_bytes()).collect();
    let mut group = Vec::new();
    for (name, value) in [
        ("host", Common::One(snapshot.host.clone())),
        ("paths", Common::List(snapshot.paths.clone())),
        ("tags", Common::List(tags())),
    ] {
        if by.contains(&name) {
            group.push((name, value));
        }
    }
    group
}

/// Snapshots by group, in the order they came in; one group of all without grouping.
fn grouped(snapshots: Vec<Snapshot>, by: &[&str]) -> Vec<(Group, Vec<Snapshot>)> {
    let mut groups: BTreeMap<Group, Vec<Snapshot>> = BTreeMap::new();
    for snapshot in snapshots {
        groups.entry(group_of(&snapshot, by)).or_default().push(snapshot);
    }
    groups.into_iter().collect()
}

/// Only the last `count` of each group; the order stays.
fn newest(mut snapshots: Vec<Snapshot>, by: &[&str], count: usize) -> Vec<Snapshot> {
    let mut seen: BTreeMap<Group, usize> = BTreeMap::new();
    snapshots.reverse();
    snapshots.retain(|snapshot| {
        let seen = seen.entry(group_of(snapshot, by)).or_default();
        *seen += 1;
        *seen <= count
    });
    snapshots.reverse();
    snapshots
}

fn array(groups: &[(Group, Vec<Snapshot>)], plain: bool) -> Value {
    if plain {
        return groups.iter().flat_map(|(_, snapshots)| snapshots).map(json).collect();
    }
    let object =
        |group: &Group| group.iter().map(|(name, value)| ((*name).to_owned(), value.json())).collect::<Value>();
    groups
        .iter()
        .map(|(group, snapshots)| {
            json!({ "group_key": object(group), "snapshots": snapshots.iter().map(json).collect::<Vec<_>>() })
        })
        .collect()
}

fn lines(snapshots: &[Snapshot], compact: bool) -> String {
    let mut head = vec!["ID", "Time", "Host", "Tags", "Size", "State"];
    if !compact {
        head.push("Paths");
    }
    let row = |snapshot: &Snapshot| {
        let state = match (&snapshot.verdict, snapshot.is_protected) {
            (Verdict::Whole, false) => "",
            (Verdict::Whole, true) => "protected",
            (Verdict::Partial(_), false) => "PARTIAL",
            (Verdict::Partial(_), true) => "PARTIAL, protected",
        };
        let mut row = vec![
            short(&snapshot.id),
            clock(snapshot.started),
            lossy(snapshot.host.as_bytes()),
            lossy(snapshot.tags.join(",").as_bytes()),
            bytes(snapshot.counts.bytes),
            state.to_owned(),
        ];
        if !compact {
            let paths: Vec<String> = snapshot.paths.iter().map(|path| lossy(path)).collect();
            let label = snapshot.label.iter().map(|label| format!("[{}]", lossy(label.as_bytes())));
            row.push(paths.into_iter().chain(label).collect::<Vec<_>>().join("\n"));
        }
        row
    };
    table(&head, snapshots.iter().map(row).collect(), &[4])
}
