//! Everything a folder can hold: links, sparse files, devices, attributes.

use super::content_of;
use super::tree;
use super::whole;
use crate::entry::Extent;
use crate::entry::FileKind;
use crate::source::Want;
use crate::source::recorder::Recorder;
use crate::verdict::Verdict;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::XattrFlags;
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn metadata_is_what_the_system_says() {
    let folder = tree(&["file"]);
    let path = folder.path().join("file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).expect("permissions");
    let given = whole(content_of(folder.path()));
    let (metadata, real) = (&given.entry("file").metadata, fs::metadata(&path).expect("metadata"));
    assert_eq!((metadata.mode, metadata.uid, metadata.gid), (0o4751, real.uid(), real.gid()));
    assert_eq!((metadata.size, metadata.links), (4, 1));
    assert_eq!((metadata.inode, metadata.device), (real.ino(), real.dev()));
    assert_eq!(
        (metadata.modified.seconds, i64::from(metadata.modified.nanoseconds)),
        (real.mtime(), real.mtime_nsec())
    );
    assert_eq!((metadata.changed.seconds, i64::from(metadata.changed.nanoseconds)), (real.ctime(), real.ctime_nsec()));
    assert_eq!(metadata.born.is_some(), real.created().is_ok());
    if is_root() {
        assert_eq!((metadata.user.as_slice(), metadata.group.as_slice()), (&b"root"[..], &b"root"[..]));
    }
}

#[test]
fn links_are_kept_and_never_followed() {
    let folder = tree(&["folder/x"]);
    symlink("folder", folder.path().join("to-folder")).expect("a link");
    symlink("/nowhere\u{e9}", folder.path().join("dangling")).expect("a link");
    let given = whole(content_of(folder.path()));
    assert_eq!(given.paths(), ["dangling", "folder", "folder/x", "to-folder"]);
    let target = FileKind::Symlink { target: "/nowhere\u{e9}".as_bytes().to_vec() };
    assert_eq!(given.entry("dangling").metadata.kind, target);
}

#[test]
fn fifos_sockets_and_devices_are_never_opened() {
    let folder = tree(&[]);
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).expect("a fifo");
    let _socket = UnixListener::bind(folder.path().join("socket")).expect("a socket");
    let mut expected = vec![FileKind::Fifo, FileKind::Socket];
    if is_root() {
        let device = rustix::fs::makedev(1, 3);
        let made =
            rustix::fs::mknodat(CWD, folder.path().join("device"), FileType::CharacterDevice, Mode::RUSR, device);
        if made.is_ok() {
            expected.insert(0, FileKind::CharDevice { rdev: device });
        }
    }
    let given = whole(content_of(folder.path()));
    let kinds: Vec<_> = given.entries.iter().map(|entry| entry.metadata.kind.clone()).collect();
    assert_eq!(kinds, expected);
}

#[test]
fn hard_links_give_their_bytes_under_each_name() {
    let folder = tree(&["one"]);
    fs::hard_link(folder.path().join("one"), folder.path().join("two")).expect("a link");
    let given = whole(content_of(folder.path()));
    let (one, two) = (given.entry("one"), given.entry("two"));
    assert_eq!((one.metadata.links, one.metadata.inode), (2, two.metadata.inode));
    assert_eq!((one.content.as_slice(), two.content.as_slice()), (&b"one"[..], &b"one"[..]));
}

#[test]
fn extended_attributes_are_read_except_of_files_the_parent_has() {
    let folder = tree(&["file", "dir/"]);
    for name in ["file", "dir"] {
        let path = folder.path().join(name);
        for (name, value) in [("user.b", &b"2\0"[..]), ("user.a", b"")] {
            match rustix::fs::setxattr(&path, name, value, XattrFlags::empty()) {
                Err(rustix::io::Errno::NOTSUP) => return eprintln!("no extended attributes here"),
                other => other.expect("an attribute"),
            }
        }
    }
    symlink("x", folder.path().join("link")).expect("a link");
    if is_root() {
        rustix::fs::lsetxattr(folder.path().join("link"), "trusted.t", b"3", XattrFlags::empty())
            .expect("an attribute");
    }
    let given = whole(content_of(folder.path()));
    let of = |path: &str| -> Vec<(String, Vec<u8>)> {
        let xattrs = given.entry(path).metadata.xattrs.iter();
        xattrs.map(|xattr| (String::from_utf8_lossy(&xattr.name).to_string(), xattr.value.clone())).collect()
    };
    let expected = [("user.a".to_string(), vec![]), ("user.b".to_string(), b"2\0".to_vec())];
    assert_eq!(of("file"), expected);
    assert_eq!(of("dir"), expected);
    if is_root() {
        assert_eq!(of("link"), [("trusted.t".to_string(), b"3".to_vec())]);
    }
    let mut unchanged = Recorder::new();
    unchanged.want = Want::Nothing;
    unchanged.run(content_of(folder.path())).expect("a verdict");
    assert!(unchanged.entry("file").metadata.xattrs.is_empty());
    assert_eq!(unchanged.entry("dir").metadata.xattrs.len(), 2);
}

#[test]
fn the_holes_of_a_sparse_file_are_not_read() {
    const SIZE: u64 = 20 * 1024 * 1024 * 1024;
    const PAGE: u64 = 1024 * 1024;
    let folder = tree(&[]);
    let hollow = fs::File::create(folder.path().join("hollow")).expect("a file");
    hollow.set_len(SIZE).expect("a hole");
    let sparse = fs::File::create(folder.path().join("sparse")).expect("a file");
    sparse.set_len(SIZE).expect("a hole");
    for offset in [PAGE, SIZE / 2] {
        sparse.write_all_at(&[7; 4096], offset).expect("some bytes");
    }
    let given = whole(content_of(folder.path()));
    let hollow = given.entry("hollow");
    assert_eq!((hollow.metadata.size, &hollow.metadata.extents), (SIZE, &Some(vec![])));
    assert!(hollow.content.is_empty());
    let sparse = given.entry("sparse");
    let extents = sparse.metadata.extents.as_ref().expect("holes");
    let inside = |offset: u64| move |extent: &Extent| extent.offset <= offset && offset < extent.offset + extent.length;
    assert!(extents.iter().any(inside(PAGE)) && extents.iter().any(inside(SIZE / 2)), "{extents:?}");
    let total: u64 = extents.iter().map(|extent| extent.length).sum();
    assert_eq!((sparse.metadata.size, sparse.content.len() as u64), (SIZE, total));
    assert_eq!(sparse.content.iter().filter(|byte| **byte == 7).count(), 8192);
}

#[test]
fn a_file_without_holes_has_no_extents() {
    let folder = tree(&[]);
    fs::write(folder.path().join("dense"), vec![1; 300_000]).expect("a file");
    let given = whole(content_of(folder.path()));
    assert_eq!(given.entry("dense").metadata.extents, None);
    assert_eq!(given.entry("dense").content.len(), 300_000);
}

#[test]
fn unreadable_things_make_the_snapshot_partial() {
    let folder = tree(&["closed", "dir/x", "open"]);
    for name in ["closed", "dir"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o000)).expect("permissions");
    }
    let mut recorder = Recorder::new();
    let verdict = recorder.run(content_of(folder.path())).expect("a verdict");
    if is_root() {
        // Nothing is closed to root.
        assert_eq!((verdict, recorder.paths().len()), (Verdict::Whole, 4));
    } else {
        assert!(matches!(verdict, Verdict::Partial(reasons) if reasons.len() == 2));
        assert_eq!(recorder.paths(), ["dir", "open"]);
        assert!(recorder.warned.iter().all(|(_, message, partial)| *partial && message.contains("cannot be read")));
    }
    fs::set_permissions(folder.path().join("dir"), fs::Permissions::from_mode(0o700)).expect("permissions");
}

#[test]
fn files_that_claim_to_be_empty_are_read_to_their_end() {
    let given = whole(super::FolderSource::new(vec!["/proc/version".into()]));
    let version = given.entry("proc/version");
    assert!(version.content.starts_with(b"Linux version"));
    assert_eq!(version.metadata.size, version.content.len() as u64);
}
