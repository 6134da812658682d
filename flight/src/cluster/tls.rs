//! Certificates of both sides: every node shows one and asks the other for one of the same authority. (TLS as tonic has
//! it turns on features of `rustls` that would build the whole engine anew; this is what it does, with both sides
//! shown.) Servers that are no nodes show one and ask for none.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::Stream;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sheaf_core::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tonic::transport::server::Connected;

/// How long the other side may take to show its certificate.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections whose certificates are being looked at.
const HANDSHAKES: usize = 64;

/// What is shown and asked for.
#[derive(Clone)]
pub(super) struct Tls {
    client: TlsClient,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Reads PEM files: the certificate with those between it and the authority, its key, and the authority's.
    pub(super) fn read(certificate: &Path, key: &Path, authority: &Path) -> Result<Self> {
        let chain = certificates(certificate).map_err(|error| wrong(certificate, &error))?;
        let private = || PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error));
        let (roots, provider) = (roots(authority)?, Arc::new(rustls::crypto::ring::default_provider()));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| wrong(authority, &error))?;
        let mut serving = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(certificate, &error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), private()?)
            .map_err(|error| wrong(certificate, &error))?;
        let asking = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(certificate, &error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private()?)
            .map_err(|error| wrong(certificate, &error))?;
        serving.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { client: TlsClient::new(asking), acceptor: Arc::new(serving).into() })
    }

    /// The side that connects.
    pub(super) fn client(&self) -> TlsClient {
        self.client.clone()
    }

    /// Those who connect and have shown a certificate.
    pub(super) fn accept(&self, listener: TcpListener) -> impl Stream<Item = io::Result<Shown>> + Send + 'static {
        let (sender, receiver) = channel(HANDSHAKES);
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            let looked_at = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES));
            while let Ok(permit) = Arc::clone(&looked_at).acquire_owned().await {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = sender.closed() => return,
                };
                let Ok((stream, from)) = accepted else {
                    // Such as too many open files: the next one may be let in.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let _ = sender.send(Shown(Box::new(stream))).await;
                        }
                        Ok(Err(error)) => log::warn!("{from} is not let in: {error}"),
                        Err(_) => log::warn!("{from} is not let in: it showed no certificate in time"),
                    }
                    drop(permit);
                });
            }
        });
        futures::stream::unfold(receiver, |mut receiver: Receiver<Shown>| async move {
            Some((Ok(receiver.recv().await?), receiver))
        })
    }
}

/// What connects, and looks at the certificate that it is shown.
#[derive(Clone)]
pub(crate) struct TlsClient(TlsConnector);

impl TlsClient {
    fn new(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self(Arc::new(config).into())
    }

    /// Trusts an authority, whose certificate is a PEM file, and shows none of its own.
    pub(crate) fn trusting(authority: &Path) -> Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(authority, &error))?
            .with_root_certificates(roots(authority)?)
            .with_no_client_auth();
        Ok(Self::new(config))
    }

    /// Connects to a host and port, whose certificate has to be for that host.
    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_string()).map_err(io::Error::other)?;
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        stream.set_nodelay(true)?;
        self.0.connect(name, stream).await
    }
}

/// What is trusted: the certificates of authorities in a PEM file.
fn roots(authority: &Path) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for root in certificates(authority).map_err(|error| wrong(authority, &error))? {
        roots.add(root).map_err(|error| wrong(authority, &error))?;
    }
    Ok(Arc::new(roots))
}

fn wrong(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{} cannot be used: {why}", path.display()))
        .with_hint("certificates and keys are PEM files")
}

fn certificates(path: &Path) -> std::result::Result<Vec<CertificateDer<'static>>, Box<dyn std::error::Error>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<std::result::Result<_, _>>()?;
    if found.is_empty() { Err("there is no certificate in it".into()) } else { Ok(found) }
}

/// A connection whose other side has shown its certificate.
pub(super) struct Shown(Box<server::TlsStream<TcpStream>>);

impl Connected for Shown {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Shown {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Shown {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
