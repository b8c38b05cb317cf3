//! Media types by file name extension.

/// Returns the value of `Content-Type` for a file called `name`. Text is declared as UTF-8.
pub fn media_type(name: &[u8]) -> String {
    let extension = name.rsplit(|b| *b == b'.').next().filter(|extension| extension.len() < name.len());
    let essence = extension
        .and_then(|extension| std::str::from_utf8(extension).ok())
        .and_then(|extension| mime_guess::from_ext(extension).first_raw())
        .unwrap_or("application/octet-stream");
    match essence {
        // The only media type for JavaScript that is not obsolete (RFC 9239 section 6).
        "application/javascript" => "text/javascript; charset=utf-8".to_owned(),
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        let table = [
            ("index.html", "text/html; charset=utf-8"),
            ("INDEX.HTM", "text/html; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.mjs", "text/javascript; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("README.md", "text/markdown; charset=utf-8"),
            ("data.json", "application/json"),
            ("module.wasm", "application/wasm"),
            ("loop.svg", "image/svg+xml"),
            ("photo.png", "image/png"),
            ("film.mp4", "video/mp4"),
            ("font.woff2", "font/woff2"),
            ("archive.tar.gz", "application/gzip"),
            ("no-extension", "application/octet-stream"),
            ("html", "application/octet-stream"),
            ("odd.\u{e9}", "application/octet-stream"),
            ("dot.", "application/octet-stream"),
        ];
        for (name, expected) in table {
            assert_eq!(media_type(name.as_bytes()), expected, "{name}");
        }
    }
}
