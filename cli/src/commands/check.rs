//! `check`: that everything is there and can be restored.

use crate::args::CheckArgs;
use crate::commands::Context;
use crate::commands::pending;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::bytes;
use crate::show::counted;
use crate::show::drive;
use crate::show::elapsed;
use crate::show::message;
use crate::show::told;
use crate::show::unless_closed;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;
use strongroom::AtThisPace;
use strongroom::BudgetReport;
use strongroom::CheckReport;
use strongroom::ReadData;
use strongroom::Repository;
use strongroom::UnknownKey;

/// Checks the structure, and as much of the data as asked.
pub async fn run(context: &Context, args: CheckArgs) -> Result<Exit, Failure> {
    if args.budget.is_some() && context.cache_folder().is_none() {
        return Err(Failure::usage("--budget needs a cache folder: what was verified when is remembered there")
            .hint("leave --no-cache out, or name a folder with --cache-dir"));
    }
    let repository: Repository = context.open().await.map_err(Failure::without_check)?;
    let read = match (args.budget, args.read_data, args.read_data_subset) {
        (Some(budget), ..) => ReadData::Budget(budget),
        (None, true, _) => ReadData::All,
        (None, false, Some(part)) => part,
        (None, false, None) => ReadData::Nothing,
    };
    let mut builder = repository.check().read_data(read);
    if let Some(threads) = args.threads {
        builder = builder.threads(threads.into());
    }
    let report = drive(builder.start(), &context.show, &context.interrupt, false).await;
    let report = report.map_err(Failure::without_check)?;
    let shown = if context.show.json { json(context, &report) } else { lines(context, &report) };
    if report.problems_total == 0 {
        told(shown, || "the repository is sound".into())?;
        return Ok(if report.strange_keys.is_empty() { Exit::Done } else { Exit::Partial });
    }
    let problems = counted(report.problems_total, "problem");
    let is_newer = report.problems_newer == report.problems_total;
    let unknown_key = UnknownKey.to_string();
    let is_locked = is_newer && report.problems.iter().any(|problem| problem.message.contains(&unknown_key));
    let failure = match is_newer {
        true if is_locked => Failure::new(Exit::Newer, format!("the key in use does not open everything: {problems}")),
        true => Failure::new(Exit::Newer, format!("a newer program has written to the repository: {problems}")),
        false => Failure::new(Exit::Damaged, format!("the repository is damaged: {problems}")),
    };
    // What is damaged must not look like a full log disk.
    let failure = match unless_closed(shown) {
        Ok(()) => failure,
        Err(why) => failure.because(format!("not all of them could be written: {}", why.because.join(": "))),
    };
    Err(failure.hint(match is_newer {
        true if is_locked => "unlock with a key that was made when the root key was changed, or later".to_owned(),
        true => "check it with that program".to_owned(),
        false => advice(&report),
    }))
}

/// What helps, in the order in which it saves most.
fn advice(report: &CheckReport) -> String {
    let has = |beginnings: &[&str]| {
        report.problems.iter().any(|problem| beginnings.iter().any(|begin| problem.object.starts_with(begin)))
    };
    if report.problems.iter().any(|problem| problem.object == "snapshots") {
        return "bring the folder snapshots back from a copy of the repository, or from where a repair of the file system \
                has put it (lost+found); only if there never was a snapshot, make an empty folder of that name"
            .to_owned();
    }
    let mut verbs = Vec::new();
    if has(&["keys/slot/"]) {
        verbs.push("'strongroom key add' in place of a lost key ('--new-recovery-code' for a code) and 'strongroom key remove ID'");
    }
    if has(&["keys/list"]) {
        verbs.push("'strongroom repair keys'");
    }
    let is_key = |problem: &&strongroom::Problem| problem.object.starts_with("keys/data/");
    let keys = || report.problems.iter().filter(is_key).map(|problem| problem.message.as_str());
    // Of a key that no pack holds nothing brings back what it locks.
    if keys().any(|why| why.contains("once this one is removed")) {
        verbs.push("moving away by hand what is damaged under keys/data/, where a pack holds the key too");
    }
    if has(&["index/"])
        || keys().any(|why| why.contains("puts it back"))
        || (has(&["chunk ", "catalog page "]) && report.packs_unreferenced > 0)
    {
        verbs.push("'strongroom repair index'");
    }
    // Packs that were dealt with are condemned.
    let is_condemned = |problem: &strongroom::Problem| problem.message.contains("it is condemned");
    let packs = || report.problems.iter().filter(|problem| problem.object.starts_with("packs/"));
    let (is_mark_lost, is_data_lost) = (has(&["gc/"]), has(&["chunk ", "catalog page "]));
    if is_mark_lost {
        verbs
            .push("deleting by hand what is damaged under gc/, when no prune runs on any host and before the next one");
    }
    // Without it a backup relies on what is damaged in packs that nobody has read, and a prune keeps them.
    let is_unread = is_data_lost && packs().next().is_none() && report.packs_condemned == 0;
    if is_mark_lost || is_unread || packs().any(|problem| !is_condemned(problem)) {
        verbs.push("'strongroom repair packs'");
    }
    if packs().next().is_some() || is_data_lost {
        verbs.push("a backup of what is still there");
        verbs.push("'strongroom repair snapshots --all'");
    }
    if packs().next().is_some() || is_data_lost || has(&["snapshots/"]) {
        verbs.push("'strongroom forget ID' for what is beyond repair");
    }
    if packs().any(is_condemned) {
        verbs.push("'strongroom prune'");
    }
    let look = "look at the disk first";
    if has(&["pending/"]) {
        verbs.push("deleting by hand what is damaged under pending/, which is safe when no backup runs on any host");
    }
    match verbs.as_slice() {
        [] => format!("restore what you can, and {look}: a backup stores again what is still in the source"),
        verbs => format!("{look}; then this helps, in this order: {}", verbs.join(", ")),
    }
}

fn lines(context: &Context, report: &CheckReport) -> Result<(), Failure> {
    let show = &context.show;
    for problem in &report.problems {
        show.line(&format!("{}: {}", problem.object, problem.message))?;
    }
    let shown = u64::try_from(report.problems.len()).unwrap_or(u64::MAX);
    if report.problems_total > shown {
        show.line(&format!("{} not shown", counted(report.problems_total - shown, "more problem")))?;
    }
    for key in &report.strange_keys {
        show.warn(&format!("{}: {}", key.object, key.message));
    }
    if !report.strange_keys.is_empty() && !report.root_key_changed {
        show.warn("'strongroom key remove ID' takes away a key that is not yours, 'strongroom repair keys' lists those that are");
    }
    show.say(&format!(
        "checked {}: {} in {}",
        counted(report.snapshots, "snapshot"),
        counted(report.chunks, "chunk"),
        counted(report.packs, "pack")
    ))?;
    if report.bytes_read > 0 {
        let (read, time) = (bytes(report.bytes_read), elapsed(report.seconds));
        show.say(&format!("read and verified {read} of data in {} in {time}", counted(report.segments, "segment")))?;
    } else if report.budget.is_none() {
        show.say("the data itself was not read: --read-data reads it")?;
    }
    if let Some(budget) = &report.budget {
        budget_lines(context, report, budget)?;
    }
    if report.packs_unreferenced > 0 {
        let packs = counted(report.packs_unreferenced, "pack");
        let belong = if report.packs_unreferenced == 1 { "belongs" } else { "belong" };
        show.say(&format!("{packs} {belong} to no snapshot: leftovers, no damage"))?;
    }
    if report.packs_replaced > 0 {
        let (packs, are) =
            (counted(report.packs_replaced, "pack"), if report.packs_replaced == 1 { "is" } else { "are" });
        show.warn(&format!(
            "{packs} of the index {are} missing, but nothing is lost: other packs have it all; 'prune' clears it up"
        ));
    }
    if let (Some(packs @ 1..), Some(size)) = (report.packs_unneeded, report.bytes_unneeded) {
        let (packs, them) = (counted(packs, "pack"), if packs == 1 { "it" } else { "them" });
        let size = bytes(size);
        show.say(&format!("no snapshot needs {packs} of {size}: a prune removes {them}, young ones after two days"))?;
    }
    if report.packs_condemned > 0 {
        let packs = counted(report.packs_condemned, "pack");
        show.say(&format!("{packs} condemned by {}: a prune goes on with that", counted(report.marks, "mark")))?;
    } else if report.marks > 0 {
        show.say(&format!("{} of a prune: the next one takes away what is done with", counted(report.marks, "mark")))?;
    }
    if report.tombs > 0 {
        show.say(&format!("{} of prunes of the last weeks", counted(report.tombs, "tomb")))?;
    }
    pending::lines(context, &report.pending_records)?;
    leftover_lines(context, report)?;
    if report.problems_total == 0 { show.say("no problems were found") } else { Ok(()) }
}

/// What is in the repository and is no object of it.
fn leftover_lines(context: &Context, report: &CheckReport) -> Result<(), Failure> {
    if report.leftovers.files == 0 {
        return Ok(());
    }
    let (files, size) = (counted(report.leftovers.files, "file"), bytes(report.leftovers.bytes));
    context.show.say(&format!(
        "{files} of {size} in tmp/, of runs that were killed or are storing right now: a prune, or a backup, removes what is \
         older than a day"
    ))
}

fn budget_lines(context: &Context, report: &CheckReport, budget: &BudgetReport) -> Result<(), Failure> {
    let show = &context.show;
    if report.bytes_read == 0 {
        show.say("no data was read: the budget is used up for now")?;
    }
    let unread = budget.packs_unverified.saturating_sub(budget.packs_damaged);
    if unread > 0 {
        let left = pace(budget.all_read_in);
        show.say(&format!("{} never read so far: at this pace all will be read in {left}", counted(unread, "pack")))?;
    } else {
        let again = pace(budget.all_anew_in);
        show.say(&format!(
            "this check and earlier ones have read every pack; at this pace all is read again in {again}"
        ))?;
    }
    if let Some(oldest) = budget.oldest {
        show.say(&format!("the longest time that any of it has not been verified is {}", rough(oldest)))?;
    }
    if !budget.is_remembered {
        let folder = context.cache_folder().unwrap_or_default();
        show.warn(&format!("what was read cannot be remembered in {}: the next check starts over", folder.display()));
    }
    Ok(())
}

/// A stretch of time in the unit that fits.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..7200 => counted(seconds.div_ceil(60), "minute"),
        seconds @ 7200..172_800 => counted(seconds.div_ceil(3600), "hour"),
        seconds => counted(seconds.div_ceil(86_400), "day"),
    }
}

fn pace(pace: AtThisPace) -> String {
    match pace {
        AtThisPace::Runs(runs) => counted(runs, "run"),
        AtThisPace::Time(time) => rough(time),
        other => format!("{other:?}"),
    }
}

fn budget_json(budget: &BudgetReport) -> Value {
    let mut value = json!({
        "bytes_allowed": budget.allowed,
        "packs_unverified": budget.packs_unverified,
        "bytes_unverified": budget.bytes_unverified,
        "packs_damaged": budget.packs_damaged,
        "oldest_seconds": budget.oldest.map(|oldest| oldest.as_secs()),
        "remembered": budget.is_remembered,
    });
    for (what, pace) in [("all_read_in", budget.all_read_in), ("all_anew_in", budget.all_anew_in)] {
        match pace {
            AtThisPace::Runs(runs) => value[format!("{what}_runs")] = runs.into(),
            AtThisPace::Time(time) => value[format!("{what}_seconds")] = time.as_secs().into(),
            _ => {}
        }
    }
    value
}

fn json(context: &Context, report: &CheckReport) -> Result<(), Failure> {
    for problem in &report.problems {
        let mut value = message("problem");
        value.insert("object".into(), problem.object.clone().into());
        value.insert("message".into(), problem.message.clone().into());
        context.show.json(&Value::Object(value))?;
    }
    for key in &report.strange_keys {
        context.show.warn(&format!("{}: {}", key.object, key.message));
    }
    let mut value = message("summary");
    value.insert("num_errors".into(), report.problems_total.into());
    value.insert("strange_keys".into(), report.strange_keys.len().into());
    value.insert("num_newer".into(), report.problems_newer.into());
    value.insert("snapshots_count".into(), report.snapshots.into());
    value.insert("packs".into(), report.packs.into());
    value.insert("packs_unreferenced".into(), report.packs_unreferenced.into());
    value.insert("packs_replaced".into(), report.packs_replaced.into());
    value.insert("packs_unneeded".into(), report.packs_unneeded.into());
    value.insert("bytes_unneeded".into(), report.bytes_unneeded.into());
    value.insert("packs_condemned".into(), report.packs_condemned.into());
    value.insert("marks".into(), report.marks.into());
    value.insert("tombs".into(), report.tombs.into());
    value.insert("pending".into(), report.pending.into());
    value.insert("pending_records".into(), pending::json(&report.pending_records));
    value.insert("files_left_over".into(), report.leftovers.files.into());
    value.insert("bytes_left_over".into(), report.leftovers.bytes.into());
    value.insert("segments".into(), report.segments.into());
    value.insert("chunks".into(), report.chunks.into());
    value.insert("bytes_read".into(), report.bytes_read.into());
    if let Some(budget) = &report.budget {
        value.insert("budget".into(), budget_json(budget));
    }
    value.insert("total_duration".into(), report.seconds.into());
    context.show.json(&Value::Object(value))
}
