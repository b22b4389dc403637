//! What the tidy rules allow, as data: change a rule here, not in its code.

/// Longest Rust file, in lines.
pub const FILE_LINES_MAX: usize = 499;
/// Longest function from `fn` to its closing brace, in lines.
pub const FUNCTION_LINES_MAX: usize = 69;

/// Where the drawing of the rooms' layers stands, and the words that open its block.
pub const LAYERS_FILE: &str = "engine/docs/DESIGN.md";
/// The block starts after this fence.
pub const LAYERS_FENCE: &str = "```layers";

/// Files of the engine that may use every room: the list of public names, and the ways in for measurements and tests.
pub const ROOMLESS: &[&str] =
    &["engine/src/lib.rs", "engine/src/benching.rs", "engine/src/fuzzing.rs", "engine/src/testing.rs"];

/// Package, and the only places in `engine/src` (files, or folders ending in `/`) that may name it.
pub const CONFINED: &[(&str, &[&str])] = &[
    ("aes_gcm", &[]),
    ("argon2", &["crypto/kdf.rs"]),
    ("aws_lc_rs", &["crypto/seal.rs"]),
    ("blake3", &["crypto/", "random.rs"]),
    ("chacha20poly1305", &["crypto/seal.rs"]),
    ("crc32c", &["format/keyslot.rs", "format/pack.rs"]),
    ("fastcdc", &["backup/cut.rs"]),
    ("getrandom", &["random.rs"]),
    ("jiff", &["retention/"]),
    ("rusqlite", &["cache/"]),
    ("unicode_normalization", &["crypto/"]),
    ("zstd", &["squeeze.rs"]),
];

/// Folder of a package, and the packages of this workspace that its manifest may name.
pub const PACKAGES: &[(&str, &[&str])] = &[
    // Its examples are tested with the kit, which cargo takes for tests alone: the kit needs the engine.
    ("engine/", &["strongroom-testkit"]),
    ("dumpers/", &["strongroom", "strongroom-testkit"]),
    ("service/", &["strongroom"]),
    ("cli/", &["strongroom", "strongroom-process", "strongroom-service"]),
    ("fuzz/", &["strongroom"]),
    ("tests/testkit/", &["strongroom"]),
];

/// Words the engine never says outside its tests, and why.
pub const ENGINE_WORDS: &[(&str, &str)] = &[
    ("std::env", "the engine does not read the environment"),
    ("env::var", "the engine does not read the environment"),
    ("env::temp_dir", "the engine does not read the environment"),
    ("home_dir", "the engine does not look for a home"),
    ("print!", "the engine has no terminal"),
    ("println!", "the engine has no terminal"),
    ("eprint!", "the engine has no terminal"),
    ("eprintln!", "the engine has no terminal"),
    ("io::stdin", "the engine has no terminal"),
    ("io::stdout", "the engine has no terminal"),
    ("io::stderr", "the engine has no terminal"),
    ("process::exit", "the engine never ends its host program"),
    ("process::abort", "the engine never ends its host program"),
    ("clap", "arguments belong to the command"),
    ("indicatif", "progress bars belong to the command"),
    ("Runtime::new", "the engine brings no runtime of its own"),
];

/// Words no shipped code says outside its tests.
pub const PANIC_WORDS: &[&str] = &[".unwrap()", ".unwrap_err()", "panic!", "todo!", "unimplemented!", "dbg!"];

/// Beginnings of paths that exist on one machine only. Split so that this file does not find itself.
pub const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/fa", "rm/"),
    concat!("/Us", "ers/"),
    concat!("bash_", "jobs"),
];

/// Everything that may stand at the top; names that begin with a dot are free.
pub const TOP: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "cli",
    "docs",
    "dumpers",
    "engine",
    "fuzz",
    "rust-toolchain.toml",
    "service",
    "target",
    "tests",
];
