//! The list of key slots: which ways in there should be, as one object says it and as several say together.

use crate::format::FormatError;
use crate::format::keyslot::LABEL_BYTES_MAX;
use crate::format::keyslot::SlotKind;
use crate::format::wire::Fields;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::required;
use crate::format::wire::unknown_field;
use crate::id::SlotId;
use std::collections::BTreeMap;

/// Bytes of a listed slot without a label.
const LISTED_BYTES_MIN: usize = 49;

/// What is known of one slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListedSlot {
    /// How often it was stored or removed: odd while it should be there. Of two lists the one with more knows better.
    pub(crate) changes: u32,
    /// BLAKE3 of its stored bytes.
    pub(crate) hash: [u8; 32],
    /// Number of what unlocks it, which a later version may have given a meaning: a [`SlotKind`] or not.
    pub(crate) kind: u8,
    /// What its owner calls it.
    pub(crate) label: String,
}

impl ListedSlot {
    /// What unlocks it, in words.
    pub(crate) fn word(&self) -> String {
        SlotKind::from_byte(self.kind)
            .map_or_else(|_| format!("key of kind {}", self.kind), |kind| kind.word().to_owned())
    }

    /// Whether it should be there.
    pub(crate) fn is_there(&self) -> bool {
        self.changes % 2 == 1
    }
}

/// Every slot there ever was, as far as a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyList(pub(crate) BTreeMap<SlotId, ListedSlot>);

impl KeyList {
    /// Takes in what another list says. The order in which lists are taken in does not matter, nor how often.
    pub(crate) fn merge(&mut self, other: Self) {
        for (id, listed) in other.0 {
            match self.0.get_mut(&id) {
                Some(known) if *known >= listed => {}
                Some(known) => *known = listed,
                None => drop(self.0.insert(id, listed)),
            }
        }
    }

    /// Says that a slot is there, and with what hash, kind and label.
    pub(crate) fn add(&mut self, id: SlotId, hash: [u8; 32], kind: SlotKind, label: &str) {
        let known = self.0.get(&id);
        if known.is_some_and(|known| known.is_there() && known.hash == hash) {
            return;
        }
        // To the next odd number, whatever it was.
        let changes = known.map_or(1, |known| known.changes.saturating_add(1) | 1);
        self.0.insert(id, ListedSlot { changes, hash, kind: kind.byte(), label: label.to_owned() });
    }

    /// Says that a slot is no longer there.
    pub(crate) fn remove(&mut self, id: SlotId) {
        if let Some(known) = self.0.get_mut(&id).filter(|known| known.is_there()) {
            known.changes = known.changes.saturating_add(1);
        }
    }

    /// The same of a slot that is there, though no list names it that could be read: one that does must be outdone.
    pub(crate) fn remove_unseen(&mut self, id: SlotId) {
        let (changes, hash, kind, label) = (1, [0; 32], SlotKind::Passphrase.byte(), String::new());
        self.0.entry(id).or_insert(ListedSlot { changes, hash, kind, label });
        self.remove(id);
    }

    /// The body that is sealed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(10 + self.0.len() * (LISTED_BYTES_MIN + 16));
        let slots: Vec<(&SlotId, &ListedSlot)> = self.0.iter().collect();
        writer.field(1, |value| {
            value.list(&slots, |writer, (id, listed)| {
                writer.bytes(id.as_bytes()).u8(listed.kind).u32(listed.changes).bytes(&listed.hash);
                writer.block(&listed.label);
            });
        });
        writer.finish()
    }

    /// Reads the opened body.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, FormatError> {
        let mut slots = None;
        let mut fields = Fields::new(body);
        while let Some((tag, value)) = fields.next_field()? {
            match tag {
                1 => slots = Some(value.whole(read_slots)?),
                other => return Err(unknown_field("a list of key slots", other)),
            }
        }
        required(slots).map(Self)
    }
}

fn read_slots(reader: &mut Reader<'_>) -> Result<BTreeMap<SlotId, ListedSlot>, FormatError> {
    let slots = reader.list(LISTED_BYTES_MIN, |reader| {
        let id = SlotId::from_bytes(reader.array()?);
        let kind = reader.u8()?;
        Ok((id, ListedSlot { kind, changes: reader.u32()?, hash: reader.array()?, label: reader.text()? }))
    })?;
    if !slots.is_sorted_by(|(one, _), (other, _)| one < other) {
        return Err(FormatError::Invalid("key slots are not in order"));
    }
    let is_odd = |listed: &ListedSlot| listed.changes == 0 || listed.kind == 0 || listed.label.len() > LABEL_BYTES_MAX;
    if slots.iter().any(|(_, listed)| is_odd(listed)) {
        return Err(FormatError::Invalid("a key slot is listed as no writer lists it"));
    }
    Ok(slots.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::damage;

    fn id(byte: u8) -> SlotId {
        SlotId::from_bytes([byte; 8])
    }

    fn list() -> KeyList {
        let mut list = KeyList::default();
        list.add(id(2), [0x22; 32], SlotKind::Passphrase, "laptop");
        list.add(id(1), [0x11; 32], SlotKind::Recovery, "");
        list.remove(id(1));
        list
    }

    #[test]
    fn a_list_of_key_slots_is_frozen() {
        assert_eq!(
            damage::hex(&list().encode()),
            "01006c000000020000000101010101010101030200000011111111111111111111111111111111111111111111111111111111111111110000000002020202020202020101000000222222222222222222222222222222222222222222222222222222222222222206000000 6c6170746f70".replace(' ', "")
        );
        assert_eq!(damage::hex(&KeyList::default().encode()), "01000400000000000000");
    }

    #[test]
    fn a_list_of_key_slots_decodes_totally() {
        assert_eq!(KeyList::decode(&list().encode()), Ok(list()));
        damage::survives(&list().encode(), |body| KeyList::decode(body).map(|list| list.encode()));
    }

    #[test]
    fn a_slot_of_a_kind_that_is_not_known_is_listed_and_merged_like_any_other() {
        let mut newer = list();
        for (byte, kind) in [(3, 5), (4, 255)] {
            let label = format!("kind {kind}");
            newer.0.insert(id(byte), ListedSlot { changes: 1, hash: [byte; 32], kind, label });
        }
        assert_eq!(KeyList::decode(&newer.encode()), Ok(newer.clone()));
        damage::survives(&newer.encode(), |body| KeyList::decode(body).map(|list| list.encode()));
        let mut all = list();
        all.merge(newer.clone());
        all.remove(id(3));
        assert!(!all.0[&id(3)].is_there() && all.0[&id(3)].kind == 5 && all.0[&id(4)] == newer.0[&id(4)]);
        assert_eq!(
            (newer.0[&id(3)].word(), newer.0[&id(2)].word()),
            ("key of kind 5".to_owned(), "password".to_owned())
        );
    }

    #[test]
    fn slots_out_of_order_or_never_stored_are_refused() {
        for (ids, kind, changes) in [([2, 1], 1, 1), ([1, 1], 1, 1), ([1, 2], 1, 0), ([1, 2], 0, 1)] {
            let mut writer = Writer::new();
            writer.field(1, |value| {
                value.list(&ids, |writer, byte| {
                    writer.bytes(&[*byte; 8]).u8(kind).u32(changes).bytes(&[0; 32]).block("");
                });
            });
            assert!(
                matches!(KeyList::decode(&writer.finish()), Err(FormatError::Invalid(_))),
                "{ids:?} {kind} {changes}"
            );
        }
    }

    #[test]
    fn lists_say_the_same_in_whatever_order_they_are_taken_in() {
        let mut put_back = list();
        put_back.add(id(1), [0x11; 32], SlotKind::Recovery, "");
        let mut removed = list();
        removed.remove(id(2));
        let mut replaced = list();
        replaced.add(id(2), [0x33; 32], SlotKind::Passphrase, "other");
        let lists = [list(), put_back, removed, replaced];
        let merged = |order: &[usize]| {
            let mut all = KeyList::default();
            order.iter().for_each(|at| all.merge(lists[*at].clone()));
            all
        };
        let one = merged(&[0, 1, 2, 3]);
        for order in [[3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
            assert_eq!(merged(&order), one);
        }
        assert_eq!(merged(&[3, 3, 2, 1, 0, 2]), one);
        assert!(one.0[&id(1)].is_there() && one.0[&id(1)].changes == 3);
        assert!(one.0[&id(2)].is_there() && one.0[&id(2)].hash == [0x33; 32]);
    }

    #[test]
    fn what_is_known_already_changes_nothing() {
        let mut same = list();
        same.add(id(2), [0x22; 32], SlotKind::Passphrase, "laptop");
        same.remove(id(1));
        same.remove(id(9));
        assert_eq!(same, list());
    }

    #[test]
    fn a_removal_outdoes_a_list_that_it_has_not_seen() {
        let mut unseen = KeyList::default();
        unseen.remove_unseen(id(2));
        let mut all = list();
        assert!(all.0[&id(2)].is_there());
        all.merge(unseen.clone());
        assert!(!all.0[&id(2)].is_there());
        unseen.merge(list());
        assert_eq!(unseen, all);
    }
}
