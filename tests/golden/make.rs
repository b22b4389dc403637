//! How the golden repository is made: from one seed, with a clock that stands still.

use super::describe;
use super::source;
use super::source::Golden;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use strongroom::BackupBuilder;
use strongroom::Cipher;
use strongroom::Clock;
use strongroom::CreateOptions;
use strongroom::KdfChoice;
use strongroom::Key;
use strongroom::KnownFact;
use strongroom::MemoryBackend;
use strongroom::Parent;
use strongroom::Repository;
use strongroom::Secret;
use strongroom::SeededRng;
use strongroom::Snapshot;
use strongroom::Statement;
use strongroom::Timestamp;
use strongroom::Verdict;
use strongroom::generate_key_file;

/// With a letter that keyboards type as one code point, and
pub const PASSPHRASE: &str = "golden sch\u{f6}ner";
/// the same as others type it: as two.
pub const PASSPHRASE_DECOMPOSED: &str = "golden scho\u{308}ner";
/// The program that wrote the golden config, as it names itself.
pub const PROGRAM: &str = concat!("strongroom ", env!("CARGO_PKG_VERSION"));
const START: i64 = 1_700_000_000;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: START, nanoseconds: 1 }
    }
}

/// The keys that open it besides the passphrase.
pub struct Ways {
    key_file: String,
    recovery_code: String,
}

/// A repository with three slots and no snapshot.
pub async fn created() -> (Arc<MemoryBackend>, Ways) {
    let backend = Arc::new(MemoryBackend::new());
    let rng = Arc::new(SeededRng::new(2026));
    let mut options = CreateOptions::default();
    options.kdf = KdfChoice::Minimal;
    options.label = "passphrase".to_owned();
    let key = Key::Passphrase(Secret::new(PASSPHRASE));
    let created = Repository::create_with(backend.clone(), key, options, rng, Arc::new(Still)).await.expect("created");
    let recovery_code = created.recovery_code.expect("a recovery code");
    let key_file = generate_key_file(&SeededRng::new(2027)).expect("a key file");
    let key = Key::KeyFile(Secret::new(key_file.clone()));
    created.repository.add_key(key, KdfChoice::Minimal, "key file").await.expect("a slot");
    (backend, Ways { key_file, recovery_code })
}

/// One backup to make.
pub struct Plan {
    source: Golden,
    cipher: Cipher,
    tags: Vec<String>,
    label: Option<&'static str>,
    parent: Parent,
    seconds: i64,
}

impl Plan {
    /// The job's settings.
    pub fn builder(self, repository: &Repository) -> BackupBuilder {
        let builder = repository
            .backup(self.source)
            .cipher(self.cipher)
            .tags(self.tags)
            .metadata("job", "golden")
            .parent(self.parent)
            .host("golden-host".to_owned())
            .user("ann".to_owned())
            .program("strongroom golden".to_owned())
            .time(Timestamp { seconds: START + self.seconds, nanoseconds: 0 })
            .threads(1);
        match self.label {
            Some(label) => builder.label(label.to_owned()),
            None => builder,
        }
    }
}

/// What the source of the second backup says of itself.
fn statement() -> Statement {
    let mut statement = Statement::new()
        .with(KnownFact::Server, "a database")
        .with(KnownFact::AsOf, Timestamp { seconds: START, nanoseconds: 7 })
        .with_of(KnownFact::Rows, b"rows \xff", 5)
        .with_of(KnownFact::EndMark, b"rows \xff", true);
    statement.set("own-fact", b"", "a value").expect("a name");
    statement
}

/// The backups in their order; `earlier` are those already made.
pub fn plans(earlier: &[Snapshot]) -> Vec<Plan> {
    let parent = earlier.first().map_or(Parent::Nothing, |first| Parent::Snapshot(first.id));
    let partial = Verdict::Partial(vec!["one file could not be read".to_owned()]);
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    vec![
        Plan {
            source: Golden { kind: "golden", items: source::everything(), verdict: Verdict::Whole, statement: None },
            cipher: Cipher::Aes256Gcm,
            tags: tags(&["golden", "first"]),
            label: Some("whole and tagged"),
            parent: Parent::Nothing,
            seconds: 0,
        },
        Plan {
            source: Golden { kind: "other", items: source::others(), verdict: partial, statement: Some(statement()) },
            cipher: Cipher::XChaCha20Poly1305,
            tags: Vec::new(),
            label: None,
            parent: Parent::Nothing,
            seconds: 100,
        },
        Plan {
            source: Golden { kind: "golden", items: source::changed(), verdict: Verdict::Whole, statement: None },
            cipher: Cipher::XChaCha20Poly1305,
            tags: tags(&["golden"]),
            label: None,
            parent,
            seconds: 200,
        },
    ]
}

/// Writes repository and expectation below `folder`, which must not hold them yet.
pub async fn write(folder: &Path) {
    let (backend, ways) = created().await;
    let rng = Arc::new(SeededRng::new(2028));
    let key = Key::Passphrase(Secret::new(PASSPHRASE));
    let repository = Repository::open_with(backend.clone(), key, rng, Arc::new(Still)).await.expect("opens");
    let mut made: Vec<Snapshot> = Vec::new();
    while let Some(plan) = plans(&made).into_iter().nth(made.len()) {
        made.extend(plan.builder(&repository).start().await.expect("a backup").snapshot);
    }
    for (name, bytes) in backend.contents() {
        let path = folder.join("repository").join(name.to_string());
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        assert!(!path.exists(), "the golden repository is written once");
        fs::write(path, bytes).expect("a file");
    }
    let mut text = String::new();
    writeln!(text, "passphrase: {PASSPHRASE}").expect("memory");
    writeln!(text, "key file: {}", ways.key_file.trim_end()).expect("memory");
    writeln!(text, "recovery code: {}", ways.recovery_code).expect("memory");
    writeln!(text, "program: {PROGRAM}\n").expect("memory");
    text.push_str(&describe::repository(&repository).await);
    fs::write(folder.join("EXPECTED.txt"), text).expect("a file");
}
