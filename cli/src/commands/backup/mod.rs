//! `backup`: takes a snapshot of folders, standard input or a command's output.

mod report;
mod source;

use crate::args::BackupArgs;
use crate::args::BackupCipher;
use crate::args::InitArgs;
use crate::args::entry_path;
use crate::args::flat_tags;
use crate::commands::Context;
use crate::commands::init;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::drive;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Backend;
use strongroom::BackupBuilder;
use strongroom::Cipher;
use strongroom::Parent;
use strongroom::Repository;
use strongroom_service::OwnPlace;
use strongroom_service::Place;
use strongroom_service::exists;
use tokio::task::AbortHandle;

/// How long paths may be looked up before that is told.
const LOOKED_FOR: Duration = Duration::from_secs(60);

/// Takes a snapshot. Whatever is wrong with the request is found before anything is made or asked.
pub async fn run(context: &Context, args: BackupArgs) -> Result<Exit, Failure> {
    let place = context.place()?;
    if args.allow_empty && !args.stdin && !args.stdin_from_command {
        return Err(Failure::usage("--allow-empty is about --stdin and --stdin-from-command"));
    }
    if args.stdin || args.stdin_from_command {
        let name = entry_path(&args.stdin_filename).map_err(Failure::usage)?;
        let name = name.ok_or_else(|| Failure::usage("--stdin-filename names nothing"))?;
        let repository = open(context, &place, &args).await?;
        let builder = source::stream(&repository, &args, name)?;
        return finish(context, &repository, args, builder, false).await;
    }
    let slow = tell_if_slow(context);
    let source = source::folders(context, &place, &args).and_then(|source| Ok(source.check().map(|()| source)?));
    slow.abort();
    let source = source?;
    let repository = open(context, &place, &args).await?;
    let builder = repository.backup(source);
    finish(context, &repository, args, builder, true).await
}

/// After a minute it is told that the paths named are still being looked up: a file server may leave us hanging there.
fn tell_if_slow(context: &Context) -> AbortHandle {
    let show = context.show.clone();
    let told = async move {
        tokio::time::sleep(LOOKED_FOR).await;
        show.warn("still looking for what is to be backed up: the file system of one of the paths does not answer");
    };
    tokio::spawn(told).abort_handle()
}

/// Opens the repository; the user's own is made on first use.
async fn open(context: &Context, place: &Place, args: &BackupArgs) -> Result<Repository, Failure> {
    let backend: Arc<dyn Backend> = place.backend()?;
    let repository = match &place.own {
        Some(own) if !exists(backend.as_ref()).await? => {
            if own.key_file.exists() {
                return Err(vanished(own));
            }
            if args.dry_run {
                return context.open_at(place, backend).await;
            }
            let made = init::make(context, place, backend, InitArgs::default(), init::CodeTo::FileUnlessTerminal);
            made.await.map_err(nothing_backed_up)?
        }
        _ => context.open_at(place, backend).await?,
    };
    if !args.dry_run {
        context.warn_of_owner(&repository);
    }
    Ok(repository)
}

/// The repository may be made, but nobody may take that for a backup with something missing.
fn nothing_backed_up(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Partial => Failure { exit: Exit::Failed, ..failure },
        _ => failure,
    }
}

/// What the next run has of one that was stopped: what it read where that is remembered, else what it stored.
fn again(is_remembered: bool) -> &'static str {
    match is_remembered {
        true => "run it again: it goes on where it stopped",
        false => "run it again: what is stored already is not stored again",
    }
}

/// Where there is a key there was a repository: an empty new one in its place would look as if all was well.
fn vanished(own: &OwnPlace) -> Failure {
    Failure::new(Exit::NoRepository, format!("the repository at {} is gone", own.folder.display()))
        .because(format!("its key is still there, in {}", own.key_file.display()))
        .hint("bring the folder back, or see whether its disk is mounted; 'strongroom init' makes a new one with that key")
}

/// Everything asked for, then the job itself and what came of it.
async fn finish(
    context: &Context,
    repository: &Repository,
    args: BackupArgs,
    mut builder: BackupBuilder,
    is_folders: bool,
) -> Result<Exit, Failure> {
    builder = builder
        .tags(flat_tags(&args.tag))
        .host(args.host.unwrap_or_else(|| context.environment.host()))
        .user(context.environment.user())
        .program(format!("strongroom {}", env!("CARGO_PKG_VERSION")))
        .parent(match (&args.parent, args.force) {
            (Some(id), _) => Parent::Snapshot(context.resolve_parent(repository, id).await?.id),
            (None, true) => Parent::Nothing,
            (None, false) => Parent::Automatic,
        })
        .ignore_inode(args.ignore_inode)
        .ignore_ctime(args.ignore_ctime)
        .dry_run(args.dry_run)
        .skip_if_unchanged(args.skip_if_unchanged)
        .cipher(match args.cipher {
            BackupCipher::Auto => Cipher::Auto,
            BackupCipher::XChaCha20Poly1305 => Cipher::XChaCha20Poly1305,
            BackupCipher::Aes256Gcm => Cipher::Aes256Gcm,
        });
    builder = match args.label {
        Some(label) => builder.label(label),
        None => builder,
    };
    builder = args.time.into_iter().fold(builder, BackupBuilder::time);
    builder = args.compression.into_iter().fold(builder, BackupBuilder::compression);
    builder = args.threads.into_iter().fold(builder, |builder, count| builder.threads(count.into()));
    builder = args.limit_upload.into_iter().fold(builder, |builder, kib| builder.limit_upload(u64::from(kib) * 1024));
    let list = context.show.verbose > 0 || args.dry_run;
    let again = again(is_folders && context.cache_folder().is_some());
    let done = drive(builder.start(), &context.show, &context.interrupt, list).await;
    let report = done.map_err(|failure| if args.dry_run { failure } else { failure.if_stopped(again) })?;
    // The one just stored, or else the one it was compared with, and will be again.
    if let Some(snapshot) = &report.snapshot {
        context.warn_of_future(snapshot);
    }
    if let Some(parent) = &report.parent
        && let Ok(parent) = repository.snapshot(parent).await
    {
        context.warn_of_future(&parent);
    }
    report::tell(context, &report, &repository.describe(), args.dry_run)
}
