//! What an error number of the operating system means for a repository.

use super::way::LinkOnTheWay;
use crate::error::Error;
use crate::error::Kind;
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// How often a call that says "try again" is tried again, ten milliseconds apart.
const AGAIN_MAX: u32 = 200;

/// What helps when the medium gives no bytes back, or takes none.
pub(super) const ABOUT_THE_DISK: &str = "the disk may be failing: look at what the system says of it (dmesg, smartctl) and \
    copy the repository to another one; 'strongroom check --read-data' then lists what is damaged";

/// What helps when no more files may be opened.
const ABOUT_OPEN_FILES: &str =
    "raise the limit of open files ('ulimit -n', or LimitNOFILE= in a service), or do less at a time";

/// What helps where a folder of the repository was moved to another disk.
const ABOUT_LINKS: &str = "put the folder itself in the place of the link; if it is on another disk on purpose, mount it there \
    ('mount --bind')";

fn is_link_on_the_way(cause: &io::Error) -> bool {
    cause.get_ref().is_some_and(|cause| cause.is::<LinkOnTheWay>())
}

/// The failure of `doing`, of the kind that `cause` says.
pub(super) fn failed(doing: String, cause: io::Error) -> Error {
    let advice = match () {
        () if is_of_the_medium(&cause) => Some(ABOUT_THE_DISK),
        () if is_link_on_the_way(&cause) => Some(ABOUT_LINKS),
        () if kind_of(&cause) == Kind::TooManyFiles => Some(ABOUT_OPEN_FILES),
        () => None,
    };
    let error = Error::new(kind_of(&cause), doing).because(cause);
    match advice {
        Some(advice) => error.advise(advice),
        None => error,
    }
}

/// What the system says when the medium, or the file system on it, has lost bytes.
pub(super) fn is_of_the_medium(cause: &io::Error) -> bool {
    let errno = Errno::from_io_error(cause);
    matches!(errno, Some(Errno::IO | Errno::NODATA | Errno::ILSEQ | Errno::UCLEAN | Errno::BADMSG))
}

/// What sort of failure an operating system error is.
pub(super) fn kind_of(cause: &io::Error) -> Kind {
    match Errno::from_io_error(cause) {
        Some(Errno::NOSPC | Errno::DQUOT) => Kind::NoSpace,
        Some(Errno::MFILE | Errno::NFILE) => Kind::TooManyFiles,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Kind::BackendDenied,
        Some(Errno::EXIST) => Kind::Conflict,
        Some(Errno::NOENT) => Kind::NotFound,
        Some(Errno::LOOP | Errno::NOTDIR | Errno::ISDIR) => Kind::Damaged,
        _ if cause.kind() == io::ErrorKind::UnexpectedEof => Kind::Damaged,
        // Nothing is damaged: nobody concludes from it that objects are missing.
        _ if is_link_on_the_way(cause) => Kind::BackendDenied,
        _ => Kind::BackendBusy,
    }
}

/// Whether the call is one this file system does not know.
pub(super) fn is_unknown_call(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// Calls again while the system was only interrupted or asks for patience (CIFS and FUSE do).
pub(super) fn retried<T, E: Into<io::Error>>(mut call: impl FnMut() -> Result<T, E>) -> io::Result<T> {
    let mut again = 0;
    loop {
        let cause: io::Error = match call() {
            Ok(done) => return Ok(done),
            Err(cause) => cause.into(),
        };
        match cause.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock if again < AGAIN_MAX => {
                again += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => return Err(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_calls_are_made_again_and_others_are_not() {
        let mut answers = vec![Ok(7), Err(Errno::INTR), Err(Errno::AGAIN), Err(Errno::INTR)];
        assert_eq!(retried(|| answers.pop().unwrap()).unwrap(), 7);
        let mut calls = 0;
        let failure = retried(|| {
            calls += 1;
            Err::<(), _>(Errno::IO)
        });
        assert_eq!((Errno::from_io_error(&failure.unwrap_err()), calls), (Some(Errno::IO), 1));
    }

    #[test]
    fn error_numbers_have_the_kinds_that_exit_codes_depend_on() {
        for (errno, kind) in [
            (Errno::NOSPC, Kind::NoSpace),
            (Errno::DQUOT, Kind::NoSpace),
            (Errno::MFILE, Kind::TooManyFiles),
            (Errno::NFILE, Kind::TooManyFiles),
            (Errno::ACCESS, Kind::BackendDenied),
            (Errno::PERM, Kind::BackendDenied),
            (Errno::ROFS, Kind::BackendDenied),
            (Errno::EXIST, Kind::Conflict),
            (Errno::NOENT, Kind::NotFound),
            (Errno::LOOP, Kind::Damaged),
            (Errno::IO, Kind::BackendBusy),
            (Errno::STALE, Kind::BackendBusy),
        ] {
            assert_eq!(kind_of(&errno.into()), kind, "{errno}");
        }
    }
}
