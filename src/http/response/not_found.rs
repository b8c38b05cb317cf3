//! The built-in page of a 404 response. It names the path, because a person looks for a mistake in
//! it, and links to the nearest page above.
//!
//! The path comes from the client, so it must never act on a page or on a terminal, and the page
//! must stay short.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{refusal::Refusal, relative::relative_link};
use crate::{
    printable::{Html, replace_unprintable},
    site_path::SitePath,
};

/// The maximum length in bytes of a path on the page.
const MAX_SHOWN: usize = 200;

/// The page of a 404 response to a request for `path`, as the client sent it.
#[derive(Debug)]
pub struct NotFoundPage<'a> {
    pub path: &'a [u8],
    /// The nearest directory above that has a page, if there is one.
    pub above: Option<SitePath<'a>>,
    /// Why there is nothing. A sentence that says more than [`Refusal::NOT_FOUND`] is shown as
    /// well.
    pub why: &'static str,
}

impl NotFoundPage<'_> {
    /// Returns one line of text, for a client that does not ask for HTML by name.
    pub fn text(&self) -> Vec<u8> {
        const START: &[u8] = b"404 Not Found: there is nothing at ";
        let mut text = Vec::with_capacity(START.len() + self.path.len().min(MAX_SHOWN) + 1);
        text.extend_from_slice(START);
        // The usual case comes first, because scanners and broken pages send many such requests.
        let is_plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'%';
        if self.path.len() <= MAX_SHOWN && self.path.iter().all(is_plain) {
            text.extend_from_slice(self.path);
        } else {
            text.extend_from_slice(replace_unprintable(&shown(self.path)).as_bytes());
        }
        text.push(b'\n');
        if let Some(advice) = self.advice() {
            text.extend_from_slice(advice.as_bytes());
            text.push(b'\n');
        }
        text
    }

    fn advice(&self) -> Option<&'static str> {
        (self.why != Refusal::NOT_FOUND.why).then_some(self.why)
    }

    /// Returns the page as HTML.
    pub fn html(&self) -> Vec<u8> {
        let mut why = format!("There is nothing at <code>{}</code>.", Html(&shown(self.path)));
        if let Some(advice) = self.advice() {
            why += &format!(" {advice}"); // as on other error pages, without escaping
        }
        if let Some(above) = &self.above {
            let path = [b"/", above.bytes()].concat();
            let name: &[u8] = if path == b"/" { b"the start page" } else { &shown_raw(&path) };
            why += &format!(
                " Go to <a href=\"{}\">{}</a>.",
                relative_link(self.path, &above.to_string()),
                Html(name)
            );
        }
        Refusal::NOT_FOUND.page_with(&why).collect::<String>().into_bytes()
    }
}

/// Decodes a path, and cuts it short.
fn shown(path: &[u8]) -> Cow<'_, [u8]> {
    // No more of it can be needed, because 3 bytes encode one.
    let decoded = percent_decode(&path[..path.len().min(3 * MAX_SHOWN + 3)]).into();
    match decoded {
        Cow::Borrowed(path) => shown_raw(path),
        Cow::Owned(path) => Cow::Owned(shown_raw(&path).into_owned()),
    }
}

/// Cuts a path short, between characters.
fn shown_raw(path: &[u8]) -> Cow<'_, [u8]> {
    if path.len() <= MAX_SHOWN {
        return Cow::Borrowed(path);
    }
    let is_start = |at: &usize| path[*at] & 0xc0 != 0x80;
    let end = (MAX_SHOWN - 4..=MAX_SHOWN).rev().find(is_start).unwrap_or(MAX_SHOWN);
    Cow::Owned([&path[..end], "\u{2026}".as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::locate;

    fn text(path: &[u8]) -> String {
        let page = NotFoundPage { path, above: None, why: Refusal::NOT_FOUND.why };
        String::from_utf8(page.text()).expect("UTF-8")
    }

    fn html(path: &str, above: Option<&str>) -> String {
        let above = above.map(|above| locate(above.as_bytes()).expect("a path"));
        let page = NotFoundPage { path: path.as_bytes(), above, why: Refusal::NOT_FOUND.why };
        String::from_utf8(page.html()).expect("UTF-8")
    }

    #[test]
    fn not_found_page_names_the_path() {
        let table: [(&[u8], &str, &str); 6] = [
            (b"/a.txt", "/a.txt", "/a.txt"),
            (b"/a%20b/%C3%A9", "/a b/\u{e9}", "/a b/\u{e9}"),
            (
                b"/<script>alert('1')</script>&\"",
                "/<script>alert('1')</script>&\"",
                "/&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;",
            ),
            (
                b"/%1b[2J%0a%9b\x1b",
                "/\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}",
                "/\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}",
            ),
            (b"/%E2%80%AEtxt.exe", "/\u{fffd}txt.exe", "/\u{fffd}txt.exe"),
            (b"/%zz", "/%zz", "/%zz"),
        ];
        for (path, in_text, in_html) in table {
            assert_eq!(text(path), format!("404 Not Found: there is nothing at {in_text}\n"));
            let page = html(str::from_utf8(path).unwrap_or("/"), None);
            assert!(page.contains(&format!("<p>There is nothing at <code>{in_html}</code>.</p>")), "{page}");
            assert!(page.contains("<title>404 Not Found</title>") && !page.contains("{{"), "{page}");
        }
    }

    #[test]
    fn not_found_page_has_the_advice_of_its_refusal() {
        let page = || NotFoundPage { path: b"/a/", above: Some(SitePath::ROOT), why: "Do this." };
        let text = String::from_utf8(page().text()).expect("UTF-8");
        assert_eq!(text, "404 Not Found: there is nothing at /a/\nDo this.\n");
        let html = String::from_utf8(page().html()).expect("UTF-8");
        assert!(html.contains("<p>There is nothing at <code>/a/</code>. Do this. Go to <a "), "{html}");
    }

    #[test]
    fn not_found_page_is_short() {
        for path in
            ["/%26".repeat(2000), "/\u{e9}".repeat(4000), "\u{1f600}".repeat(2000), "%22".repeat(2700)]
        {
            let page = html(&path, Some("/"));
            assert!(page.len() < 4000 && page.contains('\u{2026}'), "{} bytes", page.len());
            let text = text(path.as_bytes());
            assert!(text.len() < 300 && text.ends_with("\u{2026}\n") && !text.contains('\u{fffd}'), "{text}");
        }
        let deep = format!("/{}", "deep/".repeat(100));
        assert!(html(&format!("{deep}x"), Some(&deep)).contains("\u{2026}</a>"));
    }

    #[test]
    fn not_found_page_links_up() {
        let table = [
            ("/a/b/c.txt", "/a/b/", "./", "/a/b/"),
            ("/a/b/c.txt", "/a/", "../", "/a/"),
            ("/a/b/", "/a/", "../", "/a/"),
            ("/a/b/c/d", "/", "../../../", "the start page"),
            ("/none", "/", "./", "the start page"),
            ("/a%20b/c", "/a%20b/", "./", "/a b/"),
            ("/%3Cb%3E/c", "/%3Cb%3E/", "./", "/&lt;b&gt;/"),
            ("//a//b", "/", "/", "the start page"),
            ("/a/../b/c", "/b/", "/b/", "/b/"),
            ("/x", "/app/", "app/", "/app/"),
        ];
        for (path, above, href, name) in table {
            let page = html(path, Some(above));
            let link = format!(" Go to <a href=\"{href}\">{name}</a>.</p>");
            assert!(page.contains(&link), "{path}: {page}");
        }
        assert!(!html("/", None).contains("<a "));
    }
}
