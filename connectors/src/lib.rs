//! Everything outside the process that holds data: URLs to object stores, readers, writers, and the
//! commit protocol that makes a write appear whole or not at all.

pub mod blobs;
pub mod credentials;
pub mod error;
pub mod fault;
pub mod filesystem;
pub mod format;
pub mod glob;
mod local;
pub mod location;
pub mod manifest;
pub mod objects;
pub mod read;
pub mod stores;
pub mod write;
