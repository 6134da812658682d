//! Who may come: who has the token that all nodes of a cluster share, and shows a certificate of their authority.

use std::path::Path;

use sheaf_core::{Error, ErrorKind, Result};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Status};

use super::tls::Tls;

/// The header that carries the token.
const HEADER: &str = "authorization";
/// What a token must have, in characters: a shorter one can be guessed.
const TOKEN_CHARACTERS: usize = 16;

/// What a node shows and asks for. Without a token everybody may come.
#[derive(Clone, Default)]
pub struct Access {
    token: Option<MetadataValue<Ascii>>,
    tls: Option<Tls>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("token", &self.token.is_some()).field("tls", &self.tls.is_some()).finish()
    }
}

impl Access {
    /// Only who has this token may come.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a token that is too short or has other than printable ASCII characters.
    pub fn with_token(token: &str) -> Result<Self> {
        if token.len() < TOKEN_CHARACTERS {
            return Err(Error::invalid(format!("a token of {} characters can be guessed", token.len()))
                .with_hint(format!("use at least {TOKEN_CHARACTERS}, such as those of `openssl rand -hex 32`")));
        }
        // Headers may have more, which other programs do not write alike.
        let is_plain = token.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let mut value: MetadataValue<Ascii> = (is_plain.then(|| format!("Bearer {token}")))
            .and_then(|header| header.parse().ok())
            .ok_or_else(|| Error::invalid("a token may have printable ASCII characters only"))?;
        value.set_sensitive(true);
        Ok(Self { token: Some(value), tls: None })
    }

    /// The token is the first line of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it cannot be read, and those of [`Access::with_token`].
    pub fn with_token_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::new(ErrorKind::Io, format!("the token cannot be read from {}: {error}", path.display()))
        })?;
        Self::with_token(text.lines().next().unwrap_or_default().trim())
    }

    /// Only who has a certificate of this authority may come, and this certificate is shown to others: PEM files.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for files that cannot be used.
    pub fn with_certificates(mut self, certificate: &Path, key: &Path, authority: &Path) -> Result<Self> {
        self.tls = Some(Tls::read(certificate, key, authority)?);
        Ok(self)
    }

    /// Whether strangers are kept out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.token.is_some() || self.tls.is_some()
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Shows the token.
    pub(super) fn show<T>(&self, request: &mut Request<T>) {
        if let Some(token) = &self.token {
            request.metadata_mut().insert(HEADER, token.clone());
        }
    }

    /// Asks a call of Flight for the token.
    pub(super) fn check(&self, headers: &MetadataMap) -> std::result::Result<(), Status> {
        self.admit(headers.get(HEADER).map(MetadataValue::as_encoded_bytes)).map_err(Status::unauthenticated)
    }

    /// Asks for the token: what the header has, if there is one. The error is why nobody is let in.
    pub(super) fn admit(&self, shown: Option<&[u8]>) -> std::result::Result<(), &'static str> {
        let Some(expected) = &self.token else { return Ok(()) };
        match shown {
            Some(shown) if same(shown, expected.as_encoded_bytes()) => Ok(()),
            Some(_) => Err("the token is not that of this cluster"),
            None => Err("this cluster asks for a token, and none was given"),
        }
    }
}

/// Compares in a time that tells nothing of where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_the_token_may_come() {
        let access = Access::with_token("0123456789abcdef").unwrap();
        let shown_by = |other: &Access| {
            let mut request = Request::new(());
            other.show(&mut request);
            access.check(request.metadata())
        };
        assert!(shown_by(&access).is_ok());
        for other in [Access::default(), Access::with_token("0123456789abcdee").unwrap()] {
            assert_eq!(shown_by(&other).unwrap_err().code(), tonic::Code::Unauthenticated);
        }
        assert!(Access::with_token("short").is_err() && Access::with_token("0123456789abcde\u{fc}").is_err());
        assert!(!format!("{access:?}").contains("0123"));
    }
}
