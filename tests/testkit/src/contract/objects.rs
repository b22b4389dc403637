//! Single objects: stored once, read whole and in part, deleted.

use super::Place;
use super::body;
use crate::names::index;
use crate::names::one_of_each;
use crate::names::pack;
use crate::names::snapshot;
use bytes::Bytes;
use strongroom::Area;
use strongroom::Kind;
use strongroom::Name;
use strongroom::Payload;

pub(super) async fn what_was_put_can_be_read(place: Place) {
    place.put(&pack(1), "content").await;
    assert_eq!(place.backend.get(&pack(1)).await.unwrap(), &b"content"[..]);
}

pub(super) async fn every_kind_of_name_is_stored_and_deleted(place: Place) {
    for name in one_of_each(3) {
        place.put(&name, &name.to_string()).await;
    }
    for name in one_of_each(3) {
        assert_eq!(place.backend.get(&name).await.unwrap(), name.to_string());
        assert_eq!(place.backend.stat(&name).await.unwrap().unwrap().name, name);
        place.backend.delete(&name).await.unwrap();
        assert_eq!(place.backend.stat(&name).await.unwrap(), None);
    }
}

pub(super) async fn parts_are_stored_back_to_back(place: Place) {
    let parts = vec![Bytes::from_static(b"one "), Bytes::from_static(b"two "), Bytes::from_static(b"three")];
    place.backend.put(&pack(1), Payload::from(parts)).await.unwrap();
    assert_eq!(place.backend.get(&pack(1)).await.unwrap(), &b"one two three"[..]);
}

pub(super) async fn empty_parts_leave_no_trace(place: Place) {
    let parts = vec![Bytes::new(), Bytes::from_static(b"a"), Bytes::new(), Bytes::from_static(b"b"), Bytes::new()];
    place.backend.put(&index(1), Payload::from(parts)).await.unwrap();
    assert_eq!(place.backend.get(&index(1)).await.unwrap(), &b"ab"[..]);
}

pub(super) async fn thousands_of_parts_arrive_in_order(place: Place) {
    let parts: Vec<Bytes> = (0..5000).map(|n| Bytes::from(format!("{n};"))).collect();
    let payload = Payload::from(parts);
    place.backend.put(&pack(1), payload.clone()).await.unwrap();
    assert_eq!(place.backend.get(&pack(1)).await.unwrap(), payload.join());
}

pub(super) async fn a_large_pack_arrives_whole(place: Place) {
    let parts: Vec<Bytes> = (0..20u8).map(|n| Bytes::from(vec![n; 1 << 20])).collect();
    place.backend.put(&pack(1), Payload::from(parts)).await.unwrap();
    place.backend.barrier().await.unwrap();
    let read = place.backend.get(&pack(1)).await.unwrap();
    assert_eq!(read.len(), 20 << 20);
    assert!(read.chunks(1 << 20).enumerate().all(|(n, part)| part.iter().all(|byte| usize::from(*byte) == n)));
}

pub(super) async fn an_empty_object_can_be_stored(place: Place) {
    place.put(&snapshot(1), "").await;
    assert_eq!(place.backend.get(&snapshot(1)).await.unwrap(), Bytes::new());
    assert_eq!(place.backend.stat(&snapshot(1)).await.unwrap().unwrap().length, 0);
}

pub(super) async fn a_payload_without_parts_is_an_empty_object(place: Place) {
    place.backend.put(&pack(1), Payload::default()).await.unwrap();
    assert_eq!(place.backend.get(&pack(1)).await.unwrap(), Bytes::new());
}

pub(super) async fn all_byte_values_survive(place: Place) {
    let bytes: Vec<u8> = (0..=255).collect();
    place.backend.put(&Name::Config, Payload::from(bytes.clone())).await.unwrap();
    assert_eq!(place.backend.get(&Name::Config).await.unwrap(), bytes);
}

pub(super) async fn an_object_no_reader_would_accept_is_refused(place: Place) {
    let bytes = vec![0; usize::try_from(snapshot(1).bytes_max()).unwrap() + 1];
    let error = place.backend.put(&snapshot(1), Payload::from(bytes.clone())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(place.backend.stat(&snapshot(1)).await.unwrap(), None);
    place.backend.put(&snapshot(1), Payload::from(bytes[1..].to_vec())).await.unwrap();
    assert_eq!(place.backend.get(&snapshot(1)).await.unwrap().len(), bytes.len() - 1);
}

pub(super) async fn a_name_is_taken_once(place: Place) {
    for name in one_of_each(1) {
        place.put(&name, "first").await;
        assert_eq!(place.backend.put(&name, body("second")).await.unwrap_err().kind(), Kind::Conflict, "{name}");
        assert_eq!(place.other.put(&name, body("third")).await.unwrap_err().kind(), Kind::Conflict, "{name}");
    }
}

pub(super) async fn the_same_bytes_conflict_as_well(place: Place) {
    place.put(&index(1), "same").await;
    assert_eq!(place.backend.put(&index(1), body("same")).await.unwrap_err().kind(), Kind::Conflict);
}

pub(super) async fn a_conflict_leaves_the_first_content(place: Place) {
    place.put(&index(1), "first").await;
    place.backend.put(&index(1), body("second")).await.unwrap_err();
    assert_eq!(place.backend.get(&index(1)).await.unwrap(), &b"first"[..]);
}

pub(super) async fn a_deleted_name_is_free(place: Place) {
    place.put(&snapshot(1), "first").await;
    place.backend.delete(&snapshot(1)).await.unwrap();
    place.put(&snapshot(1), "second").await;
    assert_eq!(place.backend.get(&snapshot(1)).await.unwrap(), &b"second"[..]);
}

pub(super) async fn an_absent_object_is_not_found(place: Place) {
    for name in one_of_each(1) {
        assert_eq!(place.backend.get(&name).await.unwrap_err().kind(), Kind::NotFound, "{name}");
    }
}

pub(super) async fn an_absent_range_is_not_found(place: Place) {
    for name in one_of_each(1) {
        assert_eq!(place.backend.get_range(&name, 0, 0).await.unwrap_err().kind(), Kind::NotFound, "{name}");
    }
}

pub(super) async fn an_absent_object_has_no_stat(place: Place) {
    for name in one_of_each(1) {
        assert_eq!(place.backend.stat(&name).await.unwrap(), None, "{name}");
    }
}

pub(super) async fn stat_tells_length_and_age(place: Place) {
    place.put(&pack(1), "12345").await;
    let listed = place.backend.stat(&pack(1)).await.unwrap().unwrap();
    assert_eq!((listed.name, listed.length), (pack(1), 5));
    let now = strongroom::Timestamp::from(std::time::SystemTime::now());
    // A store that has no time of its own says none, and one that tells it tells it as it is.
    assert!(listed.modified.is_none_or(|modified| (now.seconds - modified.seconds).abs() < 3600));
}

pub(super) async fn a_range_is_exactly_what_was_asked_for(place: Place) {
    place.put(&pack(1), "0123456789").await;
    for (offset, length, expected) in [(0, 1, "0"), (3, 4, "3456"), (9, 1, "9"), (0, 0, "")] {
        assert_eq!(place.backend.get_range(&pack(1), offset, length).await.unwrap(), expected);
    }
}

pub(super) async fn a_range_may_be_the_whole_object(place: Place) {
    place.put(&pack(1), "0123456789").await;
    assert_eq!(place.backend.get_range(&pack(1), 0, 10).await.unwrap(), &b"0123456789"[..]);
}

pub(super) async fn an_empty_range_at_the_end_is_fine(place: Place) {
    place.put(&pack(1), "0123").await;
    assert_eq!(place.backend.get_range(&pack(1), 4, 0).await.unwrap(), Bytes::new());
}

async fn refuses_range(place: &Place, offset: u64, length: u64) {
    let error = place.backend.get_range(&pack(1), offset, length).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged, "{length} at {offset}");
}

pub(super) async fn a_range_past_the_end_is_damage(place: Place) {
    place.put(&pack(1), "0123").await;
    refuses_range(&place, 0, 5).await;
    refuses_range(&place, 3, 2).await;
    refuses_range(&place, 4, 1).await;
}

pub(super) async fn a_range_starting_past_the_end_is_damage(place: Place) {
    place.put(&pack(1), "0123").await;
    refuses_range(&place, 5, 0).await;
    refuses_range(&place, 5, 1).await;
}

pub(super) async fn an_overflowing_range_is_damage_and_no_panic(place: Place) {
    place.put(&pack(1), "0123").await;
    refuses_range(&place, u64::MAX, u64::MAX).await;
    refuses_range(&place, 1, u64::MAX).await;
    refuses_range(&place, u64::MAX, 1).await;
    refuses_range(&place, 0, 1 << 60).await;
}

pub(super) async fn a_range_of_an_empty_object_is_damage(place: Place) {
    place.put(&pack(1), "").await;
    refuses_range(&place, 0, 1).await;
}

pub(super) async fn delete_removes_one_object_only(place: Place) {
    for number in 1..4 {
        place.put(&pack(number), "x").await;
    }
    place.backend.delete(&pack(2)).await.unwrap();
    place.lists(Area::Packs, &[pack(1), pack(3)]).await;
    assert_eq!(place.backend.get(&pack(2)).await.unwrap_err().kind(), Kind::NotFound);
}

pub(super) async fn deleting_what_is_absent_is_fine(place: Place) {
    for name in one_of_each(1) {
        place.backend.delete(&name).await.unwrap();
        place.put(&name, "x").await;
        place.backend.delete(&name).await.unwrap();
        place.backend.delete(&name).await.unwrap();
    }
}

pub(super) async fn another_handle_sees_what_was_put(place: Place) {
    place.put(&index(1), "x").await;
    assert_eq!(place.other.get(&index(1)).await.unwrap(), &b"x"[..]);
    place.other.delete(&index(1)).await.unwrap();
    assert_eq!(place.backend.stat(&index(1)).await.unwrap(), None);
}

pub(super) async fn the_payload_can_be_put_again_elsewhere(place: Place) {
    let payload = Payload::from(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]);
    place.backend.put(&index(1), payload.clone()).await.unwrap();
    place.backend.put(&index(1), payload.clone()).await.unwrap_err();
    place.backend.put(&index(2), payload).await.unwrap();
    assert_eq!(place.backend.get(&index(2)).await.unwrap(), &b"ab"[..]);
}
