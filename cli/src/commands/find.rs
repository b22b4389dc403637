//! `find`: files in many snapshots.

use crate::args::FindArgs;
use crate::commands::Context;
use crate::commands::Gaps;
use crate::commands::ls::long_line;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::clock;
use crate::show::counted;
use crate::show::entry as json;
use crate::show::path;
use crate::show::short;
use serde_json::Value;
use serde_json::json;
use strongroom::Entry;
use strongroom::FileKind;
use strongroom::Patterns;
use strongroom::Repository;
use strongroom::Search;
use strongroom::Snapshot;
use strongroom::Timestamp;

/// Searches the snapshots, oldest first unless asked otherwise.
pub async fn run(context: &Context, args: FindArgs) -> Result<Exit, Failure> {
    // A pattern that makes no sense is told before a password is asked for.
    let patterns = Patterns::parse(&args.patterns, args.ignore_case)?;
    let repository: Repository = context.open().await?;
    let mut snapshots = context.select(&repository, &args.snapshot, &args.filter).await?;
    if args.reverse {
        snapshots.reverse();
    }
    let mut found: Vec<Value> = Vec::new();
    let mut gaps = Gaps::new(&context.show);
    let mut hits = 0;
    let (oldest, newest) = (args.oldest, args.newest);
    let mut search = repository.view_all().await?.search(move |entry| is_wanted(entry, &patterns, oldest, newest));
    for snapshot in &snapshots {
        let (shown, matches) = match look(&mut gaps, context, &mut search, snapshot, args.long).await {
            Ok(found) => found,
            Err(failure) if snapshots.len() > 1 => {
                gaps.pass_whole(&format!("snapshot {}", short(&snapshot.id)), failure)?;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        hits += shown;
        if !matches.is_empty() {
            found.push(json!({ "hits": matches.len(), "snapshot": snapshot.id.to_string(), "matches": matches }));
        }
    }
    if context.show.json {
        context.show.json(&Value::Array(found))?;
    } else if hits == 0 {
        context.show.note(&format!("nothing was found in {}", counted(snapshots.len() as u64, "snapshot")));
    }
    Ok(gaps.exit())
}

/// Shows what matches in one snapshot and counts it; for JSON gives it back instead.
async fn look(
    gaps: &mut Gaps<'_>,
    context: &Context,
    search: &mut Search,
    snapshot: &Snapshot,
    long: bool,
) -> Result<(u64, Vec<Value>), Failure> {
    let mut matches = Vec::new();
    let mut shown = 0;
    let mut head = Some(format!("found in snapshot {} of {}", short(&snapshot.id), clock(snapshot.started)));
    let mut found = search.through(snapshot);
    while let Some(entry) = gaps.next_found(&mut found).await? {
        if context.show.json {
            matches.push(Value::Object(json(&entry)));
            continue;
        }
        if let Some(head) = head.take() {
            context.show.say(&head)?;
        }
        shown += 1;
        context.show.line(&if long { long_line(&entry, false) } else { path(&entry.path) })?;
    }
    if head.is_none() {
        context.show.say("")?;
    }
    Ok((shown, matches))
}

fn is_wanted(entry: &Entry, patterns: &Patterns, oldest: Option<Timestamp>, newest: Option<Timestamp>) -> bool {
    let time = entry.metadata.modified;
    let in_time = oldest.is_none_or(|oldest| time >= oldest) && newest.is_none_or(|newest| time <= newest);
    in_time && patterns.matches(entry.path.as_bytes(), entry.metadata.kind == FileKind::Directory)
}
