//! Directory listings: rows in, HTML or JSON out.
//!
//! This module is pure. It must never read a directory. It renders a listing in pieces, so that a
//! long listing does not delay the event loop: first the beginning, then one row at a time, then
//! the end.

mod filter;
mod html;
mod json;
mod natural;
mod rows;

pub use self::{
    filter::Filter,
    rows::{Order, Row, Rows, Totals},
};
use crate::site_path::SitePath;

/// A listing of one directory.
#[derive(Debug)]
pub struct Listing {
    /// The path of the directory in the site.
    pub path: SitePath<'static>,
    /// The order of the rows.
    pub order: Order,
    /// The text that the names of the rows contain.
    pub filter: Filter,
    /// Whether the listing is JSON instead of HTML.
    pub is_json: bool,
}

impl Listing {
    /// Returns the value of `Content-Type`.
    pub fn media_type(&self) -> &'static str {
        if self.is_json { "application/json" } else { "text/html; charset=utf-8" }
    }

    /// Returns the text before the rows, which add up to `totals`.
    pub fn begin(&self, totals: Totals) -> String {
        if self.is_json { json::BEGIN.to_owned() } else { html::begin(self, totals) }
    }

    /// Returns the text of one row.
    pub fn row(&self, row: &Row<'_>, is_first: bool) -> String {
        if self.is_json { json::row(row, is_first) } else { html::row(row) }
    }

    /// Returns the text after the rows.
    pub fn end(&self) -> &'static str {
        if self.is_json { json::END } else { html::END }
    }
}
