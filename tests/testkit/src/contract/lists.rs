//! Listings: whole, sorted, without repeats or strangers.

use super::Place;
use super::body;
use crate::names::index;
use crate::names::one_of_each;
use crate::names::pack;
use crate::names::snapshot;
use std::sync::Arc;
use strongroom::Area;

pub(super) async fn a_new_location_lists_nothing(place: Place) {
    for area in Area::ALL {
        place.lists(area, &[]).await;
    }
}

pub(super) async fn a_listing_tells_names_and_lengths(place: Place) {
    place.put(&index(1), "1").await;
    place.put(&index(2), "").await;
    let listed = place.lists(Area::Index, &[index(1), index(2)]).await;
    assert_eq!((listed[0].length, listed[1].length), (1, 0));
}

pub(super) async fn a_listing_is_sorted_by_name(place: Place) {
    let mut names = [5, 1, 900, 3, 257, 2].map(pack);
    place.put_all(names).await;
    names.sort();
    place.lists(Area::Packs, &names).await;
}

pub(super) async fn a_listing_goes_on_behind_any_name(place: Place) {
    let all: Vec<_> = (0..20).map(pack).collect();
    place.put_all(all.iter().copied()).await;
    place.lists(Area::Packs, &all).await;
    for (at, name) in all.iter().enumerate() {
        let page = place.other.list_page(Area::Packs, Some(*name)).await.unwrap();
        let names: Vec<_> = page.objects.into_iter().map(|listed| listed.name).collect();
        assert!(!names.is_empty() || at + 1 == all.len());
        assert!(all[at + 1..].starts_with(&names), "behind {name}");
        assert!(page.more || names.len() == all.len() - at - 1);
    }
}

pub(super) async fn a_listing_of_many_pages_is_whole(place: Place) {
    let names: Vec<_> = (0..2100).map(index).collect();
    place.put_all(names.iter().copied()).await;
    place.lists(Area::Index, &names).await;
}

pub(super) async fn areas_do_not_mix(place: Place) {
    for name in one_of_each(1) {
        place.put(&name, "x").await;
    }
    for area in Area::ALL {
        let inside: Vec<_> = one_of_each(1).into_iter().filter(|name| name.area() == Some(area)).collect();
        assert_eq!(inside.len(), 1);
        place.lists(area, &inside).await;
    }
}

pub(super) async fn the_config_is_in_no_area(place: Place) {
    place.put(&strongroom::Name::Config, "x").await;
    for area in Area::ALL {
        place.lists(area, &[]).await;
    }
}

pub(super) async fn packs_of_all_fan_out_folders_are_listed(place: Place) {
    let names: Vec<_> = (0..256).map(pack).collect();
    place.put_all(names.iter().copied()).await;
    place.backend.barrier().await.unwrap();
    place.lists(Area::Packs, &names).await;
}

pub(super) async fn a_long_listing_is_whole(place: Place) {
    // All in one folder, which takes several reads of it.
    let names: Vec<_> = (0..1500).map(|number| pack(number * 256)).collect();
    place.put_all(names.iter().copied()).await;
    place.lists(Area::Packs, &names).await;
}

pub(super) async fn a_deleted_object_is_not_listed(place: Place) {
    place.put(&snapshot(1), "x").await;
    place.put(&snapshot(2), "x").await;
    place.backend.delete(&snapshot(1)).await.unwrap();
    place.lists(Area::Snapshots, &[snapshot(2)]).await;
}

pub(super) async fn a_listing_while_others_write_misses_nothing_older(place: Place) {
    let old: Vec<_> = (0..100).map(|number| pack(number * 256)).collect();
    place.put_all(old.iter().copied()).await;
    place.lists(Area::Packs, &old).await;
    let writer = Arc::clone(&place.backend);
    let writing = tokio::spawn(async move {
        for number in 100..600 {
            writer.put(&pack(number * 256), body("x")).await.unwrap();
            if number % 3 == 0 {
                writer.delete(&pack(number * 256)).await.unwrap();
            }
        }
    });
    let mut listings = 0;
    while !writing.is_finished() || listings == 0 {
        let names = place.names(Area::Packs).await;
        assert!(names.is_sorted_by(|left, right| left < right), "a repeat or disorder");
        assert!(old.iter().all(|name| names.binary_search(name).is_ok()));
        listings += 1;
        // Memory never waits, and the writer may be queued behind this very task.
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

pub(super) async fn listing_and_stat_agree(place: Place) {
    let names: Vec<_> = (0..20).map(pack).collect();
    for (length, name) in names.iter().enumerate() {
        place.put(name, &"x".repeat(length)).await;
    }
    for listed in place.lists(Area::Packs, &names).await {
        let stat = place.backend.stat(&listed.name).await.unwrap().unwrap();
        assert_eq!((stat.name, stat.length), (listed.name, listed.length));
        // Some stores tell parts of a second in one place only.
        assert_eq!(stat.modified.map(|time| time.seconds), listed.modified.map(|time| time.seconds));
    }
}
