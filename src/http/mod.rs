//! HTTP semantics for a file server: bytes in, a response plan out.
//!
//! This module is pure. It must never open a file, touch a socket or read a clock. It takes bytes
//! and metadata, and returns what to send. Table tests therefore cover all of it. They feed the
//! input as a whole, byte by byte, and with trailing data.
//!
//! [`parse`] parses the first request in the input, [`Request::validate`] returns the path that the
//! request asks for, and the constructors of [`Plan`] decide the response.

mod chunked;
mod negotiation;
mod policy;
mod request;
mod response;

pub use chunked::{ChunkedDecoder, ChunkedPiece};
pub use negotiation::{
    conditional::{DateStrength, PreconditionResult, Preconditions, Validators},
    encoding::{Accept, AcceptEncoding, Coding, Vary},
    range::ByteRange,
};
pub use policy::{
    HeaderPolicy,
    cors::Cors,
    header_rules::{HeaderRule, HeaderScope, RuleError, parse_field_line},
    host_allowlist::HostAllowlist,
    media_type_rules::{MediaTypeError, MediaTypeRule, MediaTypes},
    path_pattern::PatternError,
    peer_network::PeerNetwork,
    redirects::{RedirectError, RedirectMatch, RedirectRule, RedirectTarget, Redirects},
    rule_file::{LineError, MAX_RULE_FILE},
    site_headers::SiteHeaders,
    trusted_proxies::{TrustedProxies, TrustedProxy},
};
pub use request::{
    Method, Request, RequestKind,
    authority::Authority,
    body::PartialRequest,
    fields::content_length,
    incomplete::{is_worth_parsing, missing_part},
    info::{OwnedRequestInfo, RequestInfo},
    parse, parse_within,
    raw::RawRequest,
    target::locate,
};
pub use response::{
    byte_ranges::ByteRanges,
    media_type::content_coding,
    not_found::NotFoundPage,
    plan::{Plan, Recorded, ResponseBody},
    refusal::Refusal,
    relative::relative_link,
    render::RenderContext,
    representation::Representation,
    status::Status,
};

/// The maximum length of a request line in bytes, without its CRLF. A longer line gets a 414
/// response.
pub const MAX_LINE: usize = 8 * 1024;
/// The default maximum length of a request head in bytes, including the empty line that ends it and
/// one before it. A longer head gets a 431 response. Browsers send the cookies of all servers on a
/// host to each of them, so the cookies of others may need the room.
pub const MAX_HEAD: usize = 64 * 1024;
/// The maximum number of field lines in a request head. A head with more gets a 431 response.
pub const MAX_FIELDS: usize = 64;
/// The maximum length of a request body that the server skips, in bytes as received. The server
/// refuses a longer body and closes the connection.
pub const MAX_BODY: usize = 32 * 1024;
