//! Where data is, as a user writes it: a path, a URL, a glob or a folder, parsed once at the edge.

use std::fmt;
use std::path::{Component, PathBuf};

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use sheaf_core::{Error, ErrorKind, Result};
use url::Url;

use crate::glob::Glob;

/// The kind of store that a location is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// This machine's file system.
    Local,
    /// Amazon S3 and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage and Data Lake.
    Azure,
    /// A web server: single files, nothing to list.
    Http,
    /// Hadoop's file system, which whoever embeds the engine opens: see [`crate::stores::Stores::open_with`].
    Hdfs,
    /// A store that was given to the session: see [`crate::stores::Stores::give`].
    Given,
}

/// The scheme of URLs of [`Scheme::Given`].
pub(crate) const GIVEN: &str = "filesystem";

/// The host of an HDFS URL without one, which libhdfs knows for the one that is configured.
const DEFAULT_HDFS: &str = "default";

const SCHEMES: [(&str, Scheme); 14] = [
    ("file", Scheme::Local),
    ("s3", Scheme::S3),
    ("s3a", Scheme::S3),
    ("gs", Scheme::Gcs),
    ("gcs", Scheme::Gcs),
    ("az", Scheme::Azure),
    ("azure", Scheme::Azure),
    ("abfs", Scheme::Azure),
    ("abfss", Scheme::Azure),
    ("adl", Scheme::Azure),
    ("http", Scheme::Http),
    ("https", Scheme::Http),
    ("hdfs", Scheme::Hdfs),
    (GIVEN, Scheme::Given),
];

/// A path, URL, glob or folder.
///
/// ```
/// use sheaf_connectors::location::Location;
///
/// let glob = Location::parse("s3://bucket/year=*/part-?.parquet").unwrap();
/// assert_eq!(glob.path().as_ref(), "");
/// assert!(glob.glob().is_some());
/// assert_eq!(glob.to_string(), "s3://bucket/year=*/part-?.parquet");
/// assert!(Location::parse("ftp://host/file").is_err());
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Location {
    text: String,
    scheme: Scheme,
    base: Url,
    path: Path,
    glob: Option<Glob>,
    folder: bool,
}

/// A location for another process, which may have another working folder: it looks at no file.
#[derive(Serialize, Deserialize)]
struct Written {
    text: String,
    scheme: Scheme,
    base: String,
    path: String,
    glob: Option<String>,
    folder: bool,
}

impl From<Location> for Written {
    fn from(location: Location) -> Self {
        let Location { text, scheme, base, path, glob, folder } = location;
        let glob = glob.map(|glob| glob.pattern().to_string());
        Self { text, scheme, base: base.into(), path: path.into(), glob, folder }
    }
}

impl TryFrom<Written> for Location {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let Written { text, scheme, base, path, glob, folder } = written;
        let bad = |error: &dyn fmt::Display| Error::invalid(format!("{text} is not a location: {error}"));
        let base = Url::parse(&base).map_err(|error| bad(&error))?;
        let path = Path::parse(&path).map_err(|error| bad(&error))?;
        let glob = glob.map(|pattern| Glob::parse(&pattern)).transpose()?.flatten().map(|(_, glob)| glob);
        Ok(Self { text, scheme, base, path, glob, folder })
    }
}

impl Location {
    /// Reads a path or URL as the user wrote it. A relative path is taken from the working folder. A local file
    /// whose name has glob characters in it is that file and not a glob.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an empty text, an unknown scheme, a URL without its bucket or host, and a
    /// glob that does not parse.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(Error::invalid("the path is empty"));
        }
        match split_scheme(text) {
            None => Self::local(text, text.as_ref()),
            Some((scheme, rest)) => {
                let known = SCHEMES.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
                match known {
                    Some((_, Scheme::Local)) => Self::local(text, &file_url_path(text, rest)?),
                    Some((_, kind)) => Self::remote(text, *kind, scheme, rest),
                    None => Err(Error::invalid(format!("{text}: there is no store for {scheme}://")).with_hint(
                        "paths may start with s3://, gs://, az://, abfss://, hdfs://, http://, https:// or file://",
                    )),
                }
            }
        }
    }

    fn local(text: &str, path: &std::path::Path) -> Result<Self> {
        let wrap = |error: &dyn fmt::Display| Error::invalid(format!("{text} is not a path: {error}"));
        let absolute = std::path::absolute(path).map_err(|error| wrap(&error))?;
        let absolute = without_parents(absolute);
        let folder = text.ends_with('/') || absolute.is_dir();
        let base = Url::parse("file:///").map_err(|error| wrap(&error))?;
        let plain = absolute.to_str().ok_or_else(|| wrap(&"it is not UTF-8"))?;
        let (stem, glob) = match Glob::parse(plain.trim_start_matches('/')).map_err(|error| error.with_context(text))? {
            Some((stem, glob)) if !absolute.exists() => (PathBuf::from(format!("/{stem}")), Some(glob)),
            _ => (absolute, None),
        };
        let path = Path::from_absolute_path(&stem).map_err(|error| wrap(&error))?;
        Ok(Self { text: text.to_string(), scheme: Scheme::Local, base, path, folder: folder && glob.is_none(), glob })
    }

    fn remote(text: &str, kind: Scheme, scheme: &str, rest: &str) -> Result<Self> {
        let bad = |why: &dyn fmt::Display| Error::invalid(format!("{text} is not a URL that can be read: {why}"));
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = if kind == Scheme::Hdfs && authority.is_empty() { DEFAULT_HDFS } else { authority };
        if authority.is_empty() {
            return Err(bad(&"the bucket or host is missing"));
        }
        // s3a is Hadoop's name for the same store.
        let scheme = if scheme.eq_ignore_ascii_case("s3a") { "s3" } else { scheme };
        let base = Url::parse(&format!("{scheme}://{authority}/")).map_err(|error| bad(&error))?;
        if kind == Scheme::Http {
            if !base.username().is_empty() || base.password().is_some() {
                return Err(bad(&"a user and password in the URL are not supported"));
            }
            if key.contains(['?', '*', '[', '{']) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("{text}: globs and queries do not work over HTTP, which cannot list files"),
                )
                .with_hint("name each file"));
            }
            let path = Path::from_url_path(key).map_err(|error| bad(&error))?;
            return Ok(Self { text: text.to_string(), scheme: kind, base, path, glob: None, folder: false });
        }
        let (stem, glob) = match Glob::parse(key).map_err(|error| error.with_context(text))? {
            Some((stem, glob)) => (stem, Some(glob)),
            None => (key.to_string(), None),
        };
        let path = Path::parse(&stem).map_err(|error| bad(&error))?;
        let folder = glob.is_none() && (key.is_empty() || key.ends_with('/'));
        Ok(Self { text: text.to_string(), scheme: kind, base, path, glob, folder })
    }

    /// The kind of store.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether this is a path of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.scheme == Scheme::Local
    }

    /// Scheme, bucket or host: what decides the store.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The path inside the store: of the file or folder, or for a glob the deepest folder without glob characters.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The glob, matched against whole paths inside the store.
    #[must_use]
    pub fn glob(&self) -> Option<&Glob> {
        self.glob.as_ref()
    }

    /// Whether this is certainly a folder: written with a slash at its end, a whole bucket, or a folder on local
    /// disk. A remote path without the slash may be one all the same.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.folder
    }

    /// A path of the same store as users know it: an absolute path, or a URL.
    #[must_use]
    pub fn full_path(&self, path: &Path) -> String {
        match self.scheme {
            Scheme::Local => format!("/{path}"),
            _ => format!("{}{path}", self.base),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Decodes `%41` and the like; text that is not an escape stays as it is.
#[must_use]
pub fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_string())
}

/// `scheme://rest`, where there is a scheme.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    named.then_some((scheme, rest))
}

fn file_url_path(text: &str, rest: &str) -> Result<PathBuf> {
    let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(Error::invalid(format!("{text}: a file URL needs an absolute path"))
            .with_hint("write file:///folder/file, or the path alone"));
    }
    Ok(PathBuf::from(percent_decode(path)))
}

/// Stores know no `..`: it is resolved as the system would, or as text where nothing exists.
fn without_parents(path: PathBuf) -> PathBuf {
    let Some(last) = path.components().rposition_parent() else { return path };
    let parts: Vec<Component<'_>> = path.components().collect();
    let head: PathBuf = parts[..=last].iter().collect();
    let tail: PathBuf = parts[last + 1..].iter().collect();
    let head = head.canonicalize().unwrap_or_else(|_| {
        let mut plain = PathBuf::new();
        for part in head.components() {
            match part {
                Component::ParentDir => {
                    plain.pop();
                }
                part => plain.push(part),
            }
        }
        plain
    });
    head.join(tail)
}

trait LastParent {
    fn rposition_parent(self) -> Option<usize>;
}

impl<'a, I: Iterator<Item = Component<'a>>> LastParent for I {
    fn rposition_parent(self) -> Option<usize> {
        self.enumerate().filter(|(_, part)| *part == Component::ParentDir).map(|(at, _)| at).last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_paths_become_absolute() {
        let here = std::env::current_dir().unwrap();
        let location = Location::parse("some/../file.csv").unwrap();
        assert_eq!(location.full_path(location.path()), here.join("file.csv").to_str().unwrap());
        assert!(location.is_local() && !location.is_folder() && location.glob().is_none());
        assert!(Location::parse("/nowhere/x/").unwrap().is_folder());
        assert!(Location::parse(here.to_str().unwrap()).unwrap().is_folder(), "an existing folder");
    }

    #[test]
    fn file_urls_are_decoded() {
        for text in ["file:///tmp/a%20b.csv", "file://localhost/tmp/a%20b.csv", "/tmp/a b.csv"] {
            let location = Location::parse(text).unwrap();
            assert_eq!(location.path().as_ref(), "tmp/a b.csv", "{text}");
            assert_eq!(location.to_string(), text);
        }
        assert!(Location::parse("file://relative/x").unwrap_err().to_string().contains("absolute"));
    }

    #[test]
    fn remote_urls_keep_their_keys_as_written() {
        let location = Location::parse("s3a://bucket/a b/c%20d.parquet").unwrap();
        assert_eq!((location.scheme(), location.base().as_str()), (Scheme::S3, "s3://bucket/"));
        assert_eq!(location.full_path(location.path()), "s3://bucket/a b/c%20d.parquet");
        let azure = Location::parse("abfss://container@account.dfs.core.windows.net/x/").unwrap();
        assert!(azure.is_folder());
        assert_eq!(azure.scheme(), Scheme::Azure);
        assert!(Location::parse("gs://bucket").unwrap().is_folder());
        let hadoop = Location::parse("hdfs:///a/b").unwrap();
        assert_eq!((hadoop.base().as_str(), hadoop.path().as_ref()), ("hdfs://default/", "a/b"));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, why) in [
            ("", "empty"),
            ("s3:///key", "bucket or host is missing"),
            ("ftp://host/x", "there is no store for ftp://"),
            ("https://host/*.csv", "cannot list"),
            ("https://user:pass@host/x.csv", "user and password"),
            ("data/[.csv", "["),
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_local_file_with_glob_characters_in_its_name_is_a_file() {
        let folder = std::env::temp_dir().join(format!("sheaf-location-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("a[1]*.csv");
        std::fs::write(&file, "x").unwrap();
        let found = Location::parse(file.to_str().unwrap()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let gone = Location::parse(file.to_str().unwrap()).unwrap();
        assert!(found.glob().is_none());
        assert!(gone.glob().is_some());
    }

    #[test]
    fn escapes_decode_and_other_percents_stay() {
        assert_eq!(percent_decode("a%2Fb%20%zz%"), "a/b %zz%");
        assert_eq!(percent_decode("%C3%A9"), "é");
    }
}
