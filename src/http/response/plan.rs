//! A plan: a response that is decided and not yet sent.
//!
//! `decide` chooses the kind of response, [`answer`](super::answer) makes the plan
//! of each kind, and [`render`](super::render) writes the head of a plan.

use std::{borrow::Cow, ops::Range};

use crate::http::{
    ByteRange, Refusal, Status, Vary, policy::header_rules::HeaderScope, request::fields::Persistence,
};

/// A response that is decided and not yet sent.
#[must_use]
#[derive(Debug)]
pub struct Plan<'a> {
    /// The status code.
    pub status: Status,
    /// The body.
    pub body: ResponseBody,
    /// The field lines made for this response, which come before the field lines of the file.
    pub(super) fields: Cow<'static, str>,
    pub(super) file_fields: &'a [u8],
    /// The request fields that influenced the response.
    pub(super) vary: Vary,
    /// The scope of the operator's header rules.
    pub(super) scope: HeaderScope,
    pub(super) persistence: Persistence,
    /// The length of the body in bytes; `None` if it is generated while it is sent.
    pub(super) len: Option<u64>,
    pub(super) is_refused: bool,
}

/// The body of a response. The response to HEAD has an empty one.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// Nothing.
    Empty,
    /// This range of the file.
    File(Range<u64>),
    /// These ranges of the file, framed as `multipart/byteranges`.
    FileRanges(Vec<ByteRange>),
    /// The built-in page of this refusal.
    ErrorPage(Refusal),
    /// A body that is generated while it is sent.
    Generated { is_chunked: bool },
}

impl Plan<'_> {
    /// Adds request fields that influenced the response.
    pub fn varying(self, vary: Vary) -> Self {
        Plan { vary: self.vary.and(vary), ..self }
    }

    /// Marks the file as a fallback for a missing one. The operator's freshness fields do not apply
    /// to it.
    pub fn as_fallback(mut self) -> Self {
        self.scope.freshness = false;
        self
    }

    /// Makes this response the last one of its connection.
    pub fn close(&mut self) {
        self.persistence = Persistence::Close;
    }

    /// Returns whether the connection persists after this response.
    pub fn persists(&self) -> bool {
        self.persistence != Persistence::Close
    }

    /// Returns whether the rest of the input is not parsed and may still be arriving.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Returns the length of the body in bytes; `None` if it is generated while it is sent.
    pub fn body_len(&self) -> Option<u64> {
        self.len
    }
}
