//! `init`: makes a repository and prints its recovery code.

use crate::args::InitArgs;
use crate::args::Kdf;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::message;
use crate::show::must_be_read;
use serde_json::Value;
use std::io::IsTerminal;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::Backend;
use strongroom::CreateOptions;
use strongroom::Created;
use strongroom::KdfChoice;
use strongroom::Repository;
use strongroom_service::Place;
use strongroom_service::exists;
use strongroom_service::write_private;

/// Makes a repository where one is configured, or the user's own.
pub async fn run(context: &Context, args: InitArgs) -> Result<Exit, Failure> {
    let place = context.place()?;
    let backend = place.backend()?;
    make(context, &place, backend, args, CodeTo::Output).await?;
    Ok(Exit::Done)
}

/// Where the recovery code goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CodeTo {
    /// To standard output.
    Output,
    /// Into a private file beside the key where standard output is no terminal: logs are kept, and read by others.
    FileUnlessTerminal,
}

/// Makes the repository and tells everything its owner must keep.
pub async fn make(
    context: &Context,
    place: &Place,
    backend: Arc<dyn Backend>,
    args: InitArgs,
    code_to: CodeTo,
) -> Result<Repository, Failure> {
    // Asked before the password is: nobody likes to type one twice for nothing.
    if exists(backend.as_ref()).await? {
        return Err(Failure::failed(format!("there is a repository at {} already", backend.describe())));
    }
    if !args.no_recovery_code {
        must_be_read("the recovery code").map_err(|failure| {
            failure.hint("nothing was made; leave standard output open, or 'strongroom init' with --no-recovery-code")
        })?;
    }
    let new = context.key_for_new(place, backend.as_ref()).await?;
    if let (true, Some(file)) = (new.is_made, &new.file) {
        context.show.note(&format!("made the key file {}", file.display()));
    }
    let mut options = CreateOptions::default();
    options.kdf = kdf(args.kdf);
    options.label = args.label.unwrap_or_default();
    options.recovery = !args.no_recovery_code;
    let created = Repository::create(backend, new.key, options).await?;
    context.give_folders(&created.repository);
    let told = match code_to {
        CodeTo::FileUnlessTerminal if !std::io::stdout().is_terminal() => code_file(&created, place),
        _ => Ok(None),
    };
    // A code that nobody saw is lost: unlike other output its end is never quiet.
    told.and_then(|file| tell(context, &created, new.file.as_deref(), file.as_deref())).map_err(|failure| {
        Failure { exit: Exit::Partial, closed: false, ..failure }
            .hint("the repository is made; 'strongroom key add --new-recovery-code' makes another code")
    })?;
    Ok(created.repository)
}

/// The engine's word for it.
pub fn kdf(choice: Kdf) -> KdfChoice {
    match choice {
        Kdf::Standard => KdfChoice::Standard,
        Kdf::High => KdfChoice::High,
    }
}

/// Stores the recovery code in a file of its own beside the key.
fn code_file(created: &Created, place: &Place) -> Result<Option<PathBuf>, Failure> {
    let (Some(code), Some(own)) = (&created.recovery_code, &place.own) else { return Ok(None) };
    let id = created.repository.id().to_string();
    let file = own.key_file.with_file_name(format!("recovery-code-{}", id.get(..8).unwrap_or_default()));
    write_private("recovery code", &file, format!("{code}\n").as_bytes())?;
    Ok(Some(file))
}

fn tell(
    context: &Context,
    created: &Created,
    key_file: Option<&Path>,
    code_file: Option<&Path>,
) -> Result<(), Failure> {
    let repository = &created.repository;
    let key_file = key_file.map(|file| file.display().to_string());
    if context.show.json {
        let mut value = message("initialized");
        value.insert("id".into(), repository.id().to_string().into());
        value.insert("repository".into(), repository.describe().into());
        value.insert("key_file".into(), key_file.into());
        let code = created.recovery_code.clone().filter(|_| code_file.is_none());
        value.insert("recovery_code".into(), code.into());
        value.insert("recovery_code_file".into(), code_file.map(|file| file.display().to_string()).into());
        return context.show.json(&Value::Object(value));
    }
    let show = &context.show;
    show.line(&format!("made the repository {} at {}", repository.id(), repository.describe()))?;
    if let Some(file) = &key_file {
        show.line(&format!("its key is in             {file}"))?;
    }
    match (&created.recovery_code, code_file) {
        (Some(_), Some(file)) => show.line(&format!("its recovery code is in   {}", file.display()))?,
        (Some(code), None) => show.line(&format!("its recovery code is      {code}"))?,
        (None, _) => {}
    }
    show.line("")?;
    show.line(match (&key_file, created.recovery_code.is_some()) {
        _ if code_file.is_some() => {
            "Move the recovery code to another place and copy the key file there, now:\nif both are lost nobody can restore anything."
        }
        (Some(_), true) => {
            "Copy the key file and the recovery code to another place, now:\nif both are lost nobody can restore anything, and this is the only time the code is shown."
        }
        (Some(_), false) => "Copy the key file to another place, now: without it nobody can restore anything.",
        (None, true) => {
            "Write the recovery code down and keep it somewhere else: it opens the repository when the\npassword is lost, and this is the only time it is shown."
        }
        (None, false) => "Keep the password safe: without it nobody can restore anything.",
    })
}
