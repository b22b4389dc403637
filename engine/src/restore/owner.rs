//! Turns recorded owners into owners of this machine: by name first, then by number, mapped as asked.

use crate::entry::Metadata;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::restore::acl;
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
    /// Who the numbers of owners seen so far are here: access lists have numbers only.
    uids: HashMap<u32, u32>,
    gids: HashMap<u32, u32>,
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
        let (users, groups) = (HashMap::new(), HashMap::new());
        Self { map, users, groups, uids: HashMap::new(), gids: HashMap::new(), last: None }
    }

    /// Who an entry with this metadata is to belong to; whom its access lists name is mapped the same way.
    pub(crate) fn adopt(&mut self, metadata: &mut Metadata) -> Owner {
        let owner = self.resolve(metadata);
        if self.map.mode == OwnerMode::None {
            acl::forget_names(metadata);
            return owner;
        }
        let Self { map, uids, gids, .. } = self;
        let here = |known: &HashMap<u32, u32>, pairs: &[(String, String)], number, look_up| {
            known.get(&number).copied().unwrap_or_else(|| translate(pairs, b"", number, false, look_up))
        };
        acl::map(
            &mut metadata.xattrs,
            |uid| here(uids, &map.users, uid, user_number),
            |gid| here(gids, &map.groups, gid, group_number),
        );
        owner
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
        self.uids.entry(metadata.uid).or_insert(uid);
        self.gids.entry(metadata.gid).or_insert(gid);
        let (user, group) = (metadata.user.clone(), metadata.group.clone());
        self.last = Some(Last { user, group, uid: metadata.uid, gid: metadata.gid, owner });
        owner
    }
}

/// How a name is looked up on this machine.
type LookUp = fn(&[u8]) -> Option<u32>;

/// Refuses mappings that nobody can carry out, before anything is restored.
pub(crate) fn check(map: &OwnerMap) -> Result<()> {
    check_kind("user", &map.users, user_number)?;
    check_kind("group", &map.groups, group_number)
}

fn check_kind(kind: &str, pairs: &[(String, String)], look_up: LookUp) -> Result<()> {
    for (at, (from, to)) in pairs.iter().enumerate() {
        let refuse =
            |why: String| Err(Error::new(Kind::Invalid, format!("cannot map {kind} '{from}' to '{to}'")).because(why));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // The last number means nobody to the kernel.
        let is_possible = |text: &str| text.parse().is_ok_and(|number: u32| number != u32::MAX);
        if let Some(text) = [from, to].into_iter().find(|text| is_number(text) && !is_possible(text)) {
            return refuse(format!("{text} is no number of a {kind}: they end at {}", u32::MAX - 1));
        }
        if !is_number(to) && look_up(to.as_bytes()).is_none() {
            return refuse(format!("there is no {kind} '{to}' here"));
        }
        if pairs.iter().take(at).any(|(other, there)| other == from && there != to) {
            return refuse(format!("'{from}' is mapped to somebody else as well"));
        }
    }
    Ok(())
}

fn translate(map: &[(String, String)], name: &[u8], number: u32, by_name: bool, look_up: LookUp) -> u32 {
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

    #[test]
    fn access_lists_name_the_same_people_as_owners() {
        let list = |id: u32| crate::entry::Xattr {
            name: b"system.posix_acl_access".to_vec(),
            value: [&[2, 0, 0, 0, 2, 0, 6, 0][..], &id.to_le_bytes()].concat(),
        };
        let mut owners = Owners::new(OwnerMap { users: vec![("77".into(), "78".into())], ..OwnerMap::default() });
        assert_eq!(owners.adopt(&mut of("root", 4242)).uid, Some(0));
        for (recorded, here) in [(4242, 0), (77, 78), (5, 5)] {
            let mut metadata = Metadata { xattrs: vec![list(recorded)], ..of("", 1) };
            owners.adopt(&mut metadata);
            assert_eq!(metadata.xattrs, [list(here)], "{recorded}");
        }
    }
}
