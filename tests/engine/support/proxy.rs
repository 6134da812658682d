//! A network that breaks: a loopback proxy that closes connections in the middle of an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) struct Proxy {
    address: SocketAddr,
    broken: Arc<AtomicUsize>,
    accept: JoinHandle<()>,
}

impl Proxy {
    /// Passes connections on to `server`. A connection that has carried more than `bytes` of answers is closed in the
    /// middle, up to `times` times.
    pub(crate) async fn start(server: SocketAddr, bytes: usize, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let broken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&broken);
        let accept = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    let requests = async { tokio::io::copy(&mut from_client, &mut to_server).await };
                    let answers = async {
                        let (mut buffer, mut carried) = (vec![0; 16 << 10], 0);
                        loop {
                            let read = from_server.read(&mut buffer).await.unwrap_or(0);
                            if read == 0 {
                                return;
                            }
                            carried += read;
                            if carried > bytes && count.load(Ordering::SeqCst) < times {
                                count.fetch_add(1, Ordering::SeqCst);
                                return;
                            }
                            if to_client.write_all(&buffer[..read]).await.is_err() {
                                return;
                            }
                        }
                    };
                    tokio::select! {
                        () = answers => {}
                        _ = requests => {}
                    }
                });
            }
        });
        Self { address, broken, accept }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has closed.
    pub(crate) fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accept.abort();
    }
}
