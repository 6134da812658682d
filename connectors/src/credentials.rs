//! What the environment of this process says of stores, for other processes that read and write them in its place.

use std::collections::HashSet;
use std::hash::Hash;
use std::str::FromStr;

use object_store::ClientConfigKey;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3};
use object_store::azure::{AzureConfigKey as Azure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Gcs};

use crate::location::{Location, Scheme};
use crate::stores::{StorageOptions, normalise};

/// What travels: credentials, region and endpoint. What is of this machine alone stays, such as files with keys, and what
/// a machine finds out by itself, such as the role that it has.
const S3_KEYS: [S3; 11] = [
    S3::AccessKeyId,
    S3::SecretAccessKey,
    S3::Token,
    S3::Region,
    S3::DefaultRegion,
    S3::Endpoint,
    S3::S3Endpoint,
    S3::VirtualHostedStyleRequest,
    S3::SkipSignature,
    S3::RequestPayer,
    S3::Client(ClientConfigKey::AllowHttp),
];
const GCS_KEYS: [Gcs; 3] = [Gcs::ServiceAccountKey, Gcs::BaseUrl, Gcs::SkipSignature];
const AZURE_KEYS: [Azure; 11] = [
    Azure::AccountName,
    Azure::AccessKey,
    Azure::ClientId,
    Azure::ClientSecret,
    Azure::AuthorityId,
    Azure::AuthorityHost,
    Azure::SasKey,
    Azure::Token,
    Azure::UseEmulator,
    Azure::Endpoint,
    Azure::SkipSignature,
];

/// The options of a store with those that this process has from its environment, where the options do not say otherwise.
///
/// The result has secrets in it: it is for processes that work for this one, and is never printed.
#[must_use]
pub fn with_environment(location: &Location, options: &StorageOptions) -> StorageOptions {
    match location.scheme() {
        Scheme::S3 => with_s3(options, &AmazonS3Builder::from_env()),
        Scheme::Gcs => with_gcs(options, &GoogleCloudStorageBuilder::from_env()),
        Scheme::Azure => with_azure(options, &MicrosoftAzureBuilder::from_env()),
        Scheme::Local | Scheme::Http | Scheme::Hdfs | Scheme::Given => options.clone(),
    }
}

fn with_s3(options: &StorageOptions, found: &AmazonS3Builder) -> StorageOptions {
    let usual = AmazonS3Builder::new();
    added(options, &S3_KEYS, |key| (found.get_config_value(key), usual.get_config_value(key)))
}

fn with_gcs(options: &StorageOptions, found: &GoogleCloudStorageBuilder) -> StorageOptions {
    let usual = GoogleCloudStorageBuilder::new();
    added(options, &GCS_KEYS, |key| (found.get_config_value(key), usual.get_config_value(key)))
}

fn with_azure(options: &StorageOptions, found: &MicrosoftAzureBuilder) -> StorageOptions {
    let usual = MicrosoftAzureBuilder::new();
    added(options, &AZURE_KEYS, |key| (found.get_config_value(key), usual.get_config_value(key)))
}

/// The options with the values of these keys that were found and are not those of a store of which nothing is said.
fn added<K: FromStr + Eq + Hash + AsRef<str>>(
    options: &StorageOptions,
    keys: &[K],
    found: impl Fn(&K) -> (Option<String>, Option<String>),
) -> StorageOptions {
    let given: HashSet<K> = normalise(options).keys().filter_map(|key| key.parse().ok()).collect();
    let mut all = options.clone();
    for key in keys.iter().filter(|key| !given.contains(key)) {
        if let (Some(found), usual) = found(key)
            && Some(&found) != usual.as_ref()
        {
            all.insert(key.as_ref().to_string(), found);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> StorageOptions {
        pairs.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect()
    }

    #[test]
    fn credentials_come_along_and_what_is_given_goes_before() {
        let found = AmazonS3Builder::new()
            .with_config(S3::AccessKeyId, "id")
            .with_config(S3::SecretAccessKey, "secret")
            .with_config(S3::Endpoint, "http://127.0.0.1:9000")
            .with_config(S3::WebIdentityTokenFile, "/a/file")
            .with_config(S3::RoleArn, "a role");
        let expected = [
            ("aws_endpoint", "http://127.0.0.1:9000"),
            ("aws_secret_access_key", "secret"),
            ("key", "another"),
            ("region", "here"),
        ];
        let all = with_s3(&pairs(&[("key", "another"), ("region", "here")]), &found);
        assert_eq!(all, pairs(&expected));
        let found = GoogleCloudStorageBuilder::new()
            .with_config(Gcs::ServiceAccountKey, "{}")
            .with_config(Gcs::ServiceAccount, "/a/file");
        assert_eq!(with_gcs(&pairs(&[]), &found), pairs(&[("google_service_account_key", "{}")]));
        let found =
            MicrosoftAzureBuilder::new().with_config(Azure::AccessKey, "a key").with_config(Azure::AccountName, "x");
        let all = with_azure(&pairs(&[("account", "me")]), &found);
        assert_eq!(all, pairs(&[("account", "me"), ("azure_storage_account_key", "a key")]));
        // Nothing is said where nothing was found, and files know no environment.
        assert_eq!(with_s3(&pairs(&[]), &AmazonS3Builder::new()), pairs(&[]));
        let file = Location::parse("/a/file").unwrap();
        assert_eq!(with_environment(&file, &pairs(&[("a", "b")])), pairs(&[("a", "b")]));
    }
}
