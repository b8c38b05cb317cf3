//! A refusal: why a request does not get what it asked for. It is an error value that travels by
//! `?`, and becomes a response in [`answer`](super::answer).

use std::sync::LazyLock;

use super::status::Status;

/// Why a request does not get what it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: Status,
    /// A sentence for the person who reads the page. It goes into HTML as it is.
    pub why: &'static str,
    /// Whether the connection can go on. It cannot if the end of the request is not known for
    /// certain.
    pub persists: bool,
}

impl Refusal {
    /// Refuses a malformed or ambiguous request: 400, and nothing behind it can be trusted (RFC
    /// 9112 sections 9.3 and 11.2).
    pub const fn bad(why: &'static str) -> Refusal {
        Refusal::closing(Status::BadRequest, why)
    }

    /// Refuses a request whose end is known.
    pub const fn new(status: Status, why: &'static str) -> Refusal {
        Refusal { status, why, persists: true }
    }

    /// Refuses a request and closes the connection.
    pub const fn closing(status: Status, why: &'static str) -> Refusal {
        Refusal { status, why, persists: false }
    }

    /// Nothing is there, or nothing that may be seen.
    pub const NOT_FOUND: Refusal = Refusal::new(Status::NotFound, "There is nothing at this URL.");
    pub const FORBIDDEN: Refusal =
        Refusal::new(Status::Forbidden, "The server has no permission to read this file.");
    pub const NOT_ACCEPTABLE: Refusal =
        Refusal::new(Status::NotAcceptable, "The file has no content coding that the request accepts.");
    pub const BUSY: Refusal =
        Refusal::new(Status::ServiceUnavailable, "The server is busy; please try again in a moment.");
    pub const BROKEN: Refusal =
        Refusal::new(Status::InternalServerError, "The server could not read this file.");
    /// The rest of a request did not come in time.
    pub const LATE: Refusal = Refusal::closing(Status::RequestTimeout, "The request did not arrive in time.");

    /// Returns our page for the refusal, in pieces. Nothing that a client sent is in it.
    pub fn page(&self) -> impl Iterator<Item = &'static str> + use<> {
        let (status, why) = (self.status.line(), self.why);
        PAGE.iter().map(move |piece| match *piece {
            Piece::Text(text) => text,
            Piece::Status => status,
            Piece::Why => why,
        })
    }

    /// Returns the length of that page in bytes.
    pub fn page_len(&self) -> u64 {
        self.page().map(|piece| piece.len() as u64).sum()
    }
}

/// A part of the page.
enum Piece {
    Text(&'static str),
    Status,
    Why,
}

/// The page, split at its marks once.
static PAGE: LazyLock<Vec<Piece>> = LazyLock::new(|| {
    let mut pieces = Vec::new();
    for text in include_str!("error.html").split("{{") {
        let (mark, rest) = text.split_once("}}").unwrap_or(("", text));
        pieces.extend(match mark {
            "status" => Some(Piece::Status),
            "why" => Some(Piece::Why),
            _ => None,
        });
        pieces.push(Piece::Text(rest));
    }
    pieces
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_page_has_status_and_reason() {
        let page: String = Refusal::NOT_FOUND.page().collect();
        assert_eq!(page.matches("404 Not Found").count(), 2, "{page}");
        assert!(page.contains(Refusal::NOT_FOUND.why) && !page.contains("{{"), "{page}");
        assert_eq!(page.len() as u64, Refusal::NOT_FOUND.page_len());
    }
}
