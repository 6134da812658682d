//! Errors of the engine and of stores, told in Sheaf's own: kind, message, what to do.

use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::UNNAMED_TABLE;
use datafusion::sql::sqlparser::parser::ParserError;
use parquet::errors::ParquetError;
use sheaf_core::{Error, ErrorKind};

/// How many edits away a column may be to be named as the one that was meant, as a share of its length.
const NEAR_SHARE: usize = 3;

/// What to do when a store refuses.
const CREDENTIALS: Option<&str> = Some("check the credentials: storage_options, or the environment");

/// How the engine tells that the limit on spilled bytes is reached.
const SPILL_LIMIT: &str = "used disk space during the spilling process has exceeded";

/// What to do about types that do not go together.
const TYPES: Option<&str> = Some("cast one of them: CAST(x AS type) in SQL, .cast(type) on an expression");

/// Where stores ask for credentials when they have none: the address at which machines in a cloud learn who they are.
const INSTANCE_METADATA: &str = "169.254.169.254";

/// What S3 and Google, and Azure, say when it is not the object that does not exist but what should hold it.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

/// Tells an error of the engine as one of Sheaf's. An error of Sheaf's own that travelled through the engine
/// comes out as it went in.
#[must_use]
pub fn from_datafusion(error: DataFusionError) -> Error {
    match unwrap(error) {
        Ok(own) => own,
        Err(foreign) => translate(foreign),
    }
}

/// Sends an error of Sheaf's through the engine.
#[must_use]
pub fn to_datafusion(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Tells an error of an object store as one of Sheaf's.
#[must_use]
pub fn from_store(error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let (kind, hint) = match &error {
        _ if NO_BUCKET.iter().any(|code| error.to_string().contains(code)) => {
            (ErrorKind::NotFound, Some("the bucket or container does not exist: check its name, region and endpoint"))
        }
        Store::NotFound { .. } => (ErrorKind::NotFound, None),
        Store::AlreadyExists { .. } => (ErrorKind::AlreadyExists, None),
        Store::Precondition { .. } => (ErrorKind::Conflict, None),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => (ErrorKind::PermissionDenied, CREDENTIALS),
        // Of a listing the store's client tells the status in its text only.
        Store::Generic { .. } if is_refused(&error.to_string()) => (ErrorKind::PermissionDenied, CREDENTIALS),
        Store::NotSupported { .. } | Store::NotImplemented { .. } => (ErrorKind::Unsupported, None),
        Store::InvalidPath { .. } | Store::UnknownConfigurationKey { .. } => (ErrorKind::InvalidInput, None),
        _ if error.to_string().contains(INSTANCE_METADATA) => (
            ErrorKind::PermissionDenied,
            Some("no credentials were found: pass storage_options, set the environment, or anon=true for public data"),
        ),
        _ if storage_full(&error) => (ErrorKind::DiskFull, Some("free some space, or choose another place")),
        _ => (ErrorKind::Io, None),
    };
    let own = Error::new(kind, error.to_string()).with_source(error);
    match hint {
        Some(hint) => own.with_hint(hint),
        None => own,
    }
}

/// Looks through the engine's wrappers for an error of Sheaf's.
fn unwrap(error: DataFusionError) -> Result<Error, DataFusionError> {
    match error {
        DataFusionError::External(inner) => {
            inner.downcast::<Error>().map(|own| *own).or_else(|inner| match inner.downcast::<DataFusionError>() {
                Ok(nested) => unwrap(*nested),
                Err(inner) => Err(DataFusionError::External(inner)),
            })
        }
        DataFusionError::Context(context, inner) => {
            unwrap(*inner).map_err(|inner| DataFusionError::Context(context, Box::new(inner)))
        }
        DataFusionError::Diagnostic(_, inner) => unwrap(*inner),
        DataFusionError::ArrowError(inner, trace) => match *inner {
            ArrowError::ExternalError(inner) => unwrap(DataFusionError::External(inner)),
            inner => Err(DataFusionError::ArrowError(Box::new(inner), trace)),
        },
        DataFusionError::Shared(shared) => match unwrap_shared(&shared) {
            // The shared one stays the source: it leads to the cause, such as the exception of a user's function.
            Some(own) => Ok(own.with_source(DataFusionError::Shared(shared))),
            None => Err(DataFusionError::Shared(shared)),
        },
        other => Err(other),
    }
}

/// A shared error cannot be taken apart, so that an own one in it is told again.
fn unwrap_shared(shared: &DataFusionError) -> Option<Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(shared);
    while let Some(error) = cause {
        if let Some(own) = error.downcast_ref::<Error>() {
            let again = Error::new(own.kind(), own.message());
            return Some(match own.hint() {
                Some(hint) => again.with_hint(hint),
                None => again,
            });
        }
        cause = match error.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(inner)) => Some(&**inner),
            Some(DataFusionError::Shared(inner)) => Some(&**inner),
            Some(DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner)) => Some(&**inner),
            _ => error.source(),
        };
    }
    None
}

fn translate(error: DataFusionError) -> Error {
    let root = error.find_root();
    let message = plain_message(root);
    // Comes as an error of the operator, or of the file that it writes.
    if message.contains(SPILL_LIMIT) {
        return Error::new(ErrorKind::DiskFull, "what the operators of this session spill is over its limit on disk")
            .with_hint("raise spill_limit")
            .with_source(error);
    }
    let (kind, hint) = match root {
        DataFusionError::SchemaError(schema, _) => return schema_error(schema).with_source(error),
        DataFusionError::ResourcesExhausted(_) => (
            ErrorKind::MemoryLimit,
            Some("raise memory_limit, use fewer threads, or let this operator hold fewer or narrower rows"),
        ),
        DataFusionError::ObjectStore(_) => return object_store_root(error),
        // A decoder whose file could not be fetched: the file may be well.
        DataFusionError::ParquetError(_) | DataFusionError::ArrowError(_, _) | DataFusionError::External(_)
            if store_error(root).is_some() =>
        {
            return store_error(root).map_or_else(|| Error::internal(message), from_store).with_source(error);
        }
        DataFusionError::ParquetError(_) => (ErrorKind::CorruptFile, None),
        DataFusionError::ArrowError(arrow, _) => (arrow_kind(arrow), arrow_hint(arrow)),
        DataFusionError::SQL(parser, _) => return unparsed(parser).with_source(error),
        DataFusionError::IoError(io) if io.kind() == std::io::ErrorKind::StorageFull => (ErrorKind::DiskFull, None),
        DataFusionError::IoError(io) if io.kind() == std::io::ErrorKind::NotFound => (ErrorKind::NotFound, None),
        DataFusionError::IoError(io) if io.kind() == std::io::ErrorKind::PermissionDenied => {
            (ErrorKind::PermissionDenied, None)
        }
        DataFusionError::IoError(_) => (ErrorKind::Io, None),
        DataFusionError::NotImplemented(_) => (ErrorKind::Unsupported, None),
        DataFusionError::Internal(_) => (ErrorKind::Internal, Some("this is a defect, please report it")),
        DataFusionError::Plan(text) if is_type_mismatch(text) => (ErrorKind::TypeMismatch, TYPES),
        DataFusionError::Plan(text) if is_unknown_table(text) => (ErrorKind::NotFound, None),
        DataFusionError::External(source) => (external_kind(&**source), None),
        DataFusionError::Execution(text) if is_type_mismatch(text) => (ErrorKind::TypeMismatch, TYPES),
        _ => (ErrorKind::InvalidInput, None),
    };
    let own = Error::new(kind, message).with_source(error);
    match hint {
        Some(hint) => own.with_hint(hint),
        None => own,
    }
}

/// The message without the engine's own prefixes and backtrace.
fn plain_message(root: &DataFusionError) -> String {
    let text = root.message().into_owned();
    let text = text.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or(&text);
    let text = text.split("\nThis issue was likely caused by a bug in DataFusion").next().unwrap_or(text);
    // The name that a dataset has in a plan says nothing to its user.
    wrong_arguments(text).unwrap_or_else(|| text.trim().replace(&format!("{UNNAMED_TABLE}."), ""))
}

/// What DataFusion tells of a function that takes no such arguments, without its list of everything that it tried.
fn wrong_arguments(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("Function '")?;
    let (name, rest) = rest.split_once("' failed to match any signature")?;
    let mut takes: Vec<&str> = Vec::new();
    let mut received = None;
    for tried in rest.split(" requires ").skip(1) {
        let (wanted, rest) = tried.split_once(", but received ")?;
        received = rest.split([' ', '.', ',']).next();
        if !takes.contains(&wanted) {
            takes.push(wanted);
        }
    }
    Some(format!("the function {name} takes {}, and not {}", takes.join(", "), received?))
}

/// The store's error that caused another one.
fn store_error(error: &(dyn StdError + 'static)) -> Option<object_store::Error> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(store) = inner.downcast_ref::<object_store::Error>() {
            return Some(clone_store_error(store));
        }
        cause = inner.source();
    }
    None
}

fn object_store_root(error: DataFusionError) -> Error {
    let root = error.find_root();
    if let DataFusionError::ObjectStore(store) = root {
        // The error itself leads to the cause, such as what a file system of the user's raised.
        return from_store(clone_store_error(store)).with_source(error);
    }
    Error::new(ErrorKind::Io, error.to_string()).with_source(error)
}

/// Store errors do not clone; the kind and the text are what is needed of one that is shared.
fn clone_store_error(error: &object_store::Error) -> object_store::Error {
    use object_store::Error as Store;
    let source = || error.to_string().into();
    match error {
        Store::NotFound { path, source: inner } => {
            Store::NotFound { path: path.clone(), source: inner.to_string().into() }
        }
        Store::AlreadyExists { path, .. } => Store::AlreadyExists { path: path.clone(), source: source() },
        Store::Precondition { path, .. } => Store::Precondition { path: path.clone(), source: source() },
        Store::PermissionDenied { path, source: inner } => {
            Store::PermissionDenied { path: path.clone(), source: inner.to_string().into() }
        }
        Store::Unauthenticated { path, source: inner } => {
            Store::Unauthenticated { path: path.clone(), source: inner.to_string().into() }
        }
        Store::Generic { store, source: inner } => Store::Generic { store, source: inner.to_string().into() },
        _ => Store::Generic { store: "object store", source: source() },
    }
}

fn is_refused(text: &str) -> bool {
    ["status code: 401", "status code: 403"].iter().any(|status| text.contains(status))
}

fn storage_full(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::StorageFull;
        }
        cause = inner.source();
    }
    false
}

fn arrow_kind(error: &ArrowError) -> ErrorKind {
    match error {
        ArrowError::CsvError(_) | ArrowError::JsonError(_) | ArrowError::ParseError(_) => ErrorKind::Parse,
        ArrowError::SchemaError(_) | ArrowError::CastError(_) => ErrorKind::TypeMismatch,
        ArrowError::IpcError(_) | ArrowError::ParquetError(_) => ErrorKind::CorruptFile,
        ArrowError::IoError(_, _) => ErrorKind::Io,
        ArrowError::NotYetImplemented(_) => ErrorKind::Unsupported,
        _ => ErrorKind::InvalidInput,
    }
}

fn arrow_hint(error: &ArrowError) -> Option<&'static str> {
    match error {
        ArrowError::CastError(_) => {
            Some("try_cast, and cast with strict=False, give null for a value that has no such type")
        }
        ArrowError::CsvError(text) if text.contains("UTF-8") => {
            Some("the text is in another encoding: name it, as in encoding=\"latin1\"")
        }
        _ => None,
    }
}

/// A text that is not SQL.
fn unparsed(error: &ParserError) -> Error {
    let (ParserError::ParserError(text) | ParserError::TokenizerError(text)) = error else {
        return Error::new(ErrorKind::Parse, "the statement has too many levels, one inside the other");
    };
    Error::new(ErrorKind::Parse, format!("this is not SQL that Sheaf knows: {text}"))
}

fn external_kind(error: &(dyn StdError + 'static)) -> ErrorKind {
    if error.is::<ParquetError>() {
        ErrorKind::CorruptFile
    } else if error.to_string().starts_with("regex parse error") {
        ErrorKind::InvalidInput
    } else {
        ErrorKind::Io
    }
}

fn is_unknown_table(text: &str) -> bool {
    text.contains("No table named") || (text.contains("table") && text.contains("not found"))
}

fn is_type_mismatch(text: &str) -> bool {
    ["type_coercion", "coerce", "Cannot infer common", "Cannot cast", "mismatched types", "signature"]
        .iter()
        .any(|mark| text.contains(mark))
}

/// An unknown column names the nearest one there is; one that would be there twice says how to name it otherwise.
fn schema_error(error: &SchemaError) -> Error {
    let (field, valid_fields) = match error {
        SchemaError::FieldNotFound { field, valid_fields } => (field, valid_fields),
        SchemaError::AmbiguousReference { field } => return twice(&field.name),
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            return twice(name);
        }
    };
    let mut names: Vec<&str> = Vec::new();
    for column in valid_fields {
        if !names.contains(&column.name.as_str()) {
            names.push(&column.name);
        }
    }
    unknown_column_error(&field.name, &names)
}

fn twice(name: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("two columns have the name {name:?}"))
        .with_hint("give one of them another name with alias (AS in SQL), or say of which table it is")
}

/// The error for a column that is not among `names`: says the nearest name, or all of them.
#[must_use]
pub fn unknown_column_error(name: &str, names: &[&str]) -> Error {
    let error = Error::new(ErrorKind::UnknownColumn, format!("there is no column {name:?}"));
    match nearest(name, names) {
        Some(near) => error.with_hint(format!("did you mean {near:?}? the columns are {}", names.join(", "))),
        None => error.with_hint(format!("the columns are {}", names.join(", "))),
    }
}

/// The error for a table that is not among `names`: says the nearest name, or all of them.
#[must_use]
pub fn unknown_table_error(name: &str, names: &[&str]) -> Error {
    let there = match names {
        [] => "no table is registered".into(),
        names => format!("the tables are {}", names.join(", ")),
    };
    let near = nearest(name, names).map(|near| match near.to_lowercase() == name {
        true => format!("did you mean {near:?}? in double quotes, for SQL takes other names in lower case; "),
        false => format!("did you mean {near:?}? "),
    });
    let near = near.unwrap_or_default();
    let file = "a file is named by its path in quotes, with the ending of its format";
    Error::new(ErrorKind::NotFound, format!("there is no table {name:?}")).with_hint(format!("{near}{there}; {file}"))
}

/// The nearest of `names` by edit distance, when it is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let distance =
        |other: &str| datafusion::common::utils::datafusion_strsim::levenshtein(&lower, &other.to_lowercase());
    let near = names.iter().copied().min_by_key(|other| distance(other))?;
    (distance(near) <= (name.chars().count() / NEAR_SHARE).max(1)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_own_error_comes_out_of_the_engine_as_it_went_in() {
        let own = || Error::new(ErrorKind::UserFunction, "boom").with_hint("look");
        let wrapped = [
            to_datafusion(own()),
            to_datafusion(own()).context("outer"),
            DataFusionError::Shared(Arc::new(to_datafusion(own()))),
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(to_datafusion(own())))), None),
        ];
        for error in wrapped {
            let error = from_datafusion(error);
            assert_eq!((error.kind(), error.message(), error.hint()), (ErrorKind::UserFunction, "boom", Some("look")));
        }
    }

    #[test]
    fn a_store_that_finds_no_credentials_says_so() {
        let source = "PUT http://169.254.169.254/latest/api/token: connection refused".into();
        let error = from_store(object_store::Error::Generic { store: "S3", source });
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.hint().is_some_and(|hint| hint.contains("anon=true")));
    }

    #[test]
    fn an_unknown_column_names_the_nearest() {
        let error = unknown_column_error("carier", &["carrier", "origin"]);
        assert_eq!(error.kind(), ErrorKind::UnknownColumn);
        assert!(error.to_string().contains("did you mean \"carrier\""), "{error}");
        assert!(!unknown_column_error("xyz", &["carrier"]).to_string().contains("did you mean"));
    }

    #[test]
    fn a_store_that_refuses_or_breaks_is_told_as_such_wherever_it_happens() {
        let generic = |text: &str| object_store::Error::Generic { store: "S3", source: text.to_string().into() };
        assert_eq!(from_store(generic("status code: 403 Forbidden")).kind(), ErrorKind::PermissionDenied);
        let missing = from_store(generic("404 Not Found: <Code>NoSuchBucket</Code>"));
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.hint().is_some_and(|hint| hint.contains("bucket")));
        let broken = ParquetError::External(Box::new(generic("connection reset")));
        assert_eq!(from_datafusion(DataFusionError::ParquetError(Box::new(broken))).kind(), ErrorKind::Io);
        let corrupt = ParquetError::General("bad magic".into());
        assert_eq!(from_datafusion(DataFusionError::ParquetError(Box::new(corrupt))).kind(), ErrorKind::CorruptFile);
    }

    #[test]
    fn the_spill_limit_is_told_wherever_it_is_met() {
        let text = format!("The {SPILL_LIMIT} the allowable limit of 1 KB");
        let written = ArrowError::IoError(text.clone(), std::io::Error::other(text.clone()));
        for error in [DataFusionError::ResourcesExhausted(text), DataFusionError::ArrowError(Box::new(written), None)] {
            let told = from_datafusion(error);
            assert_eq!((told.kind(), told.hint()), (ErrorKind::DiskFull, Some("raise spill_limit")));
        }
    }

    #[test]
    fn the_memory_limit_has_a_kind_of_its_own() {
        let error = from_datafusion(DataFusionError::ResourcesExhausted("pool".into()).context("HashJoinInput"));
        assert_eq!(error.kind(), ErrorKind::MemoryLimit);
    }
}
