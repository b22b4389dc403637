//! `version`: what this program is.

use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::message;
use serde_json::Value;

/// Prints name, version and platform.
pub fn run(context: &Context) -> Result<Exit, Failure> {
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    if context.show.json {
        let mut value = message("version");
        value.insert("program".into(), "strongroom".into());
        value.insert("program_version".into(), version.into());
        value.insert("os".into(), system.into());
        value.insert("arch".into(), machine.into());
        context.show.json(&Value::Object(value))?;
    } else {
        context.show.line(&format!("strongroom {version} on {system}/{machine}"))?;
    }
    Ok(Exit::Done)
}
