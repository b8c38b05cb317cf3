//! How a response is written: the one place where heads, and pages of ours, become bytes.

use std::io::Write;

use super::{
    extra::Topics,
    fields::Persistence,
    multipart::Multipart,
    plan::{NO_SUCH_PART, Payload, Plan},
    policy::Policy,
    range::Part,
    refusal::Refusal,
    request::Request,
    status::Status,
};

/// What stands around a response: the value of `Date`, what the operator wants said, and the request, if there was one.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub date: &'a [u8],
    pub policy: &'a Policy,
    pub request: Option<&'a Request<'a>>,
}

/// The methods that a server of files does.
const ALLOW: &[u8] = b"Allow: GET, HEAD, OPTIONS\r\n";

impl Plan<'_> {
    /// Appends the head, and the body where that is a page of ours. Returns the length of the head.
    pub fn render(&self, occasion: &Occasion<'_>, out: &mut Vec<u8>) -> usize {
        let head = out.len();
        out.extend_from_slice(self.status.head().as_bytes());
        out.extend_from_slice(occasion.date);
        out.extend_from_slice(match self.persistence {
            Persistence::Persist => b"\r\n",
            Persistence::PersistIfSaid => b"\r\nConnection: keep-alive\r\n",
            Persistence::Close => b"\r\nConnection: close\r\n",
        });
        let page = self.payload.render(out);
        occasion.policy.append(self.topics(), self.vary, occasion.request, head, out);
        out.extend_from_slice(b"\r\n");
        let len = out.len() - head;
        if let Some(refusal) = page.filter(|_| self.has_body) {
            refusal.page().iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
        }
        len
    }

    /// What the operator's lines can be about.
    fn topics(&self) -> Topics {
        let content = matches!(self.payload, Payload::File(_) | Payload::Part { .. });
        let is_of_file = content || matches!(self.payload, Payload::Copy(_) | Payload::Parts { .. });
        let loading = !matches!(self.payload, Payload::Listing { .. });
        Topics { content, lifetime: is_of_file && !self.is_stand_in, loading }
    }
}

impl Payload<'_> {
    /// Appends the field lines that are about the body; a page of ours is returned.
    fn render(&self, out: &mut Vec<u8>) -> Option<&Refusal> {
        match self {
            Payload::File(facts) => out.extend_from_slice(facts.fields()),
            Payload::Part { facts, part } => {
                let (part_len, Part { first, last }, len) = (part.length(), part, facts.len);
                append(
                    out,
                    format_args!(
                        "Content-Length: {part_len}\r\nContent-Range: bytes {first}-{last}/{len}\r\n"
                    ),
                );
                out.extend_from_slice(facts.fields_of_part());
            }
            Payload::Parts { facts, parts } => {
                let body = Multipart { facts, parts };
                let (len, media_type) = (body.length(), body.media_type());
                append(out, format_args!("Content-Length: {len}\r\nContent-Type: {media_type}\r\n"));
                out.extend_from_slice(facts.fields_of_copy());
            }
            Payload::Copy(facts) => out.extend_from_slice(facts.fields_of_copy()),
            Payload::NoSuchPart(facts) => {
                append(out, format_args!("Content-Range: bytes */{}\r\n", facts.len));
                return render_fields_of_page(&NO_SUCH_PART, out);
            }
            Payload::Page(refusal) => return render_fields_of_page(refusal, out),
            Payload::SitePage(facts) => append(
                out,
                format_args!("Content-Type: {}\r\nContent-Length: {}\r\n", facts.media_type, facts.len),
            ),
            Payload::Listing { listing, is_chunked } => {
                append(out, format_args!("Content-Type: {}\r\n{OF_A_LISTING}", listing.media_type()));
                if *is_chunked {
                    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                }
            }
            Payload::Methods => out.extend_from_slice(ALLOW),
            Payload::Nothing => {}
            Payload::Redirect(location) => {
                append(out, format_args!("Location: {location}\r\nContent-Length: 0\r\n"));
            }
        }
        None
    }
}

/// The field lines that are about a page of ours.
fn render_fields_of_page<'a>(refusal: &'a Refusal, out: &mut Vec<u8>) -> Option<&'a Refusal> {
    match refusal.status {
        Status::MethodNotAllowed => out.extend_from_slice(ALLOW),
        Status::ServiceUnavailable => out.extend_from_slice(b"Retry-After: 1\r\n"),
        _ => {}
    }
    out.extend_from_slice(b"Content-Type: text/html; charset=utf-8\r\nContent-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(refusal.page_len()).as_bytes());
    out.extend_from_slice(b"\r\n");
    Some(refusal)
}

/// A file's name must not become a script, whatever it is.
const OF_A_LISTING: &str = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n";

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Cannot fail: writing to a vector does not.
    let _ = out.write_fmt(text);
}
