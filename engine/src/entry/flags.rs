//! Inode flags (`FS_IOC_GETFLAGS`) by their numbers: which are kept, and what `chattr` calls them.

/// Nothing of it may be changed (`i`).
pub(crate) const IMMUTABLE: u32 = 0x10;
/// It only grows (`a`).
pub(crate) const APPEND: u32 = 0x20;
/// Its data is compressed (`c`).
pub(crate) const COMPRESSED: u32 = 0x4;
/// Its data is not to be compressed (`m`).
pub(crate) const NOT_COMPRESSED: u32 = 0x400;
/// Its data goes through the journal (`j`).
pub(crate) const JOURNALING: u32 = 0x4000;
/// Its end is not packed together with other files' (`t`).
pub(crate) const NOTAIL: u32 = 0x8000;
/// Its data is written in place (`C`).
pub(crate) const NOCOW: u32 = 0x0080_0000;

/// Each flag that `chattr` sets and that the kernel lets one set, with its letter. The others are the file system's own
/// (extents, an index, inline data, encryption), or cannot be set on what exists: a target keeps those that it has.
const LETTERS: [(u32, char); 14] = [
    (0x1, 's'),
    (0x2, 'u'),
    (COMPRESSED, 'c'),
    (0x8, 'S'),
    (IMMUTABLE, 'i'),
    (APPEND, 'a'),
    (0x40, 'd'),
    (0x80, 'A'),
    (NOT_COMPRESSED, 'm'),
    (JOURNALING, 'j'),
    (NOTAIL, 't'),
    (0x1_0000, 'D'),
    (0x2_0000, 'T'),
    (NOCOW, 'C'),
];

/// Flags that snapshots have and that are restored.
pub(crate) const KEPT: u32 = {
    let mut all = 0;
    let mut at = 0;
    while at < LETTERS.len() {
        all |= LETTERS[at].0;
        at += 1;
    }
    all
};

/// How bytes are stored: what a target has of these beyond the snapshot is its own choice.
pub(crate) const STORAGE: u32 = COMPRESSED | NOT_COMPRESSED | JOURNALING | NOTAIL | NOCOW;

/// Flags one by one.
pub(crate) fn each(flags: u32) -> impl Iterator<Item = u32> {
    LETTERS.iter().map(|(flag, _)| *flag).filter(move |flag| flags & flag != 0)
}

/// The letters of flags, as `chattr` takes them.
pub(crate) fn letters(flags: u32) -> String {
    LETTERS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, letter)| *letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_the_letters_of_chattr_and_those_of_file_systems_have_none() {
        assert_eq!(letters(IMMUTABLE | APPEND | NOCOW), "iaC");
        // Extents, huge files, inline data, an index, encryption, verity, DAX, project inheritance, case folding.
        assert_eq!(KEPT & (0x8_0000 | 0x4_0000 | 0x1000_0000 | 0x1000 | 0x800 | 0x10_0000), 0);
        assert_eq!(KEPT & (0x200_0000 | 0x2000_0000 | 0x4000_0000), 0);
        assert_eq!(each(KEPT).fold(0, |all, flag| all | flag), KEPT);
        assert_eq!(STORAGE & !KEPT, 0);
    }
}
