//! Tells one place that a disk cannot read from a disk that gives no answer any more.

use super::Folder;
use super::failure::ABOUT_THE_DISK;
use super::failure::failed;
use super::failure::is_of_the_medium;
use crate::backend::Name;
use crate::error::Error;
use rustix::fs::Advice;
use std::io;
use std::io::Read;

/// As much of the config as shows that the disk gives bytes back.
const PROBE_BYTES: u64 = 4096;

impl Folder {
    /// Why an object could not be read. Bytes that a disk of this machine gives back no more are damage of that object
    /// alone, as long as the same disk gives other bytes back.
    pub(super) fn unread(&self, name: &Name, cause: io::Error) -> Error {
        if self.is_lost_alone(name, &cause) {
            let why = format!("the disk cannot read it: {cause}");
            return Error::damaged(self.whole(name), why).advise(ABOUT_THE_DISK);
        }
        failed(self.reading(name), cause)
    }

    /// Whether an error concerns this object, and not the whole location.
    pub(super) fn is_lost_alone(&self, name: &Name, cause: &io::Error) -> bool {
        // A file server says the same when it cannot be reached.
        is_of_the_medium(cause) && self.is_of_this_machine() && self.answers(name)
    }

    /// Whether the disk still gives bytes back: those of the config, or the names in the folder where the config itself
    /// cannot be read.
    fn answers(&self, unread: &Name) -> bool {
        if *unread == Name::Config {
            return self.names_below("").is_ok();
        }
        let probe = || {
            let file = self.file_below(&Name::Config.to_string())?;
            // From the disk: the cache still has what a disk that was pulled out held.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
            file.take(PROBE_BYTES).read_to_end(&mut Vec::new())
        };
        probe().is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::LocalBackend;
    use crate::error::Kind;
    use crate::id::SnapshotId;
    use rustix::io::Errno;

    const OBJECT: Name = Name::Snapshot(SnapshotId::from_bytes([7; 16]));

    /// Gives three bytes, and then what a bad sector gives.
    struct BadSector(usize, Errno);

    impl Read for BadSector {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 3 {
                return Err(self.1.into());
            }
            buffer[0] = 1;
            self.0 += 1;
            Ok(1)
        }
    }

    fn room() -> (tempfile::TempDir, LocalBackend) {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("config"), b"here").unwrap();
        let backend = LocalBackend::new(room.path());
        (room, backend)
    }

    fn read(backend: &LocalBackend, name: &Name, errno: Errno) -> Error {
        backend.0.read_exactly(name, BadSector(0, errno), 9).expect_err("nothing gives these bytes")
    }

    #[test]
    fn a_bad_sector_is_damage_of_the_object_it_is_in() {
        let (_room, backend) = room();
        for errno in [Errno::IO, Errno::NODATA, Errno::ILSEQ, Errno::UCLEAN, Errno::BADMSG] {
            let error = read(&backend, &OBJECT, errno);
            assert_eq!((error.kind(), error.advice()), (Kind::Damaged, Some(ABOUT_THE_DISK)), "{errno}");
            assert!(error.in_one_line().contains("the disk cannot read it"), "{}", error.in_one_line());
        }
        assert_eq!(read(&backend, &Name::Config, Errno::IO).kind(), Kind::Damaged);
        assert_eq!(read(&backend, &OBJECT, Errno::NOMEM).kind(), Kind::BackendBusy);
    }

    #[test]
    fn a_disk_that_gives_nothing_back_is_one_that_does_not_answer() {
        let (room, backend) = room();
        std::fs::remove_file(room.path().join("config")).unwrap();
        let error = read(&backend, &OBJECT, Errno::IO);
        assert_eq!((error.kind(), error.advice()), (Kind::BackendBusy, Some(ABOUT_THE_DISK)));
        drop(room);
        assert_eq!(read(&backend, &Name::Config, Errno::IO).kind(), Kind::BackendBusy);
    }
}
