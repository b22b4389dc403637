//! One SQLite file of the cache folder: private to its owner, replaced when it is no database.

use super::place;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    PRAGMA secure_delete = ON;";

/// How the names of the file, and of those that SQLite keeps beside it, end.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Opens the file `name` in `folder`, making both where needed; what is no database with these tables is replaced.
pub(super) fn open(folder: &Path, name: &str, schema: &str) -> std::io::Result<(Connection, PathBuf)> {
    let handle = place::folder(folder)?;
    // SQLite opens by path, and follows no link on it: the links that lead to the folder are its owner's choice.
    let path = std::fs::canonicalize(folder)?.join(name);
    make_private(&handle, name)?;
    let connection = match connect(&path, schema) {
        Ok(connection) => connection,
        Err(_) => {
            remove(&path);
            make_private(&handle, name)?;
            connect(&path, schema).map_err(std::io::Error::other)?
        }
    };
    Ok((connection, path))
}

/// What such a file tells is its owner's alone: nobody else may read it. SQLite gives its other files the mode of this
/// one, and would use whatever stands in their places.
fn make_private(folder: &OwnedFd, name: &str) -> std::io::Result<()> {
    for suffix in SUFFIXES {
        place::remove_strange(folder, &format!("{name}{suffix}"))?;
    }
    place::private_file(folder, name).map(|_| ())
}

fn connect(path: &Path, schema: &str) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    connection.execute_batch(SETTINGS)?;
    connection.execute_batch(schema)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(connection) } else { Err(rusqlite::Error::InvalidQuery) }
}

/// Removes the file and what SQLite keeps beside it.
pub(super) fn remove(path: &Path) {
    for suffix in SUFFIXES {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // What is not there need not be removed; what cannot be removed will be distrusted again.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const TABLE: &str = "CREATE TABLE IF NOT EXISTS numbers (number INTEGER NOT NULL);";

    #[test]
    fn whatever_stands_in_the_place_of_a_file_is_replaced_and_not_used() {
        let room = tempfile::tempdir().expect("a folder");
        let victim = room.path().join("victim");
        let folder = room.path().join("cache");
        for suffix in SUFFIXES {
            for way in 0..4 {
                std::fs::write(&victim, b"precious").expect("written");
                place::folder(&folder).expect("made");
                let path = folder.join(format!("x{suffix}"));
                match way {
                    0 => symlink(&victim, &path).expect("linked"),
                    1 => symlink(room.path().join("new"), &path).expect("linked"),
                    2 => std::fs::hard_link(&victim, &path).expect("linked"),
                    _ => rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
                        .expect("a pipe"),
                }
                let (connection, _) = open(&folder, "x", TABLE).expect("a cache");
                connection.execute("INSERT INTO numbers VALUES (1)", []).expect("stored");
                drop(connection);
                assert_eq!(std::fs::read(&victim).expect("read"), b"precious", "{suffix} {way}");
                assert!(!room.path().join("new").exists(), "{suffix} {way}");
                std::fs::remove_dir_all(&folder).expect("removed");
            }
        }
    }

    #[test]
    fn a_folder_reached_through_a_link_is_as_good() {
        let room = tempfile::tempdir().expect("a folder");
        place::folder(&room.path().join("real")).expect("made");
        symlink(room.path().join("real"), room.path().join("way")).expect("linked");
        assert!(open(&room.path().join("way/cache"), "x", TABLE).is_ok());
        assert!(room.path().join("real/cache/x").exists());
    }
}
