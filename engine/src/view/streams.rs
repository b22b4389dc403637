//! The bytes of an entry through the traits that others read by.

use super::ContentReader;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use bytes::Bytes;
use futures_core::Stream;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use tokio::io::AsyncRead;
use tokio::io::AsyncSeek;
use tokio::io::ReadBuf;

/// The pieces in order. After an error the same piece is tried again.
impl Stream for ContentReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.poll_piece(context).map(Result::transpose)
    }
}

impl AsyncRead for ContentReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0 {
            ready!(self.poll_fill(context)).map_err(as_io)?;
            buffer.put_slice(&self.take(buffer.remaining()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncSeek for ContentReader {
    fn start_seek(mut self: Pin<&mut Self>, to: io::SeekFrom) -> io::Result<()> {
        let place = match to {
            io::SeekFrom::Start(offset) => Some(offset),
            io::SeekFrom::End(by) => self.size().checked_add_signed(by),
            io::SeekFrom::Current(by) => self.position().checked_add_signed(by),
        };
        let before_all = || io::Error::new(io::ErrorKind::InvalidInput, "there is no such place in the content");
        let place = place.ok_or_else(before_all)?;
        if place != self.position() {
            self.go_to(place);
        }
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position()))
    }
}

fn as_io(error: Error) -> io::Error {
    let kind = if error.kind() == Kind::Damaged { io::ErrorKind::InvalidData } else { io::ErrorKind::Other };
    io::Error::new(kind, error)
}
