//! New key files: made once, readable by their owner only, on disk before anything depends on them.

use crate::error::Error;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use strongroom::Secret;
use strongroom::SystemRng;

/// The same as [`create_key_file`] in a folder that is made where it is not there yet: for the place that is the program's choice.
pub fn create_key_file_with_folder(file: &Path) -> Result<Secret, Error> {
    let failed = |why| Error::failed(format!("cannot make a folder for the key file {}", file.display())).because(why);
    make_folder(folder_of(file)).map_err(failed)?;
    create_key_file(file)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a random key file that did not exist before, and gives its content. Its folder must be there: one that is
/// missing may belong to a disk that is not mounted, and the key to nowhere else.
pub fn create_key_file(file: &Path) -> Result<Secret, Error> {
    let text = strongroom::generate_key_file(&SystemRng)?;
    write_private("key file", file, text.as_bytes())?;
    Ok(Secret::new(text.into_bytes()))
}

/// Writes a file that did not exist before, for its owner only; on disk when this returns.
pub fn write_private(what: &str, file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |why: std::io::Error| Error::failed(format!("cannot make the {what} {}", file.display())).because(why);
    let folder = folder_of(file);
    if !folder.exists() {
        return Err(Error::failed(format!("cannot make the {what} {}", file.display()))
            .because(format!("there is no folder {}", folder.display()))
            .hint("check the spelling and whether its disk is mounted, or make the folder first"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.open(file).map_err(failed)?;
    let result = written.write_all(bytes).and_then(|()| written.sync_all());
    if let Err(why) = result {
        // Half a key is no key: the next run must be able to make a whole one.
        let _ = std::fs::remove_file(file);
        return Err(failed(why));
    }
    // The name must survive a crash too, before a repository exists that only this key opens.
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Makes a folder only its owner may enter; one that exists stays as it is.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_private_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config/strongroom/key");
        assert!(create_key_file(&file).is_err(), "its folder may be on a disk that is not mounted");
        create_key_file_with_folder(&file).expect("made");
        let content = std::fs::read(&file).expect("readable");
        assert!(content.starts_with(b"strongroom-key-1 "));
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(create_key_file(&file).is_err());
        assert_eq!(std::fs::read(&file).expect("readable"), content);
    }
}
