//! A defect of the program itself: told like every other failure, and with the exit code of one.

use crate::show::Failure;
use crate::show::Show;
use strongroom::Error;
use strongroom::Kind;

/// Has every panic told as JSON where that was asked for, whatever thread it is on. To people the runtime tells it.
pub fn listen(show: &Show) {
    if !show.json {
        return;
    }
    let show = show.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        show.warn(&told(panic.payload_as_str(), place.as_deref()));
    }));
}

/// What is said of a panic. Whether the command fails by it is for whoever waits for that thread to say.
fn told(message: Option<&str>, place: Option<&str>) -> String {
    let (message, place) = (message.unwrap_or("no message"), place.unwrap_or("an unknown place"));
    format!("a part of the program has ended by a defect at {place}: {message}")
}

/// Runs something; a panic in it is a failure.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    // Nothing that it held is used any more: the process ends.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    outcome.map_err(|_| Failure::from(Error::new(Kind::Bug, "the program has a defect, and has ended by it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_own_exit_code_and_advice() {
        assert_eq!(caught(|| 7).expect("no panic"), 7);
        let failure = caught(|| panic!("the roof")).expect_err("a panic");
        assert_eq!((failure.exit.code(), failure.closed), (1, false));
        assert!(failure.hint.is_some_and(|hint| hint.contains("report")));
    }

    #[test]
    fn a_panic_is_told_with_its_message_and_place() {
        let text = told(Some("the roof"), Some("src/roof.rs:1:2"));
        assert_eq!(text, "a part of the program has ended by a defect at src/roof.rs:1:2: the roof");
        assert!(told(None, None).contains("unknown place"));
    }
}
