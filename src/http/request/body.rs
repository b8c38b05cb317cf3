//! Request bodies, which are counted and dropped as they arrive.
//!
//! A file server needs no body. It must know where a body ends, because the next request begins
//! there, and must never keep the body until then, unless a service returns it to its client.

use super::{
    BodyStatus, Request,
    chunked::{ChunkedCounter, Length},
    fields::Framing,
    parse_head,
};
use crate::http::{MAX_BODY, Refusal};

/// Counts a body.
#[derive(Debug)]
pub enum BodyCounter {
    /// The number of bytes left.
    Length(u64),
    Chunked(ChunkedCounter),
    /// The client waits for a 100 (Continue) response.
    Withheld,
}

impl BodyCounter {
    /// Creates a counter for a body. `None` means that the client withholds it.
    pub fn new(framing: Option<Framing>) -> BodyCounter {
        match framing {
            Some(Framing::Length(len)) => BodyCounter::Length(len),
            Some(Framing::Chunked) => BodyCounter::Chunked(ChunkedCounter::default()),
            None => BodyCounter::Withheld,
        }
    }

    /// Counts the next bytes of the body, at the beginning of `input`. Returns how many, and the
    /// state of the body if it is known.
    ///
    /// # Errors
    /// Returns a 400 refusal if the body is malformed.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<BodyStatus>), Refusal> {
        Ok(match self {
            BodyCounter::Length(left) if *left > MAX_BODY as u64 => (0, Some(BodyStatus::TooLarge)),
            BodyCounter::Length(left) => {
                // A body within the limit fits a `usize`.
                let got = (*left as usize).min(input.len());
                *left -= got as u64;
                (got, (*left == 0).then_some(BodyStatus::Complete))
            }
            BodyCounter::Chunked(counter) => match counter.read(input, MAX_BODY)? {
                (got, Length::Known(_)) => (got, Some(BodyStatus::Complete)),
                (_, Length::TooLong) => (0, Some(BodyStatus::TooLarge)),
                (got, Length::Unknown) => (got, None),
            },
            BodyCounter::Withheld => (0, Some(BodyStatus::AwaitingContinue)),
        })
    }
}

/// A request whose head is complete and whose body is still arriving. It keeps the head, because
/// the response depends on the body as well: a malformed one is a 400.
#[derive(Debug)]
pub struct PartialRequest {
    /// The head, and what has arrived of the body if the body is kept, as they were received.
    message: Vec<u8>,
    head_len: usize,
    keeps_body: bool,
    body: BodyCounter,
}

impl PartialRequest {
    /// Takes the head and the beginning of the body from `input`, for which
    /// [`parse`](super::parse) needs more. Returns the number of bytes taken, or `None` if the head
    /// is incomplete.
    pub fn begin(input: &[u8], max_head: usize) -> Option<(PartialRequest, usize)> {
        let head = parse_head(input, max_head).ok()??;
        let mut body = BodyCounter::new(head.framing);
        let (got, _) = body.read(&input[head.len..]).ok()?;
        let message = input[..head.len].to_vec();
        Some((PartialRequest { message, head_len: head.len, keeps_body: false, body }, head.len + got))
    }

    /// Keeps the body from now on. `begun` is what has been taken of it.
    pub fn keep_body(&mut self, begun: &[u8]) {
        self.keeps_body = true;
        self.message.extend_from_slice(begun);
    }

    /// Returns how many bytes are kept at most: the head, and the body if it is kept.
    pub fn max_kept(&self) -> usize {
        let left = match self.body {
            _ if !self.keeps_body => 0,
            BodyCounter::Length(left) => usize::try_from(left).map_or(MAX_BODY, |left| left.min(MAX_BODY)),
            BodyCounter::Chunked(_) => MAX_BODY,
            BodyCounter::Withheld => 0,
        };
        self.message.len() + left
    }

    /// Takes more of the body. Returns the number of bytes taken, and the state of the body if it
    /// is known.
    ///
    /// # Errors
    /// Returns a 400 refusal if the body is malformed.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<BodyStatus>), Refusal> {
        let read = self.body.read(input)?;
        if self.keeps_body {
            self.message.extend_from_slice(&input[..read.0]);
        }
        Ok(read)
    }

    /// Returns the bytes of the request, with the body if it has been kept.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Returns the request as if it had no body.
    pub fn without_body(&self) -> Option<Request<'_>> {
        Some(parse_head(self.head(), self.head_len).ok()??.request)
    }

    /// Returns the head, as it was received.
    pub fn head(&self) -> &[u8] {
        &self.message[..self.head_len]
    }

    /// Returns the request, with the state of its body.
    ///
    /// # Errors
    /// Never fails, because the same head has been parsed before.
    pub fn request(&self, body: BodyStatus) -> Result<Option<Request<'_>>, Refusal> {
        Ok(parse_head(self.head(), self.head_len)?.map(|head| head.request.with_body(body)))
    }
}
