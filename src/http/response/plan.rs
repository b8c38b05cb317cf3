//! Plans: responses that have been decided on but not yet sent.
//!
//! `decide` chooses the kind of response, [`answer`](super::answer) creates the plan for each kind,
//! and [`render`](super::render) renders the head of the response.

use std::{borrow::Cow, ops::Range};

use crate::http::{
    ByteRange, Refusal, Status, Vary, policy::header_rules::HeaderScope, request::fields::Persistence,
};

/// A response that has been decided on but not yet sent.
#[must_use]
#[derive(Debug)]
pub struct Plan<'a> {
    /// The status code.
    pub status: Status,
    /// The body.
    pub body: ResponseBody,
    /// The field lines specific to this response. They precede the field lines of the file.
    pub(super) fields: Cow<'static, str>,
    pub(super) file_fields: &'a [u8],
    /// The request fields that influenced the response.
    pub(super) vary: Vary,
    /// The scope of the operator's header rules.
    pub(super) scope: HeaderScope,
    pub(super) persistence: Persistence,
    /// The length of the body in bytes, or `None` if the body is generated while it is sent.
    pub(super) len: Option<u64>,
    pub(super) is_refused: bool,
    /// Where the response is recorded.
    pub recorded: Recorded,
}

/// Where a response is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// In the access log and in the statistics.
    Everywhere,
    /// In the access log alone: to ask for statistics does not change them.
    InLog,
    /// Nowhere, so that programs that ask every second hide nothing.
    Nowhere,
}

/// The body of a response. The response to a HEAD request has an empty body.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// No bytes.
    Empty,
    /// This range of the file.
    File(Range<u64>),
    /// These ranges of the file, framed as `multipart/byteranges`.
    FileRanges(Vec<ByteRange>),
    /// The built-in error page for this refusal.
    ErrorPage(Refusal),
    /// A page that is made for this response.
    Page(Vec<u8>),
    /// A body of this length that is generated while it is sent.
    Sized(u64),
    /// A body of unknown length that is generated while it is sent.
    Generated { is_chunked: bool },
}

impl Plan<'_> {
    /// Adds `vary` to the request fields that influenced the response.
    pub fn varying(self, vary: Vary) -> Self {
        Plan { vary: self.vary.and(vary), ..self }
    }

    /// Marks the file as a fallback for a missing file. The operator's freshness fields do not
    /// apply to a fallback.
    pub fn as_fallback(mut self) -> Self {
        self.scope.freshness = false;
        self
    }

    /// Sets where the response is recorded.
    pub fn recorded(self, recorded: Recorded) -> Self {
        Plan { recorded, ..self }
    }

    /// Makes this response the last one on its connection.
    pub fn close(&mut self) {
        self.persistence = Persistence::Close;
    }

    /// Returns whether the connection persists after this response.
    pub fn persists(&self) -> bool {
        self.persistence != Persistence::Close
    }

    /// Returns whether the rest of the input is ignored, even if it is still arriving.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Returns the length of the body in bytes, or `None` if the body is generated while it is
    /// sent.
    pub fn body_len(&self) -> Option<u64> {
        self.len
    }
}
