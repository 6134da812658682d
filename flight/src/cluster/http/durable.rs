//! What durable actors save with the head: files by name in its tables, which the next head on its folder finds. A file
//! is written once, whole; two that write the same one at once are told apart.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use sheaf_core::state::{Batch, StateStore};
use sheaf_core::{Error, ErrorKind, Result};

use super::Site;
use super::reply::{Answer, Refusal, json_of};

/// What one file may have, in bytes: all of a head's tables are small.
pub(super) const FILE_BYTES: usize = 16 << 20;
const TABLE: &str = "durable";

/// The tables of a head, for files.
#[derive(Debug)]
pub(super) struct Files {
    store: Arc<dyn StateStore>,
    /// Whoever looks whether a file is there, and then writes it, is alone.
    writing: Mutex<()>,
}

impl Files {
    pub(super) fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store, writing: Mutex::default() }
    }

    /// Writes a file; `false` where there is one.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let _alone = self.writing.lock();
        if self.store.get(TABLE, name.as_bytes())?.is_some() {
            return Ok(false);
        }
        let mut batch = Batch::default();
        batch.put(TABLE, name, bytes);
        self.store.commit(&batch)?;
        Ok(true)
    }

    fn delete(&self, names: &[String]) -> Result<()> {
        let _alone = self.writing.lock();
        let mut batch = Batch::default();
        names.iter().for_each(|name| batch.delete(TABLE, name.as_bytes()));
        self.store.commit(&batch)
    }

    fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let rows = self.store.scan(TABLE, prefix.as_bytes())?;
        Ok(rows.into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned()).collect())
    }
}

impl Site {
    /// Does something with the files, where waiting for a disk holds up nobody.
    async fn with_files<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Files) -> Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let files = self.files.clone().ok_or_else(|| {
            let none = Error::new(ErrorKind::NotFound, "this head keeps nothing that outlives it");
            Refusal::from(none.with_hint("start it with a folder for that: sheaf head --state-dir FOLDER"))
        })?;
        let acted = tokio::task::spawn_blocking(move || act(&files)).await;
        let failed = |error: tokio::task::JoinError| Error::internal(format!("the tables of the head: {error}"));
        Ok(acted.map_err(failed)??)
    }
}

/// `PUT /api/durable/files/NAME`: 201, or 409 where there is one.
pub(super) async fn create(State(site): State<Site>, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let there = Error::new(ErrorKind::AlreadyExists, format!("{name} is there already"));
    match site.with_files(move |files| files.create(&name, &bytes)).await? {
        true => Ok(StatusCode::CREATED.into_response()),
        false => Err(there.into()),
    }
}

/// `GET /api/durable/files/NAME`: its bytes, or 410 where there is none.
pub(super) async fn read(State(site): State<Site>, Path(name): Path<String>) -> Answer {
    let none = Error::new(ErrorKind::NotFound, format!("there is no {name}"));
    let bytes = site.with_files(move |files| files.store.get(TABLE, name.as_bytes())).await?;
    let body = Body::from(bytes.ok_or(none).map_err(|none| Refusal::with(StatusCode::GONE, none))?);
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// `GET /api/durable/names/PREFIX`: the names that begin so.
pub(super) async fn names(State(site): State<Site>, Path(prefix): Path<String>) -> Answer {
    json_of(&site.with_files(move |files| files.names(&prefix)).await?)
}

/// `POST /api/durable/delete`, with a list of names; those that are not there do not matter.
pub(super) async fn delete(State(site): State<Site>, names: Bytes) -> Answer {
    let wrong = |error| Error::invalid(format!("that is no list of names: {error}"));
    let names: Vec<String> = serde_json::from_slice(&names).map_err(wrong)?;
    let count = names.len();
    site.with_files(move |files| files.delete(&names)).await?;
    json_of(&json!({ "deleted": count }))
}
