//! Which packs were read and found whole, when, and how much of a reading budget is left (SQLite).

use super::file;
use crate::crypto::name::NameKey;
use crate::id::PackId;
use crate::id::RepositoryId;
use rusqlite::Connection;
use rusqlite::params;
use std::collections::HashMap;
use std::path::Path;

/// The file inside the cache folder.
const FILE_NAME: &str = "verified.sqlite";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS packs (
        repository BLOB NOT NULL,
        pack BLOB NOT NULL,
        whole INTEGER NOT NULL,
        turn INTEGER NOT NULL,
        seconds INTEGER NOT NULL,
        mac BLOB NOT NULL,
        PRIMARY KEY (repository, pack)
    );
    CREATE TABLE IF NOT EXISTS accounts (
        repository BLOB NOT NULL PRIMARY KEY,
        seconds INTEGER NOT NULL,
        saved INTEGER NOT NULL,
        share INTEGER NOT NULL,
        every INTEGER NOT NULL,
        mac BLOB NOT NULL
    );
    -- Tables of these names with other columns are no tables of ours: the file is then replaced.
    SELECT repository, pack, whole, turn, seconds, mac FROM packs LIMIT 0;
    SELECT repository, seconds, saved, share, every, mac FROM accounts LIMIT 0;";

/// What became of a pack when it was last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Every byte of it was as it should be.
    pub(crate) is_whole: bool,
    /// Which run read it, counted up: the order of runs must not depend on a clock.
    pub(crate) turn: i64,
    /// When, by this host's clock, in seconds since 1970.
    pub(crate) at: i64,
}

/// What is left of a reading budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// When the last run began, in seconds since 1970.
    pub(crate) at: i64,
    /// Bytes that run did not use, or, below zero, used too many.
    pub(crate) saved: i64,
    /// The share of that run's budget and its time, as numbers to tell it from another budget.
    pub(crate) budget: (i64, i64),
}

/// What this machine remembers of one repository's packs. Any error means: do without.
pub(crate) struct Verified {
    connection: Connection,
    key: NameKey,
    repository: RepositoryId,
}

impl Verified {
    /// Opens the file in `folder`, making both where needed; a file that is no database is replaced.
    pub(crate) fn open(folder: &Path, key: NameKey, repository: RepositoryId) -> std::io::Result<Self> {
        let (connection, _) = file::open(folder, FILE_NAME, SCHEMA)?;
        Ok(Self { connection, key, repository })
    }

    /// All packs that were read, as far as the rows are authentic.
    pub(crate) fn packs(&self) -> Option<HashMap<PackId, Seen>> {
        let statement = "SELECT pack, whole, turn, seconds, mac FROM packs WHERE repository = ?1";
        let mut query = self.connection.prepare(statement).ok()?;
        let repository = params![self.repository.as_bytes().as_slice()];
        let rows = query.query_map(repository, |row| {
            let seen = Seen { is_whole: row.get(1)?, turn: row.get(2)?, at: row.get(3)? };
            Ok((row.get::<_, Vec<u8>>(0)?, seen, row.get::<_, Vec<u8>>(4)?))
        });
        let mut all = HashMap::new();
        // A row that does not even have the right types is as little to be believed as a forged one.
        for (pack, seen, mac) in rows.ok()?.flatten() {
            let Ok(pack) = pack.try_into().map(PackId::from_bytes) else { continue };
            if self.mac_of_pack(&pack, seen).as_slice() == mac.as_slice() {
                all.insert(pack, seen);
            }
        }
        Some(all)
    }

    /// Remembers what became of a pack; `None`: it cannot.
    pub(crate) fn add(&self, pack: &PackId, seen: Seen) -> Option<()> {
        let mac = self.mac_of_pack(pack, seen);
        let (repository, pack) = (self.repository.as_bytes().as_slice(), pack.as_bytes().as_slice());
        let row = params![repository, pack, seen.is_whole, seen.turn, seen.at, mac.as_slice()];
        let statement = "INSERT OR REPLACE INTO packs (repository, pack, whole, turn, seconds, mac)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.connection.execute(statement, row).map(|_| ()).ok()
    }

    /// Forgets packs that are gone; `None`: it cannot.
    pub(crate) fn forget(&self, packs: &[PackId]) -> Option<()> {
        for pack in packs {
            let place = params![self.repository.as_bytes().as_slice(), pack.as_bytes().as_slice()];
            self.connection.execute("DELETE FROM packs WHERE repository = ?1 AND pack = ?2", place).ok()?;
        }
        Some(())
    }

    /// What is left of the budget, if that is there and authentic.
    pub(crate) fn account(&self) -> Option<Account> {
        let statement = "SELECT seconds, saved, share, every, mac FROM accounts WHERE repository = ?1";
        let repository = params![self.repository.as_bytes().as_slice()];
        let row = self.connection.query_row(statement, repository, |row| {
            let budget = (row.get(2)?, row.get(3)?);
            Ok((Account { at: row.get(0)?, saved: row.get(1)?, budget }, row.get::<_, Vec<u8>>(4)?))
        });
        let (account, mac) = row.ok()?;
        (self.mac_of_account(account).as_slice() == mac.as_slice()).then_some(account)
    }

    /// Remembers what is left of the budget; `None`: it cannot.
    pub(crate) fn set_account(&self, account: Account) -> Option<()> {
        let mac = self.mac_of_account(account);
        let (repository, (share, every)) = (self.repository.as_bytes().as_slice(), account.budget);
        let row = params![repository, account.at, account.saved, share, every, mac.as_slice()];
        let statement = "INSERT OR REPLACE INTO accounts (repository, seconds, saved, share, every, mac)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.connection.execute(statement, row).map(|_| ()).ok()
    }

    fn mac_of_pack(&self, pack: &PackId, seen: Seen) -> [u8; 32] {
        let mut bytes = b"verified pack".to_vec();
        bytes.extend_from_slice(self.repository.as_bytes());
        bytes.extend_from_slice(pack.as_bytes());
        bytes.push(u8::from(seen.is_whole));
        bytes.extend_from_slice(&seen.turn.to_le_bytes());
        bytes.extend_from_slice(&seen.at.to_le_bytes());
        *self.key.name(&bytes).as_bytes()
    }

    fn mac_of_account(&self, account: Account) -> [u8; 32] {
        let mut bytes = b"reading budget".to_vec();
        bytes.extend_from_slice(self.repository.as_bytes());
        bytes.extend_from_slice(&account.at.to_le_bytes());
        bytes.extend_from_slice(&account.saved.to_le_bytes());
        bytes.extend_from_slice(&account.budget.0.to_le_bytes());
        bytes.extend_from_slice(&account.budget.1.to_le_bytes());
        *self.key.name(&bytes).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::RootKey;

    const REPOSITORY: RepositoryId = RepositoryId::from_bytes([1; 16]);
    const SEEN: Seen = Seen { is_whole: true, turn: 3, at: 1_700_000_000 };

    fn key(byte: u8) -> NameKey {
        RootKey::from_bytes([byte; 32]).derive(&REPOSITORY).metadata_names
    }

    fn pack(number: u8) -> PackId {
        PackId::from_bytes([number; 32])
    }

    #[test]
    fn packs_and_the_budget_come_back_and_gone_packs_are_forgotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Verified::open(folder.path(), key(1), REPOSITORY).expect("a cache");
        let account = Account { at: 7, saved: -9, budget: (-5, 86_400) };
        assert_eq!(open().account(), None);
        open().add(&pack(1), SEEN).expect("stored");
        open().add(&pack(2), Seen { is_whole: false, ..SEEN }).expect("stored");
        open().set_account(account).expect("stored");
        let cache = open();
        assert_eq!(cache.account(), Some(account));
        assert_eq!(cache.packs().expect("read").len(), 2);
        cache.forget(&[pack(2), pack(3)]).expect("forgotten");
        assert_eq!(cache.packs().expect("read"), HashMap::from([(pack(1), SEEN)]));
    }

    #[test]
    fn a_row_of_another_key_repository_pack_or_content_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Verified::open(folder.path(), key(1), REPOSITORY).expect("a cache");
        let fill = || {
            cache.add(&pack(1), SEEN).expect("stored");
            cache.set_account(Account { at: 7, saved: 9, budget: (1, 2) }).expect("stored");
        };
        let is_empty = |cache: &Verified| cache.packs().expect("read").is_empty() && cache.account().is_none();
        fill();
        assert!(!is_empty(&cache));
        let elsewhere = RepositoryId::from_bytes([2; 16]);
        for other in [(key(2), REPOSITORY), (key(1), elsewhere)] {
            assert!(is_empty(&Verified::open(folder.path(), other.0, other.1).expect("a cache")));
        }
        for alter in [
            "UPDATE packs SET turn = 4; UPDATE accounts SET seconds = 8",
            "UPDATE packs SET whole = 0; UPDATE accounts SET saved = 10",
            "UPDATE packs SET seconds = 1; UPDATE accounts SET saved = 'much'",
            "UPDATE packs SET pack = x'00'; UPDATE accounts SET mac = x'00'",
            "UPDATE packs SET turn = 5; UPDATE accounts SET share = 9",
            "UPDATE packs SET turn = 6; UPDATE accounts SET every = 9",
        ] {
            cache.connection.execute_batch(alter).expect("altered");
            let read = cache.packs().expect("read");
            assert!(!read.contains_key(&pack(1)), "{alter}");
            assert_eq!(cache.account(), None, "{alter}");
            fill();
        }
    }
}
