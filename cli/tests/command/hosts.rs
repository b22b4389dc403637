//! Several hosts on one repository at once, each process killed at random: nothing that was stored is ever lost.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::files;
use crate::support::trees::Dice;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// The hosts that back up; each has its folder, its name and its caches.
const HOSTS: [&str; 2] = ["ann", "bob"];
/// Files of a host at most, and contents that all hosts draw from, so that they lean on each other's packs.
const FILES: u64 = 16;
const SHARED: u64 = 24;
/// Snapshots that stay before some of them are forgotten.
const SNAPSHOTS: usize = 5;
/// Where something appears or goes while the verbs work.
const AREAS: [&str; 8] = ["tmp", "packs", "packs", "index", "pending", "snapshots", "gc/mark", "gc/tomb"];

/// Which content each file has.
type Tree = BTreeMap<String, u64>;

/// When to kill: how often an area must be seen to have changed, and how long to spin after that.
struct Moment {
    area: &'static str,
    changes: u64,
    spin: Duration,
    seen: Vec<(PathBuf, u64)>,
}

/// A verb at work.
struct Process {
    verb: &'static str,
    child: Child,
    said: PathBuf,
    moment: Option<Moment>,
    outcome: Option<Outcome>,
}

impl Process {
    /// Looks after it once; `false` when it has ended.
    fn goes_on(&mut self, house: &House) -> bool {
        if self.outcome.is_some() {
            return false;
        }
        let mut ended = self.child.try_wait().expect("it can be asked");
        if ended.is_none() && self.moment.as_mut().is_some_and(|moment| moment.has_come(house)) {
            self.child.kill().expect("it can be killed");
            ended = Some(self.child.wait().expect("it ended"));
        }
        let Some(status) = ended else { return true };
        let read = |kind: &str| std::fs::read_to_string(self.said.with_extension(kind)).expect("UTF-8");
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        self.outcome = Some(Outcome { code, out: read("out"), raw: Vec::new(), err: read("err") });
        false
    }
}

impl Moment {
    fn of(dice: &mut Dice, house: &House) -> Self {
        let area = AREAS[dice.below(AREAS.len() as u64) as usize];
        let spin = Duration::from_micros(dice.below(4) * dice.below(3000));
        Self { area, changes: dice.below(4), spin, seen: house.area(area) }
    }

    fn has_come(&mut self, house: &House) -> bool {
        let now = house.area(self.area);
        if now != self.seen {
            self.seen = now;
            self.changes = self.changes.saturating_sub(1);
        }
        if self.changes > 0 {
            return false;
        }
        let begin = Instant::now();
        while begin.elapsed() < self.spin {
            std::hint::spin_loop();
        }
        true
    }
}

/// Everything that is going on, and what must be true of it.
struct Town {
    house: House,
    dice: Dice,
    trees: BTreeMap<&'static str, Tree>,
    /// What every snapshot that was ever listed or reported holds, and whose it is.
    known: BTreeMap<String, (&'static str, Tree)>,
    contents: BTreeMap<u64, Vec<u8>>,
    round: u64,
    /// How many of each verb ended with which code.
    ended: BTreeMap<(&'static str, i32), u64>,
}

impl Town {
    fn new(seed: u64) -> Self {
        Self {
            house: House::new(),
            dice: Dice::new(seed),
            trees: HOSTS.into_iter().map(|host| (host, Tree::new())).collect(),
            known: BTreeMap::new(),
            contents: BTreeMap::new(),
            round: 0,
            ended: BTreeMap::new(),
        }
    }

    fn content(&mut self, number: u64) -> &[u8] {
        self.contents.entry(number).or_insert_with(|| {
            let mut dice = Dice::new(number);
            let length = 1000 + dice.below(120_000) as usize;
            dice.bytes(length)
        })
    }

    /// Some files of a host get other contents, some come, some go. One gets a content that is new to everybody.
    fn change(&mut self, host: &'static str) {
        for turn in 0..6 {
            let name = format!("file{}", if turn == 0 { FILES } else { self.dice.below(FILES) });
            let path = format!("{host}/{name}");
            if turn > 0 && self.dice.below(4) == 0 {
                let _ = std::fs::remove_file(self.house.path(&path));
                self.trees.get_mut(host).expect("a host").remove(&name);
                continue;
            }
            let number = if turn == 0 { self.dice.next() } else { self.dice.below(SHARED) };
            let bytes = self.content(number).to_vec();
            self.house.write(&path, bytes);
            self.trees.get_mut(host).expect("a host").insert(name, number);
        }
    }

    fn command(&self, host: &str, words: &[&str]) -> Command {
        let mut command = self.house.command(words);
        command.env("STRONGROOM_HOST", host).env("XDG_CACHE_HOME", self.house.path(format!("cache-{host}")));
        command
    }

    /// Starts a verb, to be killed with a chance of so many in eight.
    fn start(&mut self, verb: &'static str, host: &str, words: &[&str], chance: u64) -> Process {
        let said = self.house.path(format!("said-{verb}-{host}"));
        let file = |kind: &str| File::create(said.with_extension(kind)).expect("a file can be made");
        let is_to_die = self.dice.below(8) < chance;
        let moment = is_to_die.then(|| Moment::of(&mut self.dice, &self.house));
        let mut command = self.command(host, words);
        let child = command.stdout(file("out")).stderr(file("err")).spawn().expect("the program starts");
        Process { verb, child, said, moment, outcome: None }
    }

    /// Everything at once. Gives the snapshots that were reported as stored, and those that may be gone now.
    fn let_loose(&mut self) -> (Vec<(String, &'static str)>, BTreeSet<String>) {
        let mut known: Vec<String> = self.known.keys().cloned().collect();
        let mut doomed = BTreeSet::new();
        while known.len() > SNAPSHOTS {
            doomed.insert(known.swap_remove(self.dice.below(known.len() as u64) as usize));
        }
        let mut all = Vec::new();
        for host in HOSTS {
            let folder = self.house.text(host);
            all.push(self.start("backup", host, &["--json", "backup", "--threads", "2", &folder], 4));
        }
        let prune = ["prune", "--min-age", "0", "--max-unused", "0", "--repack-small"];
        let many = 1 + usize::from(self.dice.below(4) == 0);
        for host in ["carl", "dora"].into_iter().take(many) {
            let words = if self.dice.below(2) == 0 { &prune[..] } else { &prune[..5] };
            all.push(self.start("prune", host, words, 4));
        }
        if !doomed.is_empty() {
            let words: Vec<&str> = std::iter::once("forget").chain(doomed.iter().map(String::as_str)).collect();
            all.push(self.start("forget", "carl", &words, 2));
        }
        let _ = std::fs::remove_dir_all(self.house.path("loose"));
        let restored = known.first().cloned();
        if let Some(id) = &restored {
            let words = ["restore", &self.selector(id), "--target", &self.house.text("loose")];
            all.push(self.start("restore", "dora", &words, 1));
        }
        all.push(self.start("check", "dora", &["check", "--read-data"], 1));
        self.wait(&mut all);
        let mut stored = Vec::new();
        for (process, host) in all.iter().zip(HOSTS) {
            let outcome = process.outcome.as_ref().expect("it ended");
            stored.extend(reported(outcome).map(|id| (id, host)));
        }
        let is_whole =
            all.iter().any(|one| one.verb == "restore" && one.outcome.as_ref().is_some_and(|it| it.code == 0));
        if let Some(id) = restored.filter(|_| is_whole) {
            self.assert_holds(&id, "loose");
        }
        (stored, doomed)
    }

    fn wait(&mut self, all: &mut [Process]) {
        let begin = Instant::now();
        while all.iter_mut().map(|process| process.goes_on(&self.house)).filter(|alive| *alive).count() > 0 {
            assert!(begin.elapsed() < Duration::from_secs(120), "round {}: it never ends", self.round);
            std::thread::yield_now();
        }
        for process in all {
            let (verb, outcome) = (process.verb, process.outcome.as_ref().expect("it ended"));
            *self.ended.entry((verb, outcome.code)).or_default() += 1;
            // A backup or a prune may lose a race against others that prune, and says so; who only reads never does.
            let may_lose = ["backup", "prune"].contains(&verb) && outcome.code == 1;
            let is_killed = process.moment.is_some() && outcome.code == -9;
            let is_fine = outcome.code == 0 || may_lose || is_killed;
            assert!(is_fine, "round {}: {verb}: {outcome}", self.round);
            assert!(!may_lose || outcome.err.contains("because"), "round {}: {verb}: {outcome}", self.round);
        }
    }

    fn selector(&self, id: &str) -> String {
        let (host, _) = &self.known[id];
        format!("{id}:{}", self.house.text(host))
    }

    /// Fails unless the folder holds what the snapshot's source held.
    fn assert_holds(&mut self, id: &str, folder: &str) {
        let (folder, round) = (self.house.path(folder), self.round);
        let (_, tree) = self.known[id].clone();
        let names: BTreeSet<PathBuf> = files(&folder).into_iter().map(|(path, _)| path).collect();
        let expected = tree.keys().map(|name| folder.join(name)).collect();
        assert_eq!(names, expected, "round {round}: snapshot {id}");
        for (name, number) in tree {
            let bytes = std::fs::read(folder.join(&name)).expect("it was restored");
            assert!(bytes == self.content(number), "round {round}: {name} of snapshot {id} has other bytes");
        }
    }

    fn listed(&self) -> BTreeMap<String, &'static str> {
        let host = |one: &Value| {
            let name = one["hostname"].as_str().expect("a host");
            HOSTS.into_iter().find(|host| *host == name).expect("one of the hosts")
        };
        self.house.snapshots().iter().map(|one| (one["id"].as_str().expect("an ID").to_owned(), host(one))).collect()
    }

    /// What must be true when all is quiet again.
    fn settle(&mut self, stored: &[(String, &'static str)], doomed: &BTreeSet<String>) {
        let (listed, round) = (self.listed(), self.round);
        for id in self.known.keys().filter(|id| !doomed.contains(*id)).chain(stored.iter().map(|(id, _)| id)) {
            assert!(listed.contains_key(id), "round {round}: snapshot {id} is gone");
        }
        self.known.retain(|id, _| listed.contains_key(id));
        for (id, host) in listed {
            // One that is new is this round's, also where its backup was killed before it could say so.
            let tree = &self.trees[host];
            self.known.entry(id).or_insert_with(|| (host, tree.clone()));
        }
        self.assert_sound();
    }

    fn assert_sound(&mut self) {
        self.house.assert_sound();
        for id in self.known.keys().cloned().collect::<Vec<_>>() {
            let selector = self.selector(&id);
            self.house.run(["restore", &selector, "--target", &self.house.text("out")]).done();
            self.assert_holds(&id, "out");
            std::fs::remove_dir_all(self.house.path("out")).expect("removed");
        }
    }

    fn play(&mut self) {
        for host in HOSTS {
            self.change(host);
        }
        let (stored, doomed) = self.let_loose();
        self.settle(&stored, &doomed);
        self.round += 1;
    }

    fn count(&self, verb: &str, code: i32) -> u64 {
        self.ended.iter().filter(|((of, with), _)| *of == verb && *with == code).map(|(_, count)| count).sum()
    }
}

/// The snapshot that a backup says it has stored.
fn reported(outcome: &Outcome) -> Option<String> {
    let lines = outcome.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let summary = lines.into_iter().find(|line| line["message_type"] == "summary")?;
    Some(summary["snapshot_id"].as_str().expect("an ID").to_owned())
}

/// Makes everything in an area look this much older to the store.
fn age(house: &House, area: &str, days: u64) {
    for (path, _) in house.area(area) {
        let file = File::options().write(true).open(path).expect("it is there");
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 3600)).expect("a time");
    }
}

fn pack_bytes(repository: &Path) -> u64 {
    files(&repository.join("packs")).iter().map(|(_, length)| length).sum()
}

/// A fresh repository into which all snapshots are copied: as small as it can be.
fn least(house: &House) -> u64 {
    let fresh = |words: &[&str]| {
        let mut command = house.command(words);
        command.env("STRONGROOM_REPOSITORY", house.path("fresh")).env("STRONGROOM_KEY_FILE", house.path("fresh.key"));
        crate::harness::run(&mut command).done();
    };
    fresh(&["init", "--no-recovery-code"]);
    fresh(&["copy", "--from-repo", &house.text("repository"), "--from-key-file", &house.text("key"), "--all"]);
    pack_bytes(&house.path("fresh"))
}

/// Prunes in peace until time has taken away all that the dead have left.
fn assert_nothing_is_wasted(house: &House) {
    let prune = ["--json", "prune", "--min-age", "0", "--max-unused", "0", "--repack-small"];
    age(house, "pending", 15);
    house.run(prune).done();
    age(house, "gc/mark", 2);
    // This one takes the records away, the next one what only they needed; it may leave one small pack more than stay
    // for good, which another one puts together; and the last one has nothing left to do.
    for _ in 0..3 {
        house.run(prune).done();
    }
    age(house, "gc/tomb", 31);
    let plan = house.run(prune).done().message("prune_plan");
    for unused in ["bytes_unused", "packs_removed", "packs_repacked", "packs_waiting"] {
        assert_eq!(plan[unused], 0, "{plan}");
    }
    for area in ["pending", "gc/mark", "gc/tomb"] {
        assert_eq!(house.area(area), [], "{area}");
    }
    let (there, least) = (pack_bytes(&house.repository()), least(house));
    // Packs are padded, and nothing says which contents share one.
    assert!(there <= least + least / 20 + (256 << 10), "{there} bytes where {least} would do");
}

#[test]
fn hosts_that_are_killed_while_they_share_a_repository_lose_nothing() {
    let rounds = if std::env::var_os("STRONGROOM_LONG").is_some() { 200 } else { 20 };
    let mut town = Town::new(17);
    for _ in 0..rounds {
        town.play();
    }
    let killed: u64 = ["backup", "prune", "forget", "restore", "check"].map(|verb| town.count(verb, -9)).iter().sum();
    assert!(killed >= rounds, "only {killed} processes were killed: {:?}", town.ended);
    for verb in ["backup", "prune", "forget", "restore", "check"] {
        assert!(town.count(verb, 0) >= rounds / 4, "{verb}: {:?}", town.ended);
    }
    for host in HOSTS {
        town.change(host);
        let folder = town.house.text(host);
        crate::harness::run(&mut town.command(host, &["backup", &folder])).done();
    }
    town.settle(&[], &BTreeSet::new());
    assert_nothing_is_wasted(&town.house);
    town.assert_sound();
}
