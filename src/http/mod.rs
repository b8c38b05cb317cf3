//! HTTP for files, and nothing but HTTP: bytes in, plan out.
//!
//! This folder is pure. It opens no file, touches no socket and asks no clock; it is given bytes and facts, and says
//! what to answer. Everything in it is tested in tables: whole, byte by byte, with trailing data.
//!
//! [`parse`] finds the request in the input, [`Request::admit`] says which path it asks for, [`Plan`] says what to send.

mod authority;
mod bytes;
mod chunked;
mod conditional;
mod cors;
mod extra;
mod facts;
mod fields;
mod hosts;
mod listing;
mod media_type;
mod multipart;
mod negotiate;
mod plan;
mod policy;
mod range;
mod refusal;
mod render;
mod request;
mod rows;
mod status;
mod target;

pub use cors::Cors;
pub use extra::Extra;
pub use facts::{Facts, Validators, last_modified};
pub use hosts::Hosts;
pub use listing::Listing;
pub use media_type::media_type;
pub use multipart::Multipart;
pub use negotiate::{Coding, Codings, Vary};
pub use plan::{Payload, Plan};
pub use policy::Policy;
pub use range::Part;
pub use refusal::Refusal;
pub use render::Occasion;
pub use request::{Ask, Method, Request, missing, parse};
pub use rows::{Order, Row, Rows};
pub use status::Status;
pub use target::{Names, SitePath, locate};

/// The longest request line, in bytes without its CRLF; a longer one is a 414.
pub const MAX_LINE: usize = 8 * 1024;
/// The longest head, in bytes with its empty line; a longer one is a 431.
pub const MAX_HEAD: usize = 16 * 1024;
/// The most field lines of a head; more are a 431.
pub const MAX_FIELDS: usize = 64;
/// The longest request body that is read past, in bytes as they come; a longer one ends the connection.
pub const MAX_BODY: usize = 32 * 1024;
