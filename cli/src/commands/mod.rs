//! The verbs, one file each.
//!
//! A verb takes its parsed options and the context, calls the engine and shows the result. What a
//! verb decides by itself is only how to ask and how to tell; anything that is true without a
//! terminal belongs to the engine.

mod backup;
mod cat;
mod check;
mod context;
mod copy;
mod diff;
mod dump;
mod find;
mod forget;
mod gaps;
mod init;
mod key;
mod ls;
mod pages;
mod pending;
mod protect;
mod prune;
mod repair;
mod restore;
mod rewrite;
mod select;
mod snapshots;
mod stats;
mod tag;
mod version;

pub use context::Context;
pub use gaps::Gaps;

use crate::args::Cli;
use crate::args::Verb;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::show::Failure;
use crate::show::Show;
use std::sync::atomic::Ordering;
use strongroom_service::Environment;
use strongroom_service::VARIABLES;

/// Runs the verb that was asked for.
pub async fn run(cli: Cli, environment: Environment, show: Show, interrupt: Interrupt) -> Result<Exit, Failure> {
    if !matches!(cli.verb, Verb::Completions { .. } | Verb::Man(_) | Verb::Version) {
        refuse_unknown(&environment)?;
    }
    let context = Context::new(cli.global, environment, show, interrupt);
    match verb(&context, cli.verb).await? {
        Exit::Done if context.incomplete.load(Ordering::Relaxed) => Ok(Exit::Partial),
        exit => Ok(exit),
    }
}

/// A mistyped variable would have the command do something else than was meant, and say nothing.
fn refuse_unknown(environment: &Environment) -> Result<(), Failure> {
    let unknown = environment.unknown();
    let Some((name, meant)) = unknown.iter().find(|(_, meant)| meant.is_some()).or(unknown.first()) else {
        return Ok(());
    };
    let failure = Failure::usage(format!("the variable {name} is not known"))
        .because("a variable that is not read would change nothing, and nobody would notice");
    Err(match meant {
        Some(meant) => failure.hint(format!("{meant} was probably meant")),
        None => failure.hint(format!("unset it; there are {}", VARIABLES.join(", "))),
    })
}

async fn verb(context: &Context, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Init(args) => init::run(context, args).await,
        Verb::Backup(args) => backup::run(context, *args).await,
        Verb::Snapshots(args) => snapshots::run(context, args).await,
        Verb::Ls(args) => ls::run(context, args).await,
        Verb::Find(args) => find::run(context, args).await,
        Verb::Diff(args) => diff::run(context, args).await,
        Verb::Restore(args) => restore::run(context, *args).await,
        Verb::Dump(args) => dump::run(context, args).await,
        Verb::Check(args) => check::run(context, args).await,
        Verb::Repair(args) => repair::run(context, args).await,
        Verb::Stats(args) => stats::run(context, args).await,
        Verb::Tag(args) => tag::run(context, args).await,
        Verb::Key(args) => key::run(context, args).await,
        Verb::Cat(args) => cat::run(context, args).await,
        Verb::Forget(args) => forget::run(context, *args).await,
        Verb::Prune(args) => prune::run(context, args).await,
        Verb::Protect(args) => protect::run(context, args.ids, true).await,
        Verb::Unprotect(args) => protect::run(context, args.ids, false).await,
        Verb::Copy(args) => copy::run(context, *args).await,
        Verb::Rewrite(args) => rewrite::run(context, args).await,
        Verb::Completions { shell } => pages::completions(shell),
        Verb::Man(args) => pages::man(&args, &context.show),
        Verb::Version => version::run(context),
    }
}
