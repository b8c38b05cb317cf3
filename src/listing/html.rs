//! Renders a listing as an HTML page.
//!
//! The page needs no script: each sort order is a link. A file name must never be able to inject
//! markup.

use std::fmt::Write;

use percent_encoding::percent_encode;

use super::{
    Listing, Row,
    rows::{Order, SortKey, Totals},
};
use crate::{printable::Html, site_path::PATH, size::Size};

/// The template of the page, up to its rows. `{{name}}` marks a placeholder.
const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
pub const END: &str = "</table>\n";

/// The maximum number of path components shown. For a longer path, only the last ones are shown.
const MAX_CRUMBS: usize = 16;

/// Returns the page up to its rows.
pub fn begin(listing: &Listing, totals: Totals) -> String {
    let headings = [
        heading(listing, SortKey::Name, "Name"),
        heading(listing, SortKey::Size, "Size"),
        heading(listing, SortKey::Modified, "Modified (UTC)"),
    ];
    let is_root = listing.path.bytes().is_empty();
    fill(PAGE, |place| match place {
        "title" => Html(listing.path.bytes()).to_string(),
        "style" => STYLE.to_owned(),
        "crumbs" => crumbs(listing),
        "order" => hidden_order(listing.order),
        "filter" => Html(listing.filter.text().as_bytes()).to_string(),
        "counts" => counts(totals, !listing.filter.text().is_empty()),
        "headings" => headings.concat(),
        "parent" if !is_root => "<tr><td><a href=\"../\">../</a><td><td>\n".to_owned(),
        _ => String::new(),
    })
}

/// Returns one row of the table.
pub fn row(row: &Row<'_>) -> String {
    let slash = if row.is_directory { "/" } else { "" };
    let href = percent_encode(row.name, PATH);
    let name = Html(row.name);
    let size = if row.is_directory { String::new() } else { Size(row.len).to_string() };
    let modified = row.modified.map(|time| {
        let time = humantime::format_rfc3339_seconds(time).to_string();
        let (day, clock) = time.split_at_checked(10).unwrap_or_default();
        format!("<time datetime=\"{time}\">{day} {}</time>", clock.get(1..6).unwrap_or_default())
    });
    let modified = modified.unwrap_or_default();
    format!("<tr><td><a href=\"{href}{slash}\">{name}{slash}</a><td>{size}<td>{modified}\n")
}

/// Replaces each `{{name}}` in `template` with its value. Values are not expanded again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::new();
    for (at, piece) in template.split("{{").enumerate() {
        match piece.split_once("}}") {
            Some((name, text)) if at > 0 => {
                filled.push_str(&value(name));
                filled.push_str(text);
            }
            _ => filled.push_str(piece),
        }
    }
    filled
}

/// Returns the path from the root of the site as links, one per directory. Shortens a long path.
fn crumbs(listing: &Listing) -> String {
    let count = listing.path.names().count();
    // Relative links also work behind a proxy that removes a prefix.
    let up = |levels: usize| if levels == 0 { "./".to_owned() } else { "../".repeat(levels) };
    let mut crumbs = format!("<a href=\"{}\">/</a>", up(count));
    let skipped = count.saturating_sub(MAX_CRUMBS);
    if skipped > 0 {
        crumbs.push_str("\u{2026}/");
    }
    for (depth, name) in listing.path.names().enumerate() {
        if depth >= skipped {
            // Writing to a string cannot fail.
            let _ = write!(crumbs, "<a href=\"{}\">{}/</a>", up(count - 1 - depth), Html(name));
        }
    }
    crumbs
}

/// Returns a column heading: a link that sorts by this column, or reverses the order if the listing
/// is already sorted by it.
fn heading(listing: &Listing, by: SortKey, text: &str) -> String {
    let (order, filter) = (listing.order, listing.filter.parameter());
    let is_sorted = order.by == by;
    let (sorted, mark) = match (is_sorted, order.is_descending) {
        (false, _) => ("", ""),
        (true, false) => (" aria-sort=\"ascending\"", " \u{25b4}"),
        (true, true) => (" aria-sort=\"descending\"", " \u{25be}"),
    };
    // Sorting by size or time starts with the largest or newest entry.
    let next_is_descending = if is_sorted { !order.is_descending } else { by != SortKey::Name };
    let (key, order) = (key_name(by), if next_is_descending { "desc" } else { "asc" });
    format!("<th{sorted}><a href=\"?sort={key}&amp;order={order}{filter}\">{text}{mark}</a>")
}

/// Returns the value of the parameter `sort`.
fn key_name(by: SortKey) -> &'static str {
    match by {
        SortKey::Name => "name",
        SortKey::Size => "size",
        SortKey::Modified => "modified",
    }
}

/// Returns the hidden fields with which the form of the filter keeps the order.
fn hidden_order(order: Order) -> String {
    if order == Order::default() {
        return String::new();
    }
    let (key, order) = (key_name(order.by), if order.is_descending { "desc" } else { "asc" });
    format!("<input type=hidden name=sort value={key}><input type=hidden name=order value={order}>")
}

/// Returns a line such as `2 folders, 1 file, 1.5 KiB`.
fn counts(totals: Totals, is_filtered: bool) -> String {
    let number = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let Totals { directories, files, len } = totals;
    let (folders, files) = (number(directories, "folder"), number(files, "file"));
    format!("{folders}, {files}, {}{}", Size(len), if is_filtered { " found" } else { "" })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{listing::Filter, site_path::SitePath};
    use std::borrow::Cow;

    fn entry(name: &[u8], is_directory: bool, len: u64, seconds: u64) -> Row<'_> {
        let modified = (seconds > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        Row { name, is_directory, len, modified }
    }

    fn listing(path: &str) -> Listing {
        let at = |path: &str| SitePath::parse(Cow::Borrowed(path.as_bytes())).expect("a path").into_owned();
        Listing { path: at(path), order: Order::default(), filter: Filter::default(), is_json: false }
    }

    #[test]
    fn listing_escapes_names_for_html_and_urls() {
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
            let html = row(&entry(name, false, 5, 784_111_777));
            let time = "<time datetime=\"1994-11-06T08:49:37Z\">1994-11-06 08:49</time>";
            assert_eq!(html, format!("<tr><td><a href=\"{href}\">{shown}</a><td>5 B<td>{time}\n"));
        }
        let directory = row(&entry(b"a&b", true, 0, 0));
        assert_eq!(directory, "<tr><td><a href=\"a%26b/\">a&amp;b/</a><td><td>\n");
    }

    #[test]
    fn listing_has_breadcrumbs_and_sort_links() {
        let page = begin(&listing("/a<b/c/"), Totals::default());
        assert!(page.contains("<title>Index of /a&lt;b/c/</title>"), "{page}");
        let crumbs =
            "<h1>Index of <a href=\"../../\">/</a><a href=\"../\">a&lt;b/</a><a href=\"./\">c/</a></h1>";
        assert!(page.contains(crumbs), "{page}");
        assert!(page.contains("<a href=\"../\">"), "{page}");
        assert!(
            !begin(&listing("/"), Totals::default()).contains("<a href=\"../\">"),
            "the root has no parent"
        );
        let by_size = Listing { order: Order { by: SortKey::Size, is_descending: true }, ..listing("/") }
            .begin(Totals::default());
        for heading in [
            "<th><a href=\"?sort=name&amp;order=asc\">Name</a>",
            "<th aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size \u{25be}</a>",
            "<th><a href=\"?sort=modified&amp;order=desc\">Modified (UTC)</a>",
        ] {
            assert!(by_size.contains(heading), "{by_size}");
        }
    }

    #[test]
    fn listing_counts_rows_and_keeps_filter_and_order() {
        let filter = Filter::parse(Some(b"q=%22%3E%3Cb+c"));
        let order = Order { by: SortKey::Size, is_descending: true };
        let page =
            Listing { filter, order, ..listing("/") }.begin(Totals { directories: 1, files: 2, len: 1536 });
        assert!(page.contains("<p>1 folder, 2 files, 1.5 KiB found</p>"), "{page}");
        assert!(page.contains(" value=\"&quot;&gt;&lt;b c\" "), "{page}");
        assert!(page.contains("<a href=\"?sort=name&amp;order=asc&amp;q=%22%3E%3Cb%20c\">"), "{page}");
        let hidden = "<input type=hidden name=sort value=size><input type=hidden name=order value=desc>";
        assert!(page.contains(hidden), "{page}");
        let page = listing("/").begin(Totals { directories: 0, files: 1, len: 7 });
        assert!(page.contains("<p>0 folders, 1 file, 7 B</p>") && !page.contains("hidden"), "{page}");
    }

    #[test]
    fn listing_breadcrumbs_are_bounded() {
        let page = begin(&listing(&format!("/{}", "deep/".repeat(2000))), Totals::default());
        let top = format!("<a href=\"{}\">/</a>\u{2026}/<a ", "../".repeat(2000));
        assert!(page.contains(&top) && page.contains("<a href=\"./\">deep/</a></h1>"), "{page}");
        assert_eq!(page.matches(">deep/</a>").count(), MAX_CRUMBS);
    }
}
