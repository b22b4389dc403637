//! What was sealed under a root key before the present one, as the heads of objects say.

use super::Store;
use crate::backend::Name;
use crate::crypto::keys::Purpose;
use crate::error::Result;
use crate::format::envelope::Head;
use crate::format::index_parts;
use crate::format::pack;
use crate::id::DataKeyId;

impl Store {
    /// Whether the root key was ever changed: otherwise nothing was sealed before.
    pub(crate) fn has_earlier_keys(&self) -> bool {
        !self.keys.earlier.is_empty()
    }

    /// Whether the head of an object names another key than the present root key's. Of a pack that tells only what its
    /// table is sealed under.
    pub(crate) async fn is_sealed_before(&self, name: &Name) -> Result<bool> {
        let front = |bytes: usize| self.backend.get_range(name, 0, u64::try_from(bytes).unwrap_or(u64::MAX));
        let (key_id, purpose) = match name {
            Name::Index(_) => {
                let head = index_parts::head_decode(&front(index_parts::HEAD_BYTES).await?);
                (head.map(|head| head.key_id), Purpose::Index)
            }
            Name::Pack(_) => {
                let head = pack::head_decode(&front(pack::HEAD_BYTES).await?);
                (head.map(|head| head.key_id), Purpose::Index)
            }
            _ => {
                let bytes = self.backend.get(name).await?;
                (Head::decode(&bytes).map(|(head, _)| head.key_id), Purpose::Roots)
            }
        };
        let key_id = key_id.map_err(|cause| cause.while_reading(name))?;
        Ok(key_id != self.keys.sealing(purpose).id())
    }

    /// The same of a data key that this run has made or read.
    pub(crate) fn is_wrapped_before(&self, id: &DataKeyId) -> Result<bool> {
        let wrapped = self.wrapped_key(id)?;
        let (head, _) = Head::decode(&wrapped).map_err(|cause| cause.while_reading(Name::DataKey(*id)))?;
        let present = [Purpose::WrapData, Purpose::WrapMetadata].map(|purpose| self.keys.sealing(purpose).id());
        Ok(!present.contains(&head.key_id))
    }
}
