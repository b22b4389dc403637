//! Listings: whole, sorted, without repeats or strangers.

use super::Place;
use super::body;
use crate::support::names::index;
use crate::support::names::one_of_each;
use crate::support::names::pack;
use crate::support::names::snapshot;
use std::sync::Arc;
use strongroom::Area;

super::promises! {
    a_new_location_lists_nothing
    a_listing_tells_names_and_lengths
    a_listing_is_sorted_by_name
    a_listing_goes_on_behind_any_name
    a_listing_of_many_pages_is_whole
    areas_do_not_mix
    the_config_is_in_no_area
    packs_of_all_fan_out_folders_are_listed
    a_long_listing_is_whole
    a_deleted_object_is_not_listed
    a_listing_while_others_write_misses_nothing_older
    listing_and_stat_agree
}

async fn a_new_location_lists_nothing(place: Place) {
    for area in Area::ALL {
        assert_eq!(place.backend.list(area).await.unwrap(), vec![], "{area}");
    }
}

async fn a_listing_tells_names_and_lengths(place: Place) {
    place.put(&index(1), "1").await;
    place.put(&index(2), "").await;
    let listed = place.backend.list(Area::Index).await.unwrap();
    let found: Vec<_> = listed.iter().map(|listed| (listed.name, listed.length)).collect();
    assert_eq!(found, vec![(index(1), 1), (index(2), 0)]);
}

async fn a_listing_is_sorted_by_name(place: Place) {
    for number in [5, 1, 900, 3, 257, 2] {
        place.put(&pack(number), "x").await;
    }
    let names = place.names(Area::Packs).await;
    assert!(names.is_sorted() && names.len() == 6, "{names:?}");
}

async fn a_listing_goes_on_behind_any_name(place: Place) {
    for number in 0..20 {
        place.put(&pack(number), "x").await;
    }
    let all = place.names(Area::Packs).await;
    for (at, name) in all.iter().enumerate() {
        let page = place.other.list_page(Area::Packs, Some(*name)).await.unwrap();
        let names: Vec<_> = page.objects.into_iter().map(|listed| listed.name).collect();
        assert!(!names.is_empty() || at + 1 == all.len());
        assert!(all[at + 1..].starts_with(&names), "behind {name}");
        assert!(page.more || names.len() == all.len() - at - 1);
    }
}

async fn a_listing_of_many_pages_is_whole(place: Place) {
    for number in 0..2100 {
        place.put(&index(number), "x").await;
    }
    assert_eq!(place.names(Area::Index).await.len(), 2100);
}

async fn areas_do_not_mix(place: Place) {
    for name in one_of_each(1) {
        place.put(&name, "x").await;
    }
    for area in Area::ALL {
        let names = place.names(area).await;
        assert!(names.len() == 1 && names.iter().all(|name| name.area() == Some(area)), "{area}: {names:?}");
    }
}

async fn the_config_is_in_no_area(place: Place) {
    place.put(&strongroom::Name::Config, "x").await;
    for area in Area::ALL {
        assert_eq!(place.names(area).await, vec![]);
    }
}

async fn packs_of_all_fan_out_folders_are_listed(place: Place) {
    for number in 0..256 {
        place.put(&pack(number), "x").await;
    }
    place.backend.barrier().await.unwrap();
    assert_eq!(place.names(Area::Packs).await, (0..256).map(pack).collect::<Vec<_>>());
}

async fn a_long_listing_is_whole(place: Place) {
    for number in 0..1500 {
        // All in one folder, which takes several reads of it.
        place.put(&pack(number * 256), "x").await;
    }
    assert_eq!(place.names(Area::Packs).await.len(), 1500);
}

async fn a_deleted_object_is_not_listed(place: Place) {
    place.put(&snapshot(1), "x").await;
    place.put(&snapshot(2), "x").await;
    place.backend.delete(&snapshot(1)).await.unwrap();
    assert_eq!(place.names(Area::Snapshots).await, vec![snapshot(2)]);
}

async fn a_listing_while_others_write_misses_nothing_older(place: Place) {
    let old: Vec<_> = (0..100).map(|number| pack(number * 256)).collect();
    for name in &old {
        place.put(name, "x").await;
    }
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

async fn listing_and_stat_agree(place: Place) {
    for number in 0..20 {
        place.put(&pack(number), &"x".repeat(usize::try_from(number).unwrap())).await;
    }
    for listed in place.backend.list(Area::Packs).await.unwrap() {
        assert_eq!(place.backend.stat(&listed.name).await.unwrap(), Some(listed));
    }
}
