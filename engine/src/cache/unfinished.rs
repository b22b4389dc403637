//! Files an unfinished backup has already read, so that the next run need not read them again (SQLite).

use super::file;
use crate::crypto::name::NameKey;
use crate::id::ChunkId;
use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::params;
use std::path::Path;
use std::path::PathBuf;

/// The file inside the cache folder.
const FILE_NAME: &str = "unfinished.sqlite";
/// Unfinished runs of one source remembered at most; older ones are forgotten.
const SESSIONS_MAX: usize = 8;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS read_entries (
        source BLOB NOT NULL,
        session BLOB NOT NULL,
        sequence INTEGER NOT NULL,
        page BLOB NOT NULL,
        mac BLOB NOT NULL,
        PRIMARY KEY (source, session, sequence)
    );
    CREATE TABLE IF NOT EXISTS chunk_lists (
        source BLOB NOT NULL,
        root BLOB NOT NULL,
        part INTEGER NOT NULL,
        session BLOB NOT NULL,
        page BLOB NOT NULL,
        mac BLOB NOT NULL,
        PRIMARY KEY (source, root, part)
    );";

/// Pages of entries already read, by source and session. Any error means: do without.
pub(crate) struct Unfinished {
    connection: Connection,
    path: PathBuf,
    key: NameKey,
    source: [u8; 32],
}

impl Unfinished {
    /// Opens the file in `folder`, making both where needed; a file that is no database is replaced.
    /// `source` tells one repository, host and set of paths from another.
    pub(crate) fn open(folder: &Path, key: NameKey, source: [u8; 32]) -> Option<Self> {
        let (connection, path) = file::open(folder, FILE_NAME, SCHEMA).ok()?;
        Some(Self { connection, path, key, source })
    }

    /// Sessions of this source, oldest first.
    pub(crate) fn sessions(&self) -> rusqlite::Result<Vec<[u8; 16]>> {
        let mut query = self
            .connection
            .prepare("SELECT session FROM read_entries WHERE source = ?1 GROUP BY session ORDER BY MIN(rowid)")?;
        let rows = query.query_map(params![self.source.as_slice()], |row| row.get::<_, Vec<u8>>(0))?;
        let all: rusqlite::Result<Vec<Vec<u8>>> = rows.collect();
        Ok(all?.into_iter().filter_map(|session| session.try_into().ok()).collect())
    }

    /// One page of a session, if it is there and authentic.
    pub(crate) fn page(&self, session: &[u8; 16], sequence: u64) -> Option<Vec<u8>> {
        let number = i64::try_from(sequence).ok()?;
        let row: Option<(Vec<u8>, Vec<u8>)> = self
            .connection
            .query_row(
                "SELECT page, mac FROM read_entries WHERE source = ?1 AND session = ?2 AND sequence = ?3",
                params![self.source.as_slice(), session.as_slice(), number],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .ok()?;
        let (page, mac) = row?;
        (self.mac(session, sequence, &page).as_slice() == mac.as_slice()).then_some(page)
    }

    /// One part of the chunk list whose tree has this root, if it is there and authentic.
    pub(crate) fn list_part(&self, root: &ChunkId, part: u32) -> Option<Vec<u8>> {
        let row: Option<(Vec<u8>, Vec<u8>)> = self
            .connection
            .query_row(
                "SELECT page, mac FROM chunk_lists WHERE source = ?1 AND root = ?2 AND part = ?3",
                params![self.source.as_slice(), root.as_bytes().as_slice(), part],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .ok()?;
        let (page, mac) = row?;
        (self.list_mac(root, part, &page).as_slice() == mac.as_slice()).then_some(page)
    }

    /// Remembers one part of a chunk list. The list belongs to the session that wrote it last.
    pub(crate) fn add_list_part(
        &self,
        session: &[u8; 16],
        root: &ChunkId,
        part: u32,
        page: &[u8],
    ) -> rusqlite::Result<()> {
        let mac = self.list_mac(root, part, page);
        self.connection.execute(
            "INSERT OR REPLACE INTO chunk_lists (source, root, part, session, page, mac)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![self.source.as_slice(), root.as_bytes().as_slice(), part, session.as_slice(), page, mac.as_slice()],
        )?;
        Ok(())
    }

    /// Remembers one page.
    pub(crate) fn add(&self, session: &[u8; 16], sequence: u64, page: &[u8]) -> rusqlite::Result<()> {
        let mac = self.mac(session, sequence, page);
        let number = i64::try_from(sequence).unwrap_or(i64::MAX);
        self.connection.execute(
            "INSERT OR REPLACE INTO read_entries (source, session, sequence, page, mac) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.source.as_slice(), session.as_slice(), number, page, mac.as_slice()],
        )?;
        Ok(())
    }

    /// Forgets all but the newest sessions.
    pub(crate) fn trim(&self) -> rusqlite::Result<()> {
        let sessions = self.sessions()?;
        let surplus = sessions.len().saturating_sub(SESSIONS_MAX);
        for session in sessions.iter().take(surplus) {
            self.forget(session)?;
        }
        Ok(())
    }

    /// Forgets one session.
    pub(crate) fn forget(&self, session: &[u8; 16]) -> rusqlite::Result<()> {
        for forget in [
            "DELETE FROM chunk_lists WHERE source = ?1 AND session = ?2",
            "DELETE FROM read_entries WHERE source = ?1 AND session = ?2",
        ] {
            self.connection.execute(forget, params![self.source.as_slice(), session.as_slice()])?;
        }
        Ok(())
    }

    /// Forgets the source: its snapshot exists.
    pub(crate) fn clear(&self) -> rusqlite::Result<()> {
        for forget in ["DELETE FROM chunk_lists WHERE source = ?1", "DELETE FROM read_entries WHERE source = ?1"] {
            self.connection.execute(forget, params![self.source.as_slice()])?;
        }
        Ok(())
    }

    /// Throws the whole file away: something in it cannot be believed.
    pub(crate) fn discard(self) {
        let path = self.path.clone();
        drop(self.connection);
        file::remove(&path);
    }

    fn mac(&self, session: &[u8; 16], sequence: u64, page: &[u8]) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(page.len() + 64);
        bytes.extend_from_slice(b"unfinished");
        bytes.extend_from_slice(&self.source);
        bytes.extend_from_slice(session);
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(page);
        *self.key.name(&bytes).as_bytes()
    }

    fn list_mac(&self, root: &ChunkId, part: u32, page: &[u8]) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(page.len() + 96);
        bytes.extend_from_slice(b"unfinished list");
        bytes.extend_from_slice(&self.source);
        bytes.extend_from_slice(root.as_bytes());
        bytes.extend_from_slice(&part.to_le_bytes());
        bytes.extend_from_slice(page);
        *self.key.name(&bytes).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::RootKey;
    use crate::id::RepositoryId;
    use std::os::unix::fs::PermissionsExt;

    fn key(byte: u8) -> NameKey {
        RootKey::from_bytes([byte; 32]).derive(&RepositoryId::from_bytes([1; 16])).metadata_names
    }

    fn open(folder: &Path) -> Unfinished {
        Unfinished::open(folder, key(1), [7; 32]).expect("a cache")
    }

    #[test]
    fn pages_come_back_in_their_session() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path()).add(&[1; 16], 0, b"first").expect("stored");
        let cache = open(folder.path());
        cache.add(&[2; 16], 0, b"second").expect("stored");
        assert_eq!(cache.sessions().expect("sessions"), [[1; 16], [2; 16]]);
        assert_eq!(cache.page(&[1; 16], 0).as_deref(), Some(b"first".as_slice()));
        assert_eq!(cache.page(&[2; 16], 1), None);
        cache.clear().expect("cleared");
        assert!(cache.sessions().expect("sessions").is_empty());
    }

    #[test]
    fn a_page_of_another_key_place_or_content_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = open(folder.path());
        cache.add(&[1; 16], 0, b"page").expect("stored");
        let other = Unfinished::open(folder.path(), key(2), [7; 32]).expect("a cache");
        assert_eq!(other.page(&[1; 16], 0), None);
        cache.connection.execute("UPDATE read_entries SET sequence = 5", []).expect("moved");
        assert_eq!(cache.page(&[1; 16], 5), None);
        cache.connection.execute("UPDATE read_entries SET sequence = 0, page = x'00'", []).expect("altered");
        assert_eq!(cache.page(&[1; 16], 0), None);
    }

    #[test]
    fn a_list_of_another_root_part_or_content_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = open(folder.path());
        let [root, other] = [[3; 32], [4; 32]].map(ChunkId::from_bytes);
        cache.add_list_part(&[1; 16], &root, 0, b"chunks").expect("stored");
        assert_eq!(cache.list_part(&root, 0).as_deref(), Some(b"chunks".as_slice()));
        assert_eq!((cache.list_part(&root, 1), cache.list_part(&other, 0)), (None, None));
        cache.connection.execute("UPDATE chunk_lists SET part = 1", []).expect("moved");
        assert_eq!(cache.list_part(&root, 1), None);
        let elsewhere = params![other.as_bytes().as_slice()];
        cache.connection.execute("UPDATE chunk_lists SET part = 0, root = ?1", elsewhere).expect("moved");
        assert_eq!(cache.list_part(&other, 0), None);
        cache.add_list_part(&[1; 16], &root, 0, b"chunks").expect("stored");
        cache.connection.execute("UPDATE chunk_lists SET page = x'00'", []).expect("altered");
        assert_eq!(cache.list_part(&root, 0), None);
        cache.clear().expect("cleared");
        let left: u32 =
            cache.connection.query_row("SELECT COUNT(*) FROM chunk_lists", [], |row| row.get(0)).expect("counted");
        assert_eq!(left, 0);
    }

    #[test]
    fn a_file_that_is_no_database_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE_NAME), [0x5a; 10_000]).expect("written");
        let cache = open(folder.path());
        cache.add(&[1; 16], 0, b"page").expect("stored");
    }

    #[test]
    fn nobody_else_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE_NAME), b"").expect("written");
        let cache = open(folder.path());
        cache.add(&[1; 16], 0, b"page").expect("stored");
        for file in std::fs::read_dir(folder.path()).expect("listed") {
            let mode = file.and_then(|file| file.metadata()).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn only_the_newest_sessions_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = open(folder.path());
        for session in 0..20 {
            cache.add(&[session; 16], 0, b"page").expect("stored");
        }
        cache.trim().expect("trimmed");
        assert_eq!(cache.sessions().expect("sessions").len(), SESSIONS_MAX);
        assert!(cache.page(&[19; 16], 0).is_some());
        assert!(cache.page(&[0; 16], 0).is_none());
    }
}
