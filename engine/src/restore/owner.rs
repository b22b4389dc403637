//! Turns recorded owners into owners of this machine: by name first, then by number, mapped as asked.

use crate::entry::Metadata;
use crate::restore::options::OwnerMap;
use crate::restore::options::OwnerMode;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Who an entry is to belong to; `None` leaves it as it is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// Looks owners up, each name once.
pub(crate) struct Owners {
    map: OwnerMap,
    users: HashMap<(Vec<u8>, u32), u32>,
    groups: HashMap<(Vec<u8>, u32), u32>,
    last: Option<Last>,
}

/// The owner looked up last: entries of one folder mostly have the same.
struct Last {
    user: Vec<u8>,
    group: Vec<u8>,
    uid: u32,
    gid: u32,
    owner: Owner,
}

impl Owners {
    pub(crate) fn new(map: OwnerMap) -> Self {
        Self { map, users: HashMap::new(), groups: HashMap::new(), last: None }
    }

    /// Who an entry with this metadata is to belong to.
    pub(crate) fn resolve(&mut self, metadata: &Metadata) -> Owner {
        if self.map.mode == OwnerMode::None {
            return Owner::default();
        }
        if let Some(Last { user, group, uid, gid, owner }) = &self.last
            && *uid == metadata.uid
            && *gid == metadata.gid
            && *user == metadata.user
            && *group == metadata.group
        {
            return *owner;
        }
        let by_name = !self.map.by_number;
        let uid = *self
            .users
            .entry((metadata.user.clone(), metadata.uid))
            .or_insert_with(|| translate(&self.map.users, &metadata.user, metadata.uid, by_name, user_number));
        let gid = *self
            .groups
            .entry((metadata.group.clone(), metadata.gid))
            .or_insert_with(|| translate(&self.map.groups, &metadata.group, metadata.gid, by_name, group_number));
        let owner = Owner { uid: Some(uid), gid: Some(gid) };
        let (user, group) = (metadata.user.clone(), metadata.group.clone());
        self.last = Some(Last { user, group, uid: metadata.uid, gid: metadata.gid, owner });
        owner
    }
}

fn translate(
    map: &[(String, String)],
    name: &[u8],
    number: u32,
    by_name: bool,
    look_up: fn(&[u8]) -> Option<u32>,
) -> u32 {
    let digits = number.to_string();
    for (from, to) in map {
        if (by_name && !name.is_empty() && from.as_bytes() == name) || *from == digits {
            return to.parse().ok().or_else(|| look_up(to.as_bytes())).unwrap_or(number);
        }
    }
    if by_name && !name.is_empty() { look_up(name).unwrap_or(number) } else { number }
}

fn user_number(name: &[u8]) -> Option<u32> {
    uzers::get_user_by_name(OsStr::from_bytes(name)).map(|user| user.uid())
}

fn group_number(name: &[u8]) -> Option<u32> {
    uzers::get_group_by_name(OsStr::from_bytes(name)).map(|group| group.gid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::FileKind;

    fn of(user: &str, uid: u32) -> Metadata {
        Metadata { user: user.into(), uid, gid: 7, ..Metadata::new(FileKind::File) }
    }

    #[test]
    fn names_come_first_and_numbers_second() {
        let mut owners = Owners::new(OwnerMap::default());
        assert_eq!(owners.resolve(&of("root", 4242)), Owner { uid: Some(0), gid: Some(7) });
        assert_eq!(owners.resolve(&of("nobody-of-that-name", 4242)).uid, Some(4242));
        assert_eq!(owners.resolve(&of("", 4243)).uid, Some(4243));
    }

    #[test]
    fn by_number_ignores_names() {
        let mut owners = Owners::new(OwnerMap { by_number: true, ..OwnerMap::default() });
        assert_eq!(owners.resolve(&of("root", 4242)).uid, Some(4242));
    }

    #[test]
    fn mapped_owners_win_and_none_means_none() {
        let users = vec![("ann".to_owned(), "1234".to_owned()), ("77".to_owned(), "root".to_owned())];
        let mut owners = Owners::new(OwnerMap { users, ..OwnerMap::default() });
        assert_eq!(owners.resolve(&of("ann", 5)).uid, Some(1234));
        assert_eq!(owners.resolve(&of("", 77)).uid, Some(0));
        let mut owners = Owners::new(OwnerMap { mode: OwnerMode::None, ..OwnerMap::default() });
        assert_eq!(owners.resolve(&of("root", 1)), Owner::default());
    }
}
