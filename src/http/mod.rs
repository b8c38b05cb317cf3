//! HTTP semantics for a file server: bytes in, a response plan out.
//!
//! This folder is pure. It must never open a file, touch a socket or read a clock. It takes bytes
//! and metadata, and returns what to send. So table tests cover all of it: with the whole input,
//! byte by byte, and with trailing data.
//!
//! [`parse`] finds a request in the input, [`Request::validate`] returns the path that it asks for,
//! and [`Plan`] decides the response.

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
    HeaderPolicy,
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

/// The longest request line in bytes, without its CRLF. A longer one gets a 414.
pub const MAX_LINE: usize = 8 * 1024;
/// The longest head in bytes, including its empty line. A longer one gets a 431.
pub const MAX_HEAD: usize = 16 * 1024;
/// The maximum number of field lines in a head. A head with more gets a 431.
pub const MAX_FIELDS: usize = 64;
/// The longest request body that is skipped, in bytes as received. A longer one is refused and ends
/// the connection.
pub const MAX_BODY: usize = 32 * 1024;
