//! Promises of the command source, kept with /bin/sh.

use std::sync::mpsc;
use strongroom::EntryPath;
use strongroom::EntryStart;
use strongroom::FileKind;
use strongroom::Metadata;
use strongroom::Sink;
use strongroom::Source;
use strongroom::SourceError;
use strongroom::Statement;
use strongroom::Stop;
use strongroom::StreamEntry;
use strongroom::Verdict;
use strongroom::Want;
use strongroom_process::CommandSource;

/// Says whether to stop, given the content so far.
type Stopper = Box<dyn FnMut(&[u8]) -> bool>;

/// Keeps what it is given; stops when told to.
#[derive(Default)]
struct Kept {
    ended: Vec<(String, Metadata)>,
    begun: Option<String>,
    content: Vec<u8>,
    buffer: Vec<u8>,
    stop: Option<Stopper>,
}

impl Sink for Kept {
    fn begin(&mut self, start: EntryStart<'_>) -> Result<Want, Stop> {
        self.begun = Some(start.path.to_string());
        Ok(Want::Bytes)
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        if self.stop.as_mut().is_some_and(|stop| stop(&self.content)) {
            return Err(Stop);
        }
        self.buffer.resize(1000, 0);
        Ok(&mut self.buffer)
    }

    fn filled(&mut self, count: usize) -> Result<(), Stop> {
        self.content.extend_from_slice(&self.buffer[..count]);
        Ok(())
    }

    fn end(&mut self, metadata: Metadata, _warnings: Vec<String>) -> Result<(), Stop> {
        self.ended.push((self.begun.take().expect("an entry"), metadata));
        Ok(())
    }

    fn retract(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    fn warn(&mut self, _path: Option<&EntryPath>, message: String, _partial: bool) {
        panic!("{message}");
    }

    fn total(&mut self, _entries: u64, _bytes: u64) {}

    fn skipped(&mut self, _path: &EntryPath, _reason: &str) {}

    fn statement(&mut self, _: Statement) {}
}

fn shell(script: &str) -> CommandSource {
    CommandSource::new("/bin/sh", ["-c", script])
}

fn run(source: CommandSource, sink: &mut Kept) -> Result<Verdict, SourceError> {
    Box::new(source).run(sink)
}

/// The message and the cause of a failure.
fn failure(script: &str) -> (String, String, Kept) {
    let mut sink = Kept::default();
    match run(shell(script), &mut sink) {
        Err(SourceError::Failed { message, cause }) => {
            (message, cause.map(|why| why.to_string()).unwrap_or_default(), sink)
        }
        other => panic!("{other:?}"),
    }
}

/// Whether a process still runs (a zombie does not).
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

#[test]
fn the_output_becomes_one_entry_below_its_folders() {
    let mut sink = Kept::default();
    let path = EntryPath::parse(b"dumps/all.txt").expect("a path");
    let source = shell("i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done").entry(path);
    assert_eq!(source.paths(), [b"dumps/all.txt"]);
    assert_eq!(run(source, &mut sink).expect("a verdict"), Verdict::Whole);
    let names: Vec<_> = sink.ended.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dumps", "dumps/all.txt"]);
    let metadata = &sink.ended.last().expect("an entry").1;
    assert_eq!((&metadata.kind, metadata.mode), (&FileKind::Stream, 0o600));
    assert_eq!(metadata.size, sink.content.len() as u64);
    assert!(sink.content.starts_with(b"line 0\n") && sink.content.ends_with(b"line 999\n"));
}

#[test]
fn an_empty_output_is_refused_when_it_was_said_to_be_a_mistake() {
    for (script, refused) in [("exit 0", true), ("printf x", false)] {
        let mut sink = Kept::default();
        let path = EntryPath::parse(b"dump").expect("a path");
        let outcome = run(shell(script).entry(StreamEntry::new(path).refuse_empty(true)), &mut sink);
        match outcome {
            Err(SourceError::Failed { cause: Some(why), .. }) => {
                assert!(refused && why.is::<strongroom::EmptyStream>())
            }
            other => assert!(!refused && other.is_ok(), "{script}: {other:?}"),
        }
        assert_eq!(sink.ended.is_empty(), refused, "{script}");
    }
}

#[test]
fn what_is_withheld_does_not_reach_the_command() {
    // Cargo sets both for every test.
    let script = "printf '%s|%s' \"${CARGO_PKG_NAME-gone}\" \"${CARGO_PKG_VERSION-gone}\"";
    let mut sink = Kept::default();
    run(shell(script).withhold("CARGO_PKG_NAME"), &mut sink).expect("it succeeds");
    let said = String::from_utf8_lossy(&sink.content).into_owned();
    assert!(said.starts_with("gone|") && !said.ends_with("|gone"), "{said}");
}

#[test]
fn an_empty_output_is_fine_when_the_command_succeeds() {
    let mut sink = Kept::default();
    assert_eq!(run(shell("true"), &mut sink).expect("a verdict"), Verdict::Whole);
    assert_eq!(sink.ended.len(), 1);
    assert!(sink.content.is_empty());
}

#[test]
fn a_command_that_fails_after_its_output_ends_no_entry_and_says_why() {
    let (message, cause, sink) = failure("echo half a dump; echo 'no such table' >&2; exit 3");
    assert!(message.contains("/bin/sh") && message.contains('3'), "{message}");
    assert_eq!(cause, "no such table");
    assert!(sink.ended.is_empty());
}

#[test]
fn a_command_killed_by_a_signal_fails() {
    let (message, _, sink) = failure("echo half; kill -9 $$");
    assert!(message.contains('9'), "{message}");
    assert!(sink.ended.is_empty());
}

#[test]
fn a_command_that_closes_its_output_early_still_has_to_succeed() {
    let (message, ..) = failure("exec >&-; exit 4");
    assert!(message.contains('4'), "{message}");
}

#[test]
fn only_the_end_of_a_long_complaint_is_kept() {
    let (_, cause, _) = failure("i=0; while [ $i -lt 5000 ]; do echo complaint $i >&2; i=$((i+1)); done; exit 1");
    assert!(cause.len() <= 8192 && cause.ends_with("complaint 4999"), "{}", cause.len());
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    let mut sink = Kept::default();
    let error = run(CommandSource::new("/no/such/program", [""; 0]), &mut sink).expect_err("nothing to start");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert!(sink.begun.is_none());
}

#[test]
fn standard_error_is_passed_on() {
    let (sender, heard) = mpsc::channel();
    let source = shell("echo hello >&2").on_stderr(move |piece| sender.send(piece.to_vec()).expect("a listener"));
    run(source, &mut Kept::default()).expect("a verdict");
    assert_eq!(heard.iter().collect::<Vec<_>>().concat(), b"hello\n");
}

#[test]
fn secrets_go_through_the_environment_and_do_not_print() {
    let source = shell("printf %s \"$SECRET\"").environment("SECRET", "hunter2");
    let shown = format!("{source:?}");
    assert!(shown.contains("SECRET") && !shown.contains("hunter2"), "{shown}");
    let mut sink = Kept::default();
    run(source, &mut sink).expect("a verdict");
    assert_eq!(sink.content, b"hunter2");
}

#[test]
fn a_command_has_nothing_to_read() {
    let mut sink = Kept::default();
    run(shell("cat; echo end"), &mut sink).expect("a verdict");
    assert_eq!(sink.content, b"end\n");
}

#[test]
fn a_stop_ends_the_command_and_its_children() {
    let (pids, told) = mpsc::channel();
    let mut sink = Kept {
        stop: Some(Box::new(move |content: &[u8]| {
            let is_whole = content.ends_with(b".\n");
            if is_whole {
                pids.send(String::from_utf8_lossy(content).to_string()).expect("a listener");
            }
            is_whole
        })),
        ..Kept::default()
    };
    // It and its child are silent for ever after, the child deaf to a polite request.
    let script = "sh -c 'trap \"\" TERM; while :; do sleep 100; done' & echo $$ $! .; wait";
    let error = run(shell(script), &mut sink).expect_err("no verdict");
    assert!(matches!(error, SourceError::Stopped));
    let told = told.recv().expect("two numbers");
    let pids: Vec<_> = told.split_whitespace().filter(|word| *word != ".").collect();
    assert_eq!(pids.len(), 2);
    // The kill was sent before the source returned; the orphan needs its new parent to be gone for good.
    for pid in pids {
        for _ in 0..100_000 {
            if !is_alive(pid) {
                break;
            }
            std::thread::yield_now();
        }
        assert!(!is_alive(pid), "{pid} survived");
    }
}
