//! `completions` and `man`: what shells and manual readers need.

use crate::args;
use crate::args::ManArgs;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::Output;
use crate::show::Show;
use crate::show::message;
use crate::show::told;
use serde_json::Value;
use std::io::Write;

/// Prints the completions of a shell.
pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    // Written to memory first: the generator panics where nobody reads to the end.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "strongroom", &mut script);
    print(&script)?;
    Ok(Exit::Done)
}

/// Writes all of it, also what does not end with a line end.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = Output::standard();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// Prints the main page, or writes one page for each verb.
pub fn man(args: &ManArgs, show: &Show) -> Result<Exit, Failure> {
    let command = args::command();
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        print(&page)?;
        return Ok(Exit::Done);
    };
    let failed = |why| Failure::failed(format!("cannot write manual pages into {}", folder.display())).because(why);
    std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)).map_err(failed)?;
    if show.json {
        let mut value = message("pages");
        value.insert("folder".into(), folder.display().to_string().into());
        told(show.json(&Value::Object(value)), || format!("the pages are in {}", folder.display()))?;
    }
    Ok(Exit::Done)
}
