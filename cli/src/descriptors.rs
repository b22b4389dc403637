//! How many files this process may open: as many as the system lets it.

use rustix::process::Resource;
use rustix::process::Rlimit;

/// More than any verb needs. Programs started from here inherit the limit, and some go through all that they may open.
const ENOUGH: u64 = 65_536;

/// Raises the limit that may be raised. Where that is refused, less is opened at a time.
pub fn raise() {
    let Rlimit { current: Some(now), maximum } = rustix::process::getrlimit(Resource::Nofile) else { return };
    let most = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if now < most {
        let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    }
}
