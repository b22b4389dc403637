//! What is needed of packs of one class on its way into new ones: four who work at the same time.
//!
//! ```text
//!        ,-> lots -> extract -> parcels -.
//! feed --+                               +-> gather --> store
//!        `-> lots -> extract -> parcels -'
//! ```
//! One reads, a pack ahead, and hands out lots by turns; two open and seal; one fills packs, taking parcels by turns,
//! so that what comes out does not depend on who was faster; and one full pack is on its way to the backend. Every
//! arrow holds one lot or what came of it. Whoever fails ends the others; what they stored stays.

use super::copy::Out;
use super::extract::Copied;
use super::extract::Extractor;
use super::extract::Lot;
use super::off_thread;
use super::scan::Scanned;
use super::scan::Scanner;
use super::view::View;
use crate::error::Result;
use crate::job::Control;
use crate::pack::OpenPacks;
use crate::pack::Parcel;
use crate::store::NewPack;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

/// Bytes of a pack that are fetched at once, unless one segment alone has more.
const LOT_BYTES: u32 = 1 << 20;
/// What waits on each arrow.
const WAITING: usize = 1;

/// Copies what is needed of these packs (their numbers, and how many chunks).
pub(super) async fn copy_class(
    view: &View,
    out: &mut Out,
    scanner: Scanner,
    pair: (Extractor, Extractor),
    packs: OpenPacks,
    victims: &[(u32, usize)],
    control: &Control,
) -> Result<()> {
    let (to_one, for_one) = mpsc::channel(WAITING);
    let (to_other, for_other) = mpsc::channel(WAITING);
    let (from_one, of_one) = mpsc::channel(WAITING);
    let (from_other, of_other) = mpsc::channel(WAITING);
    let (full, stored) = mpsc::channel(WAITING);
    let feeder = Feeder { view, scanner, control, to: [to_one, to_other], lots: 0 };
    let (fed, one, other, gathered, stored) = tokio::join!(
        feeder.feed(victims),
        work(pair.0, for_one, from_one),
        work(pair.1, for_other, from_other),
        gather(packs, [of_one, of_other], full),
        store(out, stored, control),
    );
    stored?;
    let chunks = fed?;
    let (state, packs) = ((one?, other?), gathered?);
    let ((one, other), rest) = finish(state, packs).await?;
    for pack in rest {
        out.put(pack, control).await?;
    }
    out.tally.chunks += chunks;
    for Copied { segments_copied, segments_formed } in [one.copied, other.copied] {
        out.tally.copied.segments_copied += segments_copied;
        out.tally.copied.segments_formed += segments_formed;
    }
    Ok(())
}

/// Reads packs and hands out what is needed of them.
struct Feeder<'a> {
    view: &'a View,
    scanner: Scanner,
    control: &'a Control,
    to: [mpsc::Sender<Lot>; 2],
    lots: usize,
}

impl Feeder<'_> {
    /// While the lots of one pack are handed out, the next one is read. Gives how many chunks were needed.
    async fn feed(mut self, victims: &[(u32, usize)]) -> Result<u64> {
        let mut left = victims.iter().copied();
        let (scanner, view) = (self.scanner.clone(), self.view);
        let scan = async |victim: Option<(u32, usize)>| match victim {
            Some(victim) => scanner.scan(view, victim).await.map(Some),
            None => Ok(None),
        };
        let mut chunks = 0;
        let mut scanned = scan(left.next()).await?;
        while let Some(pack) = scanned {
            let next = left.next();
            chunks += pack.chunks;
            let (ahead, went_on) = tokio::join!(scan(next), self.hand_out(pack));
            if !went_on? {
                break;
            }
            scanned = ahead?;
        }
        Ok(chunks)
    }

    /// `false` when nobody takes it any more: somebody else has failed, and says why.
    async fn hand_out(&mut self, pack: Scanned) -> Result<bool> {
        let Scanned { victim, takes, length, .. } = pack;
        let mut takes = takes.into_iter().peekable();
        while let Some(first) = takes.next() {
            self.control.check()?;
            let start = first.place.start;
            let (mut end, mut some) = (first.place.end, vec![first]);
            while let Some(take) = takes.next_if(|take| take.place.end.saturating_sub(start) <= LOT_BYTES) {
                end = take.place.end;
                some.push(take);
            }
            let bytes = self.scanner.read(victim.id, start..end).await?;
            let lot =
                Lot { victim: Arc::clone(&victim), takes: some, start, bytes, buffers: self.scanner.buffers.clone() };
            let [one, other] = &self.to;
            let to = if self.lots.is_multiple_of(2) { one } else { other };
            self.lots += 1;
            if to.send(lot).await.is_err() {
                return Ok(false);
            }
        }
        self.control.count(|counters| &counters.bytes_done, u64::from(length));
        Ok(true)
    }
}

/// Takes what is needed out of one lot after another.
async fn work(
    mut extractor: Extractor,
    mut lots: mpsc::Receiver<Lot>,
    done: mpsc::Sender<Vec<Parcel>>,
) -> Result<Extractor> {
    while let Some(lot) = lots.recv().await {
        let parcels;
        (extractor, parcels) = off_thread(extractor, move |extractor| extractor.extract(lot)).await?;
        if done.send(parcels).await.is_err() {
            break;
        }
    }
    Ok(extractor)
}

/// A pack that is full, and the right to be the one on its way.
type Leaving = (NewPack, OwnedSemaphorePermit);

/// Fills packs, taking turns, until whoever is next has nothing more.
async fn gather(
    mut packs: OpenPacks,
    mut done: [mpsc::Receiver<Vec<Parcel>>; 2],
    full: mpsc::Sender<Leaving>,
) -> Result<OpenPacks> {
    let room = Arc::new(Semaphore::new(1));
    'all: loop {
        for of in &mut done {
            let Some(parcels) = of.recv().await else { break 'all };
            for parcel in parcels {
                if packs.is_ahead() {
                    // What is open waits for what is on its way, so that both together stay small.
                    drop(room.acquire().await);
                }
                let Some(pack) = packs.add(parcel)? else { continue };
                let Ok(room) = Arc::clone(&room).acquire_owned().await else { break 'all };
                let store = packs.store();
                let ((), pack) = off_thread((), move |()| pack.lay_out(&store)).await?;
                if full.send((pack, room)).await.is_err() {
                    break 'all;
                }
            }
        }
    }
    Ok(packs)
}

/// Stores packs as they are full.
async fn store(out: &mut Out, mut full: mpsc::Receiver<Leaving>, control: &Control) -> Result<()> {
    while let Some((pack, room)) = full.recv().await {
        out.put(pack, control).await?;
        drop(room);
    }
    Ok(())
}

/// Closes all segments and packs that are open.
async fn finish(pair: (Extractor, Extractor), packs: OpenPacks) -> Result<((Extractor, Extractor), Vec<NewPack>)> {
    let (((one, other), _), full) = off_thread((pair, packs), |((one, other), packs)| {
        let store = packs.store();
        let mut full = Vec::new();
        for parcel in one.finish()?.into_iter().chain(other.finish()?) {
            full.extend(packs.add(parcel)?);
        }
        full.extend(packs.finish());
        full.into_iter().map(|pack| pack.lay_out(&store)).collect()
    })
    .await?;
    Ok(((one, other), full))
}
