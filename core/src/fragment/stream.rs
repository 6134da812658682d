//! Parts on their way to another process of this machine, over a socket of their own: its buffer is the bound.
//!
//! Each message is the number of a part, a length, and so many bytes; [`Chunk::end`] is one as well, and so is what
//! could not be read.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::fragment::{Chunk, Unread};
use crate::ids::NodeId;

/// In the place of the number of a part: what follows is why no more can be read.
const UNREAD: u32 = u32::MAX - 1;
/// A longer chunk is none of ours.
const LONGEST: u32 = 256 << 20;

type Read = Result<Chunk, Unread>;

/// Sends what comes, until its end or as long as somebody reads.
///
/// # Errors
/// When the other end is gone, which needs no word.
pub async fn send(mut chunks: Receiver<Read>, socket: StdStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let mut socket = UnixStream::from_std(socket)?;
    while let Some(read) = chunks.recv().await {
        let is_last = read.as_ref().map_or(true, Chunk::is_end);
        let (part, bytes) = match read {
            Ok(Chunk { part, bytes }) => (part, bytes),
            Err(Unread { from, why }) => (UNREAD, postcard::to_stdvec(&(from, why)).map_err(io::Error::other)?.into()),
        };
        socket.write_all(&part.to_le_bytes()).await?;
        socket.write_all(&(bytes.len() as u32).to_le_bytes()).await?;
        socket.write_all(&bytes).await?;
        if is_last {
            break;
        }
    }
    socket.shutdown().await
}

/// Receives what [`send`] sends, until its end or as long as somebody wants it. What is cut off is [`Unread`] from
/// `node`, which sends it.
pub async fn receive(socket: StdStream, node: NodeId, to: Sender<Read>) {
    let read = async {
        socket.set_nonblocking(true)?;
        let mut socket = BufReader::new(UnixStream::from_std(socket)?);
        loop {
            let read = one(&mut socket).await?;
            let is_last = read.as_ref().map_or(true, Chunk::is_end);
            if to.send(read).await.is_err() || is_last {
                return io::Result::Ok(());
            }
        }
    };
    if let Err(error) = read.await {
        let why = format!("the node sends no more: {error}");
        // A reader that is gone needs no word.
        let _ = to.send(Err(Unread { from: node, why })).await;
    }
}

async fn one(socket: &mut BufReader<UnixStream>) -> io::Result<Read> {
    let (part, length) = (socket.read_u32_le().await?, socket.read_u32_le().await?);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a chunk is too long"));
    }
    let mut bytes = vec![0; length as usize];
    socket.read_exact(&mut bytes).await?;
    if part == UNREAD {
        let (from, why) = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
        return Ok(Err(Unread { from, why }));
    }
    Ok(Ok(Chunk { part, bytes: Bytes::from(bytes) }))
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    async fn sent(what: Vec<Read>) -> Vec<Read> {
        let (here, there) = StdStream::pair().unwrap();
        let (to, chunks) = mpsc::channel(1);
        let (ahead, mut come) = mpsc::channel(1);
        tokio::spawn(send(chunks, there));
        tokio::spawn(receive(here, NodeId(7), ahead));
        tokio::spawn(async move {
            for read in what {
                if to.send(read).await.is_err() {
                    break;
                }
            }
        });
        let mut all = Vec::new();
        while let Some(read) = come.recv().await {
            all.push(read);
        }
        all
    }

    fn chunk(part: u32, length: usize) -> Read {
        Ok(Chunk { part, bytes: vec![part as u8; length].into() })
    }

    #[tokio::test]
    async fn chunks_errors_and_the_end_come_as_they_are_sent() {
        let whole = vec![chunk(0, 3), chunk(1, 0), chunk(1, 3 << 20), Ok(Chunk::end())];
        assert_eq!(sent(whole.clone()).await, whole);
        let failed = vec![chunk(0, 3), Err(Unread { from: NodeId(3), why: "gone".to_string() })];
        assert_eq!(sent(failed.clone()).await, failed);
        let cut_off = sent(vec![chunk(0, 3)]).await;
        assert!(matches!(&cut_off[..], [Ok(_), Err(Unread { from: NodeId(7), .. })]), "{cut_off:?}");
    }
}
