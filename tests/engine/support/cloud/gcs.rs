//! The part of Google Cloud Storage's XML API that `object_store` uses, and the service account of its one user.

use hyper::StatusCode;
use s3s::Body;
use serde_json::Value;

use super::objects::Objects;
use super::{Answer, Asked, BUCKET, answer, escaped, from_base64, refused, stored};

/// The file that Google gives for a service account. The key in it was made for these tests and opens nothing.
pub(crate) const ACCOUNT: &str = include_str!("gcs_account.json");

/// When every object was written, as listings say it.
const MODIFIED: &str = "2100-01-01T00:00:00.000Z";

/// Answers one request.
pub(crate) fn speak(objects: &mut Objects, asked: &Asked) -> Answer {
    if !is_allowed(asked) {
        return refused(StatusCode::UNAUTHORIZED, "AuthenticationRequired");
    }
    if asked.bucket != BUCKET {
        return refused(StatusCode::NOT_FOUND, "NoSuchBucket");
    }
    let (on_bucket, on_upload) = (asked.name.is_empty(), asked.query.contains_key("uploadId"));
    match asked.method.as_str() {
        "GET" if on_bucket => list(objects, asked),
        "GET" | "HEAD" => objects.get(asked).unwrap_or_else(|| refused(StatusCode::NOT_FOUND, "NoSuchKey")),
        "POST" if asked.query.contains_key("uploads") => begin(objects),
        "POST" if on_upload => complete(objects, asked),
        "PUT" if on_upload => put_part(objects, asked),
        "PUT" => put(objects, asked),
        "DELETE" if on_upload => {
            objects.abort(asked.queried("uploadId"));
            answer(StatusCode::NO_CONTENT, Body::empty())
        }
        "DELETE" if objects.remove(&asked.name) => answer(StatusCode::NO_CONTENT, Body::empty()),
        "DELETE" => refused(StatusCode::NOT_FOUND, "NoSuchKey"),
        _ => refused(StatusCode::BAD_REQUEST, "InvalidArgument"),
    }
}

/// Whether a token of the account comes with the request. What its signature is worth only Google can tell.
fn is_allowed(asked: &Asked) -> bool {
    let account: Value = serde_json::from_str(ACCOUNT).unwrap();
    let Some(token) = asked.header("authorization").strip_prefix("Bearer ") else { return false };
    let parts: Vec<Vec<u8>> = token.split('.').map(from_base64).collect();
    let [header, claims, signature] = &parts[..] else { return false };
    let read = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap_or_default();
    let is_ours = read(header)["kid"] == account["private_key_id"] && read(claims)["iss"] == account["client_email"];
    is_ours && !signature.is_empty()
}

fn put(objects: &mut Objects, asked: &Asked) -> Answer {
    if asked.header("x-goog-if-generation-match") == "0" && objects.has(&asked.name) {
        return refused(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    stored(StatusCode::OK, &objects.put(&asked.name, asked.body.clone()))
}

fn begin(objects: &mut Objects) -> Answer {
    let upload = objects.tag();
    let told = format!(
        "<InitiateMultipartUploadResult><UploadId>{}</UploadId></InitiateMultipartUploadResult>",
        upload.trim_matches('"')
    );
    answer(StatusCode::OK, told)
}

fn put_part(objects: &mut Objects, asked: &Asked) -> Answer {
    let part = asked.queried("partNumber");
    objects.put_part(asked.queried("uploadId"), part, asked.body.clone());
    stored(StatusCode::OK, &format!("\"part-{part}\""))
}

fn complete(objects: &mut Objects, asked: &Asked) -> Answer {
    let body = String::from_utf8_lossy(&asked.body);
    let tags = body.split("<ETag>\"part-").skip(1);
    let parts: Vec<String> = tags.filter_map(|rest| Some(rest.split_once('"')?.0.to_string())).collect();
    match objects.complete(&asked.name, asked.queried("uploadId"), &parts) {
        None => refused(StatusCode::BAD_REQUEST, "InvalidPart"),
        Some(tag) => answer(
            StatusCode::OK,
            format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"),
        ),
    }
}

fn list(objects: &Objects, asked: &Asked) -> Answer {
    let after = asked.queried("continuation-token").max(asked.queried("start-after"));
    let page = objects.list(asked.queried("prefix"), asked.queried("delimiter"), after);
    let files = page.objects.iter().map(|(name, object)| {
        format!(
            "<Contents><Key>{}</Key><LastModified>{MODIFIED}</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
            escaped(name),
            object.tag,
            object.bytes.len()
        )
    });
    let folders =
        page.folders.iter().map(|name| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(name)));
    let next = page.next.iter().map(|next| format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(next)));
    let entries: String = files.chain(folders).chain(next).collect();
    answer(StatusCode::OK, format!("<?xml version=\"1.0\"?><ListBucketResult>{entries}</ListBucketResult>"))
}
