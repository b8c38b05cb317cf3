//! Refusals: errors that become error responses. A refusal is returned as an error value with `?`,
//! and [`answer`](super::answer) turns it into a response.

use std::sync::LazyLock;

use super::status::Status;

/// The reason why a request is refused, with the status of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: Status,
    /// The sentence shown on the error page. It is inserted into HTML without escaping.
    pub why: &'static str,
    /// Whether the connection can persist. It cannot if the end of the request is unknown.
    pub persists: bool,
}

impl Refusal {
    /// Returns a 400 refusal for a malformed or ambiguous request. It closes the connection,
    /// because the input after the request cannot be trusted (RFC 9112 sections 9.3 and 11.2).
    pub const fn bad(why: &'static str) -> Refusal {
        Refusal::closing(Status::BadRequest, why)
    }

    /// Returns a refusal after which the connection persists. The end of the request must be known.
    pub const fn new(status: Status, why: &'static str) -> Refusal {
        Refusal { status, why, persists: true }
    }

    /// Returns a refusal that closes the connection.
    pub const fn closing(status: Status, why: &'static str) -> Refusal {
        Refusal { status, why, persists: false }
    }

    /// A 404 refusal: the file does not exist or must not be shown.
    pub const NOT_FOUND: Refusal = Refusal::new(Status::NotFound, "There is nothing at this URL.");
    pub const FORBIDDEN: Refusal =
        Refusal::new(Status::Forbidden, "The server has no permission to read this file.");
    pub const NOT_ACCEPTABLE: Refusal =
        Refusal::new(Status::NotAcceptable, "The file has no content coding that the request accepts.");
    pub const BUSY: Refusal =
        Refusal::new(Status::ServiceUnavailable, "The server is busy; please try again in a moment.");
    /// As [`Refusal::BUSY`], for a request that has not arrived completely.
    pub const FULL: Refusal = Refusal::closing(Refusal::BUSY.status, Refusal::BUSY.why);
    pub const BROKEN: Refusal =
        Refusal::new(Status::InternalServerError, "The server could not read this file.");
    /// A 408 refusal: the request did not arrive completely before the timeout.
    pub const LATE: Refusal = Refusal::closing(Status::RequestTimeout, "The request did not arrive in time.");
    /// A 400 refusal: the client speaks plain HTTP to a port for HTTPS.
    pub const NOT_TLS: Refusal = Refusal::bad("This port speaks HTTPS. Use an https:// URL.");

    /// Returns the pieces of the error page. It contains nothing that the client sent.
    pub fn page(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.page_with(self.why)
    }

    /// Returns the pieces of the error page with another reason, which is HTML.
    pub fn page_with<'a>(&self, why: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        let status = self.status.line();
        PAGE.iter().map(move |piece| match *piece {
            PagePart::Text(text) => text,
            PagePart::Status => status,
            PagePart::Why => why,
        })
    }

    /// Returns the length of the error page in bytes.
    pub fn page_len(&self) -> u64 {
        self.page().map(|piece| piece.len() as u64).sum()
    }
}

/// A piece of the error page template.
enum PagePart {
    Text(&'static str),
    Status,
    Why,
}

/// The error page template, split at its placeholders on first use.
static PAGE: LazyLock<Vec<PagePart>> = LazyLock::new(|| {
    let mut pieces = Vec::new();
    for text in include_str!("error.html").split("{{") {
        let (mark, rest) = text.split_once("}}").unwrap_or(("", text));
        pieces.extend(match mark {
            "status" => Some(PagePart::Status),
            "why" => Some(PagePart::Why),
            _ => None,
        });
        pieces.push(PagePart::Text(rest));
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
