//! The one error of Sheaf: a kind that decides, a message for people, and the path that led here.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything in Sheaf that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong. The kind alone decides whether to retry, the exit code and the Python exception's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file, folder, bucket or table that does not exist.
    NotFound,
    /// The target of a write or a `CREATE` exists already.
    AlreadyExists,
    /// A file that exists but cannot be read as what it claims to be: truncated, corrupt, of another format.
    CorruptFile,
    /// A row of a text file that does not fit its schema.
    Parse,
    /// A column that the input does not have.
    UnknownColumn,
    /// Types or schemas that do not fit together.
    TypeMismatch,
    /// A plan, query or argument that cannot be right, whatever the data.
    InvalidInput,
    /// A function of the user's raised.
    UserFunction,
    /// The memory limit was reached and the operator has no way to spill.
    MemoryLimit,
    /// The spill folder or the target disk is full.
    DiskFull,
    /// Credentials are missing or refused.
    PermissionDenied,
    /// A store or file could not be read or written now; another try may work.
    Io,
    /// Another writer changed the same target first.
    Conflict,
    /// The user or the caller asked to stop.
    Cancelled,
    /// Something that exists in the plan language but that Sheaf does not do.
    Unsupported,
    /// A defect in Sheaf.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 16] = [
        Self::NotFound,
        Self::AlreadyExists,
        Self::CorruptFile,
        Self::Parse,
        Self::UnknownColumn,
        Self::TypeMismatch,
        Self::InvalidInput,
        Self::UserFunction,
        Self::MemoryLimit,
        Self::DiskFull,
        Self::PermissionDenied,
        Self::Io,
        Self::Conflict,
        Self::Cancelled,
        Self::Unsupported,
        Self::Internal,
    ];

    /// The kind as it stands in logs and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::CorruptFile => "corrupt file",
            Self::Parse => "parse error",
            Self::UnknownColumn => "unknown column",
            Self::TypeMismatch => "type mismatch",
            Self::InvalidInput => "invalid input",
            Self::UserFunction => "user function failed",
            Self::MemoryLimit => "memory limit reached",
            Self::DiskFull => "disk full",
            Self::PermissionDenied => "permission denied",
            Self::Io => "I/O error",
            Self::Conflict => "conflict",
            Self::Cancelled => "cancelled",
            Self::Unsupported => "not supported",
            Self::Internal => "internal error",
        }
    }

    /// The kind of that name, if one has it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the same call may succeed when it is simply made again.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Io | Self::Conflict)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error: what happened, to what, what to do, and what caused it.
///
/// ```
/// use sheaf_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::NotFound, "no file matches data/*.parquet")
///     .with_hint("check the path; globs match files, not folders")
///     .with_context("reading the left side of the join");
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(
///     error.to_string(),
///     "reading the left side of the join: no file matches data/*.parquet\n  \
///      help: check the path; globs match files, not folders"
/// );
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<String>,
    hint: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error of this kind: the message says what happened and to what.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), context: Vec::new(), hint: None, source: None }))
    }

    /// A defect in Sheaf: a state that its own code should have made impossible.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message).with_hint("this is a defect in Sheaf, please report it")
    }

    /// An argument or query that cannot be right.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Says where this happened; the outermost context is printed first. What was said last is not said again.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        let context = context.into();
        if self.0.context.last() != Some(&context) {
            self.0.context.push(context);
        }
        self
    }

    /// Says what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without context and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened, the innermost place first.
    #[must_use]
    pub fn contexts(&self) -> &[String] {
        &self.0.context
    }

    /// What the user can do about it, if that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for context in self.0.context.iter().rev() {
            write!(f, "{context}: ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(hint) = &self.0.hint {
            write!(f, "\n  help: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.0.kind)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, "\n  caused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied => ErrorKind::PermissionDenied,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::DiskFull,
            Io::UnexpectedEof | Io::InvalidData => ErrorKind::CorruptFile,
            Io::InvalidInput => ErrorKind::InvalidInput,
            _ => ErrorKind::Io,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

/// Adds context to the error of a result, where there is one.
pub trait ResultExt<T> {
    /// Says where this happened.
    fn context(self, context: impl Into<String>) -> Result<T>;
    /// Says where this happened; the text is made only when it is needed.
    fn with_context(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for std::result::Result<T, E> {
    fn context(self, context: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().with_context(context))
    }

    fn with_context(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().with_context(context()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_printed_outermost_first_and_the_source_is_kept() {
        let io = std::io::Error::new(std::io::ErrorKind::StorageFull, "no space left on device");
        let error: Error = Err::<(), _>(io)
            .context("writing part-0")
            .context("writing part-0")
            .context("saving the dataset")
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DiskFull);
        assert_eq!(error.to_string(), "saving the dataset: writing part-0: no space left on device");
        assert!(format!("{error:?}").contains("caused by: no space left on device"));
    }

    #[test]
    fn only_faults_that_may_pass_are_retryable() {
        let retryable: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| kind.is_retryable()).collect();
        assert_eq!(retryable, [ErrorKind::Io, ErrorKind::Conflict]);
    }
}
