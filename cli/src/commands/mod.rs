//! The verbs, one file each.
//!
//! A verb takes its parsed options and the context, calls the engine and shows the result. What a
//! verb decides by itself is only how to ask and how to tell; anything that is true without a
//! terminal belongs to the engine.

mod backup;
mod cat;
mod check;
mod context;
mod diff;
mod dump;
mod find;
mod forget;
mod init;
mod key;
mod ls;
mod pages;
mod restore;
mod snapshots;
mod stats;
mod tag;
mod version;

pub use context::Context;

use crate::args::Cli;
use crate::args::Verb;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::show::Failure;
use crate::show::Show;

/// Runs the verb that was asked for.
pub async fn run(cli: Cli, environment: Environment, show: Show, interrupt: Interrupt) -> Result<Exit, Failure> {
    let context = Context { global: cli.global, environment, show, interrupt };
    match cli.verb {
        Verb::Init(args) => init::run(&context, args).await,
        Verb::Backup(args) => backup::run(&context, *args).await,
        Verb::Snapshots(args) => snapshots::run(&context, args).await,
        Verb::Ls(args) => ls::run(&context, args).await,
        Verb::Find(args) => find::run(&context, args).await,
        Verb::Diff(args) => diff::run(&context, args).await,
        Verb::Restore(args) => restore::run(&context, *args).await,
        Verb::Dump(args) => dump::run(&context, args).await,
        Verb::Check(args) => check::run(&context, args).await,
        Verb::Stats(args) => stats::run(&context, args).await,
        Verb::Tag(args) => tag::run(&context, args).await,
        Verb::Key(args) => key::run(&context, args).await,
        Verb::Cat(args) => cat::run(&context, args).await,
        Verb::Forget(args) => forget::run(&context, args).await,
        Verb::Completions { shell } => pages::completions(shell),
        Verb::Man(args) => pages::man(&args),
        Verb::Version => version::run(&context),
    }
}
