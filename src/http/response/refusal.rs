//! A refusal: a request that gets no file, and the sentence that says why. It travels by `?` and is rendered in one
//! place, [`render`](super::render).

use super::status::Status;

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: Status,
    /// A sentence for the person on the other side; HTML-safe, as it is ours.
    pub why: &'static str,
    /// Whether the connection can go on: false where the end of the request is not known for certain.
    pub persists: bool,
}

impl Refusal {
    /// A request that is malformed or ambiguous: 400, and nothing after it can be trusted (RFC 9112 §9.3, §11.2).
    pub const fn bad(why: &'static str) -> Refusal {
        Refusal::closing(Status::BadRequest, why)
    }

    /// A refusal of a request whose end is known.
    pub const fn new(status: Status, why: &'static str) -> Refusal {
        Refusal { status, why, persists: true }
    }

    /// A refusal after which the connection is closed.
    pub const fn closing(status: Status, why: &'static str) -> Refusal {
        Refusal { status, why, persists: false }
    }

    /// What is missing is a 404; so is what must not be seen.
    pub const NOT_FOUND: Refusal = Refusal::new(Status::NotFound, "There is nothing at this address.");
    pub const FORBIDDEN: Refusal = Refusal::new(Status::Forbidden, "The server may not read this file.");
    pub const NOT_ACCEPTABLE: Refusal =
        Refusal::new(Status::NotAcceptable, "The file is not there in any coding that the request accepts.");
    pub const BUSY: Refusal =
        Refusal::new(Status::ServiceUnavailable, "The server is busy; please try again in a moment.");
    pub const BROKEN: Refusal =
        Refusal::new(Status::InternalServerError, "The server could not read this file.");
    /// The rest of a request did not come in time.
    pub const LATE: Refusal = Refusal::closing(Status::RequestTimeout, "The request did not arrive in time.");

    /// Our page for it, in pieces. Nothing that a peer sent stands in it.
    pub fn page(&self) -> [&'static str; 7] {
        let line = self.status.line();
        [PAGE[0], line, PAGE[1], line, PAGE[2], self.why, PAGE[3]]
    }

    /// The length of that page in bytes.
    pub fn page_len(&self) -> u64 {
        self.page().iter().map(|piece| piece.len() as u64).sum()
    }
}

/// What stands before, between and behind its status line, status line and sentence.
const PAGE: [&str; 4] = [
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
     <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
    "</title>\n<style>body{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:16vh auto;padding:0 1.5rem}\
     h1{font-size:1.5rem}p{opacity:.8}</style>\n<h1>",
    "</h1>\n<p>",
    "</p>\n",
];
