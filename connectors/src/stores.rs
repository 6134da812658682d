//! Object stores by URL: built when first needed, with credentials from the environment or from the call, and kept.
//!
//! [`Stores`] is the registry that a session gives to the engine. Stores of one bucket with different options live
//! side by side under URLs of their own; no credential is ever part of a URL.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use parking_lot::Mutex;
use sheaf_core::{Error, ErrorKind, Result};
use url::Url;

use crate::error::{from_store, to_datafusion};
use crate::local::LocalStore;
use crate::location::{GIVEN, Location, Scheme};

/// Options of a store as users give them: `endpoint_url`, `region`, `access_key_id`, and all that the store knows.
pub type StorageOptions = BTreeMap<String, String>;

/// A request is tried again this often, so that a lost connection passes and a wrong endpoint is told soon.
const MAX_RETRIES: usize = 4;
/// After this long no request is tried again: long enough for a busy store, short enough to wait for.
const RETRY_TIMEOUT: Duration = Duration::from_secs(45);

/// Names that s3fs, adlfs and gcsfs use, and what stores call them here.
const ALIASES: [(&str, &str); 6] = [
    ("key", "access_key_id"),
    ("secret", "secret_access_key"),
    ("endpoint", "endpoint_url"),
    ("anon", "skip_signature"),
    ("anonymous", "skip_signature"),
    ("account", "account_name"),
];

/// What a location stands for: where the engine finds its store, the store, and the path in it.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The URL under which the engine finds this very store.
    pub url: ObjectStoreUrl,
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The path inside the store.
    pub path: Path,
}

/// Opens the store of a bucket or host that the engine itself cannot open.
pub type Opener = Arc<dyn Fn(&Url, &StorageOptions) -> Result<Arc<dyn ObjectStore>> + Send + Sync>;

/// All stores of a session.
#[derive(Default)]
pub struct Stores {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    stores: HashMap<String, Arc<dyn ObjectStore>>,
    /// Each set of options seen, with the number that stands for it in URLs.
    options: HashMap<StorageOptions, usize>,
    openers: HashMap<Scheme, Opener>,
    /// The URLs of stores that were given, by what tells them apart.
    given: HashMap<String, String>,
}

impl Stores {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The store of a location, made on first use. Options given here go before the environment's, and make a store
    /// of their own.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for an option that the store does not know or cannot use.
    pub fn resolve(&self, location: &Location, options: &StorageOptions) -> Result<Resolved> {
        if location.scheme() == Scheme::Given && !options.is_empty() {
            return Err(Error::invalid(format!("{location} has no storage options"))
                .with_hint("a file system that is given has options of its own"));
        }
        let options = normalise(options);
        let mut url = location.base().clone();
        let mut known = self.known.lock();
        if !options.is_empty() && !location.is_local() {
            let next = known.options.len();
            let number = *known.options.entry(options.clone()).or_insert(next);
            // The place of the password is free in these URLs: it tells the sets of options apart.
            url.set_password(Some(&format!("options-{number}")))
                .map_err(|()| Error::invalid(format!("{location} has no bucket or host")))?;
        }
        let found = known.stores.get(&key(&url)).cloned();
        let opener = known.openers.get(&location.scheme()).cloned();
        // To open one may take long, and run what asks for another.
        drop(known);
        let store = match found {
            Some(store) => store,
            None => {
                let opened = match opener {
                    Some(open) => open(location.base(), &options),
                    None => build(location.scheme(), location.base(), &options),
                };
                let store = opened.map_err(|error| error.with_context(format!("opening the store of {location}")))?;
                Arc::clone(self.known.lock().stores.entry(key(&url)).or_insert(store))
            }
        };
        let url = ObjectStoreUrl::parse(url.as_str().trim_end_matches('/'))
            .map_err(|error| Error::invalid(format!("{location}: {error}")))?;
        Ok(Resolved { url, store, path: location.path().clone() })
    }

    /// Opens stores of this scheme so from now on.
    pub fn open_with(&self, scheme: Scheme, opener: Opener) {
        self.known.lock().openers.insert(scheme, opener);
    }

    /// Takes a store and gives it a URL, which ends with a slash and is followed by paths. What has been given under
    /// the same identity keeps its URL and its store.
    pub fn give(&self, name: &str, identity: String, store: impl FnOnce() -> Arc<dyn ObjectStore>) -> String {
        let mut known = self.known.lock();
        if let Some(url) = known.given.get(&identity) {
            return format!("{url}/");
        }
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let start = format!("{GIVEN}://{name}-");
        let url = format!("{start}{}", known.given.values().filter(|url| url.starts_with(&start)).count() + 1);
        known.stores.insert(url.clone(), store());
        known.given.insert(identity, url.clone());
        format!("{url}/")
    }
}

impl Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.lock();
        let mut urls: Vec<_> = known.stores.keys().collect();
        urls.sort();
        f.debug_struct("Stores").field("urls", &urls).finish()
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.known.lock().stores.insert(key(url), store)
    }

    fn deregister_store(&self, url: &Url) -> EngineResult<Arc<dyn ObjectStore>> {
        let removed = self.known.lock().stores.remove(&key(url));
        removed.ok_or_else(|| DataFusionError::Plan(format!("no object store is registered for {url}")))
    }

    fn get_store(&self, url: &Url) -> EngineResult<Arc<dyn ObjectStore>> {
        if let Some(store) = self.known.lock().stores.get(&key(url)) {
            return Ok(Arc::clone(store));
        }
        let location = Location::parse(&url[..url::Position::BeforePath]).or_else(|_| Location::parse(url.as_str()));
        let resolved = location.and_then(|location| self.resolve(&location, &StorageOptions::new()));
        Ok(resolved.map_err(to_datafusion)?.store)
    }
}

/// Scheme and authority: all that decides a store.
fn key(url: &Url) -> String {
    url[..url::Position::BeforePath].to_string()
}

/// Lower case and one name for each option, so that equal options make equal stores.
pub(crate) fn normalise(options: &StorageOptions) -> StorageOptions {
    let name = |key: &String| {
        let key = key.to_ascii_lowercase();
        ALIASES.iter().find(|(alias, _)| *alias == key).map_or(key, |(_, name)| (*name).to_string())
    };
    options.iter().map(|(key, value)| (name(key), value.clone())).collect()
}

fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT }
}

fn unknown_option(key: &str, store: &str) -> Error {
    Error::invalid(format!("{store} has no storage option {key:?}"))
        .with_hint("the options are those of the object_store crate, such as endpoint_url, region and skip_signature")
}

fn build(scheme: Scheme, base: &Url, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>> {
    match scheme {
        Scheme::Local => Ok(Arc::new(LocalStore::default())),
        Scheme::S3 => s3(base, options),
        Scheme::Gcs => gcs(base, options),
        Scheme::Azure => azure(base, options),
        Scheme::Http => http(base, options),
        Scheme::Hdfs => Err(Error::new(ErrorKind::Unsupported, "HDFS is opened from Python, by fsspec and PyArrow")),
        Scheme::Given => Err(Error::new(ErrorKind::NotFound, format!("no file system was given as {base}"))
            .with_hint("URLs of file systems are of one session: give filesystem= again")),
    }
}

fn s3(base: &Url, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env().with_retry(retry());
    for (key, value) in options {
        let key = key.parse::<AmazonS3ConfigKey>().map_err(|_| unknown_option(key, "S3"))?;
        builder = builder.with_config(key, value);
    }
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
        .iter()
        .find_map(|key| builder.get_config_value(key));
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    let store = builder.with_bucket_name(base.host_str().unwrap_or_default()).build().map_err(from_store)?;
    Ok(Arc::new(store))
}

fn gcs(base: &Url, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_retry(retry());
    for (key, value) in options {
        let name = if key == "endpoint_url" { "base_url" } else { key };
        if name == "base_url" && value.starts_with("http://") {
            builder = builder.with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), "true");
        }
        let name = name.parse::<GoogleConfigKey>().map_err(|_| unknown_option(key, "Google Cloud Storage"))?;
        builder = builder.with_config(name, value);
    }
    let store = builder.with_bucket_name(base.host_str().unwrap_or_default()).build().map_err(from_store)?;
    Ok(Arc::new(store))
}

fn azure(base: &Url, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_retry(retry()).with_url(base.as_str());
    for (key, value) in options {
        let name = if key == "endpoint_url" { "endpoint" } else { key };
        let name = name.parse::<AzureConfigKey>().map_err(|_| unknown_option(key, "Azure"))?;
        builder = builder.with_config(name, value);
    }
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    Ok(Arc::new(builder.build().map_err(from_store)?))
}

fn http(base: &Url, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = HttpBuilder::new().with_retry(retry()).with_url(base.as_str());
    if base.scheme() == "http" {
        builder = builder.with_config(ClientConfigKey::AllowHttp, "true");
    }
    for (key, value) in options {
        let key = key.parse::<ClientConfigKey>().map_err(|_| unknown_option(key, "HTTP"))?;
        builder = builder.with_config(key, value);
    }
    Ok(Arc::new(builder.build().map_err(from_store)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> StorageOptions {
        pairs.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect()
    }

    #[test]
    fn the_same_bucket_with_other_options_is_another_store() {
        let stores = Stores::new();
        let location = Location::parse("s3://bucket/key").unwrap();
        let near = options(&[("region", "eu-west-1"), ("anon", "true")]);
        let plain = stores.resolve(&location, &StorageOptions::new()).unwrap();
        let one = stores.resolve(&location, &near).unwrap();
        let again =
            stores.resolve(&location, &options(&[("REGION", "eu-west-1"), ("skip_signature", "true")])).unwrap();
        let far = stores.resolve(&location, &options(&[("region", "us-east-1")])).unwrap();
        assert!(Arc::ptr_eq(&one.store, &again.store), "the same options by other names");
        assert_eq!(one.url, again.url);
        let urls: std::collections::BTreeSet<_> = [&plain, &one, &far].iter().map(|r| r.url.to_string()).collect();
        assert_eq!(urls.len(), 3, "{urls:?}");
        for resolved in [&plain, &one, &far] {
            let found = stores.get_store(resolved.url.as_ref()).unwrap();
            assert!(Arc::ptr_eq(&found, &resolved.store), "{}", resolved.url);
        }
        assert_eq!(one.path.as_ref(), "key");
    }

    #[test]
    fn no_secret_is_part_of_a_url() {
        let stores = Stores::new();
        let location = Location::parse("s3://bucket/key").unwrap();
        let secret = options(&[("key", "AKIA"), ("secret", "hush"), ("region", "x")]);
        let resolved = stores.resolve(&location, &secret).unwrap();
        let told = format!("{} {stores:?}", resolved.url);
        assert!(!told.contains("hush") && !told.contains("AKIA"), "{told}");
    }

    #[test]
    fn every_scheme_has_a_store() {
        let stores = Stores::new();
        for (url, given) in [
            ("/tmp/x", options(&[])),
            ("s3://bucket/x", options(&[("endpoint_url", "http://127.0.0.1:9"), ("key", "a"), ("secret", "b")])),
            ("gs://bucket/x", options(&[("endpoint_url", "http://127.0.0.1:9"), ("anon", "true")])),
            ("az://container/x", options(&[("account", "a"), ("anon", "true")])),
            ("abfss://container@account.dfs.core.windows.net/x", options(&[("anon", "true")])),
            ("https://host/x", options(&[("timeout", "5s")])),
        ] {
            let location = Location::parse(url).unwrap();
            let resolved = stores.resolve(&location, &given).unwrap();
            assert!(stores.get_store(resolved.url.as_ref()).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_store_that_is_given_has_one_url() {
        let stores = Stores::new();
        let memory = || Arc::new(object_store::memory::InMemory::new()) as Arc<dyn ObjectStore>;
        let urls = ["a", "b", "a"].map(|identity| stores.give("My FS", identity.into(), memory));
        assert_eq!(urls, ["filesystem://my-fs-1/", "filesystem://my-fs-2/", "filesystem://my-fs-1/"]);
        let location = Location::parse("filesystem://my-fs-2/x/y.csv").unwrap();
        let resolved = stores.resolve(&location, &StorageOptions::new()).unwrap();
        assert!(Arc::ptr_eq(&resolved.store, &stores.get_store(resolved.url.as_ref()).unwrap()));
        assert_eq!(resolved.path.as_ref(), "x/y.csv");
        let elsewhere = Stores::new().resolve(&location, &StorageOptions::new()).unwrap_err();
        assert!(elsewhere.to_string().contains("no file system was given as filesystem://my-fs-2"), "{elsewhere}");
        assert!(stores.resolve(&location, &options(&[("anon", "true")])).is_err());
    }

    #[test]
    fn whoever_embeds_the_engine_may_open_a_scheme() {
        let stores = Stores::new();
        let location = Location::parse("hdfs://host:8020/x").unwrap();
        assert!(stores.resolve(&location, &StorageOptions::new()).unwrap_err().to_string().contains("from Python"));
        stores.open_with(
            Scheme::Hdfs,
            Arc::new(|base, _| {
                assert_eq!((base.host_str(), base.port()), (Some("host"), Some(8020)));
                Ok(Arc::new(object_store::memory::InMemory::new()))
            }),
        );
        let [one, again] = [(); 2].map(|()| stores.resolve(&location, &StorageOptions::new()).unwrap().store);
        assert!(Arc::ptr_eq(&one, &again), "opened once");
    }

    #[test]
    fn an_unknown_option_is_named() {
        let location = Location::parse("s3://bucket/key").unwrap();
        let error = Stores::new().resolve(&location, &options(&[("endpont_url", "x")])).unwrap_err();
        assert!(error.to_string().contains("endpont_url"), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
