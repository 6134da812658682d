//! The part of Azure's Blob REST API that `object_store` uses, and the three ways in which its one user may be known.

use std::collections::BTreeSet;
use std::fmt::Write;

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use s3s::crypto::{Checksum, Sha256};
use sheaf_connectors::location::percent_decode;

use super::objects::{MODIFIED, Objects};
use super::{Answer, Asked, BUCKET, answer, escaped, from_base64, refused, stored};

pub(crate) const ACCOUNT: &str = "sheafaccount";
/// The account's key, made for these tests.
pub(crate) const KEY: &str = "YSBrZXkgb2YgYW4gYWNjb3VudCB0aGF0IGlzIG5vdCB0aGVyZQ==";
/// A shared access signature as the portal gives it.
pub(crate) const SAS: &str = "?sv=2024-11-04&ss=b&srt=co&sp=rwdlac&sig=bm90K2EvcmVhbA%2Bone%2F%3D";
const SAS_SIGNATURE: &str = "bm90K2EvcmVhbA+one/=";
pub(crate) const TOKEN: &str = "a-token-of-entra";
/// What stands between the answers to a batch.
const BOUNDARY: &str = "batchresponse_0";

/// Answers one request.
pub(crate) fn speak(objects: &mut Objects, asked: &Asked) -> Answer {
    if !is_allowed(asked) {
        return refused(StatusCode::FORBIDDEN, "AuthenticationFailed");
    }
    if asked.bucket != BUCKET {
        return refused(StatusCode::NOT_FOUND, "ContainerNotFound");
    }
    match (asked.method.as_str(), asked.queried("comp")) {
        ("GET", "list") => list(objects, asked),
        ("GET" | "HEAD", "") => objects.get(asked).unwrap_or_else(|| refused(StatusCode::NOT_FOUND, "BlobNotFound")),
        ("PUT", "") => put(objects, asked),
        ("PUT", "block") => {
            objects.put_part(&asked.name, asked.queried("blockid"), asked.body.clone());
            answer(StatusCode::CREATED, String::new())
        }
        ("PUT", "blocklist") => put_block_list(objects, asked),
        ("POST", "batch") => delete_each(objects, asked),
        _ => refused(StatusCode::BAD_REQUEST, "UnsupportedQueryParameter"),
    }
}

fn is_allowed(asked: &Asked) -> bool {
    match asked.header("authorization").split_once(' ') {
        Some(("Bearer", token)) => token == TOKEN,
        Some(("SharedKey", signed)) => signed.split_once(':').is_some_and(|(account, signature)| {
            let expected = hmac_sha256(&from_base64(KEY), string_to_sign(asked).as_bytes());
            account == ACCOUNT && from_base64(signature) == expected
        }),
        _ => asked.queried("sig") == SAS_SIGNATURE,
    }
}

/// What a shared key signs: <https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key>.
fn string_to_sign(asked: &Asked) -> String {
    let mut text = format!("{}\n", asked.method);
    for name in [
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ] {
        let value = asked.header(name);
        let empty = name == "content-length" && value == "0";
        text += if empty { "" } else { value };
        text += "\n";
    }
    let names: BTreeSet<&str> = asked.headers.keys().map(|name| name.as_str()).collect();
    for name in names.into_iter().filter(|name| name.starts_with("x-ms-")) {
        let _ = writeln!(text, "{name}:{}", asked.header(name));
    }
    let _ = write!(text, "/{ACCOUNT}{}", asked.path);
    for (key, value) in &asked.query {
        let _ = write!(text, "\n{key}:{value}");
    }
    text
}

/// For keys of at most one block.
fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::checksum(&[&padded(0x36)[..], text].concat());
    Sha256::checksum(&[&padded(0x5c)[..], &inner[..]].concat())
}

fn put(objects: &mut Objects, asked: &Asked) -> Answer {
    if asked.header("x-ms-blob-type") != "BlockBlob" {
        return refused(StatusCode::BAD_REQUEST, "MissingRequiredHeader");
    }
    if asked.header("if-none-match") == "*" && objects.has(&asked.name) {
        return refused(StatusCode::CONFLICT, "BlobAlreadyExists");
    }
    stored(StatusCode::CREATED, &objects.put(&asked.name, asked.body.clone()))
}

fn put_block_list(objects: &mut Objects, asked: &Asked) -> Answer {
    let body = String::from_utf8_lossy(&asked.body);
    let ids = body.split("<Uncommitted>").skip(1);
    let blocks: Vec<String> = ids.filter_map(|rest| Some(rest.split_once('<')?.0.to_string())).collect();
    match objects.complete(&asked.name, &asked.name, &blocks) {
        None => refused(StatusCode::BAD_REQUEST, "InvalidBlockList"),
        Some(tag) => {
            // What was not listed goes.
            objects.abort(&asked.name);
            stored(StatusCode::CREATED, &tag)
        }
    }
}

/// Azure takes many deletes as the parts of one request, and answers each.
fn delete_each(objects: &mut Objects, asked: &Asked) -> Answer {
    let body = String::from_utf8_lossy(&asked.body);
    let paths = body.lines().filter_map(|line| line.strip_prefix("DELETE /")?.split([' ', '?']).next());
    let mut told = String::new();
    for (at, path) in paths.enumerate() {
        let path = percent_decode(path);
        let name = path.strip_prefix(BUCKET).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        let status = if objects.remove(name) { "202 Accepted" } else { "404 BlobNotFound" };
        let _ = write!(
            told,
            "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: {at}\r\n\r\nHTTP/1.1 {status}\r\n\r\n"
        );
    }
    let _ = write!(told, "--{BOUNDARY}--\r\n");
    let mut answer = answer(StatusCode::ACCEPTED, told);
    let kind = format!("multipart/mixed; boundary={BOUNDARY}");
    answer.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
    answer
}

fn list(objects: &Objects, asked: &Asked) -> Answer {
    let page = objects.list(asked.queried("prefix"), asked.queried("delimiter"), asked.queried("marker"));
    let blobs = page.objects.iter().map(|(name, object)| {
        format!(
            "<Blob><Name>{}</Name><Properties><Last-Modified>{MODIFIED}</Last-Modified><Etag>{}</Etag>\
             <Content-Length>{}</Content-Length><Content-Type>application/octet-stream</Content-Type></Properties></Blob>",
            escaped(name),
            object.tag,
            object.bytes.len()
        )
    });
    let folders = page.folders.iter().map(|name| format!("<BlobPrefix><Name>{}</Name></BlobPrefix>", escaped(name)));
    let entries: String = blobs.chain(folders).collect();
    let next = escaped(&page.next.unwrap_or_default());
    let told = format!(
        "<?xml version=\"1.0\"?><EnumerationResults><Blobs>{entries}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
    );
    answer(StatusCode::OK, told)
}
