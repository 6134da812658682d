//! `/metrics`: what there is to measure of this node, and of the cluster where it is the head, as Prometheus reads it.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use sheaf_core::local::Inquiry;
use sheaf_core::{Error, ErrorKind};

use super::Site;
use super::reply::Answer;

/// The text form of Prometheus.
const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(site): State<Site>) -> Answer {
    let ended = |_| Error::new(ErrorKind::Cancelled, "the node ends");
    let text = site.board.inlet().inquire(Inquiry::Metrics).await.map_err(ended)?;
    Ok(([(header::CONTENT_TYPE, TYPE)], Body::from(text)).into_response())
}
