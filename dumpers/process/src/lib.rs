//! A command's standard output as a backup source.
//!
//! The bytes go straight from the pipe into the engine. The command's end decides: unless it exits
//! with 0 there is no verdict, and without a verdict the engine stores no snapshot. Secrets go into
//! the environment, never onto the command line. `child` owns the process and its end, `errors` what
//! it says on standard error, and `source` makes an entry of it.

mod child;
mod errors;
mod source;

pub use child::kill_running;
pub use source::CommandSource;
