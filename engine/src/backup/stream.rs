//! An entry that is open beside others: its bytes go to the workers as they come, from whatever thread has it.

use super::batch::Item;
use super::begun::AtEnd;
use super::begun::Begun;
use super::begun::Desk;
use super::cut::Cutter;
use super::filling::Filling;
use super::wires::Wires;
use crate::entry::Metadata;
use crate::limits::STREAM_BATCH_BYTES;
use crate::source::OpenEntry;
use crate::source::Stop;
use crate::source::Want;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::Ordering;

/// One of several entries that are open.
pub(crate) struct Stream {
    number: u64,
    /// Gone when the source has ended: a stream that outlives it must not keep the stages waiting.
    wires: Weak<Wires>,
    desk: Arc<Desk>,
    begun: Begun,
    cutter: Cutter,
    filling: Filling,
    /// Where its one buffer comes back from the workers, and how it gets there.
    buffers: (Receiver<Vec<u8>>, Sender<Vec<u8>>),
}

impl Stream {
    pub(crate) fn new(number: u64, wires: &Arc<Wires>, desk: &Arc<Desk>, begun: Begun, cutter: Cutter) -> Self {
        wires.open.fetch_add(1, Ordering::AcqRel);
        let (home, buffers) = crossbeam_channel::bounded(1);
        let (wires, desk, filling) = (Arc::downgrade(wires), Arc::clone(desk), Filling::default());
        Self { number, wires, desk, begun, cutter, filling, buffers: (buffers, home) }
    }

    fn wires(&self) -> Result<Arc<Wires>, Stop> {
        self.wires.upgrade().ok_or(Stop)
    }

    /// Ships what was cut. Where that fails the stream is dead: its buffer may be on its way.
    fn ship(&mut self, wires: &Wires) -> Result<(), Stop> {
        let shipped = self.go_round(wires);
        if shipped.is_err() {
            self.wires = Weak::new();
        }
        shipped
    }

    /// The buffer goes round: it is waited for, and what was not cut is put into it again.
    fn go_round(&mut self, wires: &Wires) -> Result<(), Stop> {
        let rest = self.filling.rest().to_vec();
        let (buffer, items) = self.filling.take(Vec::new(), rest.len());
        wires.ship(self.number, buffer, items, &self.buffers.1)?;
        let mut buffer = wires.fresh_buffer(&self.buffers.0)?;
        if let Some(room) = buffer.get_mut(..rest.len()) {
            room.copy_from_slice(&rest);
        }
        self.filling.give_buffer(buffer);
        Ok(())
    }
}

/// Ships the last of a stream, which is then open no more.
fn close(number: u64, wires: &Weak<Wires>, mut filling: Filling, home: &Sender<Vec<u8>>) -> Result<(), Stop> {
    let wires = wires.upgrade().ok_or(Stop)?;
    let (buffer, items) = filling.take(Vec::new(), 0);
    wires.ship(number, buffer, items, home)?;
    wires.open.fetch_sub(1, Ordering::AcqRel);
    Ok(())
}

impl OpenEntry for Stream {
    fn want(&self) -> Want {
        self.begun.want
    }

    fn buffer(&mut self) -> Result<&mut [u8], Stop> {
        let wires = self.wires()?;
        wires.pulse.beat();
        wires.check()?;
        if !self.filling.has_buffer() {
            self.filling.give_buffer(vec![0; STREAM_BATCH_BYTES + self.cutter.most()]);
        }
        if self.filling.is_full() {
            self.ship(&wires)?;
        }
        self.filling.room().ok_or(Stop)
    }

    fn filled(&mut self, count: usize) -> Result<(), Stop> {
        let wires = self.wires()?;
        if !self.filling.fill(count, &self.cutter) {
            return Err(self.desk.bug("more bytes were reported than were lent"));
        }
        self.begun.filled(count, &self.desk)?;
        if self.filling.is_full() { self.ship(&wires) } else { Ok(()) }
    }

    fn end(self: Box<Self>, metadata: Metadata, warnings: Vec<String>) -> Result<(), Stop> {
        self.wires()?.check()?;
        let Self { number, wires, desk, begun, cutter, mut filling, buffers } = *self;
        filling.cut_rest(&cutter);
        let AtEnd { ended, listed, is_ready } = begun.end(metadata, warnings, &desk)?;
        if !listed.is_empty() {
            filling.push(Item::Listed(listed.into()));
        }
        filling.push(if is_ready { Item::Ready(ended) } else { Item::End(ended) });
        close(number, &wires, filling, &buffers.1)
    }

    fn retract(self: Box<Self>) -> Result<(), Stop> {
        let Self { number, wires, mut filling, buffers, .. } = *self;
        filling.push(Item::Retract);
        close(number, &wires, filling, &buffers.1)
    }
}
