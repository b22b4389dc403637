//! The misbehaving backends misbehave as announced, and only so.

use crate::counting::Counting;
use crate::counting::Operation;
use crate::crash::Crash;
use crate::crash::Mode;
use crate::distant::Distant;
use crate::faulty::Fault;
use crate::faulty::Faulty;
use crate::faulty::Plan;
use crate::names::index;
use crate::names::one_of_each;
use crate::names::pack;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Payload;
use tokio::time::Instant;

fn body(text: &str) -> Payload {
    Payload::from(text.as_bytes().to_vec())
}

fn faulty(plan: Plan) -> (MemoryBackend, Faulty) {
    let memory = MemoryBackend::new();
    (memory.clone(), Faulty::new(Arc::new(memory), plan))
}

async fn names(backend: &dyn Backend, area: Area) -> Vec<Name> {
    backend.list(area).await.unwrap().into_iter().map(|listed| listed.name).collect()
}

#[tokio::test]
async fn every_call_and_byte_is_counted() {
    let counting = Counting::new(Arc::new(MemoryBackend::new()));
    counting.put(&pack(1), body("12345")).await.unwrap();
    counting.put(&pack(1), body("12345")).await.unwrap_err();
    counting.get(&pack(1)).await.unwrap();
    counting.get_range(&pack(1), 1, 2).await.unwrap();
    counting.stat(&Name::Config).await.unwrap();
    counting.list(Area::Index).await.unwrap();
    counting.delete(&pack(1)).await.unwrap();
    counting.barrier().await.unwrap();
    let counts = counting.take();
    assert_eq!((counts.bytes_put, counts.bytes_got, counts.total()), (5, 7, 8));
    assert_eq!((counts.of(Operation::Put), counts.of_area(Operation::Put, Area::Packs)), (2, 2));
    assert_eq!((counts.of(Operation::Stat), counts.of_area(Operation::List, Area::Index)), (1, 1));
    assert_eq!(counting.counts().total(), 0);
}

#[tokio::test]
async fn a_fault_strikes_the_chosen_call_once() {
    let (_, backend) = faulty(Plan::once(Fault::Denied, 2));
    backend.put(&pack(1), body("x")).await.unwrap();
    assert_eq!(backend.get(&pack(1)).await.unwrap_err().kind(), Kind::BackendDenied);
    backend.get(&pack(1)).await.unwrap();
    assert_eq!((backend.seen(), backend.struck()), (3, 1));
}

#[tokio::test]
async fn a_fault_for_ever_does_not_heal() {
    let (_, backend) = faulty(Plan::forever(Fault::NoSpace, 2));
    backend.put(&pack(1), body("x")).await.unwrap();
    for number in 2..5 {
        assert_eq!(backend.put(&pack(number), body("x")).await.unwrap_err().kind(), Kind::NoSpace);
    }
    backend.get(&pack(1)).await.unwrap();
    assert_eq!(backend.struck(), 3);
}

#[tokio::test]
async fn a_timeout_hides_whether_the_put_was_done() {
    for (fault, there) in [(Fault::TimeoutBefore, false), (Fault::TimeoutAfter, true)] {
        let (memory, backend) = faulty(Plan::once(fault, 1));
        assert_eq!(backend.put(&pack(1), body("x")).await.unwrap_err().kind(), Kind::BackendBusy);
        assert_eq!(memory.stat(&pack(1)).await.unwrap().is_some(), there);
    }
}

#[tokio::test]
async fn bodies_come_short_or_altered() {
    for (fault, expected) in [(Fault::ShortBody, &b"ab"[..]), (Fault::CorruptBody, &b"absd"[..])] {
        let (_, backend) = faulty(Plan::once(fault, 1));
        backend.put(&pack(1), body("abcd")).await.unwrap();
        assert_eq!(backend.get(&pack(1)).await.unwrap(), expected);
        assert_eq!(backend.get(&pack(1)).await.unwrap(), &b"abcd"[..]);
    }
}

#[tokio::test]
async fn listings_fail_lie_or_lag() {
    for (fault, expected) in [
        (Fault::StaleList(2), vec![index(0), index(1)]),
        (Fault::DuplicateEntry, vec![index(1), index(2), index(1)]),
        (Fault::EmptyList, vec![]),
        (Fault::ShortList, vec![index(1)]),
    ] {
        let (_, backend) = faulty(Plan::once(fault, 1));
        for number in 0..3 {
            backend.put(&index(number), body("x")).await.unwrap();
        }
        backend.delete(&index(0)).await.unwrap();
        assert_eq!(names(&backend, Area::Index).await, expected, "{fault:?}");
        assert_eq!(names(&backend, Area::Index).await, vec![index(1), index(2)]);
    }
    let (_, backend) = faulty(Plan::once(Fault::ListError, 1));
    assert_eq!(backend.list(Area::Index).await.unwrap_err().kind(), Kind::BackendBusy);
}

#[tokio::test]
async fn every_fault_strikes_some_call_and_none_is_silent_about_it() {
    for fault in Fault::ALL {
        let (_, backend) = faulty(Plan::once(fault, 1));
        let _ = backend.put(&pack(1), body("abc")).await;
        let _ = backend.get(&pack(1)).await;
        let _ = backend.list(Area::Packs).await;
        assert_eq!(backend.struck(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_crash_keeps_what_was_promised_and_no_more() {
    let crash = Crash::new(&MemoryBackend::new());
    crash.put(&pack(1), body("one")).await.unwrap();
    crash.barrier().await.unwrap();
    crash.put(&pack(2), body("two")).await.unwrap();
    crash.put(&index(1), body("idx")).await.unwrap();
    crash.delete(&pack(1)).await.unwrap();
    let held = |k, mode| crash.at(k, mode).contents().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(held(0, Mode::Kept), vec![]);
    assert_eq!(held(1, Mode::Lost), vec![]);
    assert_eq!(held(1, Mode::Kept), vec![pack(1)]);
    assert_eq!(held(2, Mode::Lost), vec![pack(1)]);
    assert_eq!(held(4, Mode::Lost), vec![pack(1), index(1)]);
    assert_eq!(held(4, Mode::Kept), vec![pack(1), pack(2), index(1)]);
    assert_eq!(held(5, Mode::Lost), vec![index(1)]);
    assert_eq!(crash.writes(), 5);
    assert_eq!(crash.operations().last(), Some(&Operation::Delete));
}

#[tokio::test]
async fn a_barrier_covers_only_packs_put_before_it_began() {
    let crash = Crash::new(&MemoryBackend::new());
    crash.put(&pack(1), body("one")).await.unwrap();
    let barrier = crash.barrier();
    crash.put(&pack(2), body("two")).await.unwrap();
    barrier.await.unwrap();
    let left = crash.at(3, Mode::Lost).contents();
    assert_eq!(left, vec![(pack(1), Bytes::from_static(b"one"))]);
}

#[tokio::test]
async fn a_crash_starts_from_what_was_there_and_leaves_it_alone() {
    let base = MemoryBackend::new();
    let names = one_of_each(7);
    for name in &names {
        base.put(name, body("old")).await.unwrap();
    }
    let crash = Crash::new(&base);
    crash.delete(&pack(7)).await.unwrap();
    assert_eq!(base.contents().len(), names.len());
    assert_eq!(crash.at(0, Mode::Lost).contents(), base.contents());
    assert_eq!(crash.at(1, Mode::Lost).contents().len(), names.len() - 1);
}

#[tokio::test]
async fn torn_packs_differ_by_whole_sectors_and_repeat_with_the_seed() {
    let crash = Crash::new(&MemoryBackend::new());
    let whole: Vec<u8> = (0..5000u32).map(|n| (n % 251) as u8 + 1).collect();
    crash.put(&pack(1), Payload::from(whole.clone())).await.unwrap();
    let mut shapes = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let torn = crash.at(1, Mode::Torn { seed }).get(&pack(1)).await.unwrap();
        assert_ne!(torn, whole);
        assert!(torn.len() == whole.len() || torn.len() % 512 == 0);
        for (left, right) in torn.chunks(512).zip(whole.chunks(512)) {
            assert!(left == right || left.iter().all(|byte| *byte == 0));
        }
        assert_eq!(crash.at(1, Mode::Torn { seed }).get(&pack(1)).await.unwrap(), torn);
        shapes.insert(torn);
    }
    assert!(shapes.len() > 20, "{}", shapes.len());
}

#[tokio::test]
async fn mixed_crashes_lose_keep_and_tear() {
    let crash = Crash::new(&MemoryBackend::new());
    for number in 0..60 {
        crash.put(&pack(number), Payload::from(vec![7; 2000])).await.unwrap();
    }
    let left = crash.at(60, Mode::Mixed { seed: 5 }).contents();
    let whole = left.iter().filter(|(_, bytes)| *bytes == vec![7; 2000]).count();
    assert!((5..55).contains(&left.len()) && (3..50).contains(&whole) && whole < left.len());
}

#[tokio::test(start_paused = true)]
async fn requests_to_far_away_take_a_round_trip_each_and_none_longer_when_many_are_made() {
    const ROUND_TRIP: Duration = Duration::from_millis(50);
    let distant = Distant::new(Arc::new(MemoryBackend::new()), ROUND_TRIP);
    let started = Instant::now();
    distant.put(&pack(1), body("x")).await.unwrap();
    assert_eq!(started.elapsed(), ROUND_TRIP);
    assert_eq!(distant.get(&pack(1)).await.unwrap(), &b"x"[..]);
    assert_eq!(started.elapsed(), 2 * ROUND_TRIP);
    let name = pack(1);
    let (one, other) = tokio::join!(distant.get(&name), distant.get_range(&name, 0, 1));
    assert_eq!((one.unwrap(), started.elapsed()), (other.unwrap(), 3 * ROUND_TRIP));
    assert_eq!(distant.most(), 2);
}
