//! `key`: the ways to unlock a repository.

use crate::args::KeyArgs;
use crate::args::KeyVerb;
use crate::args::NewKeyArgs;
use crate::commands::Context;
use crate::commands::init::kdf;
use crate::exit::Exit;
use crate::keyfile;
use crate::secret;
use crate::show::Failure;
use crate::show::clock;
use crate::show::lossy;
use crate::show::message;
use crate::show::table;
use crate::show::time;
use crate::show::told;
use serde_json::Value;
use serde_json::json;
use strongroom::Key;
use strongroom::KeySlot;
use strongroom::Repository;
use strongroom::SlotId;
use strongroom::SlotKind;

/// Does what was asked with the keys.
pub async fn run(context: &Context, args: KeyArgs) -> Result<Exit, Failure> {
    let repository: Repository = context.open().await?;
    match args.verb {
        KeyVerb::List => list(context, &repository.keys().await?)?,
        KeyVerb::Add(args) => add(context, &repository, args).await?,
        KeyVerb::Remove { id } => remove(context, &repository, &id).await?,
        KeyVerb::Passwd { new_password_file, label, kdf: cost } => {
            let new = secret::new_password(new_password_file.as_deref())?;
            let id = repository.change_passphrase(new, kdf(cost), label.as_deref().unwrap_or_default()).await?;
            told(done(context, "changed", "changed the password: the new key is", id), || {
                "the password is changed".into()
            })?;
        }
    }
    Ok(Exit::Done)
}

fn word(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Passphrase => "password",
        SlotKind::KeyFile => "key file",
        SlotKind::Recovery => "recovery code",
        _ => "other",
    }
}

fn list(context: &Context, slots: &[KeySlot]) -> Result<(), Failure> {
    if context.show.json {
        let one = |slot: &KeySlot| {
            json!({
                "id": slot.id.to_string(),
                "current": slot.current,
                "kind": word(slot.kind),
                "created": time(slot.created),
                "label": slot.label,
            })
        };
        return context.show.json(&slots.iter().map(one).collect());
    }
    let row = |slot: &KeySlot| {
        let mark = if slot.current { "*" } else { " " };
        vec![format!("{mark}{}", slot.id), word(slot.kind).into(), clock(slot.created), lossy(slot.label.as_bytes())]
    };
    context.show.line(&table(&[" ID", "Kind", "Created", "Label"], slots.iter().map(row).collect(), &[]))
}

async fn add(context: &Context, repository: &Repository, args: NewKeyArgs) -> Result<(), Failure> {
    if args.new_recovery_code {
        let (id, code) = repository.add_recovery().await?;
        // A code that nobody saw is lost: its end is never quiet.
        let shown = show_code(context, id, code).map_err(|failure| Failure { closed: false, ..failure });
        return told(shown, || "a recovery code is added that nobody has seen".into()).map_err(|failure| {
            failure.hint(format!("'strongroom key remove {id}' removes it again; then add another"))
        });
    }
    let key = match &args.new_key_file {
        Some(file) if file.exists() => secret::read(&secret::From::KeyFile(file.clone()), &context.environment, true)?,
        Some(file) => Key::KeyFile(keyfile::create(file)?),
        None => Key::Passphrase(secret::new_password(args.new_password_file.as_deref())?),
    };
    let id = repository.add_key(key, kdf(args.kdf), args.label.as_deref().unwrap_or_default()).await?;
    told(done(context, "added", "added the key", id), || "the key is added".into())
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
    let slots = repository.keys().await?;
    let mut matching = slots.iter().filter(|slot| slot.id.to_string().starts_with(prefix));
    let (Some(slot), None) = (matching.next(), matching.next()) else {
        return Err(Failure::failed(format!("there is not exactly one key that begins with '{prefix}'"))
            .hint("'strongroom key list' shows them"));
    };
    if slot.current {
        return Err(Failure::failed(format!("the key {} is the one in use", slot.id))
            .hint("unlock with another key to remove it, or use 'strongroom key passwd'"));
    }
    repository.remove_key(slot.id).await?;
    told(done(context, "removed", "removed the key", slot.id), || "the key is removed".into())
}

fn done(context: &Context, kind: &str, text: &str, id: SlotId) -> Result<(), Failure> {
    if context.show.json {
        let mut value = message(kind);
        value.insert("id".into(), id.to_string().into());
        return context.show.json(&Value::Object(value));
    }
    context.show.say(&format!("{text} {id}"))
}
