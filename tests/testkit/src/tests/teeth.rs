//! A store that breaks a promise is found out by the promise that it breaks.

use crate::contract::Place;
use crate::contract::Promise;
use crate::contract::promises;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Layer;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Page;
use strongroom::Payload;
use strongroom::Properties;

/// How a store breaks its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vice {
    None,
    Overwrites,
    LooksBeforeItStores,
    ShowsHalfFirst,
    ClampsRanges,
    ForgetsTheLast,
    ListsBackwards,
    StartsAgain,
    MissesWhatItDeletes,
    PreparesOver,
    HasNoName,
    /// Listings are late for a while, and it says so.
    Late,
    /// Listings are late for a while, and it says that they are not.
    LateInSecret,
}

/// Memory with a vice.
#[derive(Clone)]
struct Bad {
    inner: MemoryBackend,
    vice: Vice,
    listings: Arc<AtomicU64>,
}

impl Layer for Bad {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            match self.vice {
                Vice::Overwrites => self.inner.delete(name).await?,
                Vice::LooksBeforeItStores if self.inner.stat(name).await?.is_none() => {
                    tokio::task::yield_now().await;
                    self.inner.delete(name).await?;
                }
                Vice::ShowsHalfFirst => {
                    let bytes = body.join();
                    self.inner.put(name, Payload::from(bytes.slice(..bytes.len() / 2))).await?;
                    // A scheduler may wake this one first; the second time others have had their turn.
                    for _ in 0..2 {
                        tokio::task::yield_now().await;
                    }
                    self.inner.replace(*name, bytes);
                    return Ok(());
                }
                _ => {}
            }
            self.inner.put(name, body).await
        })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            if self.vice != Vice::ClampsRanges {
                return self.inner.get_range(name, offset, length).await;
            }
            let all = self.inner.get(name).await?;
            let start = usize::try_from(offset).unwrap().min(all.len());
            let end = start.saturating_add(usize::try_from(length).unwrap()).min(all.len());
            Ok(all.slice(start..end))
        })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            let after = after.filter(|_| self.vice != Vice::StartsAgain);
            let mut page = self.inner.list_page(area, after).await?;
            match self.vice {
                Vice::ForgetsTheLast => drop(page.objects.pop()),
                Vice::ListsBackwards => page.objects.reverse(),
                Vice::Late | Vice::LateInSecret if self.listings.fetch_add(1, Ordering::SeqCst) < 3 => {
                    return Ok(Page::default());
                }
                _ => {}
            }
            Ok(page)
        })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            if self.vice == Vice::MissesWhatItDeletes && self.inner.stat(name).await?.is_none() {
                return Err(Error::new(Kind::NotFound, "it is not there"));
            }
            self.inner.delete(name).await
        })
    }

    fn describe(&self) -> String {
        if self.vice == Vice::HasNoName { String::new() } else { self.inner.describe() }
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move { if self.vice == Vice::PreparesOver { Ok(()) } else { self.inner.prepare().await } })
    }

    fn properties(&self) -> Properties {
        let mut properties = self.inner.properties();
        properties.lists_at_once = self.vice != Vice::Late;
        properties
    }
}

fn bad(vice: Vice) -> Place {
    let bad = Bad { inner: MemoryBackend::new(), vice, listings: Arc::default() };
    Place::new(Arc::new(bad.clone()), Arc::new(bad))
}

fn promise(name: &str) -> &'static Promise {
    promises().iter().find(|promise| promise.name == name).unwrap()
}

async fn is_kept(name: &str, place: Place) -> bool {
    let promise = promise(name);
    tokio::spawn(async move { promise.keep_at(place).await }).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn every_broken_promise_is_found_out() {
    for (vice, name) in [
        (Vice::Overwrites, "objects::a_name_is_taken_once"),
        (Vice::Overwrites, "objects::the_same_bytes_conflict_as_well"),
        (Vice::LooksBeforeItStores, "races::of_many_puts_of_one_name_one_wins"),
        (Vice::ShowsHalfFirst, "races::a_reader_sees_all_or_nothing"),
        (Vice::ClampsRanges, "objects::a_range_past_the_end_is_damage"),
        (Vice::ForgetsTheLast, "lists::a_listing_of_many_pages_is_whole"),
        (Vice::ListsBackwards, "lists::a_listing_is_sorted_by_name"),
        (Vice::StartsAgain, "lists::a_listing_goes_on_behind_any_name"),
        (Vice::StartsAgain, "lists::a_listing_of_many_pages_is_whole"),
        (Vice::MissesWhatItDeletes, "objects::deleting_what_is_absent_is_fine"),
        (Vice::PreparesOver, "whole::a_location_with_a_config_is_not_prepared_over"),
        (Vice::HasNoName, "whole::the_location_has_a_description"),
        (Vice::LateInSecret, "lists::a_listing_tells_names_and_lengths"),
    ] {
        assert!(is_kept(name, bad(Vice::None)).await, "{name}");
        assert!(!is_kept(name, bad(vice)).await, "{vice:?} passes {name}");
    }
}

#[tokio::test]
async fn two_handles_on_two_locations_are_found_out() {
    let apart = || Place::new(Arc::new(MemoryBackend::new()), Arc::new(MemoryBackend::new()));
    assert!(!is_kept("objects::another_handle_sees_what_was_put", apart()).await);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_says_that_its_listings_are_late_is_given_time() {
    for promise in promises() {
        assert!(is_kept(promise.name, bad(Vice::Late)).await, "{}", promise.name);
    }
}

#[test]
fn every_promise_has_a_name_of_its_own() {
    let names: BTreeSet<_> = promises().iter().map(|promise| promise.name).collect();
    assert_eq!(names.len(), promises().len());
}

#[test]
#[should_panic(expected = "unwrap_err")]
fn a_promise_that_is_not_kept_fails_its_test() {
    crate::contract::insist("objects::a_name_is_taken_once", || async { bad(Vice::Overwrites) });
}
