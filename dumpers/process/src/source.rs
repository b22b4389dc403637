//! One command as a source of one entry.

use crate::child;
use crate::child::Running;
use crate::errors::Listener;
use crate::errors::Tail;
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::io::Read;
use std::path::PathBuf;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use strongroom::EntryPath;
use strongroom::FileKind;
use strongroom::Metadata;
use strongroom::Sink;
use strongroom::Source;
use strongroom::SourceError;
use strongroom::Timestamp;
use strongroom::Verdict;

/// A command whose standard output is backed up as one entry of kind `Stream`.
///
/// It runs in a process group of its own with nothing as its input. Only an exit with 0 makes a
/// snapshot; an empty output with 0 is fine. When the job stops or fails the whole group is ended.
pub struct CommandSource {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    path: Option<EntryPath>,
    kind: String,
    modified: Timestamp,
    mode: u32,
    listener: Option<Listener>,
}

impl CommandSource {
    /// Runs `program` with `arguments`, no shell in between. Nothing secret belongs into the arguments:
    /// everybody on the machine can read them.
    pub fn new(program: impl Into<OsString>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            folder: None,
            path: None,
            kind: "command".to_string(),
            modified: Timestamp::default(),
            mode: 0o600,
            listener: None,
        }
    }

    /// Where the output is stored; `stdin` at the snapshot's root unless said.
    #[must_use]
    pub fn path(mut self, path: EntryPath) -> Self {
        self.path = Some(path);
        self
    }

    /// Sets a variable of the command's environment: the place for secrets.
    #[must_use]
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs the command in `folder`.
    #[must_use]
    pub fn folder(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }

    /// What the snapshot record calls this source; `command` unless said.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// The modification time of the entry.
    #[must_use]
    pub fn modified(mut self, time: Timestamp) -> Self {
        self.modified = time;
        self
    }

    /// Permission bits of the entry; `0o600` unless said.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o7777;
        self
    }

    /// Passes on standard error as it comes, on a thread of its own.
    #[must_use]
    pub fn on_stderr(mut self, listener: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    fn entry_path(&self) -> EntryPath {
        let default = || EntryPath::parse(b"stdin").expect("one plain name is a valid path");
        self.path.clone().unwrap_or_else(default)
    }

    fn metadata(&self, kind: FileKind, mode: u32) -> Metadata {
        let mut metadata = Metadata::new(kind);
        metadata.mode = mode;
        metadata.uid = rustix::process::geteuid().as_raw();
        metadata.gid = rustix::process::getegid().as_raw();
        metadata.modified = self.modified;
        metadata.changed = self.modified;
        metadata
    }

    /// Gives the folders above, then begins the entry itself.
    fn begin(&self, sink: &mut dyn Sink) -> Result<Metadata, SourceError> {
        let path = self.entry_path();
        let above: Vec<_> = std::iter::successors(path.parent(), EntryPath::parent).collect();
        for folder in above.iter().rev() {
            let metadata = self.metadata(FileKind::Directory, 0o700);
            sink.begin(folder, &metadata)?;
            sink.end(metadata, Vec::new())?;
        }
        let metadata = self.metadata(FileKind::Stream, self.mode);
        sink.begin(&path, &metadata)?;
        Ok(metadata)
    }
}

impl Source for CommandSource {
    fn kind(&self) -> &str {
        &self.kind
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![self.entry_path().as_bytes().to_vec()]
    }

    fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let name = self.name();
        let failed =
            |doing: String| move |why: std::io::Error| SourceError::Failed { message: doing, cause: Some(why.into()) };
        let started = Running::start(&mut self.command());
        let (mut running, stdout, stderr) = started.map_err(failed(format!("cannot start the command {name}")))?;
        let tail = Tail::listen(stderr, self.listener.take());
        let metadata = self.begin(sink)?;
        let size = pour(stdout, sink, &name)?;
        let status = loop {
            let ended = running.wait_a_moment();
            match ended.map_err(failed(format!("cannot wait for the command {name}")))? {
                Some(status) => break status,
                // Only to learn whether to stop.
                None => sink.buffer().map(|_| ())?,
            }
        };
        if !status.success() {
            return Err(unsuccessful(&name, status, &tail));
        }
        sink.end(Metadata { size, ..metadata }, Vec::new())?;
        Ok(Verdict::Whole)
    }
}

/// Reads the output to its end; its length in bytes.
fn pour(mut stdout: ChildStdout, sink: &mut dyn Sink, name: &str) -> Result<u64, SourceError> {
    let failed = |why: std::io::Error| SourceError::Failed {
        message: format!("cannot read the output of the command {name}"),
        cause: Some(why.into()),
    };
    let mut size = 0;
    loop {
        let room = sink.buffer()?;
        if !child::has_output(&stdout).map_err(|why| failed(why.into()))? {
            continue;
        }
        match stdout.read(room) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                sink.filled(count)?;
                size += u64::try_from(count).unwrap_or(u64::MAX);
            }
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(failed(why)),
        }
    }
}

/// Why there is no verdict, with the command's last words.
fn unsuccessful(name: &str, status: ExitStatus, tail: &Tail) -> SourceError {
    let said = tail.text();
    SourceError::Failed {
        message: format!("the command {name} failed ({status})"),
        cause: if said.is_empty() { None } else { Some(said.into()) },
    }
}

impl fmt::Debug for CommandSource {
    /// Names of variables only: their values are where secrets are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("CommandSource")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &names)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
