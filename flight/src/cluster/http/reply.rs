//! Answers as JSON, and errors as `{"error": {"kind", "message", "hint"}}` with the status that fits.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use sheaf_core::{Error, ErrorKind};

/// What a route answers.
pub(super) type Answer = Result<Response, Refusal>;

/// An error, and what HTTP calls it.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: Error,
}

impl Refusal {
    /// With a status that the error's kind does not tell.
    pub(super) fn with(status: StatusCode, error: Error) -> Self {
        Self { status, error }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::AlreadyExists | ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorKind::MemoryLimit | ErrorKind::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Io | ErrorKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::InvalidInput | ErrorKind::Parse | ErrorKind::TypeMismatch | ErrorKind::UnknownColumn => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        let told = json!({
            "error": { "kind": error.kind().name(), "message": error.message(), "hint": error.hint() }
        });
        (status, [(header::CONTENT_TYPE, "application/json")], told.to_string()).into_response()
    }
}

/// A value as the answer.
pub(super) fn json_of(value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value)
        .map_err(|error| Error::internal(format!("an answer cannot be written as JSON: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from(text)).into_response())
}
