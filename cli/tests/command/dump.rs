//! `dump`: a file's bytes, and folders as archives that other programs unpack.

use crate::harness::House;
use crate::support::trees;
use crate::support::walker::Walker;
use rustix::fs::XattrFlags;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn a_file_comes_out_byte_for_byte() {
    let house = House::new();
    let bytes = trees::Dice::new(5).bytes(3_000_000);
    let file = house.write("in/file", &bytes);
    house.backup(&[&house.text("in")]);
    let name = file.to_str().expect("UTF-8");
    assert_eq!(house.run(["dump", "latest", name]).done().raw, bytes);
    assert_eq!(house.run(["dump", &format!("latest:{}", house.text("in")), "file"]).done().raw, bytes);
    house.run(["dump", "latest", name, "--target", "copy"]).done();
    assert_eq!(std::fs::read(house.path("copy")).expect("it was written"), bytes);
    house.run(["dump", "latest", name, "--target", "copy"]).refused(1, &["cannot write copy", "exists"]);
    house.run(["dump", "latest", "/no/such"]).refused(1, &["there is no /no/such"]);
}

#[test]
fn a_folder_is_a_tar_archive_that_tar_unpacks_to_the_same() {
    let house = House::new();
    std::fs::create_dir(house.path("in")).expect("a folder");
    trees::build(11, &house.path("in"));
    // Tar does not know sockets.
    std::fs::remove_file(house.path("in/special/socket")).expect("it was built");
    house.backup(&[&house.text("in")]);
    let tar = house.run(["dump", "latest", &house.text("in")]).done().raw;
    let archive = house.write("in.tar", tar);
    std::fs::create_dir(house.path("out")).expect("a folder");
    let mut tar = Command::new("tar");
    tar.arg("-xpf").arg(&archive).args(["--acls", "--xattrs", "--xattrs-include=*", "-C"]).arg(house.path("out"));
    let unpacked = tar.output().expect("tar runs");
    assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
    let inside = house.path("out").join(house.text("in").trim_start_matches('/'));
    assert_eq!(Walker::default().differences(&house.path("in"), &inside), Vec::<String>::new());
}

#[test]
fn access_lists_links_and_holes_are_unpacked_by_other_programs_too() {
    let house = House::new();
    let file = house.write("in/listed", "secret");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let listed = Command::new("setfacl").args(["-m", "u:12345:rw"]).arg(&file).status().expect("setfacl runs");
    assert!(listed.success());
    std::fs::hard_link(&file, house.path("in/name")).expect("a link");
    for length in [99, 100, 101, 150] {
        let link = house.path(format!("in/link{length}"));
        std::os::unix::fs::symlink("t".repeat(length), link).expect("a link");
    }
    let hollow = std::fs::File::create(house.path("in/hollow")).expect("a file");
    hollow.set_len(64 << 20).expect("a hole");
    std::os::unix::fs::FileExt::write_all_at(&hollow, b"middle", 32 << 20).expect("written");
    house.backup(&[&house.text("in")]);
    house.run(["dump", "latest", &house.text("in"), "--target", "in.tar"]).done();
    assert!(house.path("in.tar").metadata().expect("it is there").len() < 1 << 20);
    let ways: [(&str, &[&str]); 3] =
        [("tar", &["-xp", "--acls"]), ("bsdtar", &["-xp"]), ("python3", &["-m", "tarfile", "-e"])];
    for (program, options) in ways {
        let out = house.path(program);
        std::fs::create_dir(&out).expect("a folder");
        let mut command = Command::new(program);
        match program {
            "python3" => command.args(options).arg(house.path("in.tar")).arg(&out),
            _ => command.args(options).arg("-f").arg(house.path("in.tar")).arg("-C").arg(&out),
        };
        let unpacked = command.output().expect("the program runs");
        assert!(unpacked.status.success(), "{program}: {}", String::from_utf8_lossy(&unpacked.stderr));
        let inside = out.join(house.text("in").trim_start_matches('/'));
        // Python's knows no access lists and no times beyond a double.
        let is_python = program == "python3";
        let walker = Walker { xattrs: !is_python, times: !is_python, modes: !is_python, ..Walker::default() };
        assert_eq!(walker.differences(&house.path("in"), &inside), Vec::<String>::new(), "{program}");
    }
}

#[test]
fn a_folder_is_a_zip_archive_with_all_files() {
    let house = House::new();
    for (name, text) in [("in/a", "first"), ("in/deep/b", "second"), ("in/deep/c", "")] {
        house.write(name, text);
    }
    house.backup(&[&house.text("in")]);
    house.run(["dump", "--archive", "zip", "--target", "in.zip", "latest", &house.text("in")]).done();
    let file = std::fs::File::open(house.path("in.zip")).expect("it was written");
    let mut archive = zip::ZipArchive::new(file).expect("a zip archive");
    for (name, text) in [("in/a", "first"), ("in/deep/b", "second"), ("in/deep/c", "")] {
        let full = house.text(name);
        let mut inside = archive.by_name(full.trim_start_matches('/')).expect("it is in there");
        let mut read = String::new();
        inside.read_to_string(&mut read).expect("it can be read");
        assert_eq!(read, text);
    }
}

#[test]
fn nobody_reading_to_the_end_is_no_failure() {
    let house = House::new();
    house.write("in/file", vec![7; 4 << 20]);
    house.backup(&[&house.text("in")]);
    let mut child = house.command(["dump", "latest", &house.text("in")]).spawn().expect("the program starts");
    let mut first = [0; 100];
    child.stdout.take().expect("a pipe").read_exact(&mut first).expect("bytes");
    let outcome = crate::harness::finish(child).done();
    assert_eq!(outcome.err, "");
}

#[test]
fn what_an_archive_cannot_hold_is_warned_about() {
    let house = House::new();
    house.write("in/file", "x");
    std::fs::hard_link(house.path("in/file"), house.path("in/name")).expect("a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, house.path("in/pipe"), rustix::fs::Mode::RUSR).expect("a pipe");
    let _socket = std::os::unix::net::UnixListener::bind(house.path("in/socket")).expect("a socket");
    house.backup(&[&house.text("in")]);
    for (kind, lacks) in [("tar", &["/in/socket: "][..]), ("zip", &["/in/socket: ", "/in/pipe: "])] {
        let outcome = house.run(["dump", "--archive", kind, "--target", kind, "latest", &house.text("in")]).done();
        assert_eq!(outcome.err.matches("left out").count(), lacks.len(), "{outcome}");
        assert!(lacks.iter().all(|text| outcome.err.contains(text)), "{outcome}");
        let is_copied = outcome.err.contains("1 further name of files became files of their own");
        assert_eq!(is_copied, kind == "zip", "{outcome}");
    }
    std::fs::remove_file(house.path("in/name")).expect("it is there");
    std::fs::remove_file(house.path("in/socket")).expect("it is there");
    house.backup(&[&house.text("in")]);
    let outcome = house.run(["dump", "--target", "plain", "latest", &house.text("in")]).done();
    assert!(!outcome.err.contains("warning"), "{outcome}");
}

#[test]
fn what_a_zip_archive_cannot_say_is_told_and_names_that_are_no_text_are_escaped() {
    let house = House::new();
    for name in [&b"in/a\xff"[..], b"in/a\xfe"] {
        std::fs::create_dir_all(house.path("in")).expect("a folder");
        std::fs::write(house.path(OsStr::from_bytes(name)), name).expect("a file");
    }
    let hollow = std::fs::File::create(house.path("in/hollow")).expect("a file");
    hollow.set_len(1 << 20).expect("a hole");
    let xattr = |name: &str| rustix::fs::setxattr(house.path("in/hollow"), name, b"v", XattrFlags::empty());
    xattr("user.a=b").expect("an attribute");
    house.backup(&[&house.text("in")]);
    let zip = house.run(["dump", "--archive", "zip", "--target", "zip", "latest", &house.text("in")]).done();
    for text in ["is in the archive as ", "1 file with holes got zeros", "1 entry lost access lists or other"] {
        assert!(zip.err.contains(text), "{text}: {zip}");
    }
    let file = std::fs::File::open(house.path("zip")).expect("it was written");
    let mut archive = zip::ZipArchive::new(file).expect("a zip archive");
    for (escaped, raw) in [("in/a\u{fffd}ff", &b"in/a\xff"[..]), ("in/a\u{fffd}fe", b"in/a\xfe")] {
        let mut read = Vec::new();
        let full = house.text(escaped);
        archive.by_name(full.trim_start_matches('/')).expect("it is there").read_to_end(&mut read).expect("bytes");
        assert_eq!(read, raw);
    }
    let tar = house.run(["dump", "--target", "tar", "latest", &house.text("in")]).done();
    assert!(tar.err.contains("/in/hollow: attribute user.a=b left out"), "{tar}");
}
