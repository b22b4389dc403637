//! Standard output: the one way out for results, which knows when nobody can read them.

use crate::show::Failure;
use rustix::fs::OFlags;
use std::io::Stdout;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

/// What is said of an output that takes nothing.
const CLOSED: &str = "standard output is closed";

/// Standard output. Where that is open for reading only nothing can be written, while the runtime would let it vanish.
pub struct Output(Option<Stdout>);

impl Output {
    /// Standard output as the program found it.
    pub fn standard() -> Self {
        let output = std::io::stdout();
        Self((mode(&output) != OFlags::RDONLY).then_some(output))
    }

    fn open(&mut self) -> std::io::Result<&mut Stdout> {
        self.0.as_mut().ok_or_else(|| std::io::Error::other(CLOSED))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.open()?.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.open()?.flush()
    }
}

/// Fails where nobody could read what is there only once. Asked before anything is made that would be lost so.
///
/// What was closed cannot be told from what a program has thrown away that opens /dev/null both ways: the runtime has done
/// the same. So this is asked where it matters, and not of every output, which many throw away.
pub fn must_be_read(what: &str) -> Result<(), Failure> {
    let output = std::io::stdout();
    let is_null = || {
        rustix::fs::fstat(&output).is_ok_and(|output| {
            std::fs::metadata("/dev/null")
                .is_ok_and(|null| null.rdev() == output.st_rdev && null.ino() == output.st_ino)
        })
    };
    match mode(&output) {
        OFlags::WRONLY => Ok(()),
        OFlags::RDWR if !is_null() => Ok(()),
        _ => Err(Failure::failed(CLOSED).because(format!("{what} would be shown to nobody"))),
    }
}

/// Whether it is open for reading, writing or both.
fn mode(output: impl AsFd) -> OFlags {
    rustix::fs::fcntl_getfl(output).map_or(OFlags::RDONLY, |flags| flags & OFlags::RWMODE)
}
