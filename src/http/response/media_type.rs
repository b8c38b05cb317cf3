//! Media types and content codings, by file name extension and content.
//!
//! Responses say `nosniff`, so a browser refuses a file whose media type is wrong, and a `charset`
//! outranks what the file itself declares. So this module states only what is known.

use memchr::memmem;

use crate::http::Coding;

/// The media type of a file about which nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// The media type of an MPEG transport stream. TypeScript files have the same extensions.
const MPEG_TS: &str = "video/mp2t";

/// Media types that mime_guess lacks, or for which it has an outdated one (IANA; RFC 3555, 4337,
/// 8081, 9239).
const TYPES: [(&str, &str); 46] = [
    ("3mf", "model/3mf"),
    ("adoc", "text/plain"),
    ("bash", "text/plain"),
    ("cjs", "text/javascript"),
    ("cts", "text/plain"),
    ("deb", "application/vnd.debian.binary-package"),
    ("diff", "text/plain"),
    ("go", "text/plain"),
    ("har", "application/json"),
    ("ipynb", "application/x-ipynb+json"),
    ("jsonc", "application/json"),
    ("jsonl", "application/jsonl"),
    ("kt", "text/plain"),
    ("ktx2", "image/ktx2"),
    ("lock", "text/plain"),
    ("m2ts", MPEG_TS),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4s", "video/iso.segment"),
    ("map", "application/json"),
    ("md5", "text/plain"),
    ("mjs", "text/javascript"),
    ("mtl", "model/mtl"),
    ("mts", MPEG_TS),
    ("ndjson", "application/x-ndjson"),
    ("obj", "model/obj"),
    ("otf", "font/otf"),
    ("patch", "text/plain"),
    ("rb", "text/plain"),
    ("rpm", "application/x-rpm"),
    ("rst", "text/plain"),
    ("sha1", "text/plain"),
    ("sha256", "text/plain"),
    ("sha512", "text/plain"),
    ("stl", "model/stl"),
    ("svelte", "text/plain"),
    ("swift", "text/plain"),
    ("tgz", "application/gzip"),
    ("ts", MPEG_TS),
    ("tsx", "text/plain"),
    ("usdz", "model/vnd.usdz+zip"),
    ("vcf", "text/vcard"),
    ("vue", "text/plain"),
    ("wgsl", "text/wgsl"),
    ("woff", "font/woff"),
    ("zst", "application/zstd"),
];

/// The extensions of programs. In the copy of a site that such a program made, the extension says
/// nothing about the content.
const PROGRAMS: [&str; 7] = ["asp", "aspx", "cgi", "jsp", "php", "pl", "py"];

/// Returns the value of `Content-Type` for a file with the media type `essence`. Text is declared
/// as UTF-8 only if it is known to be UTF-8, and the type has no parameters.
pub fn with_charset(essence: &str, content: Option<&[u8]>) -> String {
    // XML declares its own encoding, which a charset here would override (RFC 7303 section 3).
    let may_have_charset = essence.starts_with("text/") && essence != "text/xml" && !essence.contains(';');
    if may_have_charset && content.is_some_and(is_utf8_text) {
        format!("{essence}; charset=utf-8")
    } else {
        essence.to_owned()
    }
}

/// Returns the media type of the file at `path`, as far as it is known.
pub fn known(path: &[u8], content: Option<&[u8]>) -> &'static str {
    match essence(path) {
        // No packet of a transport stream is UTF-8. Browsers show TypeScript only as plain text.
        MPEG_TS if content.is_some_and(|content| std::str::from_utf8(content).is_ok()) => "text/plain",
        essence => essence,
    }
}

/// Returns the content coding of a file that is always stored compressed: gzip for `.svgz`, which
/// has the media type of an uncompressed SVG.
pub fn content_coding(path: &[u8]) -> Option<Coding> {
    let known = extensions(path).find(|extension| by_extension(extension).is_some())?;
    known.eq_ignore_ascii_case("svgz").then_some(Coding::Gzip)
}

/// Returns the media type of the file at `path`, without parameters.
fn essence(path: &[u8]) -> &'static str {
    extensions(path).find_map(by_extension).unwrap_or(UNKNOWN)
}

/// Returns the extensions that may tell the type of the file at `path`, the most telling first.
fn extensions(path: &[u8]) -> impl Iterator<Item = &str> {
    names(path).filter_map(extension)
}

/// Returns the names whose end may tell the type of the file at `path`, the most telling first: the
/// file name up to a `?`, and the whole file name.
pub fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    // wget names the files of a copied site after their URLs, including the query.
    let before_query = memchr::memchr(b'?', name).map(|at| &name[..at]);
    let is_program = |name: &&[u8]| {
        extension(name)
            .is_some_and(|extension| PROGRAMS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
    };
    [before_query.filter(|name| !is_program(name)), Some(name)].into_iter().flatten()
}

/// Returns the extension of a file name or path, without its dot.
fn extension(name: &[u8]) -> Option<&str> {
    let dot = memchr::memrchr(b'.', name)?;
    std::str::from_utf8(&name[dot + 1..]).ok()
}

/// Returns the media type of files with this extension, if it is known.
fn by_extension(extension: &str) -> Option<&'static str> {
    let own = TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known));
    let essence = own.map(|(_, essence)| *essence).or_else(|| mime_guess::from_ext(extension).first_raw());
    essence.map(|essence| match essence {
        // The only media type for JavaScript that is not obsolete (RFC 9239 section 6).
        "application/javascript" => "text/javascript",
        other => other,
    })
}

/// Returns whether `content` is text in UTF-8, and does not state another encoding.
fn is_utf8_text(content: &[u8]) -> bool {
    let is_xml = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).starts_with(b"<?xml");
    // ISO-2022-JP and its relatives consist of ASCII bytes, with this sequence before the first
    // character that is not ASCII (RFC 1468).
    let is_iso_2022 = || memmem::find(content, b"\x1b$").is_some();
    !is_xml && std::str::from_utf8(content).is_ok() && !is_iso_2022()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media_type(path: &[u8], content: Option<&[u8]>) -> String {
        with_charset(known(path, content), content)
    }

    #[test]
    fn ts_is_a_transport_stream_unless_it_is_text() {
        for name in ["a.ts", "a.MTS", "a.m2ts"] {
            for (content, expected) in [
                (Some(&b"export {};\n"[..]), "text/plain; charset=utf-8"),
                (Some(b"<?xml version=\"1.0\"?><TS/>"), "text/plain"),
                (Some(b"G@\0\x10\0\0\xb0\r\0\x01\xc1"), "video/mp2t"),
                (None, "video/mp2t"),
            ] {
                assert_eq!(media_type(name.as_bytes(), content), expected, "{name} {content:?}");
            }
        }
    }

    #[test]
    fn types() {
        let table = [
            ("index.html", "text/html; charset=utf-8"),
            ("INDEX.HTM", "text/html; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("app.CJS", "text/javascript; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("README.md", "text/markdown; charset=utf-8"),
            ("fix.patch", "text/plain; charset=utf-8"),
            ("data.json", "application/json"),
            ("app.js.map", "application/json"),
            ("module.wasm", "application/wasm"),
            ("loop.svg", "image/svg+xml"),
            ("loop.svgz", "image/svg+xml"),
            ("feed.xml", "text/xml"),
            ("page.xsl", "text/xml"),
            ("photo.png", "image/png"),
            ("film.mp4", "video/mp4"),
            ("app.tsx", "text/plain; charset=utf-8"),
            ("song.m4a", "audio/mp4"),
            ("font.woff", "font/woff"),
            ("font.woff2", "font/woff2"),
            ("font.otf", "font/otf"),
            ("cube.stl", "model/stl"),
            ("tool.rpm", "application/x-rpm"),
            ("archive.tar.gz", "application/gzip"),
            ("no-extension", "application/octet-stream"),
            ("html", "application/octet-stream"),
            ("odd.\u{e9}", "application/octet-stream"),
            ("dot.", "application/octet-stream"),
            ("a.css/b", "application/octet-stream"),
            // Names in the copy of a site that wget made.
            ("style.css?ver=5.8", "text/css; charset=utf-8"),
            ("jquery.min.js?ver=3.6.0", "text/javascript; charset=utf-8"),
            ("index.html?file=a.js", "text/html; charset=utf-8"),
            ("a.php?x=b.css", "text/css; charset=utf-8"),
            ("a?b.html/c.css", "text/css; charset=utf-8"),
            ("what?", "application/octet-stream"),
        ];
        for (name, expected) in table {
            assert_eq!(media_type(name.as_bytes(), Some(b"")), expected, "{name}");
        }
    }

    #[test]
    fn charset_is_stated_only_of_known_utf8() {
        let table: [(&str, Option<&[u8]>, bool); 10] = [
            ("a.txt", Some(b"plain"), true),
            ("a.txt", Some("caf\u{e9}".as_bytes()), true),
            ("a.txt", Some(b"caf\xe9"), false),
            ("a.txt", Some(b"\xff\xfea\0"), false),
            ("a.txt", None, false),
            ("a.html", Some(b"<meta charset=iso-2022-jp>\x1b$B8l\x1b(B"), false),
            ("a.log", Some(b"\x1b[1mbold\x1b(B"), true),
            ("a.xml", Some(b"<a/>"), false),
            ("a.html", Some(b"<?xml version='1.0' encoding='ISO-8859-1'?><html/>"), false),
            ("a.opml", Some(b"\xef\xbb\xbf<?xml version='1.0'?><opml/>"), false),
        ];
        for (name, content, expected) in table {
            let value = media_type(name.as_bytes(), content);
            assert_eq!(value.ends_with("; charset=utf-8"), expected, "{name} {content:?}: {value}");
        }
    }

    #[test]
    fn types_of_our_own_are_sorted_and_needed() {
        assert!(TYPES.is_sorted());
        for (extension, essence) in TYPES {
            assert_ne!(mime_guess::from_ext(extension).first_raw(), Some(essence), "{extension}");
        }
    }

    #[test]
    fn svgz_is_gzip() {
        assert_eq!(content_coding(b"a/b.SVGZ"), Some(Coding::Gzip));
        assert_eq!(content_coding(b"b.svg"), None);
        assert_eq!(content_coding(b"svgz"), None);
    }
}
