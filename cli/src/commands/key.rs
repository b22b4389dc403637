//! `key`: the ways to unlock a repository.

use crate::access::Terminal;
use crate::args::KeyArgs;
use crate::args::KeyVerb;
use crate::args::NewKeyArgs;
use crate::args::RotateArgs;
use crate::commands::Context;
use crate::commands::init::kdf;
use crate::commands::prune;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::clock;
use crate::show::counted;
use crate::show::lossy;
use crate::show::message;
use crate::show::must_be_read;
use crate::show::table;
use crate::show::time;
use crate::show::told;
use serde_json::Value;
use serde_json::json;
use std::path::Path;
use strongroom::Key;
use strongroom::KeyFinding;
use strongroom::KeySlot;
use strongroom::KeyTrouble;
use strongroom::Repository;
use strongroom::RotateOptions;
use strongroom::Rotation;
use strongroom::SlotId;
use strongroom::SlotKind;
use strongroom_service::create_key_file;
use strongroom_service::new_password;
use strongroom_service::read_key_file;

/// Does what was asked with the keys.
pub async fn run(context: &Context, args: KeyArgs) -> Result<Exit, Failure> {
    let (repository, key) = context.open_and_keep_key().await?;
    if !matches!(args.verb, KeyVerb::List) {
        context.warn_of_owner(&repository);
    }
    match args.verb {
        KeyVerb::Rotate(args) => return rotate(context, &repository, key, args).await,
        KeyVerb::List => return list(context, &repository).await,
        KeyVerb::Add(args) => add(context, &repository, args).await?,
        KeyVerb::Remove { id } => remove(context, &repository, &id).await?,
        KeyVerb::Passwd { new_password_file, label, kdf: cost } => {
            let new = new_password(new_password_file.as_deref(), &Terminal::for_another(&context.show))?;
            let id = repository.change_passphrase(new, kdf(cost), label.as_deref().unwrap_or_default()).await?;
            told(done(context, "changed", "changed the password: the new key is", id), || {
                "the password is changed".into()
            })?;
            warn_of_the_limit(context, &repository).await?;
        }
    }
    Ok(Exit::Done)
}

async fn list(context: &Context, repository: &Repository) -> Result<Exit, Failure> {
    let slots = repository.keys().await?;
    show_list(context, &slots)?;
    let findings = repository.key_findings().await?;
    for KeyFinding { object, message, .. } in &findings {
        context.show.warn(&format!("{object}: {message}"));
    }
    if let Some(help) = help(&findings) {
        context.show.warn(&format!("what helps: {help}"));
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Partial })
}

/// What helps where keys are not as they should be.
pub fn help(findings: &[KeyFinding]) -> Option<String> {
    let has = |troubles: &[KeyTrouble]| findings.iter().any(|finding| troubles.contains(&finding.trouble));
    let slots: Vec<SlotId> = findings.iter().filter_map(|finding| finding.slot).collect();
    let id = if let [only] = slots.as_slice() { only.to_string() } else { "ID".to_owned() };
    let mut verbs = Vec::new();
    if has(&[KeyTrouble::Missing, KeyTrouble::Damaged, KeyTrouble::Changed]) {
        verbs.push(format!(
            "'strongroom key add' (with --new-recovery-code for a recovery code) makes a new key in place of the lost one, \
             and 'strongroom key remove {id}' has the old one missed no more"
        ));
    }
    if has(&[KeyTrouble::NotRemoved, KeyTrouble::Unlisted]) {
        verbs.push(format!("'strongroom key remove {id}' takes away what should not be there"));
    }
    if has(&[KeyTrouble::List, KeyTrouble::Unlisted]) {
        verbs.push("'strongroom repair keys' lists the keys that are there, if all of them are yours".to_owned());
    }
    (!verbs.is_empty()).then(|| verbs.join("; "))
}

fn show_list(context: &Context, slots: &[KeySlot]) -> Result<(), Failure> {
    if context.show.json {
        let one = |slot: &KeySlot| {
            json!({
                "id": slot.id.to_string(),
                "current": slot.current,
                "kind": slot.kind.word(),
                "created": time(slot.created),
                "label": slot.label,
            })
        };
        return context.show.json(&slots.iter().map(one).collect());
    }
    let row = |slot: &KeySlot| {
        let mark = if slot.current { "*" } else { " " };
        vec![format!("{mark}{}", slot.id), slot.kind.word().into(), clock(slot.created), lossy(slot.label.as_bytes())]
    };
    context.show.line(&table(&[" ID", "Kind", "Created", "Label"], slots.iter().map(row).collect(), &[]))
}

async fn add(context: &Context, repository: &Repository, args: NewKeyArgs) -> Result<(), Failure> {
    if args.new_recovery_code {
        must_be_read("the recovery code")
            .map_err(|failure| failure.hint("no key was added; leave standard output open"))?;
        let (id, code) = repository.add_recovery().await?;
        // A code that nobody saw is lost: its end is never quiet.
        let shown = show_code(context, id, code).map_err(|failure| Failure { closed: false, ..failure });
        return told(shown, || "a recovery code is added that nobody has seen".into()).map_err(|failure| {
            failure.hint(format!("'strongroom key remove {id}' removes it again; then add another"))
        });
    }
    let key = match &args.new_key_file {
        Some(file) => key_file(repository, file).await?,
        None => {
            Key::Passphrase(new_password(args.new_password_file.as_deref(), &Terminal::for_another(&context.show))?)
        }
    };
    let id = repository.add_key(key, kdf(args.kdf), args.label.as_deref().unwrap_or_default()).await?;
    told(done(context, "added", "added the key", id), || "the key is added".into())?;
    warn_of_the_limit(context, repository).await
}

/// Warns when the repository's own passwords cost more together than they may where none is remembered.
async fn warn_of_the_limit(context: &Context, repository: &Repository) -> Result<(), Failure> {
    let beyond = repository.keys_beyond_the_limit().await?;
    let Some(id) = beyond.first() else { return Ok(()) };
    let (keys, are) = (counted(beyond.len() as u64, "password"), if beyond.len() == 1 { "is" } else { "are" });
    context.show.warn(&format!(
        "the passwords of this repository cost more together than '--kdf-limit' allows: {keys}, as the key {id}, {are} tried \
         only on hosts where it opened the repository last, or with a larger limit; remove keys that nobody needs, or use key \
         files, which cost nothing"
    ));
    Ok(())
}

/// The key file named, which is made when it does not exist, and never for a repository that takes no key.
async fn key_file(repository: &Repository, file: &Path) -> Result<Key, Failure> {
    if file.exists() {
        return Ok(read_key_file(file)?);
    }
    repository.check_writable().await?;
    Ok(Key::KeyFile(create_key_file(file)?))
}

fn show_code(context: &Context, id: SlotId, code: String) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message("added");
        value.insert("id".into(), id.to_string().into());
        value.insert("recovery_code".into(), code.into());
        return context.show.json(&Value::Object(value));
    }
    context.show.line(&format!("the new recovery code is  {code}"))?;
    context.show.line("Write it down and keep it somewhere else: this is the only time it is shown.")
}

async fn remove(context: &Context, repository: &Repository, prefix: &str) -> Result<(), Failure> {
    let readable = repository.keys().await?.into_iter().map(|slot| (slot.id, slot.current));
    let unreadable = repository.unreadable_keys().await?.into_iter().map(|(id, _)| (id, false));
    // What should be there and is not can be given up.
    let is_missing = |finding: &KeyFinding| finding.trouble == KeyTrouble::Missing;
    let missing = repository.key_findings().await?.into_iter().filter(is_missing).filter_map(|finding| finding.slot);
    let all = readable.chain(unreadable).chain(missing.map(|id| (id, false)));
    let mut matching = all.filter(|(id, _)| id.to_string().starts_with(prefix));
    let (Some((id, is_current)), None) = (matching.next(), matching.next()) else {
        return Err(Failure::failed(format!("there is not exactly one key that begins with '{prefix}'"))
            .hint("'strongroom key list' shows them"));
    };
    if is_current {
        return Err(Failure::failed(format!("the key {id} is the one in use"))
            .hint("unlock with another key to remove it, or use 'strongroom key passwd'"));
    }
    repository.remove_key(id).await?;
    told(done(context, "removed", "removed the key", id), || "the key is removed".into())
}

/// A new root key. Everything that must be known is told before an old key goes, so that nobody is locked out by a
/// terminal that has gone away.
async fn rotate(context: &Context, repository: &Repository, current: Key, args: RotateArgs) -> Result<Exit, Failure> {
    let slots = repository.keys().await?;
    let has_code = !args.no_recovery_code && slots.iter().any(|slot| slot.kind == SlotKind::Recovery);
    if has_code {
        must_be_read("the new recovery code").map_err(|failure| {
            failure.hint("nothing was changed; leave standard output open, or give --no-recovery-code")
        })?;
    }
    let key = match (&args.new_password_file, &args.new_key_file) {
        (Some(file), _) => Key::Passphrase(new_password(Some(file), &Terminal::for_another(&context.show))?),
        (None, Some(file)) => key_file(repository, file).await?,
        (None, None) if matches!(current, Key::Recovery(_)) => {
            return Err(Failure::usage("a recovery code cannot stay: a new one is made")
                .hint("give a new password or key file with --new-password-file or --new-key-file"));
        }
        (None, None) => current,
    };
    let in_use = slots.iter().find(|slot| slot.current);
    let mut options = RotateOptions::default();
    options.kdf = kdf(args.kdf);
    options.label = args.label.or_else(|| in_use.map(|slot| slot.label.clone())).unwrap_or_default();
    options.recovery = has_code;
    let rotation = repository.rotate_root_key(key, options).await?;
    let half_done = || "the root key is changed; the old keys are not removed".to_owned();
    let told_all = show_rotation(context, &rotation).map_err(|failure| Failure { closed: false, ..failure });
    told(told_all, half_done).map_err(|failure| failure.hint("run 'strongroom key rotate' again"))?;
    let removed = rotation.remove_old_slots().await?;
    let is_replaced =
        |slot: &&KeySlot| slot.current || slot.kind == SlotKind::Recovery && rotation.recovery_code().is_some();
    let replaced: Vec<SlotId> = slots.iter().filter(is_replaced).map(|slot| slot.id).collect();
    let text = "removed a key, which has to be added again if it is still wanted:";
    let mut to_tell = removed.iter().filter(|id| context.show.json || !replaced.contains(id));
    told(to_tell.try_for_each(|id| done(context, "removed", text, *id)), || {
        "the root key is changed, and the old keys are removed".into()
    })?;
    if !args.reencrypt {
        return Ok(Exit::Done);
    }
    context.give_folders(rotation.repository());
    prune::after_rotation(context, rotation.repository()).await.map_err(|failure| {
        context.show.warn("the root key is changed; 'strongroom prune --reencrypt' seals anew what was stored before");
        // The same command would change it once more.
        let hint = failure.hint.map(|hint| hint.replace("the same command again", "'strongroom prune --reencrypt'"));
        Failure { hint, ..failure }
    })
}

fn show_rotation(context: &Context, rotation: &Rotation) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message("rotated");
        value.insert("id".into(), rotation.slot().to_string().into());
        value.insert("recovery_code".into(), rotation.recovery_code().into());
        return context.show.json(&Value::Object(value));
    }
    context.show.say(&format!("changed the root key: the key to it is {}", rotation.slot()))?;
    let Some(code) = rotation.recovery_code() else { return Ok(()) };
    context.show.line(&format!("the new recovery code is  {code}"))?;
    context.show.line("Write it down in place of the old one: this is the only time it is shown.")
}

fn done(context: &Context, kind: &str, text: &str, id: SlotId) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message(kind);
        value.insert("id".into(), id.to_string().into());
        return context.show.json(&Value::Object(value));
    }
    context.show.say(&format!("{text} {id}"))
}
