//! Promises about targets that take two spellings for one name. A snapshot with one name twice does to any file system
//! what two spellings do to such a one.

use crate::entry::FileKind;
use crate::event::Warning;
use crate::restore::Overwrite;
use crate::restore::RestoreOptions;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::trees;
use crate::restore::window::Limits;

/// A snapshot with every kind of entry twice, once in a folder of its own; what comes second has other content.
fn twice(fill: usize) -> Scene {
    let mut scene = Scene::empty();
    let large = [1, 2].map(|seed| trees::Dice::new(seed).bytes(300_000));
    for number in 0..2usize {
        let kinds = [
            ("d", FileKind::Directory, &b""[..]),
            ("large", FileKind::File, &large[number]),
            ("link", FileKind::Symlink { target: format!("{number}").into_bytes() }, b""),
            ("pipe", FileKind::Fifo, b""),
            ("small", FileKind::File, [&b"first"[..], b"second"][number]),
        ];
        for (name, kind, bytes) in kinds {
            scene.add(name, kind, bytes);
        }
        scene.add("d/inside", FileKind::File, [&b"first"[..], b"second"][number]);
    }
    for number in 0..fill {
        scene.add(&format!("small{number}"), FileKind::File, format!("{number}").as_bytes());
    }
    // One after the other, as the names of two spellings come, with others between them.
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for entry in std::mem::take(&mut scene.entries) {
        let seen = first.iter().any(|known: &crate::entry::Entry| known.path == entry.path);
        if seen { second.push(entry) } else { first.push(entry) }
    }
    scene.entries = [first, second].concat();
    scene
}

fn names_of(failures: &[Warning]) -> Vec<String> {
    let mut names: Vec<String> = failures.iter().filter_map(|one| one.path.as_ref()).map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_name_that_the_target_has_under_another_spelling_is_told_and_what_is_there_is_kept() {
    for (limits, fill) in [(TINY, 20), (Limits::default(), 0)] {
        for (stranger, delete) in [(false, false), (true, false), (true, true)] {
            let mut scene = twice(fill);
            if stranger {
                scene.write("stranger", b"it makes a folder be looked at");
            }
            let options = RestoreOptions { delete, ..scene.options() };
            let report = scene.run(limits, options).await.expect("a restore");
            let told = names_of(&report.failures);
            assert_eq!(told, ["d", "d/inside", "large", "link", "pipe", "small"], "{:?}", report.failures);
            assert!(report.failures.iter().all(|one| one.partial));
            let is_taken = |one: &&Warning| one.message.contains("under another spelling");
            assert_eq!(report.failures.iter().filter(is_taken).count(), 5, "{:?}", report.failures);
            // Which of two that are written at the same time comes first is chance.
            assert!([1, 2].map(|seed| trees::Dice::new(seed).bytes(300_000)).contains(&scene.read("large")));
            assert!([&b"first"[..], b"second"].contains(&scene.read("small").as_slice()));
            assert_eq!(std::fs::read_link(scene.target().join("link")).expect("a link"), std::path::Path::new("0"));
            assert_eq!(scene.read("d/inside"), b"first");
            assert_eq!(scene.names("").len(), 5 + fill + usize::from(stranger && !delete), "no leftovers");
        }
    }
}

#[tokio::test]
async fn what_came_to_the_target_since_it_was_listed_is_kept() {
    let mut scene = Scene::empty();
    for number in 0..20 {
        scene.add(&format!("f{number:02}"), FileKind::File, format!("{number}").as_bytes());
    }
    scene.write("stranger", b"x");
    let late = scene.target().join("f19");
    let made = late.clone();
    scene.store.at_fetch = Some(Box::new(move || std::fs::write(&made, b"somebody else's").expect("written")));
    for overwrite in [Overwrite::Always, Overwrite::IfNewer] {
        let options = RestoreOptions { overwrite, ..scene.options() };
        let report = scene.run(TINY, options).await.expect("a restore");
        assert_eq!(names_of(&report.failures), ["f19"]);
        assert_eq!(scene.read("f19"), b"somebody else's");
        for number in 0..20 {
            std::fs::remove_file(scene.target().join(format!("f{number:02}"))).expect("removed");
        }
    }
}
