//! A throw-away home for the command: folders, a repository with a key file, and what a run of the command gave.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

/// The ordinary user that tests run as when they are started by root.
pub const NOBODY: u32 = 65_534;

/// A place of its own for one test.
pub struct House {
    root: TempDir,
    program: PathBuf,
    /// Run the command as this user instead.
    user: Option<u32>,
}

/// What a run of the command gave.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; below zero: the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard output, byte for byte.
    pub raw: Vec<u8>,
    /// Standard error.
    pub err: String,
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl House {
    /// Empty folders and no repository.
    pub fn empty() -> Self {
        let root = tempfile::Builder::new().prefix("strongroom-test-").tempdir().expect("a folder can be made");
        for name in ["home", "data", "config", "cache"] {
            std::fs::create_dir(root.path().join(name)).expect("a folder can be made");
        }
        Self { root, program: env!("CARGO_BIN_EXE_strongroom").into(), user: None }
    }

    /// With a repository that a key file opens: no test pays for a password that is not about one.
    pub fn new() -> Self {
        let house = Self::empty();
        house.run(["init", "--no-recovery-code"]).done();
        house
    }

    /// Empty folders in a place where every user may run the program.
    pub fn for_everybody() -> Self {
        let mut house = Self::empty();
        let program = house.path("strongroom");
        std::fs::copy(&house.program, &program).expect("the program can be copied");
        house.program = program;
        std::fs::set_permissions(house.root.path(), std::fs::Permissions::from_mode(0o755)).expect("a mode");
        house
    }

    /// The same for an ordinary user, whoever runs the tests.
    pub fn of_nobody() -> Self {
        let mut house = Self::for_everybody();
        if is_root() {
            house.user = Some(NOBODY);
            for folder in [".", "home", "data", "config", "cache"] {
                std::os::unix::fs::chown(house.path(folder), Some(NOBODY), Some(NOBODY)).expect("an owner");
            }
        }
        house.run(["init", "--no-recovery-code"]).done();
        house
    }

    /// A path in this place.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// The repository's folder.
    pub fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// Writes a file, and the folders it needs.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it stands in a folder")).expect("a folder can be made");
        std::fs::write(&path, bytes).expect("a file can be written");
        path
    }

    /// The command without a repository, key or anything else from outside.
    pub fn bare(&self) -> Command {
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                let user = user.to_string();
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all", "--"]);
                command.arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TZ", "UTC");
        for (name, folder) in
            [("HOME", "home"), ("XDG_DATA_HOME", "data"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")]
        {
            command.env(name, self.path(folder));
        }
        command.current_dir(self.root.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The command with this place's repository and key.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.bare();
        command.env("STRONGROOM_REPOSITORY", self.repository()).env("STRONGROOM_KEY_FILE", self.path("key"));
        command.env("STRONGROOM_HOST", "house");
        command.args(arguments);
        command
    }

    /// Runs the command with this place's repository to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        run(&mut self.command(arguments))
    }

    /// The same with something on standard input.
    pub fn run_with<S: AsRef<OsStr>>(&self, input: &[u8], arguments: impl IntoIterator<Item = S>) -> Outcome {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("the program starts");
        // A program that does not read its input closes it: its outcome tells.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        finish(child)
    }

    /// Backs up and gives the summary.
    pub fn backup(&self, arguments: &[&str]) -> Value {
        let outcome = self.run([&["--json", "backup"], arguments].concat());
        outcome.done().message("summary")
    }

    /// All snapshots, oldest first.
    pub fn snapshots(&self) -> Vec<Value> {
        let all = self.run(["--json", "snapshots"]).done().json();
        all.as_array().expect("an array").clone()
    }

    /// Restores the latest snapshot's `part` into a folder that does not exist yet.
    pub fn restore(&self, part: &Path, into: &str) -> PathBuf {
        let target = self.path(into);
        let selector = format!("latest:{}", part.to_str().expect("UTF-8"));
        self.run(["restore", &selector, "--target", target.to_str().expect("UTF-8")]).done();
        target
    }

    /// Fails unless a check that reads all data finds nothing.
    pub fn assert_sound(&self) {
        self.run(["check", "--read-data"]).done();
    }

    /// Every file of the repository with its length.
    pub fn objects(&self) -> Vec<(PathBuf, u64)> {
        files(&self.repository())
    }

    /// Objects of one area.
    pub fn area(&self, area: &str) -> Vec<(PathBuf, u64)> {
        files(&self.repository().join(area))
    }
}

/// Every file below a folder with its length, sorted; files of others that vanish meanwhile are left out.
pub fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => todo.push(entry.path()),
                Ok(metadata) => found.push((entry.path(), metadata.len())),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    finish(command.spawn().expect("the program starts"))
}

/// Waits for a started command.
pub fn finish(child: Child) -> Outcome {
    let output = child.wait_with_output().expect("the program ends");
    Outcome {
        code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        raw: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Outcome {
    /// Fails unless it ended with 0.
    #[track_caller]
    pub fn done(self) -> Self {
        self.ended(0)
    }

    /// Fails unless it ended with `code`.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Fails unless it ended with `code` in an error of the agreed shape, and every text is in it.
    #[track_caller]
    pub fn refused(self, code: i32, texts: &[&str]) -> Self {
        let this = self.ended(code);
        let words: Vec<&str> =
            this.err.lines().filter_map(|line| line.split_once(": ")).map(|(word, _)| word).collect();
        let errors = words.iter().filter(|word| **word == "error").count();
        let hints = words.iter().filter(|word| **word == "hint").count();
        assert!(errors == 1 && hints <= 1, "{this}");
        assert_eq!(words.last() == Some(&"hint"), hints == 1, "the hint stands last: {this}");
        for text in texts {
            assert!(this.err.contains(text), "{text:?} is missing from {this}");
        }
        this
    }

    /// Fails unless standard output has `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is missing from {self}");
        self
    }

    /// The one JSON value on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("no JSON: {why}: {self}"))
    }

    /// All JSON lines of standard output and standard error; each must have its type and version.
    #[track_caller]
    pub fn messages(&self) -> Vec<Value> {
        let lines = self.out.lines().chain(self.err.lines());
        let parse = |line: &str| -> Value {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}: {self}"));
            assert!(value["message_type"].is_string() && value["version"] == 1, "{line}");
            value
        };
        lines.map(parse).collect()
    }

    /// The only JSON line of a type.
    #[track_caller]
    pub fn message(&self, kind: &str) -> Value {
        let mut found: Vec<Value> = self.messages().into_iter().filter(|value| value["message_type"] == kind).collect();
        assert_eq!(found.len(), 1, "{kind}: {self}");
        found.remove(0)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- out\n{}\n--- err\n{}", self.code, self.out, self.err)
    }
}
