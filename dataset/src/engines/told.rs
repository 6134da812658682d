//! Errors of fragments as bytes, from the node where they happened to the driver.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sheaf_core::wire::Reason;
use sheaf_core::{Error, ErrorKind};

/// An error as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    kind: String,
    message: String,
    contexts: Vec<String>,
    hint: Option<String>,
}

/// An error for [`read`].
pub(super) fn write(error: &Error) -> Bytes {
    let told = Told {
        kind: error.kind().name().to_string(),
        message: error.message().to_string(),
        contexts: error.contexts().to_vec(),
        hint: error.hint().map(str::to_string),
    };
    // Texts can always be written down.
    serde_json::to_vec(&told).unwrap_or_default().into()
}

fn read(bytes: &[u8]) -> Error {
    let Ok(Told { kind, message, contexts, hint }) = serde_json::from_slice(bytes) else {
        return Error::internal("a part of the query failed, and its error is not understood");
    };
    let kind = ErrorKind::named(&kind).unwrap_or(ErrorKind::Internal);
    let error = contexts.into_iter().fold(Error::new(kind, message), Error::with_context);
    hint.into_iter().fold(error, Error::with_hint)
}

/// Why a result is not there, for whoever ran the query.
pub(super) fn error_of(reason: Reason) -> Error {
    let failed = |kind, why: String| Error::new(kind, format!("the query failed on the cluster: {why}"));
    match reason {
        Reason::Raised(bytes) => read(&bytes),
        Reason::NotMade(cause) => error_of(*cause),
        Reason::Cancelled => crate::run::cancelled(),
        Reason::NoRoom(why) => failed(ErrorKind::MemoryLimit, why),
        Reason::Unschedulable(_, why) => failed(ErrorKind::InvalidInput, why)
            .with_hint("`sheaf nodes` lists the nodes with what they have; start one with `sheaf node`"),
        Reason::GroupRemoved(why) => failed(ErrorKind::Cancelled, why),
        Reason::Crashed(why) | Reason::Lost(why) | Reason::Setup(why) => failed(ErrorKind::Io, why),
        Reason::ActorDied(why) | Reason::ActorUnavailable(why) => failed(ErrorKind::Internal, why),
    }
}

/// Whether a result is gone that would not be made again as it was.
pub(super) fn is_lost(reason: &Reason) -> bool {
    match reason {
        Reason::Lost(_) => true,
        Reason::NotMade(cause) => is_lost(cause),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_back_with_kind_and_hint() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "no file there")
                .with_hint("look elsewhere")
                .with_context("in a folder")
                .with_context("on a node");
            let reason = Reason::NotMade(Box::new(Reason::Raised(write(&error).to_vec().into())));
            let back = error_of(reason);
            assert_eq!((back.kind(), back.to_string()), (kind, error.to_string()));
        }
        assert_eq!(error_of(Reason::Raised(b"?".to_vec().into())).kind(), ErrorKind::Internal);
        assert!(is_lost(&Reason::NotMade(Box::new(Reason::Lost(String::new())))) && !is_lost(&Reason::Cancelled));
    }
}
