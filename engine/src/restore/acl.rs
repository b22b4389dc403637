//! Access control lists (POSIX ACLs, as the kernel's attributes have them): whom they name is mapped like owners.

use crate::entry::Metadata;
use crate::entry::Xattr;

/// Who may use what is there.
pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";
/// What is made in a directory gets this.
const DEFAULT: &[u8] = b"system.posix_acl_default";
/// The one form there is.
const VERSION: [u8; 4] = 2u32.to_le_bytes();
/// Bytes of an entry: tag, permissions, id.
const ENTRY_BYTES: usize = 8;

const GROUP_OBJ: u16 = 0x04;
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    tag: u16,
    id: u32,
    permissions: u16,
}

/// True for an attribute that is an access list.
fn is_list(xattr: &Xattr) -> bool {
    xattr.name == ACCESS || xattr.name == DEFAULT
}

/// The lines of a list; `None` for bytes that are none, which the kernel refuses with its own words.
fn parse(value: &[u8]) -> Option<Vec<Line>> {
    let (lines, rest) = value.strip_prefix(&VERSION)?.as_chunks::<ENTRY_BYTES>();
    let line = |[tag, tag_high, may, may_high, a, b, c, d]: &[u8; ENTRY_BYTES]| Line {
        tag: u16::from_le_bytes([*tag, *tag_high]),
        permissions: u16::from_le_bytes([*may, *may_high]),
        id: u32::from_le_bytes([*a, *b, *c, *d]),
    };
    rest.is_empty().then(|| lines.iter().map(line).collect())
}

fn encode(lines: &[Line]) -> Vec<u8> {
    let mut value = VERSION.to_vec();
    for Line { tag, permissions, id } in lines {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    value
}

/// Gives the users and groups in every list their numbers here. Where two become one, it may do what both might.
pub(super) fn map(xattrs: &mut [Xattr], mut user: impl FnMut(u32) -> u32, mut group: impl FnMut(u32) -> u32) {
    for xattr in xattrs.iter_mut().filter(|xattr| is_list(xattr)) {
        let Some(lines) = parse(&xattr.value) else { continue };
        let mut mapped: Vec<Line> = lines
            .iter()
            .map(|line| match line.tag {
                USER => Line { id: user(line.id), ..*line },
                GROUP => Line { id: group(line.id), ..*line },
                _ => *line,
            })
            .collect();
        if mapped != lines {
            // The kernel wants them by tag, and others by number.
            mapped.sort_unstable();
            mapped.dedup_by(|next, kept| {
                let is_same = (next.tag, next.id) == (kept.tag, kept.id);
                if is_same {
                    kept.permissions &= next.permissions;
                }
                is_same
            });
            xattr.value = encode(&mapped);
        }
    }
}

/// Takes out of the lists whoever is named by number. Without names a list says no more than a mode: the mode gets the
/// rights of the owning group, of which it had only the mask, and the list goes. What is inherited stays, without names.
pub(super) fn forget_names(metadata: &mut Metadata) {
    for xattr in metadata.xattrs.iter_mut().filter(|xattr| is_list(xattr)) {
        let Some(mut lines) = parse(&xattr.value) else { continue };
        if !lines.iter().any(|line| matches!(line.tag, USER | GROUP)) {
            continue;
        }
        let mask = lines.iter().find(|line| line.tag == MASK).map_or(u16::MAX, |line| line.permissions);
        lines.retain(|line| !matches!(line.tag, USER | GROUP | MASK));
        for line in lines.iter_mut().filter(|line| line.tag == GROUP_OBJ) {
            line.permissions &= mask;
            if xattr.name == ACCESS {
                metadata.mode = metadata.mode & !0o070 | (u32::from(line.permissions) & 7) << 3;
            }
        }
        xattr.value = if xattr.name == ACCESS { Vec::new() } else { encode(&lines) };
    }
    metadata.xattrs.retain(|xattr| !(xattr.name == ACCESS && xattr.value.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::FileKind;

    const OTHER: u16 = 0x20;
    const NOBODY: u32 = u32::MAX;

    fn list(name: &[u8], lines: &[(u16, u16, u32)]) -> Xattr {
        let lines: Vec<Line> =
            lines.iter().map(|(tag, permissions, id)| Line { tag: *tag, permissions: *permissions, id: *id }).collect();
        Xattr { name: name.to_vec(), value: encode(&lines) }
    }

    /// `user::rw-,user:7:rwx,user:8:r--,group::---,group:9:rw-,mask::rwx,other::---`
    fn full(name: &[u8]) -> Xattr {
        let named = [(USER, 7, 7), (USER, 4, 8), (GROUP_OBJ, 0, NOBODY), (GROUP, 6, 9)];
        list(name, &[&[(1, 6, NOBODY)], &named[..], &[(MASK, 7, NOBODY), (OTHER, 0, NOBODY)]].concat())
    }

    #[test]
    fn users_and_groups_in_a_list_are_mapped_and_nothing_else_is() {
        let mut xattrs = [full(ACCESS), Xattr { name: b"user.x".to_vec(), value: full(ACCESS).value }];
        let before = xattrs[1].clone();
        map(&mut xattrs, |id| if id == 7 { 70 } else { id }, |id| id + 100);
        let wanted = [(1, 6, NOBODY), (USER, 4, 8), (USER, 7, 70), (GROUP_OBJ, 0, NOBODY), (GROUP, 6, 109)];
        let wanted = [&wanted[..], &[(MASK, 7, NOBODY), (OTHER, 0, NOBODY)]].concat();
        assert_eq!(xattrs[0], list(ACCESS, &wanted));
        assert_eq!(xattrs[1], before);
    }

    #[test]
    fn two_who_become_one_get_what_both_had() {
        let mut xattrs = [full(ACCESS)];
        map(&mut xattrs, |_| 5, |id| id);
        let lines = parse(&xattrs[0].value).expect("a list");
        let of_five: Vec<_> = lines.iter().filter(|line| line.tag == USER).collect();
        assert_eq!(of_five, [&Line { tag: USER, id: 5, permissions: 4 }]);
    }

    #[test]
    fn a_list_without_its_names_gives_its_group_nothing_new() {
        let mut metadata = Metadata { mode: 0o2670, ..Metadata::new(FileKind::Directory) };
        metadata.xattrs = vec![full(ACCESS), full(DEFAULT)];
        forget_names(&mut metadata);
        assert_eq!(metadata.mode, 0o2600, "the mask was no right of the group");
        let inherited = list(DEFAULT, &[(1, 6, NOBODY), (GROUP_OBJ, 0, NOBODY), (OTHER, 0, NOBODY)]);
        assert_eq!(metadata.xattrs, [inherited]);
    }

    #[test]
    fn lists_without_names_and_bytes_that_are_none_stay_as_they_are() {
        let plain = list(ACCESS, &[(1, 6, NOBODY), (GROUP_OBJ, 6, NOBODY), (MASK, 4, NOBODY), (OTHER, 0, NOBODY)]);
        for xattr in [plain, Xattr { name: ACCESS.to_vec(), value: b"\x02\0\0\0\x02".to_vec() }] {
            let mut metadata = Metadata { mode: 0o640, ..Metadata::new(FileKind::File) };
            metadata.xattrs = vec![xattr.clone()];
            forget_names(&mut metadata);
            map(&mut metadata.xattrs, |_| 1, |_| 1);
            assert_eq!((metadata.mode, metadata.xattrs), (0o640, vec![xattr]));
        }
    }
}
