//! Promises of the command source, kept with /bin/sh.

use std::sync::mpsc;
use strongroom::EntryPath;
use strongroom::Fact;
use strongroom::FileKind;
use strongroom::Source;
use strongroom::SourceError;
use strongroom::StreamEntry;
use strongroom::Verdict;
use strongroom_process::CommandSource;
use strongroom_testkit::Recorded;
use strongroom_testkit::Recorder;

fn shell(script: &str) -> CommandSource {
    CommandSource::new("/bin/sh", ["-c", script])
}

fn run(source: CommandSource, sink: &mut Recorder) -> Result<Verdict, SourceError> {
    sink.run(source)
}

/// The message and the cause of a failure.
fn failure(script: &str) -> (String, String, Recorder) {
    let mut sink = Recorder::new();
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
    let mut sink = Recorder::new();
    let path = EntryPath::parse(b"dumps/all.txt").expect("a path");
    let source = shell("i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done").entry(path);
    assert_eq!(source.paths(), [b"dumps/all.txt"]);
    assert_eq!(run(source, &mut sink).expect("a verdict"), Verdict::Whole);
    assert_eq!(sink.paths(), ["dumps", "dumps/all.txt"]);
    let Recorded { metadata, content, .. } = sink.entry("dumps/all.txt");
    assert_eq!((&metadata.kind, metadata.mode), (&FileKind::Stream, 0o600));
    assert_eq!(metadata.size, content.len() as u64);
    let stated = sink.statement.as_ref().expect("a statement");
    assert_eq!(stated.get("tool", b""), Some(&Fact::Text("/bin/sh".into())));
    assert_eq!(stated.get("bytes", b"dumps/all.txt"), Some(&Fact::Count(metadata.size)));
    assert!(content.starts_with(b"line 0\n") && content.ends_with(b"line 999\n"));
}

#[test]
fn an_empty_output_is_refused_when_it_was_said_to_be_a_mistake() {
    for (script, refused) in [("exit 0", true), ("printf x", false)] {
        let mut sink = Recorder::new();
        let path = EntryPath::parse(b"dump").expect("a path");
        let outcome = run(shell(script).entry(StreamEntry::new(path).refuse_empty(true)), &mut sink);
        match outcome {
            Err(SourceError::Failed { cause: Some(why), .. }) => {
                assert!(refused && why.is::<strongroom::EmptyStream>())
            }
            other => assert!(!refused && other.is_ok(), "{script}: {other:?}"),
        }
        assert_eq!(sink.entries.is_empty(), refused, "{script}");
    }
}

#[test]
fn what_is_withheld_does_not_reach_the_command() {
    // Cargo sets both for every test.
    let script = "printf '%s|%s' \"${CARGO_PKG_NAME-gone}\" \"${CARGO_PKG_VERSION-gone}\"";
    let mut sink = Recorder::new();
    run(shell(script).withhold("CARGO_PKG_NAME"), &mut sink).expect("it succeeds");
    let said = String::from_utf8_lossy(&sink.entries[0].content).into_owned();
    assert!(said.starts_with("gone|") && !said.ends_with("|gone"), "{said}");
}

#[test]
fn an_empty_output_is_fine_when_the_command_succeeds() {
    let mut sink = Recorder::new();
    assert_eq!(run(shell("true"), &mut sink).expect("a verdict"), Verdict::Whole);
    assert_eq!(sink.entries.len(), 1);
    assert!(sink.entries[0].content.is_empty());
}

#[test]
fn a_command_that_fails_after_its_output_ends_no_entry_and_says_why() {
    let (message, cause, sink) = failure("echo half a dump; echo 'no such table' >&2; exit 3");
    assert!(message.contains("/bin/sh") && message.contains('3'), "{message}");
    assert_eq!(cause, "no such table");
    assert!(sink.entries.is_empty());
}

#[test]
fn a_command_killed_by_a_signal_fails() {
    let (message, _, sink) = failure("echo half; kill -9 $$");
    assert!(message.contains('9'), "{message}");
    assert!(sink.entries.is_empty());
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
    let mut sink = Recorder::new();
    let error = run(CommandSource::new("/no/such/program", [""; 0]), &mut sink).expect_err("nothing to start");
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert!(sink.entries.is_empty());
}

#[test]
fn standard_error_is_passed_on() {
    let (sender, heard) = mpsc::channel();
    let source = shell("echo hello >&2").on_stderr(move |piece| sender.send(piece.to_vec()).expect("a listener"));
    run(source, &mut Recorder::new()).expect("a verdict");
    assert_eq!(heard.iter().collect::<Vec<_>>().concat(), b"hello\n");
}

#[test]
fn secrets_go_through_the_environment_and_do_not_print() {
    let source = shell("printf %s \"$SECRET\"").environment("SECRET", "hunter2");
    let shown = format!("{source:?}");
    assert!(shown.contains("SECRET") && !shown.contains("hunter2"), "{shown}");
    let mut sink = Recorder::new();
    run(source, &mut sink).expect("a verdict");
    assert_eq!(sink.entries[0].content, b"hunter2");
}

#[test]
fn a_command_has_nothing_to_read() {
    let mut sink = Recorder::new();
    run(shell("cat; echo end"), &mut sink).expect("a verdict");
    assert_eq!(sink.entries[0].content, b"end\n");
}

#[test]
fn a_stop_ends_the_command_and_its_children() {
    let (pids, told) = mpsc::channel();
    let mut sink = Recorder::new();
    sink.stop_when = Some(Box::new(move |content: &[u8]| {
        let is_whole = content.ends_with(b".\n");
        if is_whole {
            pids.send(String::from_utf8_lossy(content).to_string()).expect("a listener");
        }
        is_whole
    }));
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
