//! The workers: threads that decode segments, verify every chunk and write it wherever it is wanted.

use crate::restore::boundary::SegmentDecode;
use crate::restore::file::FileJob;
use crate::restore::site::Site;
use crate::restore::window::Window;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// Something for one worker to do.
pub(crate) enum Task {
    /// Decode a segment and write what is wanted of it.
    Segment(SegmentTask),
    /// Let files finish whose last part is in the window; the sender tells by its end that this is done.
    Release(Vec<Arc<FileJob>>, UnboundedSender<Lost>),
}

/// One fetched segment.
pub(crate) struct SegmentTask {
    pub(crate) window: Arc<Window>,
    pub(crate) pack: u32,
    pub(crate) segment: u16,
    pub(crate) stored: Bytes,
    /// What is wanted of it, by offset.
    pub(crate) wants: Vec<Want>,
    pub(crate) lost: UnboundedSender<Lost>,
    /// Room for the fetched bytes, given back when the last segment of the range is done.
    pub(crate) room: Arc<OwnedSemaphorePermit>,
}

/// One piece and where it is in its segment's plaintext.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) piece: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

/// A piece that this copy of its chunk could not give.
pub(crate) struct Lost {
    pub(crate) piece: u32,
    pub(crate) why: Arc<str>,
}

/// The workers of one restore; they end when this is dropped and all tasks are done.
pub(crate) struct Pool {
    tasks: mpsc::Sender<Task>,
    ended: tokio::sync::mpsc::Receiver<()>,
}

impl Pool {
    /// Starts `threads` workers.
    pub(crate) fn start(site: &Arc<Site>, threads: usize) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let live = Arc::new(AtomicUsize::new(threads));
        let (alive, ended) = tokio::sync::mpsc::channel::<()>(1);
        for number in 0..threads {
            let (site, queue, live, alive) = (Arc::clone(site), Arc::clone(&queue), Arc::clone(&live), alive.clone());
            std::thread::Builder::new().name(format!("restore-{number}")).spawn(move || {
                work(&site, &queue);
                // The job may have been dropped: whoever is last cleans up.
                if live.fetch_sub(1, Ordering::AcqRel) == 1 && site.tally.is_halted() {
                    site.abandon();
                }
                // Nothing of the store is held any more when the job hears of the end.
                drop((site, queue, live));
                drop(alive);
            })?;
        }
        Ok(Self { tasks, ended })
    }

    /// Gives the workers something to do; never waits.
    pub(crate) fn give(&self, task: Task) {
        // It fails only when every worker died; the files concerned are then reported as unfinished.
        let _ = self.tasks.send(task);
    }

    /// A sender for tasks of other threads.
    pub(crate) fn sender(&self) -> mpsc::Sender<Task> {
        self.tasks.clone()
    }

    /// Waits until every worker has ended.
    pub(crate) async fn stop(mut self) {
        drop(self.tasks);
        while self.ended.recv().await.is_some() {}
    }
}

fn work(site: &Site, queue: &Mutex<mpsc::Receiver<Task>>) {
    let mut decoder = site.store.decoder();
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(Task::Segment(task)) => segment(site, decoder.as_mut(), task),
            Ok(Task::Release(files, lost)) => {
                files.iter().for_each(|file| file.settle(site, 1));
                drop(lost);
            }
            Err(mpsc::RecvError) => return,
        }
    }
}

fn segment(site: &Site, decoder: &mut dyn SegmentDecode, task: SegmentTask) {
    if site.tally.is_halted() {
        return;
    }
    let lose = |want: &Want, why: &Arc<str>| {
        // The receiver is gone only when the job is.
        let _ = task.lost.send(Lost { piece: want.piece, why: Arc::clone(why) });
    };
    let plain = match decoder.decode(task.pack, task.segment, &task.stored) {
        Ok(plain) => plain,
        Err(error) => {
            let why: Arc<str> = Arc::from(error.in_one_line());
            return task.wants.iter().for_each(|want| lose(want, &why));
        }
    };
    let damaged: Arc<str> = Arc::from("a chunk of its content is damaged in the repository");
    let mut checked = None;
    for want in &task.wants {
        let Some(piece) = task.window.pieces.get(want.piece as usize) else { continue };
        let Some(file) = task.window.file_of(piece) else { continue };
        let start = want.offset as usize;
        let data = plain.get(start..start.saturating_add(want.length as usize));
        let (Some(data), true) = (data, want.length == piece.length) else {
            lose(want, &damaged);
            continue;
        };
        // Pieces are sorted: the same chunk for several files is verified once.
        if checked != Some((want.offset, piece.id)) && !site.store.verify(&piece.id, data) {
            lose(want, &damaged);
            continue;
        }
        checked = Some((want.offset, piece.id));
        file.write(site, piece.at, data);
    }
    drop(task.room);
}
