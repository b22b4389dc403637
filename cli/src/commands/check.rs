//! `check`: that everything is there and can be restored.

use crate::args::CheckArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::drive;
use crate::show::elapsed;
use crate::show::message;
use crate::show::unless_closed;
use serde_json::Value;
use strongroom::CheckReport;
use strongroom::ReadData;
use strongroom::Repository;

/// Checks the structure, and as much of the data as asked.
pub async fn run(context: &Context, args: CheckArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    let read = match (args.read_data, args.read_data_subset) {
        (true, _) => ReadData::All,
        (false, Some(part)) => part,
        (false, None) => ReadData::Nothing,
    };
    let mut builder = repository.check().read_data(read);
    if let Some(threads) = args.threads {
        builder = builder.threads(threads.into());
    }
    let report = drive(builder.start(), &context.show, &context.interrupt, false).await?;
    unless_closed(if context.show.json { json(context, &report) } else { lines(context, &report) })?;
    if report.problems_total == 0 {
        return Ok(Exit::Done);
    }
    Err(Failure::new(Exit::Damaged, format!("the repository is damaged: {} problems", report.problems_total))
        .hint("restore what you can, and look at the disk: a backup stores again what is still in the source"))
}

fn lines(context: &Context, report: &CheckReport) -> Result<(), Failure> {
    let show = &context.show;
    for problem in &report.problems {
        show.line(&format!("{}: {}", problem.object, problem.message))?;
    }
    let shown = u64::try_from(report.problems.len()).unwrap_or(u64::MAX);
    if report.problems_total > shown {
        show.line(&format!("{} more problems not shown", report.problems_total - shown))?;
    }
    show.say(&format!("checked {} snapshots: {} chunks in {} packs", report.snapshots, report.chunks, report.packs))?;
    if report.bytes_read > 0 {
        let (read, time) = (bytes(report.bytes_read), elapsed(report.seconds));
        show.say(&format!("read and verified {read} of data in {} segments in {time}", report.segments))?;
    } else {
        show.say("the data itself was not read: --read-data reads it")?;
    }
    if report.packs_unreferenced > 0 {
        show.say(&format!("{} packs belong to no snapshot: leftovers, no damage", report.packs_unreferenced))?;
    }
    if report.problems_total == 0 { show.say("no problems were found") } else { Ok(()) }
}

fn json(context: &Context, report: &CheckReport) -> Result<(), Failure> {
    for problem in &report.problems {
        let mut value = message("problem");
        value.insert("object".into(), problem.object.clone().into());
        value.insert("message".into(), problem.message.clone().into());
        context.show.json(&Value::Object(value))?;
    }
    let mut value = message("summary");
    value.insert("num_errors".into(), report.problems_total.into());
    value.insert("snapshots".into(), report.snapshots.into());
    value.insert("packs".into(), report.packs.into());
    value.insert("packs_unreferenced".into(), report.packs_unreferenced.into());
    value.insert("segments".into(), report.segments.into());
    value.insert("chunks".into(), report.chunks.into());
    value.insert("bytes_read".into(), report.bytes_read.into());
    value.insert("total_duration".into(), report.seconds.into());
    context.show.json(&Value::Object(value))
}
