//! The location as a whole: founding it, asking about it.

use super::Place;
use super::body;
use crate::names::pack;
use strongroom::Area;
use strongroom::Kind;
use strongroom::Leftovers;
use strongroom::Name;

pub(super) async fn an_empty_location_can_be_prepared_again(place: Place) {
    place.backend.prepare().await.unwrap();
    place.other.prepare().await.unwrap();
    place.put(&Name::Config, "x").await;
}

pub(super) async fn a_location_with_a_config_is_not_prepared_over(place: Place) {
    place.put(&Name::Config, "x").await;
    assert_eq!(place.backend.prepare().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(place.other.prepare().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(place.backend.get(&Name::Config).await.unwrap(), &b"x"[..]);
}

pub(super) async fn a_location_with_objects_but_no_config_is_not_prepared_over(place: Place) {
    place.put(&pack(1), "x").await;
    assert_eq!(place.backend.prepare().await.unwrap_err().kind(), Kind::Invalid);
    place.lists(Area::Packs, &[pack(1)]).await;
}

pub(super) async fn asking_whether_it_is_writable_leaves_nothing(place: Place) {
    place.backend.check_writable().await.unwrap();
    place.backend.check_writable().await.unwrap();
    place.backend.check_deletable().await.unwrap();
    for area in Area::ALL {
        place.lists(area, &[]).await;
    }
    place.backend.prepare().await.unwrap();
}

pub(super) async fn what_only_a_disk_does_can_be_asked_of_it(place: Place) {
    let Some(disk) = place.backend.disk() else { return };
    place.put(&pack(1), "x").await;
    disk.adopt(&pack(1)).await.unwrap();
    place.backend.barrier().await.unwrap();
    for area in Area::ALL {
        disk.barrier_for(area).await.unwrap();
    }
    // What is stored is not mistaken for what was left.
    assert_eq!(disk.leftovers().await.unwrap(), Leftovers::default());
    assert_eq!(disk.sweep().await.unwrap(), Leftovers::default());
    let is_set_aside = disk.reserve(1 << 20).await.unwrap();
    assert_eq!(disk.spend_reserve().await.unwrap(), is_set_aside);
    assert!(!disk.spend_reserve().await.unwrap());
    place.lists(Area::Packs, &[pack(1)]).await;
}

pub(super) async fn an_own_repository_is_not_taken_for_a_foreign_one(place: Place) {
    assert_eq!(place.backend.recognise().await.unwrap(), None);
    place.backend.put(&Name::Config, body("data keys locks")).await.unwrap();
    assert_eq!(place.backend.recognise().await.unwrap(), None);
}

pub(super) async fn the_location_has_a_description(place: Place) {
    assert!(!place.backend.describe().is_empty());
    assert!(place.backend.properties().puts > 0);
}
