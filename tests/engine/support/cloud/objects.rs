//! What a cloud's server stores: objects, and parts of objects to come. It knows of ranges and pages, and nothing of
//! XML.

use std::collections::BTreeMap;
use std::ops::Range;

use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE};
use hyper::{Method, Response, StatusCode};
use s3s::Body;

use super::{Answer, Asked};

/// When every object was written: so late that none is ever old enough to be taken for a leftover.
pub(crate) const MODIFIED: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
/// Entries of a page of a listing: so few that small folders have several.
const PAGE: usize = 2;

/// What a server stores.
#[derive(Default)]
pub(crate) struct Objects {
    objects: BTreeMap<String, Object>,
    /// Parts that are not part of an object yet, by their upload and their own name.
    parts: BTreeMap<(String, String), Bytes>,
    tags: u64,
}

pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) tag: String,
    /// How many parts it came in; none for an object of one request.
    parts: usize,
}

/// A page of a listing.
pub(crate) struct Page<'a> {
    pub(crate) objects: Vec<(String, &'a Object)>,
    pub(crate) folders: Vec<String>,
    /// What the next page begins after.
    pub(crate) next: Option<String>,
}

impl Objects {
    /// The names of all objects, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str)
    }

    /// How many parts an object came in.
    pub(crate) fn parts_of(&self, name: &str) -> usize {
        self.objects[name].parts
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.objects.contains_key(name)
    }

    /// A tag that nothing had before.
    pub(crate) fn tag(&mut self) -> String {
        self.tags += 1;
        format!("\"{}\"", self.tags)
    }

    /// Stores an object and gives its tag.
    pub(crate) fn put(&mut self, name: &str, bytes: Bytes) -> String {
        self.insert(name, bytes, 0)
    }

    fn insert(&mut self, name: &str, bytes: Bytes, parts: usize) -> String {
        let tag = self.tag();
        self.objects.insert(name.to_string(), Object { bytes, tag: tag.clone(), parts });
        tag
    }

    /// Keeps a part for an upload.
    pub(crate) fn put_part(&mut self, upload: &str, part: &str, bytes: Bytes) {
        self.parts.insert((upload.to_string(), part.to_string()), bytes);
    }

    /// Makes an object of these parts of an upload; `None` when one is missing.
    pub(crate) fn complete(&mut self, name: &str, upload: &str, parts: &[String]) -> Option<String> {
        let key = |part: &String| (upload.to_string(), part.clone());
        let bytes: Option<Vec<Bytes>> = parts.iter().map(|part| self.parts.remove(&key(part))).collect();
        Some(self.insert(name, bytes?.concat().into(), parts.len()))
    }

    /// Forgets the parts of an upload.
    pub(crate) fn abort(&mut self, upload: &str) {
        self.parts.retain(|(other, _), _| other != upload);
    }

    /// Whether there was an object to remove.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.objects.remove(name).is_some()
    }

    /// The object that a request names, or the asked range of it.
    pub(crate) fn get(&self, asked: &Asked) -> Option<Answer> {
        let object = self.objects.get(&asked.name)?;
        let size = object.bytes.len();
        let mut answer = Response::builder().header(ETAG, &object.tag).header(LAST_MODIFIED, MODIFIED);
        let range = asked.headers.get(RANGE).map(|range| bytes_of(range.to_str().unwrap(), size));
        if let Some(Range { start, end }) = range {
            let told = format!("bytes {start}-{}/{size}", end - 1);
            answer = answer.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, told);
        }
        let bytes = object.bytes.slice(range.unwrap_or(0..size));
        answer = answer.header(CONTENT_LENGTH, bytes.len());
        let body = if asked.method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
        Some(answer.body(body).unwrap())
    }

    /// The entries that begin with a prefix and come after a name. Names with the delimiter behind the prefix are one
    /// entry, a folder.
    pub(crate) fn list(&self, prefix: &str, delimiter: &str, after: &str) -> Page<'_> {
        let mut entries = BTreeMap::new();
        for (name, object) in self.objects.iter().filter(|(name, _)| name.starts_with(prefix)) {
            let cut = name[prefix.len()..].find(delimiter).filter(|_| !delimiter.is_empty());
            match cut {
                Some(at) => entries.insert(name[..prefix.len() + at + delimiter.len()].to_string(), None),
                None => entries.insert(name.clone(), Some(object)),
            };
        }
        let mut left = entries.into_iter().filter(|(name, _)| name.as_str() > after);
        let mut page = Page { objects: Vec::new(), folders: Vec::new(), next: None };
        let mut last = None;
        for (name, object) in left.by_ref().take(PAGE) {
            last = Some(name.clone());
            match object {
                Some(object) => page.objects.push((name, object)),
                None => page.folders.push(name),
            }
        }
        page.next = left.next().and(last);
        page
    }
}

/// The bytes that a `Range` header means.
fn bytes_of(header: &str, size: usize) -> Range<usize> {
    let (first, last) = header.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let number = |text: &str| text.parse::<usize>().unwrap();
    match (first, last) {
        ("", last) => size.saturating_sub(number(last))..size,
        (first, "") => number(first)..size,
        (first, last) => number(first)..(number(last) + 1).min(size),
    }
}
