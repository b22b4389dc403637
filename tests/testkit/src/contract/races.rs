//! Many at once: one winner, nothing half seen.

use super::Place;
use super::body;
use crate::names::index;
use crate::names::pack;
use crate::names::snapshot;
use std::sync::Arc;
use strongroom::Area;
use strongroom::Kind;
use strongroom::Name;
use strongroom::Payload;

async fn one_wins(place: &Place, name: Name) {
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let backend = Arc::clone(if number % 2 == 0 { &place.backend } else { &place.other });
            tokio::spawn(
                async move { backend.put(&name, body(&number.to_string())).await.map(|()| number.to_string()) },
            )
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(text) => winners.push(text),
            Err(error) => assert_eq!(error.kind(), Kind::Conflict),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(place.backend.get(&name).await.unwrap(), winners.remove(0));
}

pub(super) async fn of_many_puts_of_one_name_one_wins(place: Place) {
    for number in 0..5 {
        one_wins(&place, pack(number)).await;
        one_wins(&place, snapshot(number)).await;
    }
}

pub(super) async fn of_many_configs_one_wins(place: Place) {
    one_wins(&place, Name::Config).await;
}

pub(super) async fn puts_of_different_names_all_succeed(place: Place) {
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let backend = Arc::clone(&place.backend);
            tokio::spawn(async move { backend.put(&pack(number), body(&number.to_string())).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    place.backend.barrier().await.unwrap();
    for number in 0..100 {
        assert_eq!(place.other.get(&pack(number)).await.unwrap(), number.to_string());
    }
}

pub(super) async fn a_reader_sees_all_or_nothing(place: Place) {
    const BYTES: usize = 2 << 20;
    for number in 0..4 {
        let writer = Arc::clone(&place.backend);
        let writing = tokio::spawn(async move { writer.put(&pack(number), Payload::from(vec![9; BYTES])).await });
        let mut seen = false;
        while !seen {
            // Memory never waits, and the writer may be queued behind this very task.
            tokio::task::yield_now().await;
            let finished = writing.is_finished();
            match place.other.get(&pack(number)).await {
                Ok(bytes) => {
                    assert_eq!(bytes.len(), BYTES);
                    assert!(bytes.iter().all(|byte| *byte == 9));
                    seen = true;
                }
                Err(error) => assert!(error.kind() == Kind::NotFound && !finished, "{error}"),
            }
        }
        writing.await.unwrap().unwrap();
    }
}

pub(super) async fn deletes_of_one_name_all_succeed(place: Place) {
    place.put(&index(1), "x").await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let backend = Arc::clone(&place.backend);
            tokio::spawn(async move { backend.delete(&index(1)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    place.lists(Area::Index, &[]).await;
}

pub(super) async fn barriers_and_puts_may_overlap(place: Place) {
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let backend = Arc::clone(&place.backend);
            tokio::spawn(async move {
                backend.put(&pack(number), body("x")).await?;
                backend.barrier().await?;
                backend.put(&index(number), body("x")).await
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    place.lists(Area::Packs, &(0..64).map(pack).collect::<Vec<_>>()).await;
    place.lists(Area::Index, &(0..64).map(index).collect::<Vec<_>>()).await;
}

pub(super) async fn a_barrier_without_writes_returns(place: Place) {
    place.backend.barrier().await.unwrap();
    place.put(&pack(1), "x").await;
    place.backend.barrier().await.unwrap();
    place.backend.barrier().await.unwrap();
    place.other.barrier().await.unwrap();
}

pub(super) async fn a_forgotten_put_is_whole_or_absent(place: Place) {
    for number in 0..20 {
        let backend = Arc::clone(&place.backend);
        let task = tokio::spawn(async move { backend.put(&pack(number), Payload::from(vec![3; 100_000])).await });
        tokio::task::yield_now().await;
        task.abort();
        let _ = task.await;
        match place.other.get(&pack(number)).await {
            Ok(bytes) => assert_eq!(bytes.len(), 100_000),
            Err(error) => assert_eq!(error.kind(), Kind::NotFound),
        }
    }
}
