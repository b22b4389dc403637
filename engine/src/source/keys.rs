//! Keys of an object store as entry paths. A key is any bytes: `a//b`, `dir/`, `..` and an object `a` beside `a/b` are good
//! keys and no paths.
//!
//! **The rule.** A key is cut at its slashes. In each part `%` becomes `%25` and a NUL `%00`; a part that is empty becomes
//! `%_`, `.` becomes `%2E` and `..` becomes `%2E%2E`. An object below whose name others stand has `%.` behind its last part, so
//! that `a` beside `a/b` is `a%.`. Everything else stays as it is, every path that comes of it is that of one key, and
//! [`to_key`] gives that key back.

use crate::entry::EntryPath;
use crate::entry::PathError;

/// Behind the last part of an object that is a folder, too.
const ITSELF: &[u8] = b"%.";

/// Items in the order in which a sink takes them, each with the path of its key. Two items of one key stand beside each
/// other, and the sink refuses the second.
pub fn in_entry_order<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> &[u8],
) -> Result<Vec<(EntryPath, T)>, PathError> {
    let paths = items.into_iter().map(|item| from_key(key(&item)).map(|path| (path, item)));
    let mut placed = paths.collect::<Result<Vec<_>, _>>()?;
    placed.sort_by(|(one, _), (other, _)| one.cmp(other));
    // What stands below a path follows it at once.
    let is_folder = |pair: &[(EntryPath, T)]| match pair {
        [(one, _), (next, _)] => one != next && next.is_within(one),
        _ => false,
    };
    let folders: Vec<usize> = (0..placed.len()).filter(|at| placed.get(*at..*at + 2).is_some_and(is_folder)).collect();
    for at in &folders {
        if let Some((path, _)) = placed.get_mut(*at) {
            *path = EntryPath::parse(&[path.as_bytes(), ITSELF].concat())?;
        }
    }
    if !folders.is_empty() {
        placed.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    Ok(placed)
}

/// The path of a key that stands for itself alone, with no others below it. Fails only if it is too long.
pub fn from_key(key: &[u8]) -> Result<EntryPath, PathError> {
    let mut path = Vec::with_capacity(key.len() + 8);
    for (number, part) in key.split(|byte| *byte == b'/').enumerate() {
        if number > 0 {
            path.push(b'/');
        }
        match part {
            b"" => path.extend_from_slice(b"%_"),
            b"." => path.extend_from_slice(b"%2E"),
            b".." => path.extend_from_slice(b"%2E%2E"),
            part => part.iter().for_each(|byte| match byte {
                b'%' => path.extend_from_slice(b"%25"),
                0 => path.extend_from_slice(b"%00"),
                byte => path.push(*byte),
            }),
        }
    }
    EntryPath::parse(&path)
}

/// The key that a path was made from; `None` for one that no key gives.
pub fn to_key(path: &EntryPath) -> Option<Vec<u8>> {
    let bytes = path.as_bytes();
    let alone = bytes.strip_suffix(ITSELF).unwrap_or(bytes);
    let mut key = Vec::with_capacity(bytes.len());
    for (number, part) in alone.split(|byte| *byte == b'/').enumerate() {
        if number > 0 {
            key.push(b'/');
        }
        part_of_key(part, &mut key)?;
    }
    // One spelling for each key: nothing that could have stayed as it is was written otherwise.
    (from_key(&key).ok()?.as_bytes() == alone).then_some(key)
}

fn part_of_key(part: &[u8], key: &mut Vec<u8>) -> Option<()> {
    if part == b"%_" {
        return Some(());
    }
    let mut rest = part;
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            key.push(*first);
            rest = after;
            continue;
        }
        let (code, after) = after.split_first_chunk::<2>()?;
        key.push(match code {
            b"25" => b'%',
            b"00" => 0,
            b"2E" => b'.',
            _ => return None,
        });
        rest = after;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        let often = prop_oneof![Just(b'/'), Just(b'.'), Just(b'%'), Just(b'a'), Just(b'_'), Just(b'2'), Just(0u8)];
        prop_oneof![proptest::collection::vec(often, 0..8), proptest::collection::vec(any::<u8>(), 0..20)]
    }

    #[test]
    fn keys_that_are_paths_stay_as_they_are_and_the_others_are_spelled_out() {
        for (key, path) in [
            ("a/b.c", "a/b.c"),
            ("a//b", "a/%_/b"),
            ("dir/", "dir/%_"),
            ("/a", "%_/a"),
            ("", "%_"),
            (".", "%2E"),
            ("a/../b", "a/%2E%2E/b"),
            ("100%", "100%25"),
            ("%_", "%25_"),
            ("a\0", "a%00"),
            ("...", "..."),
        ] {
            assert_eq!(from_key(key.as_bytes()).expect("a path").as_bytes(), path.as_bytes(), "{key:?}");
        }
    }

    #[test]
    fn paths_that_no_key_gives_are_none() {
        for path in ["a%", "%2", "a%2E", "%2E.", "%zz", "%__", "%.", "a/%."] {
            assert_eq!(to_key(&EntryPath::parse(path.as_bytes()).expect("a path")), None, "{path}");
        }
    }

    #[test]
    fn an_object_beside_what_stands_below_its_name_stands_behind_it() {
        let keys = ["b", "a", "a/b", "a/b/c", "a.d", "a/", "a%"];
        let placed = in_entry_order(keys, |key| key.as_bytes()).expect("paths");
        let paths: Vec<_> = placed.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["a/%_", "a/b/c", "a/b%.", "a%.", "a%25", "a.d", "b"]);
        let back = placed.iter().map(|(path, _)| to_key(path).expect("a key"));
        assert!(back.eq(placed.iter().map(|(_, key)| key.as_bytes().to_vec())));
    }

    proptest! {
        #[test]
        fn every_key_comes_back_from_its_path(key in keys()) {
            prop_assert_eq!(to_key(&from_key(&key).expect("short")), Some(key));
        }

        #[test]
        fn any_keys_become_entries_that_a_folder_can_hold(keys in proptest::collection::btree_set(keys(), 0..12)) {
            let placed = in_entry_order(keys.iter().cloned(), |key| key).expect("short");
            prop_assert_eq!(placed.len(), keys.len());
            for pair in placed.windows(2) {
                prop_assert!(pair[0].0 < pair[1].0 && !pair[1].0.is_within(&pair[0].0));
            }
            let back: BTreeMap<_, _> = placed.iter().map(|(path, key)| (path.clone(), key.clone())).collect();
            for (path, key) in back {
                prop_assert_eq!(to_key(&path), Some(key));
            }
        }

        #[test]
        fn a_path_that_gives_a_key_is_one_of_its_two_spellings(bytes in keys()) {
            if let Ok(path) = EntryPath::parse(&bytes)
                && let Some(key) = to_key(&path)
            {
                let alone = from_key(&key).expect("short");
                prop_assert!(path == alone || path.as_bytes() == [alone.as_bytes(), ITSELF].concat());
            }
        }
    }
}
