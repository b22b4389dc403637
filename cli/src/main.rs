//! The `strongroom` command: parse, call the engine, show what came of it.

mod archive;
mod args;
mod commands;
mod descriptors;
mod environment;
mod exit;
mod files_from;
mod habits;
mod interrupt;
mod keyfile;
mod lines;
mod location;
mod secret;
mod show;

use crate::args::Cli;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::show::Failure;
use crate::show::Show;
use clap::ColorChoice;
use clap::FromArgMatches;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // Only up to `--`: what follows belongs to the command that is backed up.
    let has = |flag: &str| words.iter().take_while(|word| *word != "--").any(|word| word == flag);
    let environment = Environment::of_process();
    let color = if has("--no-color") { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = args::command().color(color).try_get_matches_from(&words);
    match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => run(cli, environment),
        Err(wrong) if wrong.use_stderr() && has("--json") => {
            let show = Show { json: true, quiet: false, verbose: 0, color: false };
            let text = wrong.to_string();
            let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
            let failure = Failure::usage(text.lines().next().unwrap_or(text));
            end(habits::advice(&wrong).into_iter().fold(failure, Failure::hint), &show)
        }
        Err(mut wrong) => {
            let advice = habits::advice(&wrong);
            if advice.is_some() {
                habits::without_guesses(&mut wrong);
            }
            // Help that nobody reads to its end is no failure.
            let _ = wrong.print();
            if let Some(advice) = advice {
                let _ = writeln!(std::io::stderr(), "hint: {advice}");
            }
            ExitCode::from(if wrong.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() })
        }
    }
}

fn run(cli: Cli, environment: Environment) -> ExitCode {
    descriptors::raise();
    let show = Show::new(&cli.global, environment.raw("NO_COLOR").is_some());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return end(Failure::failed("cannot start threads").because(why), &show),
    };
    let result = runtime.block_on(async {
        let interrupt = Interrupt::default();
        interrupt.listen();
        commands::run(cli, environment, show.clone(), interrupt).await
    });
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
