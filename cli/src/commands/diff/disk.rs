//! `diff --disk`: what differs between a snapshot and the files of this machine.
//!
//! What is on the disk and not in the snapshot is told where the snapshot has the folder and the
//! folder was backed up as a whole; what was left out by a pattern looks the same as what is new.

use crate::args::DiffArgs;
use crate::commands::Context;
use crate::commands::Gaps;
use crate::commands::diff::line;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::Show;
use crate::show::clock;
use crate::show::counted;
use crate::show::message;
use crate::show::path;
use crate::show::short;
use serde_json::Value;
use strongroom::CompareOptions;
use strongroom::DiskChange;
use strongroom::FileKind;
use strongroom::Kind;
use strongroom::Repository;
use strongroom::Snapshot;

/// Compares a snapshot with the disk; nothing is written anywhere.
pub async fn run(context: &Context, args: &DiffArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let snapshot = context.resolve(&repository, &args.before.snapshot, &args.filter.filter()).await?;
    let below = args.before.below.clone();
    // A relative path was stored as it was given: without a word from the user it is looked for where it was.
    let root = args.disk.clone().flatten();
    let options = CompareOptions { root, path: below, read_content: args.content };
    let is_told = options.root.is_some();
    let mut differences = repository.compare(&snapshot, options).await.map_err(|error| {
        let unknown = error.kind() == Kind::Invalid && !is_told;
        let failure = Failure::from(error);
        if unknown {
            failure.hint("say with --disk FOLDER what to compare with, and name a part with :PATH")
        } else {
            failure
        }
    })?;
    context.show.note(&format!(
        "comparing snapshot {} of {} to {}",
        short(&snapshot.id),
        clock(snapshot.started),
        differences.root().display()
    ));
    let mut gaps = Gaps::new(&context.show);
    let mut tally = Tally::default();
    loop {
        let difference = match differences.next().await {
            Ok(Some(difference)) => difference,
            Ok(None) => break,
            Err(error) => {
                gaps.pass(differences.pass_gap().await?, error)?;
                continue;
            }
        };
        let mark = match &difference.change {
            DiskChange::Missing => '-',
            DiskChange::Extra => '+',
            // Where a file's bytes were not read, another time tells of other bytes.
            DiskChange::Changed { fields } => mark(fields, difference.kind == FileKind::File && !args.content),
            DiskChange::Unreadable { why } => {
                tally.unreadable += 1;
                context.show.warn(&format!("{}: {why}", path(&difference.path)));
                continue;
            }
            _ => 'U',
        };
        tally.count(mark);
        if mark != 'U' || args.metadata {
            line(&context.show, mark, &difference.path, difference.kind == FileKind::Directory)?;
        }
    }
    let is_all = gaps.is_none() && tally.unreadable == 0;
    if context.show.json {
        context.show.json(&tally.json(&snapshot, &differences.root().to_string_lossy()))?;
    } else if is_all {
        tally.say(&context.show, args.metadata)?;
    }
    match gaps.exit() {
        Exit::Done if !is_all => Ok(Exit::Partial),
        exit => Ok(exit),
    }
}

/// How many differences of each sort.
#[derive(Default)]
struct Tally {
    added: u64,
    removed: u64,
    changed: u64,
    metadata: u64,
    unreadable: u64,
}

impl Tally {
    fn count(&mut self, mark: char) {
        *match mark {
            '+' => &mut self.added,
            '-' => &mut self.removed,
            'U' => &mut self.metadata,
            _ => &mut self.changed,
        } += 1;
    }

    fn json(&self, snapshot: &Snapshot, folder: &str) -> Value {
        let mut value = message("statistics");
        value.insert("source_snapshot".into(), snapshot.id.to_string().into());
        value.insert("target_folder".into(), folder.into());
        value.insert("changed_entries".into(), self.changed.into());
        value.insert("added_entries".into(), self.added.into());
        value.insert("removed_entries".into(), self.removed.into());
        value.insert("metadata_entries".into(), self.metadata.into());
        value.insert("unreadable_entries".into(), self.unreadable.into());
        Value::Object(value)
    }

    /// What is not listed is said: that nothing differs, or nothing but metadata.
    fn say(&self, show: &Show, is_metadata_listed: bool) -> Result<(), Failure> {
        match (self.added + self.removed + self.changed, self.metadata) {
            (0, 0) => show.say("no differences"),
            (0, many) if !is_metadata_listed => show.say(&format!(
                "no differences but in the metadata of {}: --metadata lists them",
                counted(many, "entry")
            )),
            _ => Ok(()),
        }
    }
}

/// `T` another type, `M` other content, `U` only other metadata.
fn mark(fields: &[&str], time_tells: bool) -> char {
    let other = |field: &&str| match *field {
        "size" | "target" | "content" => true,
        "modified" => time_tells,
        _ => false,
    };
    if fields.contains(&"type") {
        'T'
    } else if fields.iter().any(other) {
        'M'
    } else {
        'U'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_time_alone_means_new_content_only_where_nobody_looked() {
        assert_eq!(mark(&["modified"], true), 'M');
        assert_eq!(mark(&["modified"], false), 'U');
        assert_eq!(mark(&["modified", "content"], false), 'M');
        assert_eq!(mark(&["mode", "owner"], true), 'U');
        assert_eq!(mark(&["type"], true), 'T');
    }
}
