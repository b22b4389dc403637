//! `diff`: what differs between two snapshots, or between one and the disk.

mod disk;

use crate::args::DiffArgs;
use crate::commands::Context;
use crate::commands::Gaps;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::Show;
use crate::show::bytes;
use crate::show::message;
use crate::show::path;
use crate::show::short;
use serde_json::Value;
use serde_json::json;
use strongroom::Difference;
use strongroom::Entry;
use strongroom::EntryPath;
use strongroom::FileKind;
use strongroom::Repository;

/// Compares; differences are no failure.
pub async fn run(context: &Context, args: DiffArgs) -> Result<Exit, Failure> {
    let Some(after) = &args.after else {
        return disk::run(context, &args).await;
    };
    if after.below != args.before.below {
        return Err(Failure::usage("the two parts are not the same").hint("name the same :PATH, or none, twice"));
    }
    let repository: Repository = context.open().await?;
    let filter = args.filter.filter();
    let old = context.resolve(&repository, &args.before.snapshot, &filter).await?;
    let new = context.resolve(&repository, &after.snapshot, &filter).await?;
    context.show.note(&format!("comparing snapshot {} to {}", short(&old.id), short(&new.id)));
    let wanted = |entry: &Entry| after.below.as_ref().is_none_or(|below| entry.path.is_within(below));
    let mut tally = Tally::default();
    let mut differences = repository.view_all().await?.diff(&old, &new);
    let mut gaps = Gaps::new(&context.show);
    loop {
        let difference = match differences.next().await {
            Ok(Some(difference)) => difference,
            Ok(None) => break,
            Err(error) => {
                gaps.pass(differences.pass_gap(), error)?;
                continue;
            }
        };
        match difference {
            Difference::Added(entry) if wanted(&entry) => {
                tally.added.count(&entry);
                line(&context.show, '+', &entry.path, is_directory(&entry))?;
            }
            Difference::Removed(entry) if wanted(&entry) => {
                tally.removed.count(&entry);
                line(&context.show, '-', &entry.path, is_directory(&entry))?;
            }
            Difference::Changed { before, after } if wanted(&after) => {
                let mark = mark(&before, &after);
                if mark != 'U' {
                    tally.changed += 1;
                }
                if mark != 'U' || args.metadata {
                    line(&context.show, mark, &after.path, is_directory(&after))?;
                }
            }
            _ => {}
        }
    }
    tally.show(&context.show, &old.id.to_string(), &new.id.to_string())?;
    Ok(gaps.exit())
}

/// `T` another type, `M` other content, `U` only other metadata.
fn mark(before: &Entry, after: &Entry) -> char {
    let link = |entry: &Entry| match &entry.metadata.kind {
        FileKind::Symlink { target } => target.clone(),
        _ => Vec::new(),
    };
    if std::mem::discriminant(&before.metadata.kind) != std::mem::discriminant(&after.metadata.kind) {
        'T'
    } else if before.content != after.content || link(before) != link(after) {
        'M'
    } else {
        'U'
    }
}

fn is_directory(entry: &Entry) -> bool {
    entry.metadata.kind == FileKind::Directory
}

/// One difference on a line; directories end with a slash.
pub fn line(show: &Show, mark: char, at: &EntryPath, directory: bool) -> Result<(), Failure> {
    let slash = if directory { "/" } else { "" };
    if show.json {
        let mut value = message("change");
        value.insert("path".into(), format!("/{at}{slash}").into());
        value.insert("modifier".into(), mark.to_string().into());
        return show.json(&Value::Object(value));
    }
    show.line(&format!("{mark}    {}{slash}", path(at)))
}

/// How many entries and bytes of each sort.
#[derive(Default)]
struct Counts {
    files: u64,
    directories: u64,
    others: u64,
    bytes: u64,
}

impl Counts {
    fn count(&mut self, entry: &Entry) {
        match entry.metadata.kind {
            FileKind::File | FileKind::Stream => self.files += 1,
            FileKind::Directory => self.directories += 1,
            _ => self.others += 1,
        }
        self.bytes = self.bytes.saturating_add(entry.content.bytes());
    }

    fn json(&self) -> Value {
        json!({ "files": self.files, "dirs": self.directories, "others": self.others, "bytes": self.bytes })
    }
}

#[derive(Default)]
struct Tally {
    added: Counts,
    removed: Counts,
    changed: u64,
}

impl Tally {
    fn show(&self, show: &Show, source: &str, target: &str) -> Result<(), Failure> {
        if show.json {
            let mut value = message("statistics");
            value.insert("source_snapshot".into(), source.into());
            value.insert("target_snapshot".into(), target.into());
            value.insert("changed_files".into(), self.changed.into());
            value.insert("added".into(), self.added.json());
            value.insert("removed".into(), self.removed.json());
            return show.json(&Value::Object(value));
        }
        show.say("")?;
        let (added, removed) = (&self.added, &self.removed);
        show.say(&format!("Files: {:>8} new, {:>8} removed, {:>8} changed", added.files, removed.files, self.changed))?;
        show.say(&format!("Dirs:  {:>8} new, {:>8} removed", added.directories, removed.directories))?;
        show.say(&format!("Others:{:>8} new, {:>8} removed", added.others, removed.others))?;
        show.say(&format!("Bytes in them: {} new, {} removed", bytes(added.bytes), bytes(removed.bytes)))
    }
}
