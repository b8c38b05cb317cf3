//! Renders response heads and the built-in error pages as bytes. No other module does this.

use crate::http::{HeaderPolicy, Plan, RequestInfo, ResponseBody, SiteHeaders, request::fields::Persistence};

/// The data that rendering needs in addition to the plan.
#[derive(Debug, Clone, Copy)]
pub struct RenderContext<'a> {
    /// The value of `Date`.
    pub date: &'a [u8],
    /// The header fields that the operator adds to responses.
    pub policy: &'a HeaderPolicy,
    /// The header fields that the site's own file adds.
    pub site_headers: Option<&'a SiteHeaders>,
    /// The field line `Keep-Alive`, which says how long the connection may be idle, or nothing.
    pub keep_alive: &'a [u8],
    /// The request to respond to.
    pub request: &'a RequestInfo<'a>,
}

impl Plan<'_> {
    /// Appends the response head to `out`, and also the body if it is a built-in page.
    /// Returns the length of the head in bytes.
    pub fn render(&self, cx: &RenderContext<'_>, out: &mut Vec<u8>) -> usize {
        let head = out.len();
        out.extend_from_slice(self.status.head().as_bytes());
        out.extend_from_slice(cx.date);
        out.extend_from_slice(connection_field(self.persistence));
        if self.persistence != Persistence::Close {
            out.extend_from_slice(cx.keep_alive);
        }
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(self.file_fields);
        cx.policy.append(cx.site_headers, self.scope, self.vary, cx.request, head, out);
        out.extend_from_slice(b"\r\n");
        let len = out.len() - head;
        match &self.body {
            ResponseBody::ErrorPage(refusal) => {
                refusal.page().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
            }
            ResponseBody::Page(page) => out.extend_from_slice(page),
            _ => {}
        }
        len
    }
}

/// Returns the end of the field line `Date`, and the field line about the connection, if there is
/// one.
pub(super) fn connection_field(persistence: Persistence) -> &'static [u8] {
    match persistence {
        Persistence::KeepAlive => b"\r\n",
        Persistence::KeepAliveExplicit => b"\r\nConnection: keep-alive\r\n",
        Persistence::Close => b"\r\nConnection: close\r\n",
    }
}
