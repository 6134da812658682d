//! How [`Bytes`] are written down: as one run of bytes. (The feature of the crate itself would build the whole
//! engine anew.)

use bytes::Bytes;
use serde::{Deserializer, Serializer};
use serde_bytes::{ByteBuf, Bytes as Slice, Deserialize, Serialize};

pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    Slice::new(bytes).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Ok(Bytes::from(ByteBuf::deserialize(deserializer)?.into_vec()))
}
