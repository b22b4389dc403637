//! A repository that has lost catalog pages: every verb tells what is lost, and does everything else.

use crate::harness::House;
use crate::harness::Outcome;
use std::path::Path;

/// No page holds half of them.
const FILES: usize = 6000;
const CHANGED: usize = FILES / 2;

fn file(number: usize) -> String {
    format!("in/folder {:02}/a file with a longer name {number:06}", number / 100)
}

/// The latest snapshot has its root and one leaf in a pack of their own; all other pages are in the pack that is lost.
fn house() -> House {
    let house = House::new();
    for number in 0..FILES {
        house.write(&file(number), "");
    }
    house.write(&file(CHANGED), "as it was");
    house.backup(&[&house.text("in")]);
    let catalog = |path: &Path| {
        let id = path.file_name().and_then(|name| name.to_str()).expect("an ID");
        let pack = house.run(["cat", "pack", id]).done().json();
        (pack["class"] == "metadata").then(|| path.to_owned())
    };
    let lost: Vec<_> = house.area("packs").iter().filter_map(|(path, _)| catalog(path)).collect();
    assert_eq!(lost.len(), 1);
    house.write(&file(CHANGED), "as it is");
    house.backup(&[&house.text("in")]);
    std::fs::remove_file(&lost[0]).expect("removed");
    house
}

/// The entries that are told to be lost.
fn told(outcome: &Outcome) -> usize {
    let count = |line: &str| line.split_once("warning: ")?.1.split_once(" entr")?.0.parse::<usize>().ok();
    outcome.err.lines().filter(|line| line.contains(" up to \"")).filter_map(count).sum()
}

/// Entries above and in the folder that was backed up.
fn all(house: &House) -> usize {
    FILES + FILES / 100 + house.path("in").components().count() - 1
}

#[test]
fn what_can_be_restored_is_and_nothing_is_deleted() {
    let house = house();
    let inside = house.path("out").join(house.text("in").trim_start_matches('/'));
    let outcome = house.run(["restore", "latest", "--target", "out", "--no-owner"]).ended(3);
    let there = crate::harness::files(&inside).len();
    assert!(there > 0 && there < FILES, "{there} files");
    assert!(outcome.err.contains("catalog page") || outcome.err.contains("pack"), "{outcome}");
    let file = inside.join(file(CHANGED).trim_start_matches("in/"));
    assert_eq!(std::fs::read_to_string(&file).expect("restored"), "as it is");
    let part = format!("latest:{}", house.text("in"));
    house.write("other/mine", "kept");
    let outcome = house.run(["restore", &part, "--target", "other", "--delete"]).ended(3);
    assert!(outcome.err.contains("nothing was deleted"), "{outcome}");
    assert!(house.path("other/mine").exists());
    let missing = format!("{part}/folder 59/a file with a longer name 005999");
    house.run(["restore", &missing, "--target", "none"]).refused(13, &["up to \"", "hint: "]);
}

#[test]
fn looking_verbs_show_the_rest_and_end_with_3() {
    let house = house();
    let listed = house.run(["ls", "latest"]).ended(3);
    assert_eq!(listed.out.lines().count() + told(&listed), all(&house), "{}", listed.err);
    let found = house.run(["find", "--snapshot", "latest", "*003000"]).ended(3);
    assert!(found.out.contains("003000") && told(&found) == told(&listed), "{found}");
    let archive = house.run(["dump", "--target", "all.tar", "latest"]).ended(3);
    assert_eq!(told(&archive), told(&listed));
    let mut tar = tar::Archive::new(std::fs::File::open(house.path("all.tar")).expect("it is kept"));
    assert_eq!(tar.entries().expect("an archive").count() + told(&listed), all(&house));
    let stats = house.run(["--json", "stats", "--mode", "by-snapshot", "latest"]).ended(3).message("snapshot_stats");
    assert!(stats["pages_unreadable"].as_u64().is_some_and(|pages| pages > 1), "{stats}");
    // The root of the older one is lost.
    let found = house.run(["find", "*003000"]).ended(3);
    assert!(found.out.contains("003000") && found.err.contains("warning: snapshot "), "{found}");
    house.run(["find", "--snapshot", "latest~1", "*003000"]).refused(13, &[]);
    house.run(["ls", "latest~1"]).refused(13, &[]);
}

#[test]
fn comparing_tells_no_differences_where_it_cannot_look() {
    // What others do in the folder of temporary files gives the two snapshots first pages of their own, of which one is
    // not lost.
    let mut tries = (0..50).map(|_| house()).map(|house| (house.run(["ls", "latest"]).ended(3), house));
    let (listed, house) = tries.find(|(listed, _)| listed.err.contains(" entries up to \"")).expect("a quiet moment");
    let last =
        |line: &str| line.split_once(" up to \"")?.1.split_once('"')?.0.rsplit(' ').next()?.parse::<usize>().ok();
    let lost: Vec<usize> = listed.err.lines().filter_map(last).collect();
    assert!(!lost.is_empty(), "{listed}");
    // The entry that was backed up cannot be read, so nobody knows whether its path was absolute.
    house.run(["diff", "latest", "--disk"]).refused(2, &["cannot be read"]);
    for last in lost {
        house.write(&format!("{} and more", file(last - 1)), "in a gap");
    }
    let disk = house.run(["diff", "latest", "--disk", "/"]).ended(3);
    assert_eq!((disk.out.as_str(), told(&disk) > 0), ("", true), "{disk}");
    house.write(&file(CHANGED), "something else");
    let disk = house.run(["diff", "latest", "--disk", "/"]).ended(3);
    assert!(disk.out.lines().count() == 1 && disk.out.contains("003000"), "{disk}");
    house.run(["check"]).refused(13, &["problems"]).says("up to \"");
}
