//! The location as a whole: founding it, asking about it.

use super::Place;
use super::body;
use crate::support::names::pack;
use strongroom::Area;
use strongroom::Distance;
use strongroom::Kind;
use strongroom::Name;

super::promises! {
    an_empty_location_can_be_prepared_again
    a_location_with_a_config_is_not_prepared_over
    a_location_with_objects_but_no_config_is_not_prepared_over
    asking_whether_it_is_writable_leaves_nothing
    an_own_repository_is_not_taken_for_a_foreign_one
    the_location_has_a_description
}

async fn an_empty_location_can_be_prepared_again(place: Place) {
    place.backend.prepare().await.unwrap();
    place.other.prepare().await.unwrap();
    place.put(&Name::Config, "x").await;
}

async fn a_location_with_a_config_is_not_prepared_over(place: Place) {
    place.put(&Name::Config, "x").await;
    assert_eq!(place.backend.prepare().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(place.other.prepare().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(place.backend.get(&Name::Config).await.unwrap(), &b"x"[..]);
}

async fn a_location_with_objects_but_no_config_is_not_prepared_over(place: Place) {
    place.put(&pack(1), "x").await;
    assert_eq!(place.backend.prepare().await.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(place.names(Area::Packs).await, vec![pack(1)]);
}

async fn asking_whether_it_is_writable_leaves_nothing(place: Place) {
    place.backend.check_writable().await.unwrap();
    place.backend.check_writable().await.unwrap();
    for area in Area::ALL {
        assert_eq!(place.names(area).await, vec![]);
    }
    place.backend.prepare().await.unwrap();
}

async fn an_own_repository_is_not_taken_for_a_foreign_one(place: Place) {
    assert_eq!(place.backend.recognise().await.unwrap(), None);
    place.backend.put(&Name::Config, body("data keys locks")).await.unwrap();
    assert_eq!(place.backend.recognise().await.unwrap(), None);
}

async fn the_location_has_a_description(place: Place) {
    assert!(!place.backend.describe().is_empty());
    assert_eq!(place.backend.properties().distance, Distance::Near);
    assert!(place.backend.properties().puts > 0);
}
