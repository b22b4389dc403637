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
use strongroom::Snapshot;

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
    for snapshot in &snapshots {
        let (shown, matches) = match search(&mut gaps, context, &repository, snapshot, &patterns, &args).await {
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
async fn search(
    gaps: &mut Gaps<'_>,
    context: &Context,
    repository: &Repository,
    snapshot: &Snapshot,
    patterns: &Patterns,
    args: &FindArgs,
) -> Result<(u64, Vec<Value>), Failure> {
    let mut matches = Vec::new();
    let mut shown = 0;
    let mut head = Some(format!("found in snapshot {} of {}", short(&snapshot.id), clock(snapshot.started)));
    let mut entries = repository.entries(snapshot, None).await?;
    while let Some(entry) = gaps.next(&mut entries).await? {
        if !is_wanted(&entry, patterns, args) {
            continue;
        }
        if context.show.json {
            matches.push(Value::Object(json(&entry)));
            continue;
        }
        if let Some(head) = head.take() {
            context.show.say(&head)?;
        }
        shown += 1;
        context.show.line(&if args.long { long_line(&entry, false) } else { path(&entry.path) })?;
    }
    if head.is_none() {
        context.show.say("")?;
    }
    Ok((shown, matches))
}

fn is_wanted(entry: &Entry, patterns: &Patterns, args: &FindArgs) -> bool {
    let time = entry.metadata.modified;
    let in_time = args.oldest.is_none_or(|oldest| time >= oldest) && args.newest.is_none_or(|newest| time <= newest);
    in_time && patterns.matches(entry.path.as_bytes(), entry.metadata.kind == FileKind::Directory)
}
