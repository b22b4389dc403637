//! Many files in one folder, huge holes, long names and names that are no text.

use crate::harness::House;
use crate::support::walker;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

#[test]
fn a_million_files_in_one_folder_are_no_trouble() {
    let house = House::new();
    let count: u64 = 1_000_000;
    std::fs::create_dir(house.path("in")).expect("a folder");
    for number in 0..count {
        File::create(house.path("in").join(format!("empty{number}"))).expect("a file");
    }
    let first = house.backup(&[&house.text("in")]);
    assert_eq!((&first["files_new"], &first["total_bytes_processed"]), (&count.into(), &0.into()));
    std::fs::remove_file(house.path("in/empty5")).expect("removed");
    std::fs::write(house.path("in/empty77"), "no more").expect("written");
    let second = house.backup(&[&house.text("in")]);
    assert_eq!((&second["files_changed"], &second["files_unmodified"]), (&1.into(), &(count - 2).into()));
    house.run(["check"]).done();
    house.run(["restore", &format!("latest:{}", house.text("in")), "--target", "out"]).done();
    let names = std::fs::read_dir(house.path("out")).expect("a folder").count() as u64;
    assert_eq!(names, count - 1);
    assert_eq!(std::fs::read(house.path("out/empty77")).expect("read"), b"no more");
}

#[test]
fn a_sparse_file_of_20_gib_costs_only_what_is_in_it() {
    let house = House::new();
    let file = {
        std::fs::create_dir(house.path("in")).expect("a folder");
        File::create(house.path("in/disk.img")).expect("a file")
    };
    file.set_len(20 << 30).expect("a length");
    for (offset, text) in [(0_u64, "boot"), (7 << 30, "middle"), ((20 << 30) - 4, "last")] {
        file.write_all_at(text.as_bytes(), offset).expect("written");
    }
    let summary = house.backup(&[&house.text("in")]);
    assert!(summary["data_added_packed"].as_u64().is_some_and(|stored| stored < 1 << 20), "{summary}");
    let copy = house.restore(&house.path("in"), "out").join("disk.img");
    let metadata = std::fs::metadata(&copy).expect("it is there");
    assert_eq!(metadata.len(), 20 << 30);
    assert!(metadata.blocks() < 4096, "{} blocks", metadata.blocks());
    let copy = File::open(copy).expect("it can be read");
    for (offset, text) in [(0_u64, "boot"), (7 << 30, "middle"), ((20 << 30) - 4, "last"), (3 << 30, "\0\0\0")] {
        let mut bytes = vec![1; text.len()];
        copy.read_exact_at(&mut bytes, offset).expect("read");
        assert_eq!(bytes, text.as_bytes());
    }
}

#[test]
fn names_are_bytes_and_may_be_long() {
    let house = House::new();
    let top = house.path("in");
    std::fs::create_dir(&top).expect("a folder");
    let names: [&[u8]; 5] = [&[b'n'; 255], b"\xff\xfe bad", b"tab\tand\nline", b"\x1b[31mred", "ü".as_bytes()];
    for name in names {
        std::fs::write(top.join(OsStr::from_bytes(name)), name).expect("written");
    }
    house.backup(&[&house.text("in")]);
    let listed = house.run(["ls", "latest"]).done();
    assert_eq!(listed.out.lines().count(), 5 + house.text("in").matches('/').count(), "a line each: {listed}");
    assert!(!listed.out.contains('\x1b'), "names do not speak to the terminal");
    let raw = house.run(["--json", "ls", "latest"]).done().messages();
    let bad = raw.iter().find_map(|node| node["path_raw"].as_str()).expect("one name is no text");
    assert!(bad.ends_with("fffe20626164"), "{bad}");
    let copy = house.restore(&top, "out");
    assert_eq!(walker::differences(&top, &copy), Vec::<String>::new());
}
