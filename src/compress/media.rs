//! Which files are worth compressing, by media type.

/// Media types, beside `text/*` and those with the suffix `+json`, `+xml` or `+text`, whose files
/// are not compressed yet.
const COMPRESSIBLE: [&str; 29] = [
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonl",
    "application/msword",
    "application/postscript",
    "application/rtf",
    "application/sql",
    "application/toml",
    "application/vnd.apple.mpegurl",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-tar",
    "application/x-tex",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
    "image/x-ms-bmp",
    "model/mtl",
    "model/obj",
    "model/stl",
];

/// Returns whether files of this media type usually shrink. Images, films, fonts for the web and
/// archives are compressed already.
pub fn is_compressible(media_type: &str) -> bool {
    let is_text = media_type.starts_with("text/")
        || ["+json", "+xml", "+text"].iter().any(|suffix| media_type.ends_with(suffix));
    is_text || COMPRESSIBLE.binary_search(&media_type).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::MediaTypes;

    #[test]
    fn compressible_files_by_name() {
        assert!(COMPRESSIBLE.is_sorted());
        let table = [
            ("index.html", true),
            ("app.js", true),
            ("app.js.map", true),
            ("loop.svg", true),
            ("feed.xml", true),
            ("data.json", true),
            ("site.webmanifest", true),
            ("module.wasm", true),
            ("font.ttf", true),
            ("font.otf", true),
            ("favicon.ico", true),
            ("style.css?ver=5.8", true),
            ("list.m3u8", true),
            ("font.woff", false),
            ("font.woff2", false),
            ("photo.jpg", false),
            ("photo.png", false),
            ("film.mp4", false),
            ("app.js.gz", false),
            ("app.js.br", false),
            ("app.js.zst", false),
            ("docs.zip", false),
            ("paper.pdf", false),
            ("no-extension", false),
        ];
        for (name, expected) in table {
            assert_eq!(is_compressible(&MediaTypes::default().of(name.as_bytes(), None)), expected, "{name}");
        }
    }
}
