//! What is in a directory, as a page for people or as JSON for programs: rows in, text out.
//!
//! This folder is pure: it reads no directory. A listing comes in pieces, so that none keeps the
//! loop waiting: its beginning, its rows in order, its end.

mod html;
mod json;
mod rows;

pub use self::rows::{Order, Row, Rows};
use crate::site_path::SitePath;

/// A listing of one directory.
#[derive(Debug)]
pub struct Listing {
    /// The path of the directory in the site.
    pub path: SitePath<'static>,
    /// The URL path at which the site begins.
    pub base: SitePath<'static>,
    pub order: Order,
    pub is_json: bool,
}

impl Listing {
    /// The value of `Content-Type`.
    pub fn media_type(&self) -> &'static str {
        if self.is_json { "application/json" } else { "text/html; charset=utf-8" }
    }

    /// Returns what comes before the rows.
    pub fn begin(&self) -> String {
        if self.is_json { json::BEGIN.to_owned() } else { html::begin(self) }
    }

    /// Returns one row.
    pub fn row(&self, row: &Row<'_>, is_first: bool) -> String {
        if self.is_json { json::row(row, is_first) } else { html::row(row) }
    }

    /// Returns what comes behind the rows.
    pub fn end(&self) -> &'static str {
        if self.is_json { json::END } else { html::END }
    }
}
