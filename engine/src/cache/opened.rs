//! Which key slot opened a repository last on this machine: a hint, read before there is a key to check it with.
//!
//! Whoever forges it can have a slot tried first, and nothing else: what a slot may cost is bounded all the same.

use super::place;
use crate::id::RepositoryId;
use crate::id::SlotId;
use std::io::Read;
use std::io::Write;
use std::path::Path;

/// Hexadecimal digits of a slot's id.
const DIGITS: u64 = 16;

/// The slot of a kind of key that opened the repository last, if that is remembered.
pub(crate) fn last_slot(folder: &Path, repository: &RepositoryId, kind: u8) -> Option<SlotId> {
    let file = place::file(place::existing_folder(folder).ok()?, &name(repository, kind)).ok()?;
    let mut text = String::new();
    file.take(DIGITS + 1).read_to_string(&mut text).ok()?;
    SlotId::from_hex(&text)
}

/// Remembers it. What cannot be remembered is not.
pub(crate) fn remember_slot(folder: &Path, repository: &RepositoryId, kind: u8, slot: SlotId) {
    if last_slot(folder, repository, kind) == Some(slot) {
        return;
    }
    let write = || {
        let (folder, name) = (place::folder(folder)?, name(repository, kind));
        place::remove_strange(&folder, &name)?;
        let mut file = place::private_file(&folder, &name)?;
        file.set_len(0)?;
        file.write_all(slot.to_string().as_bytes())
    };
    // It helps only to save work.
    let _ = write();
}

fn name(repository: &RepositoryId, kind: u8) -> String {
    format!("opened-{repository}-{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: RepositoryId = RepositoryId::from_bytes([1; 16]);

    #[test]
    fn the_slot_that_opened_last_comes_back_for_its_repository_and_kind_alone() {
        let room = tempfile::tempdir().expect("a folder");
        let folder = room.path().join("cache");
        assert_eq!(last_slot(&folder, &REPOSITORY, 1), None);
        for byte in [1, 2] {
            let slot = SlotId::from_bytes([byte; 8]);
            remember_slot(&folder, &REPOSITORY, 1, slot);
            assert_eq!(last_slot(&folder, &REPOSITORY, 1), Some(slot));
        }
        assert_eq!(last_slot(&folder, &REPOSITORY, 2), None);
        assert_eq!(last_slot(&folder, &RepositoryId::from_bytes([2; 16]), 1), None);
    }

    #[test]
    fn what_is_no_slot_or_no_file_of_ours_is_no_hint_and_is_replaced() {
        let room = tempfile::tempdir().expect("a folder");
        let (slot, path) = (SlotId::from_bytes([7; 8]), room.path().join(name(&REPOSITORY, 1)));
        let victim = room.path().join("victim");
        std::fs::write(&victim, "0101010101010101").expect("written");
        for hurt in ["", "rot", "01010101010101010", "\u{fffd}"] {
            std::fs::write(&path, hurt).expect("written");
            assert_eq!(last_slot(room.path(), &REPOSITORY, 1), None, "{hurt:?}");
            remember_slot(room.path(), &REPOSITORY, 1, slot);
            assert_eq!(last_slot(room.path(), &REPOSITORY, 1), Some(slot), "{hurt:?}");
        }
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink(&victim, &path).expect("linked");
        assert_eq!(last_slot(room.path(), &REPOSITORY, 1), None);
        remember_slot(room.path(), &REPOSITORY, 1, slot);
        assert_eq!(last_slot(room.path(), &REPOSITORY, 1), Some(slot));
        assert_eq!(std::fs::read(&victim).expect("read"), b"0101010101010101");
    }
}
