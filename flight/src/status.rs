//! Errors on the wire: the kind travels beside the message, since the kind alone decides what is done about it.

use sheaf_core::{Error, ErrorKind};
use tonic::{Code, Status};

/// The header that carries [`ErrorKind::name`].
const KIND: &str = "sheaf-error-kind";
/// The header that carries what the user can do, percent-encoded for ASCII headers by its debug form.
const HINT: &str = "sheaf-error-hint-bin";

/// An error as the status of a call.
#[must_use]
pub fn to_status(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::MemoryLimit | ErrorKind::DiskFull => Code::ResourceExhausted,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Io => Code::Unavailable,
        ErrorKind::InvalidInput | ErrorKind::UnknownColumn | ErrorKind::TypeMismatch => Code::InvalidArgument,
        ErrorKind::CorruptFile | ErrorKind::Parse => Code::DataLoss,
        _ => Code::Internal,
    };
    let mut status = Status::new(code, error.message());
    if let Ok(kind) = error.kind().name().parse() {
        status.metadata_mut().insert(KIND, kind);
    }
    if let Some(hint) = error.hint() {
        status.metadata_mut().insert_bin(HINT, tonic::metadata::MetadataValue::from_bytes(hint.as_bytes()));
    }
    status
}

/// The error that a status tells; one that another program sent is judged by its code.
#[must_use]
pub fn from_status(status: &Status) -> Error {
    let named = status.metadata().get(KIND).and_then(|kind| kind.to_str().ok());
    let kind = named.and_then(ErrorKind::named).unwrap_or(match status.code() {
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::PermissionDenied,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown => ErrorKind::Io,
        Code::InvalidArgument => ErrorKind::InvalidInput,
        _ => ErrorKind::Internal,
    });
    let error = Error::new(kind, status.message());
    let hint = status.metadata().get_bin(HINT).and_then(|hint| hint.to_bytes().ok());
    match hint.and_then(|hint| String::from_utf8(hint.to_vec()).ok()) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in ErrorKind::ALL {
            let told = from_status(&to_status(&Error::new(kind, "what happened").with_hint("what to do: «this»")));
            assert_eq!((told.kind(), told.message(), told.hint()), (kind, "what happened", Some("what to do: «this»")));
        }
        assert_eq!(from_status(&Status::unavailable("gone")).kind(), ErrorKind::Io);
    }
}
