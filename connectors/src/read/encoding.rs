//! Text in other encodings than UTF-8, byte-order marks, and lines to leave out at the start of a file.

use bytes::Bytes;
use datafusion::error::Result;
use encoding_rs::{Encoding, UTF_8};
use futures::{StreamExt, TryStreamExt, stream};
use sheaf_core::Error;

use super::bytes::ByteStream;

/// A byte-order mark has at most this many bytes.
const MARK_BYTES: usize = 3;

/// The encoding of a name, as web pages use them: `utf-8`, `latin1`, `windows-1252`, `utf-16le`, `shift_jis`, ….
pub(crate) fn named(name: &str) -> sheaf_core::Result<&'static Encoding> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| {
        Error::invalid(format!("there is no encoding {name:?}"))
            .with_hint("such as utf-8, latin1, windows-1252, utf-16le, gbk or shift_jis")
    })
}

/// The text as UTF-8, without its byte-order mark.
pub(crate) async fn decode(input: ByteStream, encoding: Option<&'static Encoding>) -> Result<ByteStream> {
    Ok(sniff(input, encoding).await?.0)
}

/// The text as UTF-8, and whether its bytes were UTF-8 from the start.
pub(crate) async fn sniff(mut input: ByteStream, encoding: Option<&'static Encoding>) -> Result<(ByteStream, bool)> {
    let mut head = Vec::new();
    while head.len() < MARK_BYTES {
        let Some(chunk) = input.try_next().await? else { break };
        head.extend_from_slice(&chunk);
    }
    let mut head = Bytes::from(head);
    let marked = Encoding::for_bom(&head);
    if let Some((_, length)) = marked {
        head = head.slice(length..);
    }
    let encoding = marked.map(|(encoding, _)| encoding).or(encoding).unwrap_or(UTF_8);
    let rest = stream::once(async { Ok(head) }).chain(input).boxed();
    if encoding == UTF_8 {
        return Ok((rest, true));
    }
    Ok((transcode(rest, encoding), false))
}

fn transcode(input: ByteStream, encoding: &'static Encoding) -> ByteStream {
    let decoder = encoding.new_decoder_without_bom_handling();
    let texts = stream::try_unfold((input, decoder, false), |(mut input, mut decoder, ended)| async move {
        if ended {
            return Ok(None);
        }
        let chunk = input.try_next().await?;
        let last = chunk.is_none();
        let chunk = chunk.unwrap_or_default();
        let room = decoder.max_utf8_buffer_length(chunk.len()).unwrap_or(chunk.len().saturating_mul(3));
        let mut text = String::with_capacity(room);
        // What the encoding does not have becomes U+FFFD, as everywhere on the web.
        let (..) = decoder.decode_to_string(&chunk, &mut text, last);
        Ok(Some((Bytes::from(text), (input, decoder, last))))
    });
    texts.boxed()
}

/// The text without its first lines.
pub(crate) fn skip_lines(input: ByteStream, lines: usize) -> ByteStream {
    if lines == 0 {
        return input;
    }
    let rest = input.scan(lines, |left, chunk| {
        let rest = chunk.map(|chunk| {
            let mut chunk = chunk;
            while *left > 0 {
                match chunk.iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        chunk = chunk.slice(end + 1..);
                        *left -= 1;
                    }
                    None => return Bytes::new(),
                }
            }
            chunk
        });
        futures::future::ready(Some(rest))
    });
    rest.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(bytes: &'static [u8], size: usize) -> ByteStream {
        stream::iter(bytes.chunks(size).map(|chunk| Ok(Bytes::from_static(chunk)))).boxed()
    }

    async fn text(stream: ByteStream) -> String {
        let chunks: Vec<Bytes> = stream.try_collect().await.unwrap();
        String::from_utf8(chunks.concat()).unwrap()
    }

    #[tokio::test]
    async fn encodings_and_marks_become_utf8_whatever_the_chunks() {
        let utf16: &[u8] = b"\xff\xfea\0,\0\xe9\0\n\0";
        let cases: [(&[u8], Option<&str>, &str); 4] = [
            (b"\xef\xbb\xbfa,b\n", None, "a,b\n"),
            (utf16, None, "a,é\n"),
            (b"caf\xe9\n", Some("latin1"), "café\n"),
            (b"x", None, "x"),
        ];
        for (bytes, name, expected) in cases {
            for size in 1..5 {
                let encoding = name.map(|name| named(name).unwrap());
                let found = text(decode(chunks(bytes, size), encoding).await.unwrap()).await;
                assert_eq!(found, expected, "in chunks of {size}");
            }
        }
        assert!(named("klingon").is_err());
    }

    #[tokio::test]
    async fn lines_are_skipped_across_chunks() {
        for size in 1..8 {
            assert_eq!(text(skip_lines(chunks(b"one\ntwo\nthree\n", size), 2)).await, "three\n");
        }
        assert_eq!(text(skip_lines(chunks(b"one\n", 2), 5)).await, "");
    }
}
