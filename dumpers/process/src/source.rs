//! One command as a source of one entry.

use crate::child;
use crate::child::Running;
use crate::errors::Listener;
use crate::errors::Tail;
use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use strongroom::EntryPath;
use strongroom::KnownFact;
use strongroom::Sink;
use strongroom::Source;
use strongroom::SourceError;
use strongroom::Statement;
use strongroom::StreamEntry;
use strongroom::Verdict;

/// A command whose standard output is backed up as one entry of kind `Stream`.
///
/// It runs in a process group of its own with nothing as its input. Only an exit with 0 makes a
/// snapshot; an empty output with 0 is fine unless its entry says otherwise. When the job
/// stops or fails the whole group is ended.
pub struct CommandSource {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    withheld: Vec<OsString>,
    folder: Option<PathBuf>,
    entry: StreamEntry,
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
            withheld: Vec::new(),
            folder: None,
            entry: StreamEntry::new(EntryPath::parse(b"stdin").expect("one plain name is a valid path")),
            listener: None,
        }
    }

    /// What the output is stored as: a path, or more than that; `stdin` at the snapshot's root unless said. An empty
    /// output is refused with [`EmptyStream`](strongroom::EmptyStream) where the entry says so.
    #[must_use]
    pub fn entry(mut self, entry: impl Into<StreamEntry>) -> Self {
        self.entry = entry.into();
        self
    }

    /// Sets a variable of the command's environment: the place for secrets.
    #[must_use]
    pub fn environment(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Keeps a variable of this process from the command, which inherits all others: it needs no
    /// secrets but its own.
    #[must_use]
    pub fn withhold(mut self, name: impl Into<OsString>) -> Self {
        self.withheld.push(name.into());
        self
    }

    /// Runs the command in `folder`.
    #[must_use]
    pub fn folder(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
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
        for name in &self.withheld {
            command.env_remove(name);
        }
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}

impl Source for CommandSource {
    fn kind(&self) -> &str {
        self.entry.kind_or("command")
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![self.entry.path().as_bytes().to_vec()]
    }

    fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let name = self.name();
        let failed =
            |doing: String| move |why: std::io::Error| SourceError::Failed { message: doing, cause: Some(why.into()) };
        let started = Running::start(&mut self.command());
        let (mut running, mut stdout, stderr) = started.map_err(failed(format!("cannot start the command {name}")))?;
        let tail = Tail::listen(stderr, self.listener.take());
        let metadata = self.entry.begin(sink)?;
        let doing = format!("cannot read the output of the command {name}");
        let size = StreamEntry::pour(sink, &doing, |room| {
            if child::has_output(&stdout)? { stdout.read(room).map(Some) } else { Ok(None) }
        })?;
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
        self.entry.end(sink, metadata, size, || format!("the command {name} succeeded but wrote nothing"))?;
        let statement = Statement::new().with(KnownFact::Tool, name);
        sink.statement(statement.with_of(KnownFact::Bytes, self.entry.path().as_bytes(), size));
        Ok(Verdict::Whole)
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
            .field("path", self.entry.path())
            .finish_non_exhaustive()
    }
}
