//! The `strongroom` command: parse, call the engine, show what came of it.

mod access;
mod archive;
mod args;
mod commands;
mod defect;
mod descriptors;
mod exit;
mod files_from;
mod habits;
mod interrupt;
mod show;
mod usage;

use crate::args::Cli;
use crate::args::Global;
use crate::interrupt::Interrupt;
use crate::show::Failure;
use crate::show::Show;
use clap::ColorChoice;
use clap::FromArgMatches;
use std::process::ExitCode;
use strongroom_service::Environment;

fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // Only up to `--`: what follows belongs to the command that is backed up.
    let has = |flag: &str| words.iter().take_while(|word| *word != "--").any(|word| word == flag);
    let environment = Environment::of_process();
    let color = if has("--no-color") { ColorChoice::Never } else { ColorChoice::Auto };
    let global = Global { json: has("--json"), no_color: has("--no-color"), ..Global::default() };
    let show = Show::new(&global, environment.raw("NO_COLOR").is_some());
    defect::listen(&show);
    let parse = || {
        let matches = args::command().color(color).try_get_matches_from(&words);
        matches.and_then(|matches| Cli::from_arg_matches(&matches))
    };
    match defect::caught(parse) {
        Ok(Ok(cli)) => run(cli, environment),
        Ok(Err(wrong)) => ExitCode::from(usage::tell(wrong, &show).code()),
        Err(failure) => end(failure, &show),
    }
}

fn run(cli: Cli, environment: Environment) -> ExitCode {
    descriptors::raise();
    let show = Show::new(&cli.global, environment.raw("NO_COLOR").is_some());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return end(Failure::failed("cannot start threads").because(why), &show),
    };
    let command = async {
        let interrupt = Interrupt::default();
        interrupt.listen(show.clone());
        commands::run(cli, environment, show.clone(), interrupt).await
    };
    let result = defect::caught(|| runtime.block_on(command)).flatten();
    // Threads of a job that was stopped see it by themselves; nobody waits for a stuck read.
    runtime.shutdown_background();
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => end(failure, &show),
    }
}

fn end(failure: Failure, show: &Show) -> ExitCode {
    failure.show(show);
    ExitCode::from(failure.exit.code())
}
