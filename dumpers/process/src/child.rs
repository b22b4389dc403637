//! A running command: its process group, its output, its end.

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::ChildStderr;
use std::process::ChildStdout;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// How long a wait lasts before the sink is asked whether to stop.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// How long a command may take to clean up after it was asked to end.
const GRACE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The groups of all commands that were not reaped yet, so that each number still means its group.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills every command that still runs, at once: for a process that is about to exit without unwinding.
pub fn kill_running() {
    for group in running().drain(..) {
        // A group that is gone already is what we want.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command in a process group of its own; dropping it ends all of the group.
pub(crate) struct Running {
    child: Child,
    group: Pid,
    /// Becomes readable when the command ends.
    end: OwnedFd,
    is_over: bool,
}

impl Running {
    /// Starts `command` with nothing as its input.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<(Self, ChildStdout, ChildStderr)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // The list is held meanwhile: whoever kills all that run must not come between the start and the entry.
        let mut all = running();
        let mut child = command.spawn()?;
        let group = Pid::from_child(&child);
        all.push(group);
        drop(all);
        let opened = rustix::process::pidfd_open(group, PidfdFlags::empty());
        let (Ok(end), Some(stdout), Some(stderr)) = (opened, child.stdout.take(), child.stderr.take()) else {
            // Nothing was read of it yet, so nothing of it is needed.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
            forget(group);
            let _ = child.wait();
            return Err(std::io::Error::other("cannot watch the process"));
        };
        Ok((Self { child, group, end, is_over: false }, stdout, stderr))
    }

    /// Waits a moment for the command to end; its status when it did.
    pub(crate) fn wait_a_moment(&mut self) -> std::io::Result<Option<ExitStatus>> {
        if !is_ready(self.end.as_fd(), &PATIENCE)? {
            return Ok(None);
        }
        forget(self.group);
        let status = self.child.wait()?;
        self.is_over = true;
        Ok(Some(status))
    }

    /// Asks the group to end, then makes it.
    fn kill(&mut self) {
        // The leader is not reaped yet, so the number still means this group. A group that is gone
        // already is what we want.
        let _ = rustix::process::kill_process_group(self.group, Signal::TERM);
        let _ = is_ready(self.end.as_fd(), &GRACE);
        let _ = rustix::process::kill_process_group(self.group, Signal::KILL);
        forget(self.group);
        let _ = self.child.wait();
        self.is_over = true;
    }
}

/// Takes a group off the list before its leader is reaped.
fn forget(group: Pid) {
    running().retain(|other| *other != group);
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}

/// Waits a moment for bytes or the end of `output`.
pub(crate) fn has_output(output: &ChildStdout) -> io::Result<bool> {
    is_ready(output.as_fd(), &PATIENCE)
}

fn is_ready(file: BorrowedFd<'_>, patience: &Timespec) -> io::Result<bool> {
    let mut files = [PollFd::from_borrowed_fd(file, PollFlags::IN)];
    match rustix::event::poll(&mut files, Some(patience)) {
        Err(io::Errno::INTR) => Ok(false),
        other => Ok(other? > 0),
    }
}
