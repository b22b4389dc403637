//! `forget`: removes snapshots by their IDs, or those that no rule keeps.

use crate::args::ForgetArgs;
use crate::commands::Context;
use crate::commands::prune;
use crate::commands::select::Doomed;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::clock;
use crate::show::counted;
use crate::show::lossy;
use crate::show::message;
use crate::show::paths_raw;
use crate::show::short;
use crate::show::table;
use crate::show::told;
use crate::show::unless_closed;
use jiff::tz::TimeZone;
use serde_json::Value;
use serde_json::json;
use strongroom::Decision;
use strongroom::ForgetGroup;
use strongroom::GroupKey;
use strongroom::Kind;
use strongroom::Reason;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::SnapshotId;
use strongroom::Timestamp;

/// Removes the snapshots named, all of which exist, or none; or what the rules do not keep.
pub async fn run(context: &Context, args: ForgetArgs) -> Result<Exit, Failure> {
    if args.ids.is_empty() && !args.has_rules() {
        return Err(Failure::usage("neither rules nor IDs say what to remove")
            .hint("give rules of what to keep, as in '--keep-daily 7', or the IDs of what to remove"));
    }
    let repository: Repository = context.open_to_write(args.dry_run).await?;
    if args.ids.is_empty() {
        by_rules(context, &repository, &args).await
    } else {
        by_id(context, &repository, &args).await
    }
}

async fn by_id(context: &Context, repository: &Repository, args: &ForgetArgs) -> Result<Exit, Failure> {
    let doomed = context.select_doomed(repository, &args.ids).await?;
    let ids: Vec<SnapshotId> = doomed.snapshots.iter().map(|snapshot| snapshot.id).collect();
    if args.dry_run {
        repository.check_forget(&ids).await?;
    } else {
        repository.forget(&ids).await?;
        repository.forget_unreadable(&doomed.unreadable).await?;
    }
    done(tell(context, &doomed, args.dry_run), args.dry_run)?;
    then_prune(context, repository, args, &doomed.snapshots).await
}

/// The local time zone. One that is asked for and unknown would have days begin at other times, without a word.
fn zone() -> Result<TimeZone, Failure> {
    let is_asked_for = std::env::var_os("TZ").is_some_and(|name| !name.is_empty());
    TimeZone::try_system().or_else(|why| match is_asked_for {
        true => Err(Failure::usage("the time zone that TZ names is not known")
            .because(why)
            .hint("nothing was removed; set TZ to a name like Europe/Berlin, or leave it out")),
        false => Ok(TimeZone::UTC),
    })
}

/// What was removed stays removed when nobody can be told.
fn done(shown: Result<(), Failure>, dry_run: bool) -> Result<(), Failure> {
    if dry_run { unless_closed(shown) } else { told(shown, || "the snapshots are removed".into()) }
}

/// The space is given back where that is asked for and anything was forgotten in earnest.
async fn then_prune(
    context: &Context,
    repository: &Repository,
    args: &ForgetArgs,
    forgotten: &[Snapshot],
) -> Result<Exit, Failure> {
    if args.prune && !args.dry_run {
        return prune::after_forget(context, repository, forgotten, &args.how).await;
    }
    if args.prune && !context.show.json {
        let remark = "the prune was not planned: what it gives back can be told once the snapshots are removed";
        unless_closed(context.show.say(remark))?;
    }
    Ok(Exit::Done)
}

fn tell(context: &Context, doomed: &Doomed, dry_run: bool) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message("forgotten");
        value.insert("dry_run".into(), dry_run.into());
        let ids: Vec<String> = doomed.snapshots.iter().map(|snapshot| snapshot.id.to_string()).collect();
        value.insert("removed_ids".into(), ids.into());
        let unreadable: Vec<String> = doomed.unreadable.iter().map(ToString::to_string).collect();
        value.insert("unreadable_ids".into(), unreadable.into());
        return context.show.json(&Value::Object(value));
    }
    let what = if dry_run { "would remove" } else { "removed" };
    for snapshot in &doomed.snapshots {
        context.show.say(&format!("{what} snapshot {} of {}", short(&snapshot.id), clock(snapshot.started)))?;
    }
    for id in &doomed.unreadable {
        context.show.say(&format!("{what} snapshot {}, which could not be read", short(id)))?;
    }
    Ok(())
}

async fn by_rules(context: &Context, repository: &Repository, args: &ForgetArgs) -> Result<Exit, Failure> {
    let zone = zone()?;
    let offset_at =
        |time: Timestamp| jiff::Timestamp::new(time.seconds, 0).map_or(0, |at| zone.to_offset(at).seconds());
    let (rules, filter) = (args.keep.rules(), args.which.filter().filter());
    let plan = repository.plan_forget(&rules, &filter, args.which.group_by(), &offset_at).await?;
    let groups = plan.groups().to_vec();
    if groups.is_empty() {
        context.tell_unmatched(&filter);
    }
    let forgotten: Vec<Snapshot> = plan.removals().cloned().collect();
    let ids: Vec<SnapshotId> = forgotten.iter().map(|snapshot| snapshot.id).collect();
    let kept = groups.iter().map(|group| group.decisions.len()).sum::<usize>() - ids.len();
    let may_remove_all = args.which.unsafe_allow_remove_all;
    let refused = |error: strongroom::Error| match error.kind() {
        Kind::Protected => Failure::from(error)
            .hint("nothing was removed; give other rules, or --unsafe-allow-remove-all if that is meant"),
        _ => error.into(),
    };
    // What the real run refuses is shown by a dry run, and then refused as well.
    let allowed = plan.check(may_remove_all).map_err(refused);
    if !args.dry_run {
        repository.apply_forget(plan, may_remove_all).await.map_err(refused)?;
    }
    let shown = groups.iter().try_for_each(|group| show(context, group));
    let shown = shown.and_then(|()| tell_count(context, &ids, kept, args.dry_run));
    tell_of_future(context, &groups);
    done(shown, args.dry_run)?;
    allowed?;
    then_prune(context, repository, args, &forgotten).await
}

/// Warns of snapshots whose dates a wrong clock has made, or a wrong word: the rules have passed them over.
fn tell_of_future(context: &Context, groups: &[ForgetGroup]) {
    let of_the_future: Vec<&Snapshot> = groups.iter().flat_map(ForgetGroup::of_the_future).collect();
    let Some(first) = of_the_future.first() else { return };
    let (is_one, all) = (of_the_future.len() == 1, groups.iter().map(|group| group.decisions.len()).sum::<usize>());
    let (are, they, example) =
        (if is_one { "is" } else { "are" }, if is_one { "it" } else { "they" }, short(&first.id));
    let what = counted(of_the_future.len().try_into().unwrap_or(u64::MAX), "snapshot");
    let date = clock(first.started);
    let advice = match of_the_future.len() == all {
        true => format!("is the clock of this machine behind? It says {}", clock(now())),
        false => format!("if that date is wrong, 'strongroom forget {example}' removes it"),
    };
    context.show.warn(&format!(
        "{what} {are} dated in the future ({example}: {date}): {they} {} kept, and no rule counts {}; {advice}",
        if is_one { "is" } else { "are" },
        if is_one { "it" } else { "them" },
    ));
}

fn now() -> Timestamp {
    Timestamp { seconds: jiff::Timestamp::now().as_second(), nanoseconds: 0 }
}

fn tell_count(context: &Context, ids: &[SnapshotId], kept: usize, dry_run: bool) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message("forgotten");
        value.insert("dry_run".into(), dry_run.into());
        value.insert("removed_ids".into(), ids.iter().map(ToString::to_string).collect::<Vec<_>>().into());
        value.insert("kept".into(), kept.into());
        return context.show.json(&Value::Object(value));
    }
    let what = if dry_run { "would be removed" } else { "removed" };
    context.show.say(&format!("snapshots kept: {kept}, {what}: {}", ids.len()))
}

/// One group: every snapshot, and why it stays.
fn show(context: &Context, group: &ForgetGroup) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message("forget_group");
        value.extend(common(&group.key).into_iter().map(|(name, value)| (name.to_owned(), value)));
        if let Some(raw) = group.key.paths.as_deref().and_then(paths_raw) {
            value.insert("paths_raw".into(), raw);
        }
        let ids = |kept: bool| {
            let of = group.decisions.iter().filter(move |decision| decision.is_kept() == kept);
            of.map(|decision| Value::from(decision.snapshot.id.to_string())).collect::<Vec<_>>()
        };
        value.insert("keep".into(), ids(true).into());
        value.insert("remove".into(), ids(false).into());
        let future = group.of_the_future().map(|snapshot| Value::from(snapshot.id.to_string()));
        value.insert("future_ids".into(), future.collect::<Vec<_>>().into());
        let reasons = group.decisions.iter().filter(|decision| decision.is_kept());
        let reasons =
            reasons.map(|decision| json!({ "id": decision.snapshot.id.to_string(), "rules": words(decision) }));
        value.insert("reasons".into(), reasons.collect::<Vec<_>>().into());
        let removed = group.decisions.iter().enumerate().filter(|(_, decision)| !decision.is_kept());
        let removed = removed.map(|(at, decision)| {
            json!({ "id": decision.snapshot.id.to_string(), "reason": why_removed(&group.decisions, at) })
        });
        value.insert("removal_reasons".into(), removed.collect::<Vec<_>>().into());
        return context.show.json(&Value::Object(value));
    }
    let common = common(&group.key);
    if !common.is_empty() {
        let common: Vec<String> = common.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
        context.show.say(&format!("snapshots of {}:", common.join(", ")))?;
    }
    let row = |(at, decision): (usize, &Decision)| {
        let snapshot = &decision.snapshot;
        let what = if decision.is_kept() { "keep" } else { "remove" };
        let tags = lossy(snapshot.tags.join(",").as_bytes());
        let host = lossy(snapshot.host.as_bytes());
        let why = match decision.is_kept() {
            true => decision.reasons.iter().map(|why| explained(why, snapshot.started)).collect::<Vec<_>>().join(", "),
            false => why_removed(&group.decisions, at).to_owned(),
        };
        vec![what.to_owned(), short(&snapshot.id), clock(snapshot.started), host, tags, why]
    };
    let rows = group.decisions.iter().enumerate().map(row).collect();
    context.show.say(&format!("{}\n", table(&["", "ID", "Time", "Host", "Tags", "Because of"], rows, &[])))
}

/// Why the snapshot at this place of a group, newest first, is not kept: rules say only why one is.
fn why_removed(decisions: &[Decision], at: usize) -> &'static str {
    let is_counted = |decision: &Decision| {
        decision.reasons.iter().any(|reason| matches!(reason, Reason::Rule(_) | Reason::ByStore(_)))
    };
    let (newer, others) = decisions.split_at_checked(at).unwrap_or((decisions, &[]));
    match (newer.iter().any(is_counted), others.iter().any(is_counted)) {
        (true, false) => "older than what the rules keep",
        _ => "no rule keeps it",
    }
}

fn words(decision: &Decision) -> Vec<String> {
    decision.reasons.iter().map(ToString::to_string).collect()
}

/// Why a snapshot is kept, with the day, week, month or year that it is the newest of: whoever gave it a time of its own
/// cannot tell what is new or old.
fn explained(why: &Reason, time: Timestamp) -> String {
    let Reason::Rule(rule) = why else {
        let other = matches!(why, Reason::ByStore(_)).then_some(", not the one it was given").unwrap_or_default();
        return format!("{why}{other}");
    };
    let form = match rule.split(' ').next() {
        Some("hourly") => "%Y-%m-%d %H:00",
        Some("daily") => "%Y-%m-%d",
        Some("weekly") => "week %G-W%V",
        Some("monthly") => "%Y-%m",
        Some("yearly") => "%Y",
        _ => return rule.clone(),
    };
    match jiff::Timestamp::new(time.seconds, 0) {
        Ok(instant) => format!("{rule}: newest of {}", instant.to_zoned(TimeZone::system()).strftime(form)),
        Err(_) => rule.clone(),
    }
}

/// What the snapshots of a group have in common, for what they were grouped by.
fn common(key: &GroupKey) -> Vec<(&'static str, Value)> {
    let paths = |paths: &[Vec<u8>]| -> Vec<String> {
        paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
    };
    let all = [
        ("host", key.host.as_ref().map(|host| json!(host))),
        ("paths", key.paths.as_ref().map(|list| json!(paths(list)))),
        ("tags", key.tags.as_ref().map(|tags| json!(tags))),
        ("label", key.label.as_ref().map(|label| json!(label))),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => lossy(text.as_bytes()),
        Value::Array(list) if list.is_empty() => "none".into(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(" "),
        _ => "none".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_the_day_week_month_or_year_that_a_snapshot_is_the_newest_of() {
        let noon = "2026-03-29T12:00:00Z".parse::<jiff::Timestamp>().expect("a time").as_second();
        let time = Timestamp { seconds: noon, nanoseconds: 0 };
        let told = |rule: &str| explained(&Reason::Rule(rule.to_owned()), time);
        assert_eq!(told("daily"), "daily: newest of 2026-03-29");
        assert_eq!(told("weekly within 1y"), "weekly within 1y: newest of week 2026-W13");
        assert_eq!(told("monthly"), "monthly: newest of 2026-03");
        assert_eq!(told("yearly"), "yearly: newest of 2026");
        assert_eq!(
            (told("last"), told("within 3d"), told("oldest daily")),
            ("last".into(), "within 3d".into(), "oldest daily".into())
        );
        let by_store = explained(&Reason::ByStore("daily".into()), time);
        assert_eq!(by_store, "daily by the time it was stored, not the one it was given");
    }
}
