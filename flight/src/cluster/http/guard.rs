//! Who may come, asked before every route. The token and certificates are those of Flight (`access`). Beyond them, web
//! pages are kept out: a browser on the machine of a head that listens on 127.0.0.1 reaches it too, and a page that it
//! shows, or a name that is made to stand for 127.0.0.1, must not run code here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sheaf_core::{Error, ErrorKind};

use super::super::access::Access;
use super::reply::Refusal;

/// What browsers say about the page that asks; who types an address says `none`.
const FETCH_SITE: &str = "sec-fetch-site";
/// What paths of Flight begin with.
const FLIGHT: &str = "/arrow.flight.";

/// What is asked of every request.
pub(super) struct Guard {
    access: Access,
    /// The host by which others reach this node.
    host: String,
}

/// Lets a request through, or refuses it.
pub(super) async fn look(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl Guard {
    /// For a node that is reached at an address such as `http://host:port`.
    pub(super) fn new(access: Access, address: &str) -> Self {
        let place = address.rsplit('/').next().unwrap_or_default();
        Self { access, host: host_of(place).to_ascii_lowercase() }
    }

    fn admit(&self, request: &Request) -> Result<(), Refusal> {
        let (headers, path) = (request.headers(), request.uri().path());
        if is_of_a_page(headers) {
            return Err(forbidden("requests that a web page makes are refused"));
        }
        let is_http1 = request.version() < Version::HTTP_2;
        if path.starts_with(FLIGHT) {
            // Flight asks for the token itself. No browser speaks its HTTP/2 without certificates.
            return if is_http1 { Err(forbidden("Arrow Flight is spoken over HTTP/2 only")) } else { Ok(()) };
        }
        if is_http1 && !self.access.is_closed() && !self.is_meant(headers) {
            return Err(forbidden("the request is for another host than this one"));
        }
        let shown = headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
        self.access.admit(shown).map_err(|why| {
            let error = Error::new(ErrorKind::PermissionDenied, why)
                .with_hint("send the cluster's token: `Authorization: Bearer …`");
            Refusal::with(StatusCode::UNAUTHORIZED, error)
        })
    }

    /// Whether the host that is asked for is this one: a foreign name was made to stand for this address.
    fn is_meant(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
        let host = host_of(host).to_ascii_lowercase();
        let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback || host == "localhost" || host == self.host
    }
}

/// `host:port` without the port, and an IPv6 address without its brackets.
fn host_of(place: &str) -> &str {
    if let Some(rest) = place.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    place.split(':').next().unwrap_or_default()
}

fn is_of_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.get(FETCH_SITE).is_some_and(|site| site != "none")
}

fn forbidden(why: &str) -> Refusal {
    let error = Error::new(ErrorKind::PermissionDenied, why)
        .with_hint("ask with the command line, JobSubmissionClient or curl, by the address that `sheaf head` printed");
    Refusal::with(StatusCode::FORBIDDEN, error)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn status(access: &Access, version: Version, path: &str, headers: &[(&str, &str)]) -> u16 {
        let guard = Guard::new(access.clone(), "http://[fe80::1]:7070");
        let mut request = Request::builder().version(version).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match guard.admit(&request.body(Body::empty()).unwrap()) {
            Ok(()) => 200,
            Err(refusal) => refusal.into_response().status().as_u16(),
        }
    }

    #[test]
    fn web_pages_and_foreign_names_are_refused() {
        let open = Access::default();
        let of = |headers: &[(&str, &str)]| status(&open, Version::HTTP_11, "/api/jobs/", headers);
        for host in ["127.0.0.1:7070", "LOCALHOST:1", "[::1]:7070", "127.1.2.3", "[fe80::1]:9"] {
            assert_eq!(of(&[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:7070", "10.0.0.1", "", "localhost.evil.example"] {
            assert_eq!(of(&[("host", host)]), 403, "{host}");
        }
        assert_eq!(of(&[]), 403);
        assert_eq!(of(&[("host", "localhost"), ("origin", "http://localhost")]), 403);
        assert_eq!(of(&[("host", "localhost"), ("origin", "null")]), 403);
        assert_eq!(of(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(of(&[("host", "localhost"), ("sec-fetch-site", "none")]), 200);
    }

    #[test]
    fn flight_is_not_to_be_had_by_what_a_browser_speaks() {
        let open = Access::default();
        let of = |version, headers: &[_]| status(&open, version, "/arrow.flight.protocol.FlightService/DoGet", headers);
        assert_eq!(of(Version::HTTP_2, &[]), 200);
        assert_eq!(of(Version::HTTP_2, &[("origin", "https://evil.example")]), 403);
        assert_eq!(of(Version::HTTP_11, &[("host", "localhost")]), 403);
    }

    #[test]
    fn the_token_is_asked_for_and_stands_for_the_host() {
        let closed = Access::with_token("0123456789abcdef").unwrap();
        let of = |headers: &[_]| status(&closed, Version::HTTP_11, "/api/version", headers);
        let host = ("host", "head.example:7070");
        assert_eq!(of(&[host]), 401);
        assert_eq!(of(&[host, ("authorization", "Bearer 0123456789abcdee")]), 401);
        assert_eq!(of(&[host, ("authorization", "Bearer 0123456789abcdef")]), 200);
        let page = ("origin", "https://evil.example");
        assert_eq!(of(&[host, page, ("authorization", "Bearer 0123456789abcdef")]), 403);
    }
}
