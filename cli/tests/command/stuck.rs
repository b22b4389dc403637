//! Where the kernel does not come back, and where it opens no more files.

use crate::harness::House;
use crate::kill::until;
use rustix::process::Pid;
use rustix::process::Signal;
use std::ffi::CString;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// A file system whose other side never answers, as a file server that is gone.
struct Silent(PathBuf, Option<File>);

impl Silent {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let options = CString::new(options).expect("no NUL");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("silent", at, "fuse", flags, options.as_c_str()).ok()?;
        Some(Self(at.to_owned(), Some(device)))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
        self.1.take();
    }
}

/// Whether a thread of the process waits for the file system's other side.
fn hangs(process: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.map(|thread| thread.path()).any(|thread| {
        let read = |name: &str| std::fs::read_to_string(thread.join(name)).unwrap_or_default();
        read("wchan").contains("fuse") || read("stack").contains("fuse")
    })
}

#[test]
fn a_second_interrupt_ends_a_backup_that_hangs_in_the_kernel() {
    let house = House::new();
    house.write("in/a", "x");
    let Some(silent) = Silent::mount(&house.path("in/hung")) else {
        eprintln!("NOT TESTED: only root can mount, and only where there is FUSE");
        return;
    };
    let mut command = house.command(["backup", &house.text("in")]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    until(|| hangs(child.id()));
    let process = Pid::from_child(&child);
    let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
    rustix::process::kill_process(process, Signal::INT).expect("it runs");
    let mut said = String::new();
    while !said.contains("once more to stop now") {
        assert!(err.read_line(&mut said).expect("it can be read") > 0, "{said}");
    }
    assert!(hangs(child.id()), "once is a wish");
    rustix::process::kill_process(process, Signal::INT).expect("it runs");
    crate::harness::finish(child).ended(130);
    drop(silent);
    assert!(house.snapshots().is_empty());
}

/// The command with at most so many files open.
fn limited(house: &House, files: u32, arguments: &[&str]) -> crate::harness::Outcome {
    let inner = house.command(arguments);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {files} && exec \"$@\"")).arg("sh");
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(house.path("."));
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    crate::harness::run(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn few_open_files_are_enough_for_deep_trees_and_many_files() {
    let house = House::new();
    house.write(&format!("in/{}file", "d/".repeat(150)), "deep");
    for number in 0..80 {
        house.write(&format!("in/many/{number}"), crate::kill::noise(number, 900 << 10));
    }
    limited(&house, 64, &["backup", &house.text("in")]).done();
    limited(&house, 64, &["restore", "latest", "--target", "out"]).done();
    limited(&house, 64, &["check", "--read-data"]).done();
    let copy = house.path("out").join(house.path("in").strip_prefix("/").expect("absolute"));
    assert_eq!(crate::support::walker::differences(&house.path("in"), &copy), Vec::<String>::new());
}

#[test]
fn too_few_open_files_are_named_and_not_taken_for_a_backend_that_does_not_answer() {
    let house = House::new();
    house.write("in/file", "x");
    let mut named = 0;
    for files in 8..40 {
        let outcome = limited(&house, files, &["backup", &house.text("in")]);
        assert!(matches!(outcome.code, 0 | 1 | 3), "{files}: {outcome}");
        assert!(!outcome.err.contains("does not answer") && !outcome.err.contains("panicked"), "{files}: {outcome}");
        if outcome.code == 1 {
            assert!(outcome.err.contains("Too many open files"), "{files}: {outcome}");
            named += 1;
        }
    }
    assert!(named > 0, "some of these are too few");
    house.assert_sound();
}
