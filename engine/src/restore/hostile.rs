//! A second user who owns the target and swaps what is in it while root restores: nothing outside of it changes, and what
//! is his stays his.

use crate::entry::FileKind;
use crate::restore::RestoreReport;
use crate::restore::guarded::STRANGER;
use crate::restore::guarded::is_root;
use crate::restore::guarded::set_mode;
use crate::restore::guarded::who;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::trees::Dice;
use rustix::fs::AtFlags;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::Uid;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Restores of each kind.
const ROUNDS: u64 = 12;
/// What the stranger does in one of them, at most.
const STEPS: u64 = 100_000;
/// What `chattr +d` sets.
const NODUMP: u32 = 0x40;

/// The stranger at work: a thread that the kernel takes for another user, without any right of root's.
struct Stranger {
    target: OwnedFd,
    outside: OwnedFd,
    dice: Dice,
    number: u64,
}

/// What he and the restore tell each other.
#[derive(Default)]
struct Signals {
    steps: AtomicU64,
    swaps: AtomicU64,
    is_over: AtomicBool,
    has_ended: AtomicBool,
}

impl Stranger {
    fn run(mut self, signals: &Signals) {
        rustix::thread::set_thread_groups(&[]).expect("no groups");
        let (uid, gid) = (Uid::from_raw(STRANGER), Gid::from_raw(STRANGER));
        rustix::thread::set_thread_res_gid(gid, gid, gid).expect("another group");
        rustix::thread::set_thread_res_uid(uid, uid, uid).expect("another user");
        for _ in 0..STEPS {
            if signals.is_over.load(Ordering::Acquire) {
                break;
            }
            let swapped = self.step();
            signals.steps.fetch_add(1, Ordering::AcqRel);
            signals.swaps.fetch_add(u64::from(swapped.is_ok()), Ordering::AcqRel);
        }
        signals.has_ended.store(true, Ordering::Release);
    }

    /// Takes some name away and puts something else there.
    fn step(&mut self) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listing = rustix::fs::Dir::new(rustix::fs::openat(&self.target, ".", flags, Mode::empty())?)?;
        let names: Vec<_> = listing.flatten().map(|entry| entry.file_name().to_owned()).collect();
        let names: Vec<_> = names.into_iter().filter(|name| !name.to_bytes().starts_with(b".")).collect();
        let kept = u64::try_from(names.len()).expect("few");
        if kept == 0 {
            return Err(Errno::NOENT);
        }
        let mut pick = || names[usize::try_from(self.dice.below(kept)).expect("few")].as_c_str();
        let (name, other) = (pick(), pick());
        let target = &self.target;
        let way = self.dice.below(8);
        if way == 0 {
            return rustix::fs::renameat_with(target, name, target, other, RenameFlags::EXCHANGE);
        }
        self.number += 1;
        // A number that is free again goes to what is made next.
        let is_removed = way > 5
            && (rustix::fs::unlinkat(target, name, AtFlags::empty()).is_ok()
                || rustix::fs::unlinkat(target, name, AtFlags::REMOVEDIR).is_ok());
        if !is_removed {
            rustix::fs::renameat(target, name, target, format!("z-{}", self.number).as_str())?;
        }
        match way {
            1 => rustix::fs::symlinkat("../outside/folder", target, name),
            2 => rustix::fs::symlinkat("../outside/victim", target, name),
            3 => rustix::fs::linkat(&self.outside, "victim", target, name, AtFlags::empty()),
            4 | 6 => {
                rustix::fs::mkdirat(target, name, Mode::from_raw_mode(0o755))?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                evil(&rustix::fs::openat(target, name, flags, Mode::empty())?, c"evil")
            }
            _ => evil(target, name),
        }
    }
}

fn evil(dir: &OwnedFd, name: &std::ffi::CStr) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644))?;
    rustix::io::write(&file, b"evil").map(drop)
}

/// Folders, programs that run as root, files of two names, pipes and links.
fn scene() -> Scene {
    let mut scene = Scene::empty();
    for number in 0..8 {
        for (folder, mode, uid) in [("private", 0o700, 0), ("wide", 0o755, 77)] {
            let folder = format!("{folder}{number}");
            for (path, kind) in [(folder.clone(), FileKind::Directory), (format!("{folder}/in"), FileKind::Directory)] {
                scene.add(&path, kind, b"");
                let entry = scene.entries.iter_mut().find(|entry| entry.path.as_bytes() == path.as_bytes());
                let metadata = &mut entry.expect("just added").metadata;
                (metadata.mode, metadata.uid) = (mode, uid);
            }
            scene.add(&format!("{folder}/in/file"), FileKind::File, format!("content {number}").as_bytes());
        }
        scene.add(&format!("first{number}"), FileKind::File, format!("linked {number}").as_bytes());
        scene.add(&format!("private{number}/second"), FileKind::File, format!("linked {number}").as_bytes());
        scene.add(&format!("tool{number}"), FileKind::File, b"tool");
        scene.add(&format!("pipe{number}"), FileKind::Fifo, b"");
        scene.add(&format!("link{number}"), FileKind::Symlink { target: b"tool".to_vec() }, b"");
        for entry in &mut scene.entries {
            let (metadata, path) = (&mut entry.metadata, entry.path.as_bytes());
            let is_here = path.ends_with(format!("{number}").as_bytes()) || path.ends_with(b"/second");
            if path.starts_with(b"tool") {
                metadata.mode = 0o4755;
            } else if is_here && (path.starts_with(b"first") || path.ends_with(b"/second")) {
                let inode = path.iter().find(|byte| byte.is_ascii_digit()).map(|byte| u64::from(*byte));
                (metadata.links, metadata.device, metadata.inode) = (2, 1, inode.expect("a number"));
                (metadata.mode, metadata.flags) = (0o600, NODUMP);
            }
        }
    }
    scene
}

/// What must not change: owners, modes, flags and content outside.
fn outside(folder: &Path) -> Vec<String> {
    let look = |path: &Path| {
        let file = std::fs::File::open(path).expect("root reads everything");
        let flags = rustix::fs::ioctl_getflags(&file).map_or(0, |flags| flags.bits() & NODUMP);
        let bytes = if path.is_file() { std::fs::read(path).expect("a file") } else { Vec::new() };
        format!("{} {:?} {flags} {bytes:?}", path.display(), who(path))
    };
    let mut seen = vec![look(folder)];
    for name in ["victim", "secret", "folder", "folder/kept"] {
        seen.push(look(&folder.join(name)));
    }
    let names = |path: &Path| std::fs::read_dir(path).expect("listed").count();
    seen.push(format!("{} {}", names(folder), names(&folder.join("folder"))));
    seen
}

/// What is wrong in a folder of the target and below it. Folders of his that the restore came to are restored over.
fn wrongs(folder: &Path, victim: u64, is_fresh: bool, found: &mut Vec<String>) {
    let items: Vec<_> = std::fs::read_dir(folder).expect("listed").map(|item| item.expect("an item").path()).collect();
    let is_his = items.iter().any(|path| path.ends_with("evil"));
    if is_his && is_fresh && (items.len() > 1 || (who(folder).0, who(folder).2) != (STRANGER, 0o755)) {
        found.push(format!("{} was restored into: {:?}", folder.display(), who(folder)));
    }
    let is_target = folder.ends_with("target");
    for path in items {
        let stat = path.symlink_metadata().expect("it is there");
        if stat.is_dir() {
            wrongs(&path, victim, is_fresh, found);
        }
        if stat.ino() == victim && !is_target {
            found.push(format!("{} is a name of what is outside", path.display()));
        }
        if !stat.is_file() || stat.ino() == victim {
            continue;
        }
        let bytes = std::fs::read(&path).expect("root reads everything");
        if bytes == b"evil" && (who(&path).0, who(&path).2) != (STRANGER, 0o644) {
            found.push(format!("{} is his, and {:?} now", path.display(), who(&path)));
        }
        if stat.mode() & 0o4000 != 0 && bytes != b"tool" {
            found.push(format!("{} runs as somebody else", path.display()));
        }
    }
}

/// One restore with the stranger at work; how often he put something else in the place of something.
async fn round(scene: &mut Scene, seed: u64) -> (RestoreReport, u64) {
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("a folder");
    let (target, outside) = (open(&scene.target()), open(&scene.folder.path().join("outside")));
    let stranger = Stranger { target, outside, dice: Dice::new(seed), number: seed << 32 };
    let signals = Arc::new(Signals::default());
    let (his, seen) = (Arc::clone(&signals), Arc::clone(&signals));
    let at_work = std::thread::spawn(move || stranger.run(&his));
    // He always gets his turn between the making of folders and the writing of what is in them.
    scene.store.at_fetch = Some(Box::new(move || {
        let until = seen.steps.load(Ordering::Acquire) + 20;
        while seen.steps.load(Ordering::Acquire) < until && !seen.has_ended.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    }));
    let report = scene.run_as(TINY).await.expect("a restore");
    signals.is_over.store(true, Ordering::Release);
    at_work.join().expect("no panic");
    (report, signals.swaps.load(Ordering::Acquire))
}

async fn restores(is_fresh: bool) {
    if !is_root() {
        return;
    }
    let mut scene = scene();
    let outer = scene.folder.path().join("outside");
    std::fs::create_dir_all(outer.join("folder")).expect("folders");
    for (name, mode) in [("victim", 0o666), ("secret", 0o600), ("folder/kept", 0o644)] {
        std::fs::write(outer.join(name), name).expect("a file");
        set_mode(&outer.join(name), mode);
    }
    let before = outside(&outer);
    let victim = outer.join("victim").metadata().expect("a file").ino();
    let mut swaps = 0;
    for number in 0..ROUNDS {
        if number == 0 || is_fresh {
            if number > 0 {
                std::fs::remove_dir_all(scene.target()).expect("removed");
            }
            std::fs::create_dir(scene.target()).expect("a folder");
            chown(scene.target(), Some(STRANGER), Some(STRANGER)).expect("an owner");
        }
        let (report, swapped) = round(&mut scene, number + 1).await;
        swaps += swapped;
        assert!(report.failures.iter().all(|one| one.path.is_some()), "{:?}", report.failures);
        assert_eq!(outside(&outer), before);
        let mut found = Vec::new();
        wrongs(&scene.target(), victim, is_fresh, &mut found);
        assert_eq!(found, Vec::<String>::new(), "round {number}");
    }
    assert!(swaps >= ROUNDS, "he came to swap only {swaps} times");
    eprintln!("{swaps} swaps in {ROUNDS} rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_swaps_names_while_root_fills_his_folder_gets_nothing_and_changes_nothing_outside() {
    restores(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_swaps_names_while_root_restores_over_them_changes_nothing_outside() {
    restores(false).await;
}
