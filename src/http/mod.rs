//! HTTP for files, and nothing but HTTP: bytes in, a response plan out.
//!
//! This folder is pure. It opens no file, touches no socket and reads no clock; it is given bytes
//! and metadata, and returns what to answer. Everything in it is tested in tables: whole, byte by
//! byte, with trailing data.
//!
//! [`parse`] finds the request in the input, [`Request::validate`] returns the path that it asks
//! for, [`Plan`] decides the response.

mod negotiation;
mod policy;
mod request;
mod response;

pub use negotiation::{
    conditional::{DateStrength, PreconditionResult, Preconditions, Validators},
    encoding::{Accept, AcceptEncoding, Coding, Vary},
    range::ByteRange,
};
pub use policy::{
    Policy,
    cors::Cors,
    header_rules::{HeaderRule, RuleError},
    host_allowlist::HostAllowlist,
};
pub use request::{
    Method, Request, RequestKind,
    info::{OwnedRequestInfo, RequestInfo},
    missing_part, parse,
    target::locate,
};
pub use response::{
    byte_ranges::ByteRanges,
    media_type::media_type,
    plan::{Plan, ResponseBody},
    refusal::Refusal,
    render::RenderContext,
    representation::Representation,
    status::Status,
};

/// The longest request line, in bytes without its CRLF; a longer one is a 414.
pub const MAX_LINE: usize = 8 * 1024;
/// The longest head, in bytes with its empty line; a longer one is a 431.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most field lines of a head; more are a 431.
pub const MAX_FIELDS: usize = 64;
/// The longest request body that is skipped, in bytes as received; a longer one ends the
/// connection.
pub const MAX_BODY: usize = 32 * 1024;
