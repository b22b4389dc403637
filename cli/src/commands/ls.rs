//! `ls`: what is in a snapshot.

use crate::args::LsArgs;
use crate::args::entry_path;
use crate::commands::Context;
use crate::commands::Gaps;
use crate::commands::gaps;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::Show;
use crate::show::bytes;
use crate::show::clock;
use crate::show::entry as json;
use crate::show::lossy;
use crate::show::message;
use crate::show::mode;
use crate::show::path;
use crate::show::short;
use crate::show::snapshot as json_of;
use serde_json::Value;
use strongroom::Entry;
use strongroom::EntryPath;
use strongroom::FileKind;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::SnapshotView;

/// Lists a snapshot: all of it, or the folders named.
pub async fn run(context: &Context, args: LsArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let snapshot = context.resolve(&repository, &args.selector.snapshot, &args.filter.filter()).await?;
    let mut folders = Vec::new();
    for folder in &args.folders {
        folders.push(entry_path(folder).map_err(Failure::usage)?);
    }
    // Without folders everything below the selector is listed, as restic does.
    let recursive = args.recursive || folders.is_empty();
    if folders.is_empty() {
        folders.push(args.selector.below.clone());
    }
    if context.show.json {
        let mut value = message("snapshot");
        value.insert("struct_type".into(), "snapshot".into());
        if let Value::Object(fields) = json_of(&snapshot) {
            value.extend(fields);
        }
        context.show.json(&Value::Object(value))?;
    } else {
        context.show.note(&format!("snapshot {} of {}", short(&snapshot.id), clock(snapshot.started)));
    }
    let view = repository.view(&snapshot).await?;
    let mut gaps = Gaps::new(&context.show);
    for folder in folders {
        list(&mut gaps, context, &view, &snapshot, folder.as_ref(), recursive, &args).await?;
    }
    Ok(gaps.exit())
}

async fn list(
    gaps: &mut Gaps<'_>,
    context: &Context,
    view: &SnapshotView,
    snapshot: &Snapshot,
    below: Option<&EntryPath>,
    recursive: bool,
    args: &LsArgs,
) -> Result<(), Failure> {
    if let Some(below) = below
        && gaps::is_missing(view, below).await?
    {
        return Err(missing(below, snapshot));
    }
    let depth = |path: &EntryPath| path.components().count();
    let deepest = if recursive { usize::MAX } else { below.map_or(0, depth) + 1 };
    let mut entries = view.walk(below);
    while let Some(entry) = gaps.next(&mut entries).await? {
        if depth(&entry.path) <= deepest {
            show(&context.show, &entry, args.long, args.human_readable)?;
        }
    }
    Ok(())
}

/// The failure for a path that a snapshot does not have.
pub fn missing(what: &EntryPath, snapshot: &Snapshot) -> Failure {
    Failure::failed(format!("there is no {} in snapshot {}", path(what), short(&snapshot.id)))
        .hint(format!("'strongroom ls {}' lists what is in it", short(&snapshot.id)))
}

/// One entry on a line.
pub fn show(show: &Show, entry: &Entry, long: bool, human: bool) -> Result<(), Failure> {
    if show.json {
        let mut value = message("node");
        value.insert("struct_type".into(), "node".into());
        value.extend(json(entry));
        return show.json(&Value::Object(value));
    }
    show.line(&if long { long_line(entry, human) } else { path(&entry.path) })
}

/// Mode, owner, size, time and path.
pub fn long_line(entry: &Entry, human: bool) -> String {
    let metadata = &entry.metadata;
    let name = |name: &[u8], number: u32| if name.is_empty() { number.to_string() } else { lossy(name) };
    let size = if human { bytes(metadata.size) } else { metadata.size.to_string() };
    let target = match &metadata.kind {
        FileKind::Symlink { target } => format!(" -> {}", lossy(target)),
        _ => String::new(),
    };
    format!(
        "{} {:<8} {:<8} {size:>12} {} {}{target}",
        mode(metadata),
        name(&metadata.user, metadata.uid),
        name(&metadata.group, metadata.gid),
        clock(metadata.modified),
        path(&entry.path),
    )
}
