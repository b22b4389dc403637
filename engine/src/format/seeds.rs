//! Writes the frozen encodings where the fuzz targets begin (see `fuzz/Cargo.toml`).

use crate::format::config::PrivateConfig;
use crate::format::config::PublicConfig;
use crate::format::envelope::Head;
use crate::format::envelope::ObjectType;
use crate::format::gc::Mark;
use crate::format::keylist::KeyList;
use crate::format::keyslot;
use crate::format::keyslot::SlotCost;
use crate::format::keyslot::SlotHead;
use crate::format::keyslot::SlotKind;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::format::vectors;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::id::RepositoryId;
use crate::id::SlotId;
use crate::id::SnapshotId;
use crate::random::SeededRng;
use crate::squeeze::Squeezer;
use crate::statement::KnownFact;
use crate::statement::Statement;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::path::Path;
use std::path::PathBuf;

/// The seeds as they stand in the project, or the folder that `STRONGROOM_SEEDS` names, where they are written anew:
/// `<folder>/<target>/<name>`.
struct Seeds {
    folder: PathBuf,
    is_written: bool,
}

impl Seeds {
    fn write(&self, target: &str, name: &str, bytes: &[u8]) {
        let file = self.folder.join(target).join(name.replace(' ', "-"));
        if self.is_written {
            std::fs::create_dir_all(self.folder.join(target)).expect("the folder can be made");
            std::fs::write(file, bytes).expect("the seed can be written");
        } else {
            let stored = std::fs::read(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
            assert!(stored == bytes, "{} is not what the format writes today", file.display());
        }
    }
}

#[test]
fn fuzz_seeds_are_what_the_format_writes_today() {
    let asked = std::env::var_os("STRONGROOM_SEEDS").map(PathBuf::from);
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let seeds = Seeds { is_written: asked.is_some(), folder: asked.unwrap_or(project) };
    for (name, bytes, _) in vectors::vectors() {
        match name {
            "pack head" | "pack with trailer" => seeds.write("pack_head", name, &bytes),
            "pack table" | "pack table frame" => seeds.write("pack_table", name, &bytes),
            "index head" => seeds.write("index_parts", name, &bytes),
            name if name.starts_with("index body") => seeds.write("index_body", name, &bytes),
            name if name.starts_with("entry") => seeds.write("entry", name, &bytes[6..]),
            name => seeds.write("page", name, &bytes),
        }
    }
    small_objects(&seeds);
    typed(&seeds);
}

fn small_objects(seeds: &Seeds) {
    let repository = RepositoryId::from_bytes([0x11; 16]);
    let created = Timestamp { seconds: 1_700_000_000, nanoseconds: 5 };
    for (name, feature) in [("without features", None), ("with features", Some("a".to_owned()))] {
        let list: Vec<String> = feature.into_iter().collect();
        let public = PublicConfig { repository, created, read: list.clone(), write: list.clone(), prune: list };
        seeds.write("config_public", name, &[public.encode().as_slice(), &[9; 90]].concat());
    }
    seeds.write("config_private", "standard", &PrivateConfig::standard("strongroom 0.1.0".into()).encode());
    let sealed = [7; 40];
    for (name, object_type) in [("snapshot", ObjectType::Snapshot), ("data key", ObjectType::DataKey)] {
        let head = Head { object_type, flags: 0, repository, key_id: [0x22; 16], nonce: [0x33; 24] };
        seeds.write("envelope", name, &[head.encode(sealed.len() - 16).as_slice(), &sealed].concat());
    }
    let head = Head { object_type: ObjectType::Snapshot, flags: 1, repository, key_id: [0x22; 16], nonce: [0x33; 24] };
    let signature = [[81, 0, 0, 0].as_slice(), &[1; 81]].concat();
    seeds.write("envelope", "signed", &[head.encode(sealed.len() - 16).as_slice(), &sealed, &signature].concat());
    let packs: Vec<PackId> = [1, 2].map(|byte| PackId::from_bytes([byte; 32])).to_vec();
    seeds.write("gc", "two packs", &Mark { packs }.encode());
    seeds.write("gc", "nothing", &Mark { packs: Vec::new() }.encode());
    let cost = SlotCost { memory_kib: 8, passes: 1, lanes: 1 };
    for (name, kind, cost) in
        [("passphrase", SlotKind::Passphrase, cost), ("recovery", SlotKind::Recovery, SlotCost::default())]
    {
        let (salt, commitment, nonce) = ([4; 16], [5; 32], [6; 24]);
        let head = SlotHead { kind, repository, cost, salt, commitment, nonce, created, label: name.to_owned() };
        let clear = head.encode(sealed.len()).expect("a short label");
        let mut slot = [clear.as_slice(), &sealed].concat();
        slot.extend_from_slice(&keyslot::sum(&slot));
        seeds.write("keyslot", name, &slot);
    }
    seeds.write("keyslot", "bundle", &keyslot::bundle_encode(&[8; 32], &[]));
    let mut list = KeyList::default();
    list.add(SlotId::from_bytes([1; 8]), [2; 32], SlotKind::Recovery, "recovery code");
    seeds.write("keyslot", "list", &list.encode());
    seeds.write("keyslot", "rotated", &keyslot::bundle_encode(&[8; 32], &[&[7; 32], &[9; 32]]));
    let id = SnapshotId::from_bytes([1; 16]);
    let bare = Snapshot { finished: created, program: "strongroom 0.1.0".into(), ..Snapshot::new(id, created) };
    seeds.write("snapshot", "bare", &bare.encode());
    let full = Snapshot {
        paths: vec![b"/home".to_vec(), b"/\xff".to_vec()],
        tags: vec!["nightly".into()],
        label: Some("label".into()),
        parent: Some(id),
        root: Some(PageRef { id: ChunkId::from_bytes([4; 32]), length: 5000 }),
        verdict: Verdict::Partial(vec!["one file".into()]),
        excludes: vec!["*.tmp".into()],
        statement: Some(Statement::new().with(KnownFact::Position, "0/1A").with_of(KnownFact::Rows, b"t", 5)),
        metadata: std::collections::BTreeMap::from([("job".into(), "nightly".into())]),
        ..bare
    };
    seeds.write("snapshot", "full", &full.encode());
}

fn typed(seeds: &Seeds) {
    seeds.write("entry_path", "path", b"home/ann/notes.txt");
    let rng = SeededRng::new(1);
    let code = crate::crypto::recovery::generate(&rng).expect("a code").0;
    seeds.write("recovery_code", "code", code.as_bytes());
    let file = crate::crypto::keyfile::generate(&rng).expect("a key file").0;
    seeds.write("key_file", "key file", file.as_bytes());
    seeds.write("wire", "two fields", &[1, 0, 2, 0, 0, 0, 7, 7, 9, 0, 0, 0, 0, 0]);
    for (name, text) in [("absolute", "/srv/backup"), ("file", "file:///srv/x"), ("later", "s3:host/bucket")] {
        seeds.write("location", name, text.as_bytes());
    }
    let long = "cd".repeat(32);
    let short = "ab".repeat(16);
    for (name, text) in [
        ("config", "config".to_owned()),
        ("slot", "keys/slot/1212121212121212".to_owned()),
        ("data key", format!("keys/data/{short}")),
        ("pack", format!("packs/cd/{long}")),
        ("index", format!("index/{long}")),
        ("snapshot", format!("snapshots/{short}")),
        ("mark", format!("gc/mark/{short}")),
    ] {
        seeds.write("object_name", name, text.as_bytes());
    }
    for (name, plain) in [("zeros", vec![0; 70_000]), ("text", b"line after line of a log file\n".repeat(40))] {
        let mut frame = Vec::new();
        assert!(Squeezer::new(3).and_then(|mut squeezer| squeezer.squeeze(&plain, &mut frame)).expect("zstd"));
        let length = u32::try_from(plain.len()).expect("short").to_le_bytes();
        seeds.write("unsqueeze", name, &[length.as_slice(), &frame].concat());
    }
}
