//! The bytes: a mark, the version of the layout, a checksum, and then one flat message.

use std::collections::BTreeMap;

use prost::Message;
use sheaf_core::{Error, ErrorKind, Result};

use super::damaged;

/// What all begin with.
const MARK: &[u8; 5] = b"SHEAF";
/// Of the layout of [`Sheet`] and of every detail in it. It rises when an older reader would misread what is written.
pub(crate) const VERSION: u8 = 1;
const HEAD: usize = MARK.len() + 1 + size_of::<u32>();

/// Everything that is written. Parts, tables, functions and schemas are named by their places.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sheet {
    /// Expressions and nodes; each refers to earlier ones alone, and each but the last is referred to once.
    #[prost(message, repeated, tag = "1")]
    pub(crate) parts: Vec<Part>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) tables: Vec<Part>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) functions: Vec<Part>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) schemas: Vec<Vec<u8>>,
    /// Settings of the session that decide what a plan means.
    #[prost(btree_map = "string, string", tag = "5")]
    pub(crate) settings: BTreeMap<String, String>,
}

/// One thing that is written.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Part {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    /// JSON; of an expression of DataFusion's its message.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) detail: Vec<u8>,
    /// Nodes that this stands on.
    #[prost(uint32, repeated, tag = "3")]
    pub(crate) inputs: Vec<u32>,
    /// Expressions that this has.
    #[prost(uint32, repeated, tag = "4")]
    pub(crate) exprs: Vec<u32>,
    /// Rows, as streams of Arrow IPC.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) rows: Vec<Vec<u8>>,
}

impl Sheet {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let body = self.encode_to_vec();
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.extend_from_slice(MARK);
        bytes.push(VERSION);
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// # Errors
    /// [`ErrorKind::Parse`] for bytes that are damaged or something else, [`ErrorKind::Unsupported`] for a newer
    /// layout.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let rest = bytes.strip_prefix(MARK).ok_or_else(|| damaged("they do not begin as one does"))?;
        let (version, rest) = rest.split_first().ok_or_else(|| damaged("they end too soon"))?;
        if *version > VERSION {
            let message = format!("the dataset was pickled in layout {version}, and this Sheaf reads up to {VERSION}");
            return Err(Error::new(ErrorKind::Unsupported, message).with_hint("use the same version of Sheaf on both"));
        }
        let (sum, body) = rest.split_first_chunk().ok_or_else(|| damaged("they end too soon"))?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(damaged("their checksum is another"));
        }
        Self::decode(body).map_err(|error| damaged(&error))
    }
}
