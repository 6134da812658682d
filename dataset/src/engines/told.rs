//! Errors of fragments as bytes, from the node where they happened to the driver.

use bytes::Bytes;
use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::wire::Reason;
use sheaf_core::{Error, ErrorKind};
use tonic::Code;

use crate::codec::{FunctionDecoder, NoFunctions};

/// An error as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    kind: String,
    message: String,
    contexts: Vec<String>,
    hint: Option<String>,
    /// What lies under it, in the language of the function that failed.
    cause: Option<Vec<u8>>,
    /// Whether another run may end better: a node was lost.
    #[serde(default)]
    is_lost: bool,
}

/// A longer cause stays where it is.
const LONGEST_CAUSE: usize = 256 << 10;

/// What goes before an error that is on its way through workers of datafusion-distributed's, which keep texts.
const MARK: &str = "\u{1}sheaf:";

/// Characters of such a text; more are cut off.
const LONGEST_TEXT: usize = 4_000;

/// An error for [`read`].
pub(super) fn write(error: &Error, functions: &dyn FunctionDecoder) -> Bytes {
    written(error, false, functions).into()
}

fn written(error: &Error, is_lost: bool, functions: &dyn FunctionDecoder) -> Vec<u8> {
    let cause = functions.cause_of(error).filter(|cause| cause.len() <= LONGEST_CAUSE);
    let told = Told {
        kind: error.kind().name().to_string(),
        message: error.message().to_string(),
        contexts: error.contexts().to_vec(),
        hint: error.hint().map(str::to_string),
        cause,
        is_lost,
    };
    // Texts can always be written down.
    serde_json::to_vec(&told).unwrap_or_default()
}

/// An error of a task for [`failed_of`], by way of other tasks: where it happened, `named` says. One that has come from
/// another task stays what it is.
pub(super) fn to_engine(
    error: DataFusionError,
    named: impl FnOnce(Error) -> Error,
    functions: &dyn FunctionDecoder,
) -> DataFusionError {
    match (told_in(&error), lost_in(&error)) {
        (Some(told), _) => DataFusionError::Execution(format!("{MARK}{told}")),
        (None, Some(why)) => marked(&named(lost(&why)), true, functions),
        (None, None) => marked(&named(from_datafusion(error)), false, functions),
    }
}

/// An error by which a node is out of reach, for [`failed_of`].
pub(super) fn lost_to_engine(error: &Error) -> DataFusionError {
    marked(error, true, &NoFunctions)
}

fn marked(error: &Error, is_lost: bool, functions: &dyn FunctionDecoder) -> DataFusionError {
    let told = match error.message().char_indices().nth(LONGEST_TEXT) {
        // It goes in a header, which must not be long.
        Some((end, _)) => {
            let short = Error::new(error.kind(), format!("{} …", &error.message()[..end]));
            let short = error.contexts().iter().cloned().fold(short, Error::with_context);
            written(&error.hint().map(str::to_string).into_iter().fold(short, Error::with_hint), is_lost, functions)
        }
        None => written(error, is_lost, functions),
    };
    DataFusionError::Execution(format!("{MARK}{}", String::from_utf8_lossy(&told)))
}

/// What became of a query, by what came out of the workers.
pub(super) fn failed_of(error: DataFusionError, functions: &dyn FunctionDecoder) -> Failed {
    let told = told_in(&error).map(|told| (read(told.as_bytes(), functions), is_told_lost(told)));
    match (told, lost_in(&error)) {
        (Some((error, true)), _) => Failed::Lost(error),
        (Some((error, false)), _) => Failed::Error(error),
        (None, Some(why)) => Failed::Lost(lost(&why)),
        (None, None) => Failed::Error(from_datafusion(error)),
    }
}

fn is_told_lost(told: &str) -> bool {
    serde_json::from_str::<Told>(told).is_ok_and(|told| told.is_lost)
}

fn lost(why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the connection to a node of the cluster is lost: {why}"))
        .with_hint("run the query again; with exchange=\"durable\" a node that dies costs only what it had")
}

/// An error that is told within another one.
fn told_in(error: &DataFusionError) -> Option<&str> {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.find_map(|cause| match cause.downcast_ref::<DataFusionError>() {
        Some(DataFusionError::Execution(text)) => text.strip_prefix(MARK),
        _ => None,
    })
}

/// Why a call of another node has ended, where that is the error.
fn lost_in(error: &DataFusionError) -> Option<String> {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let status = causes.find_map(|cause| cause.downcast_ref::<tonic::Status>())?;
    let is_lost = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded);
    // What the connection itself says has another error below.
    (is_lost || std::error::Error::source(status).is_some()).then(|| match status.message() {
        "" => status.to_string(),
        message => message.to_string(),
    })
}

fn read(bytes: &[u8], functions: &dyn FunctionDecoder) -> Error {
    let Ok(Told { kind, message, contexts, hint, cause, .. }) = serde_json::from_slice(bytes) else {
        return Error::internal("a part of the query failed, and its error is not understood");
    };
    let kind = ErrorKind::named(&kind).unwrap_or(ErrorKind::Internal);
    let error = contexts.into_iter().fold(Error::new(kind, message), Error::with_context);
    let error = hint.into_iter().fold(error, Error::with_hint);
    cause.into_iter().fold(error, |error, cause| functions.with_cause(error, &cause))
}

/// Why rows do not come.
#[derive(Debug)]
pub(super) enum Failed {
    /// What they are of is gone, and would not be made again as it was, or not in time.
    Lost(Error),
    Error(Error),
}

impl Failed {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Lost(error) | Self::Error(error) => error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Why a result is not there, for whoever ran the query, which has the user's `functions` or none.
pub(super) fn error_of(reason: Reason, functions: &dyn FunctionDecoder, has_functions: bool) -> Error {
    let failed = |kind, why: String| Error::new(kind, format!("the query failed on the cluster: {why}"));
    match reason {
        Reason::Raised(bytes) => read(&bytes, functions),
        Reason::NotMade(cause) => error_of(*cause, functions, has_functions),
        Reason::Cancelled => crate::run::cancelled(),
        Reason::NoRoom(why) => failed(ErrorKind::MemoryLimit, why),
        Reason::Unschedulable(_, why) => failed(ErrorKind::InvalidInput, why)
            .with_hint("`sheaf nodes` lists the nodes with what they have; start one with `sheaf node`"),
        Reason::GroupRemoved(why) => failed(ErrorKind::Cancelled, why),
        // What ended a worker time and again was most likely called in it.
        Reason::Crashed(why) if has_functions => failed(ErrorKind::UserFunction, why)
            .with_hint("a function of the query, or what it calls, ends its process: try it on a few rows"),
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
    use crate::codec::NoFunctions;

    #[test]
    fn errors_come_back_with_kind_and_hint() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "no file there")
                .with_hint("look elsewhere")
                .with_context("in a folder")
                .with_context("on a node");
            let reason = Reason::NotMade(Box::new(Reason::Raised(write(&error, &NoFunctions).to_vec().into())));
            let back = error_of(reason, &NoFunctions, false);
            assert_eq!((back.kind(), back.to_string()), (kind, error.to_string()));
        }
        for (error, is_known_lost) in
            [(Error::invalid("x".repeat(10_000)), false), (Error::new(ErrorKind::Io, "gone"), true)]
        {
            let on_its_way = marked(&error.with_context("on a node"), is_known_lost, &NoFunctions);
            let shared = DataFusionError::Shared(std::sync::Arc::new(on_its_way)).context("above");
            let once_more = to_engine(shared, |_| Error::internal("another place"), &NoFunctions);
            let back = failed_of(once_more, &NoFunctions);
            assert_eq!(matches!(back, Failed::Lost(_)), is_known_lost);
            let text = back.into_error().to_string();
            assert!(text.contains("on a node") && text.len() < 2 * LONGEST_TEXT, "{text}");
        }
        let status = |code| DataFusionError::External(Box::new(tonic::Status::new(code, "it says so")));
        let is_taken_for_lost = |code| matches!(failed_of(status(code), &NoFunctions), Failed::Lost(_));
        assert!(is_taken_for_lost(Code::Unavailable) && is_taken_for_lost(Code::Unknown));
        assert!(!is_taken_for_lost(Code::Unimplemented) && !is_taken_for_lost(Code::Internal));
        let unknown = error_of(Reason::Raised(b"?".to_vec().into()), &NoFunctions, false);
        assert_eq!(unknown.kind(), ErrorKind::Internal);
        assert!(is_lost(&Reason::NotMade(Box::new(Reason::Lost(String::new())))) && !is_lost(&Reason::Cancelled));
    }
}
