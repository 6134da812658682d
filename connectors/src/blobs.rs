//! Small objects by name below one URL: each is written, read and deleted whole. Plans do not come by here; this is
//! where the runtime keeps what it saves.

use std::fmt::{self, Debug};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use sheaf_core::{Error, Result};

use crate::error::from_store;
use crate::location::Location;
use crate::stores::{StorageOptions, Stores};

/// The objects below a URL.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    root: Path,
    text: String,
}

impl Blobs {
    /// The objects below this path or URL.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a glob, a URL that cannot be read, and unknown options.
    pub fn at(url: &str, options: &StorageOptions) -> Result<Self> {
        let location = Location::parse(url)?;
        if location.glob().is_some() {
            return Err(Error::invalid(format!("{url} is a pattern, and has to be a folder")));
        }
        let resolved = Stores::new().resolve(&location, options)?;
        Ok(Self { store: resolved.store, root: resolved.path, text: url.trim_end_matches('/').to_string() })
    }

    /// Creates an object, whole; says whether it did: `false` where there is one of this name.
    ///
    /// # Errors
    /// The store's. The object may be there all the same, or come to be there a little later.
    pub async fn create(&self, name: &str, data: Bytes) -> Result<bool> {
        match self.store.put_opts(&self.path(name)?, data.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.told(error, "writing", name)),
        }
    }

    /// What an object holds; `None` where there is none of this name.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let read = async { self.store.get(&self.path_in_store(name)?).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.told(error, "reading", name)),
        }
    }

    /// The names of all objects below a folder, or of all there are; without order.
    ///
    /// # Errors
    /// The store's.
    pub async fn names(&self, folder: Option<&str>) -> Result<Vec<String>> {
        let below = folder.map_or_else(|| Ok(self.root.clone()), |folder| self.path(folder))?;
        let within = |meta: object_store::ObjectMeta| {
            let parts: Option<Vec<_>> = meta
                .location
                .prefix_match(&self.root)
                .map(|parts| parts.map(|part| part.as_ref().to_string()).collect());
            parts.map(|parts| parts.join("/"))
        };
        let listed = self.store.list(Some(&below)).try_filter_map(async |meta| Ok(within(meta)));
        match listed.try_collect().await {
            Ok(names) => Ok(names),
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(self.told(error, "listing", folder.unwrap_or_default())),
        }
    }

    /// Deletes objects; those that are not there do not matter.
    ///
    /// # Errors
    /// The store's, of the first that it refused.
    pub async fn delete(&self, names: &[String]) -> Result<()> {
        let paths: Vec<Path> = names.iter().map(|name| self.path(name)).collect::<Result<_>>()?;
        let paths = stream::iter(paths).map(Ok).boxed();
        let mut deleted = self.store.delete_stream(paths);
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.told(error, "deleting in", "")),
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> Result<Path> {
        self.path_in_store(name).map_err(from_store)
    }

    fn path_in_store(&self, name: &str) -> object_store::Result<Path> {
        Ok(Path::parse(format!("{}/{name}", self.root))?)
    }

    fn told(&self, error: object_store::Error, doing: &str, name: &str) -> Error {
        from_store(error).with_context(format!("{doing} {}/{name}", self.text))
    }
}

impl Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Blobs").field(&self.text).finish()
    }
}
