//! `kill -9` at any moment: the repository stays good, what was committed is there, and the next run goes on.

use crate::harness::House;
use crate::support::trees::Dice;
use crate::support::walker;
use serde_json::Value;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

/// Looks again and again until something holds.
#[track_caller]
pub fn until(holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never came to that");
        std::thread::yield_now();
    }
}

/// Bytes nobody can squeeze, made faster than by throwing dice for each: a run of noise again and again, longer than
/// any window, with other bytes strewn in.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut base = Vec::new();
    while base.len() < count.min(5 << 20) {
        base.extend_from_slice(&dice.next().to_le_bytes());
    }
    let mut bytes = base.repeat(count.div_ceil(base.len().max(1)));
    bytes.truncate(count);
    for stretch in bytes.chunks_exact_mut(4096) {
        stretch[..8].copy_from_slice(&dice.next().to_le_bytes());
    }
    bytes
}

fn start(house: &House, more: &[&str]) -> Child {
    let mut command = house.command([&["backup", &house.text("in")], more].concat());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// When to kill: what must have appeared since the start, and how long to spin after that.
struct Moment {
    area: &'static str,
    more: usize,
    spin: Duration,
}

impl Moment {
    fn of(dice: &mut Dice) -> Self {
        let area = ["tmp", "packs", "packs", "keys/data", "pending", "index", "snapshots"][dice.below(7) as usize];
        let more = if area == "packs" { dice.below(3) as usize } else { 1 };
        Self { area, more, spin: Duration::from_micros(dice.below(4) * dice.below(3000)) }
    }

    /// Waits for the moment or the end of the run, whichever is first, and kills. True when it was killed.
    fn kill(&self, house: &House, child: &mut Child, before: usize) -> bool {
        loop {
            if child.try_wait().expect("it can be asked").is_some() {
                return false;
            }
            if house.area(self.area).len() >= before + self.more {
                break;
            }
        }
        let begin = Instant::now();
        while begin.elapsed() < self.spin {
            std::hint::spin_loop();
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ended").code().is_none()
    }
}

#[test]
fn a_backup_killed_at_any_moment_harms_nothing() {
    let house = House::new();
    let mut dice = Dice::new(9);
    let mut committed: Vec<(String, u64)> = Vec::new();
    let mut killed = 0;
    for number in 0..30 {
        house.write("in/number", number.to_string());
        house.write("in/large", noise(number, 20 << 20));
        house.write(&format!("in/small{number}"), noise(number, 1000));
        let moment = Moment::of(&mut dice);
        let before = house.area(moment.area).len();
        let mut child = start(&house, &["--threads", "2"]);
        killed += usize::from(moment.kill(&house, &mut child, before));

        house.run(["check"]).done();
        let known = |id: &str| committed.iter().any(|(other, _)| other == id);
        let ids: Vec<String> = house.snapshots().iter().map(|one| one["id"].as_str().expect("an ID").into()).collect();
        assert!(committed.iter().all(|(id, _)| ids.contains(id)), "a committed snapshot is gone");
        let new: Vec<String> = ids.into_iter().filter(|id| !known(id)).collect();
        assert!(new.len() <= 1);
        committed.extend(new.into_iter().map(|id| (id, number)));
        if let Some((id, number)) = committed.last() {
            let text = house.run(["dump", id, &house.text("in/number")]).done().out;
            assert_eq!(text, number.to_string());
        }
    }
    assert!(killed >= 15, "only {killed} of the runs were killed before their end");
    house.backup(&[&house.text("in")]);
    house.assert_sound();
    let copy = house.restore(&house.path("in"), "out");
    assert_eq!(walker::differences(&house.path("in"), &copy), Vec::<String>::new());
    for (id, number) in committed {
        assert_eq!(house.run(["dump", &id, &house.text("in/number")]).done().out, number.to_string());
        let large = house.run(["dump", &id, &house.text("in/large")]).done().raw;
        assert!(large == noise(number, 20 << 20), "snapshot {id} gives other bytes back");
    }
}

/// Plain bytes of the data packs that an index object lists.
fn indexed(house: &House) -> u64 {
    let mut bytes = 0;
    for (file, _) in house.area("index") {
        let id = file.file_name().and_then(|name| name.to_str()).expect("an ID").to_owned();
        let index = house.run(["cat", "index", &id]).done().json();
        let packs = index["packs"].as_array().expect("packs").iter().filter(|pack| pack["class"] == "data");
        let segments = packs.flat_map(|pack| pack["segments"].as_array().expect("segments"));
        bytes += segments.map(|segment| segment["plain_length"].as_u64().expect("a length")).sum::<u64>();
    }
    bytes
}

#[test]
fn a_killed_backup_resumes_without_uploading_again() {
    let house = House::new();
    let (files, each) = (100_u64, 2 << 20);
    for number in 0..files {
        house.write(&format!("in/{number:03}"), noise(number, each));
    }
    let total = files * each as u64;
    // Slow enough that the kill comes long before the end.
    let mut child = start(&house, &["--limit-upload", "200000", "--ignore-ctime"]);
    until(|| !house.area("index").is_empty());
    child.kill().expect("it can be killed");
    assert!(child.wait().expect("it ended").code().is_none(), "it was killed before its end");
    assert!(house.snapshots().is_empty());
    let indexed = indexed(&house);
    assert!(indexed > 100 << 20 && indexed < total, "{indexed} of {total}");

    // The first files get other bytes and keep size, time and inode. Who reads one again notices. Not all can be
    // spared: the end of a file may have stood in a segment that was still open.
    let altered = 8;
    for number in 0..altered {
        let first = house.path(format!("in/{number:03}"));
        let time = std::fs::metadata(&first).and_then(|metadata| metadata.modified()).expect("a time");
        let file = std::fs::File::options().write(true).open(&first).expect("it is there");
        std::os::unix::fs::FileExt::write_all_at(&file, b"not the same", 0).expect("written");
        file.set_modified(time).expect("a time");
    }
    let packs = house.area("packs").iter().map(|(_, length)| length).sum::<u64>();
    let summary: Value = house.backup(&["--ignore-ctime", &house.text("in")]);
    let new = summary["data_added"].as_u64().expect("a number");
    let spared = |number: &u64| {
        house.run(["dump", "latest", &house.text(&format!("in/{number:03}"))]).done().raw == noise(*number, each)
    };
    let spared = u64::try_from((0..altered).filter(spared).count()).expect("few");
    assert!(spared > 0, "every file was read again");
    let read_again = (altered - spared) * each as u64;
    assert!(new <= total - indexed + read_again, "{new} of {total} were stored again, {indexed} were indexed");
    let grown = house.area("packs").iter().map(|(_, length)| length).sum::<u64>() - packs;
    assert!(grown < total - indexed + read_again + (8 << 20), "{grown}");
    house.assert_sound();
    let last = format!("in/{:03}", files - 1);
    assert!(house.run(["dump", "latest", &house.text(&last)]).done().raw == noise(files - 1, each));
}
