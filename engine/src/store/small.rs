//! Small sealed objects: config bodies, data keys, snapshots, intents and marks in their envelopes.

use super::Store;
use crate::backend::Name;
use crate::backend::Payload;
use crate::crypto::keys::Purpose;
use crate::crypto::seal;
use crate::crypto::seal::Opened;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::envelope;
use crate::format::envelope::Head;
use crate::format::envelope::ObjectType;
use crate::random;

/// What a small object must be: its type, and what the key is for that it is sealed with.
#[derive(Clone, Copy)]
pub(super) struct Door {
    pub(super) object_type: ObjectType,
    pub(super) purpose: Purpose,
}

impl Store {
    /// Seals `body` and stores it under `name`; read back and compared before it counts.
    pub(crate) async fn put_small(&self, name: &Name, body: &[u8]) -> Result<()> {
        let door = door(name)?;
        let bytes = self.seal_small(name, door, body)?;
        self.put_compared(name, bytes).await
    }

    /// The body of a small object, authenticated under its own name.
    pub(crate) async fn get_small(&self, name: &Name) -> Result<Opened> {
        let bytes = self.backend.get(name).await?;
        self.open_small(name, door(name)?, &bytes)
    }

    /// The same, unless another repository's stands there: what an interrupted creation has left behind.
    pub(crate) async fn get_small_of_ours(&self, name: &Name) -> Result<Option<Opened>> {
        let bytes = self.backend.get(name).await?;
        match Head::decode(&bytes) {
            Ok((head, _)) if head.repository != self.repository => Ok(None),
            _ => self.open_small(name, door(name)?, &bytes).map(Some),
        }
    }

    /// Stores a small object and reads it back: a store that alters it is found out at once.
    pub(crate) async fn put_compared(&self, name: &Name, bytes: Vec<u8>) -> Result<()> {
        let taken = match self.backend.put(name, Payload::from(bytes.clone())).await {
            // An earlier attempt whose answer was lost may have stored it: what stands there decides.
            Err(error) if error.kind() == Kind::Conflict => Some(error),
            other => other.map(|()| None)?,
        };
        let same = self.backend.get(name).await.map(|back| back.as_ref() == bytes.as_slice());
        match (same, taken) {
            (Ok(true), _) => Ok(()),
            (_, Some(conflict)) => Err(conflict),
            (Err(error), None) => Err(error),
            (Ok(false), None) => Err(Error::damaged(name, "it reads back differently right after it was stored")),
        }
    }

    /// The stored bytes of a small object: head, ciphertext, tag.
    pub(super) fn seal_small(&self, name: &Name, door: Door, body: &[u8]) -> Result<Vec<u8>> {
        let key = self.keys.sealing(door.purpose);
        let nonce = random::array(self.rng())?;
        let head =
            Head { object_type: door.object_type, flags: 0, repository: self.repository, key_id: key.id(), nonce };
        let mut bytes = head.encode(body.len());
        let aad = envelope::aad(&bytes, &name.to_string());
        bytes.extend_from_slice(&seal::seal_object(key, &aad, nonce, body));
        Ok(bytes)
    }

    /// Opens a small object's stored bytes.
    pub(super) fn open_small(&self, name: &Name, door: Door, bytes: &[u8]) -> Result<Opened> {
        let (head, sealed) = Head::decode(bytes).map_err(|cause| cause.while_reading(name))?;
        if head.object_type != door.object_type {
            return Err(Error::damaged(name, "it is an object of another kind"));
        }
        if head.repository != self.repository {
            return Err(Error::damaged(name, "it belongs to another repository"));
        }
        let key = self.opening_key(door.purpose, &head.key_id, name)?;
        // What may stand behind the ciphertext is not bound.
        let head_bytes = bytes.get(..envelope::HEAD_BYTES).unwrap_or_default();
        let aad = envelope::aad(head_bytes, &name.to_string());
        seal::open_object(key, &aad, &head.nonce, sealed).map_err(|cause| Error::damaged(name, cause))
    }
}

/// Which type and key belong to a name.
fn door(name: &Name) -> Result<Door> {
    let object_type = match name {
        Name::Pending(_) => ObjectType::Pending,
        Name::Snapshot(_) => ObjectType::Snapshot,
        Name::Mark(_) => ObjectType::Mark,
        Name::Tomb(_) => ObjectType::Tomb,
        Name::KeyList(_) => return Ok(Door { object_type: ObjectType::KeyList, purpose: Purpose::KeyLists }),
        other => return Err(Error::new(Kind::Bug, format!("{other} is no small sealed object"))),
    };
    Ok(Door { object_type, purpose: Purpose::Roots })
}
