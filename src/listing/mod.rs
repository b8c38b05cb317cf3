//! What is in a directory, as a page for people or as JSON for programs: rows in, text out.
//!
//! It works without script: to sort is to follow a link. Nothing in a name can end its place.

use std::fmt::{self, Write};

use percent_encoding::percent_encode;

mod rows;

use self::rows::SortKey;
pub use self::rows::{Order, Row, Rows};
use crate::site_path::{PATH, SitePath};

/// How a listing looks.
#[derive(Debug)]
pub struct Listing {
    /// The directory, in the site.
    pub path: SitePath<'static>,
    /// Where the site begins, in the addresses of this server.
    pub base: SitePath<'static>,
    pub order: Order,
    pub is_json: bool,
}

impl Listing {
    /// The value of `Content-Type`.
    pub fn media_type(&self) -> &'static str {
        if self.is_json { "application/json" } else { "text/html; charset=utf-8" }
    }

    /// What comes before the rows.
    pub fn begin(&self) -> String {
        if self.is_json {
            return "[".to_owned();
        }
        let title = Shown(self.path.bytes());
        let crumbs = self.crumbs();
        let [name, size, modified] = [
            self.heading(SortKey::Name, "name", "Name"),
            self.heading(SortKey::Size, "size", "Size"),
            self.heading(SortKey::Modified, "modified", "Modified (UTC)"),
        ];
        let parent = match self.path.bytes() {
            b"" => "",
            _ => "<tr><td><a href=\"../\">../</a><td><td>\n",
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>/{title}</title>\n<style>{STYLE}</style>\n\
             <h1>{crumbs}</h1>\n<table>\n<thead>\n<tr>{name}{size}{modified}\n<tbody>\n{parent}"
        )
    }

    /// One row.
    pub fn row(&self, row: &Row<'_>, is_first: bool) -> String {
        let slash = if row.is_directory { "/" } else { "" };
        let href = percent_encode(row.name, PATH);
        if self.is_json {
            // To a string, and of strings and numbers: this cannot fail.
            let name = serde_json::to_string(&String::from_utf8_lossy(row.name)).unwrap_or_default();
            let comma = if is_first { "\n" } else { ",\n" };
            let kind = if row.is_directory { "directory" } else { "file" };
            let size = if row.is_directory { String::new() } else { format!(",\"size\":{}", row.len) };
            let modified = row.modified.map(humantime::format_rfc3339_seconds);
            let modified = modified.map(|time| format!(",\"modified\":\"{time}\"")).unwrap_or_default();
            return format!(
                "{comma}{{\"name\":{name},\"type\":\"{kind}\",\"href\":\"{href}{slash}\"{size}{modified}}}"
            );
        }
        let name = Shown(row.name);
        let size = if row.is_directory { String::new() } else { Size(row.len).to_string() };
        let modified = row.modified.map(|time| {
            let time = humantime::format_rfc3339_seconds(time).to_string();
            let (day, clock) = time.split_at_checked(10).unwrap_or_default();
            format!("<time datetime=\"{time}\">{day} {}</time>", clock.get(1..6).unwrap_or_default())
        });
        let modified = modified.unwrap_or_default();
        format!("<tr><td><a href=\"{href}{slash}\">{name}{slash}</a><td>{size}<td>{modified}\n")
    }

    /// What comes behind the rows.
    pub fn end(&self) -> &'static str {
        if self.is_json { "\n]\n" } else { "</table>\n" }
    }

    /// The way from the root of the site, each step a link; only the last ones of a very long way.
    fn crumbs(&self) -> String {
        let mut href = self.base.to_string();
        let mut crumbs = format!("<a href=\"{href}\">/</a>");
        let skipped = self.path.names().count().saturating_sub(MAX_CRUMBS);
        if skipped > 0 {
            crumbs.push_str("\u{2026}/");
        }
        for (depth, name) in self.path.names().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(href, "{}/", percent_encode(name, PATH));
            if depth >= skipped {
                let _ = write!(crumbs, "<a href=\"{href}\">{}/</a>", Shown(name));
            }
        }
        crumbs
    }

    /// A column's heading: a link that sorts by it, or turns the order round.
    fn heading(&self, by: SortKey, key: &str, text: &str) -> String {
        let is_by_this = self.order.by == by;
        let (sorted, mark) = match (is_by_this, self.order.is_descending) {
            (false, _) => ("", ""),
            (true, false) => (" aria-sort=\"ascending\"", " \u{25b4}"),
            (true, true) => (" aria-sort=\"descending\"", " \u{25be}"),
        };
        // Large and new come first when they are asked for.
        let turned = if is_by_this { !self.order.is_descending } else { by != SortKey::Name };
        let order = if turned { "desc" } else { "asc" };
        format!("<th{sorted}><a href=\"?sort={key}&amp;order={order}\">{text}{mark}</a>")
    }
}

const MAX_CRUMBS: usize = 16;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.25rem;overflow-wrap:anywhere}a{color:LinkText;text-decoration:none}a:hover{text-decoration:underline}\
table{width:100%;border-collapse:collapse}th{text-align:left;font-weight:600;border-bottom:1px solid GrayText}\
th a{color:inherit}td,th{padding:.3rem .5rem;vertical-align:top}td:first-child{overflow-wrap:anywhere}\
td:nth-child(2),th:nth-child(2){text-align:right;white-space:nowrap}\
td:nth-child(3),th:nth-child(3){white-space:nowrap;width:1%}td{font-variant-numeric:tabular-nums}\
tbody tr:hover{background:color-mix(in srgb,CanvasText 7%,transparent)}\
@media(max-width:34rem){td:nth-child(3),th:nth-child(3){display:none}}";

/// A name as it is shown in HTML: nothing in it can end its place, and what is no text is a replacement character.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in String::from_utf8_lossy(self.0).chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Controls, and what turns the direction of the text around it.
                _ if char.is_control()
                    || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
                {
                    f.write_char(char::REPLACEMENT_CHARACTER)?
                }
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// A length in bytes as people read it.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut size = self.0 as f64;
        let mut unit = 0;
        // What would be shown as 1024.0 is 1.0 of the next unit.
        while size >= 1023.95 && unit + 1 < UNITS.len() {
            size /= 1024.0;
            unit += 1;
        }
        match unit {
            0 => write!(f, "{} B", self.0),
            _ => write!(f, "{size:.1} {}", UNITS[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use std::borrow::Cow;

    fn row(name: &[u8], is_directory: bool, len: u64, seconds: u64) -> Row<'_> {
        let modified = (seconds > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        Row { name, is_directory, len, modified }
    }

    fn listing(path: &str, is_json: bool) -> Listing {
        let at = |path: &str| SitePath::parse(Cow::Borrowed(path.as_bytes())).expect("a path").into_owned();
        Listing { path: at(path), base: at("/app/"), order: Order::default(), is_json }
    }

    #[test]
    fn names_are_escaped_for_html_and_for_addresses() {
        let table: &[(&[u8], &str, &str)] = &[
            (b"plain.txt", "plain.txt", "plain.txt"),
            (b"a b", "a%20b", "a b"),
            (
                b"<script>alert(1)</script>",
                "%3Cscript%3Ealert%281%29%3C/script%3E",
                "&lt;script&gt;alert(1)&lt;/script&gt;",
            ),
            (b"\"onclick='x'&amp;", "%22onclick%3D%27x%27%26amp%3B", "&quot;onclick=&#39;x&#39;&amp;amp;"),
            (b"javascript:alert(1)", "javascript%3Aalert%281%29", "javascript:alert(1)"),
            (b"50%#?.txt", "50%25%23%3F.txt", "50%#?.txt"),
            (b"new\nline\x1b", "new%0Aline%1B", "new\u{fffd}line\u{fffd}"),
            ("\u{202e}txt.exe".as_bytes(), "%E2%80%AEtxt.exe", "\u{fffd}txt.exe"),
            ("\u{e9}".as_bytes(), "%C3%A9", "\u{e9}"),
            (b"\xff", "%FF", "\u{fffd}"),
        ];
        for (name, href, shown) in table {
            let html = listing("/", false).row(&row(name, false, 5, 784_111_777), true);
            let time = "<time datetime=\"1994-11-06T08:49:37Z\">1994-11-06 08:49</time>";
            assert_eq!(html, format!("<tr><td><a href=\"{href}\">{shown}</a><td>5 B<td>{time}\n"));
        }
        let directory = listing("/", false).row(&row(b"a&b", true, 0, 0), true);
        assert_eq!(directory, "<tr><td><a href=\"a%26b/\">a&amp;b/</a><td><td>\n");
    }

    #[test]
    fn json() {
        let listing = listing("/a/", true);
        assert_eq!(listing.media_type(), "application/json");
        let rows = [row(b"sub", true, 0, 0), row(b"\"\n\xff\\", false, 5, 784_111_777)];
        let text: String = [
            listing.begin(),
            listing.row(&rows[0], true),
            listing.row(&rows[1], false),
            listing.end().into(),
        ]
        .concat();
        assert_eq!(
            text,
            "[\n{\"name\":\"sub\",\"type\":\"directory\",\"href\":\"sub/\"},\n\
             {\"name\":\"\\\"\\n\u{fffd}\\\\\",\"type\":\"file\",\"href\":\"%22%0A%FF%5C\",\"size\":5,\
             \"modified\":\"1994-11-06T08:49:37Z\"}\n]\n"
        );
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value[1]["size"], 5);
        assert_eq!([listing.begin().as_str(), listing.end()].concat(), "[\n]\n");
    }

    #[test]
    fn the_way_back_and_the_links_that_sort() {
        let page = listing("/a<b/c/", false).begin();
        assert!(page.contains("<title>/a&lt;b/c/</title>"), "{page}");
        let crumbs = "<h1><a href=\"/app/\">/</a><a href=\"/app/a%3Cb/\">a&lt;b/</a><a href=\"/app/a%3Cb/c/\">c/</a></h1>";
        assert!(page.contains(crumbs), "{page}");
        assert!(page.contains("<a href=\"../\">"), "{page}");
        assert!(!listing("/", false).begin().contains("<a href=\"../\">"), "the root has no parent");
        let by_size =
            Listing { order: Order { by: SortKey::Size, is_descending: true }, ..listing("/", false) }
                .begin();
        for heading in [
            "<th><a href=\"?sort=name&amp;order=asc\">Name</a>",
            "<th aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size \u{25be}</a>",
            "<th><a href=\"?sort=modified&amp;order=desc\">Modified (UTC)</a>",
        ] {
            assert!(by_size.contains(heading), "{by_size}");
        }
    }

    #[test]
    fn the_way_back_is_not_longer_than_it_helps() {
        let page = listing(&format!("/{}", "deep/".repeat(2000)), false).begin();
        let deepest = format!("<a href=\"/app/{}\">deep/</a></h1>", "deep/".repeat(2000));
        assert!(page.contains("<a href=\"/app/\">/</a>\u{2026}/<a ") && page.contains(&deepest));
        assert_eq!(page.matches(">deep/</a>").count(), MAX_CRUMBS);
    }

    #[test]
    fn sizes() {
        let table = [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (len, expected) in table {
            assert_eq!(Size(len).to_string(), expected);
        }
    }
}
