//! One SQLite file of the cache folder: private to its owner, replaced when it is no database.

use rusqlite::Connection;
use std::fs::Permissions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = OFF;
    PRAGMA secure_delete = ON;";

/// Opens the file `name` in `folder`, making both where needed; what is no database with these tables is replaced.
pub(super) fn open(folder: &Path, name: &str, schema: &str) -> Option<(Connection, PathBuf)> {
    std::fs::create_dir_all(folder).ok()?;
    let path = folder.join(name);
    make_private(&path).ok()?;
    let connection = match connect(&path, schema) {
        Ok(connection) => connection,
        Err(_) => {
            remove(&path);
            make_private(&path).ok()?;
            connect(&path, schema).ok()?
        }
    };
    Some((connection, path))
}

/// What such a file tells is its owner's alone: nobody else may read it. SQLite gives its other files the mode of this
/// one.
fn make_private(path: &Path) -> std::io::Result<()> {
    let file = std::fs::File::options().create(true).append(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn connect(path: &Path, schema: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    connection.execute_batch(SETTINGS)?;
    connection.execute_batch(schema)?;
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(connection) } else { Err(rusqlite::Error::InvalidQuery) }
}

/// Removes the file and what SQLite keeps beside it.
pub(super) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // What is not there need not be removed; what cannot be removed will be distrusted again.
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}
