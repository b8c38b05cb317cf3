//! The metadata and the bytes of a variant.

use super::*;
use crate::common::*;

#[test]
fn variant_has_its_own_length() {
    let site = Site::new();
    let rows = [
        // Compression makes short files longer.
        (39, 43),
        (43, 39),
        (0, 14),
        // In memory and on disk, in every combination.
        (200_000, 20_000),
        (20_000, 200_000),
        (3 << 20, 1 << 20),
        (1 << 20, 3 << 20),
    ];
    for (plain, coded) in rows {
        site.write(format!("{plain}.css"), vec![b'p'; plain]);
        site.write(format!("{plain}.css.br"), pattern(coded));
    }
    let server = Server::start(&site);
    let mut client = server.connect();
    for (plain, coded) in rows {
        let path = format!("/{plain}.css");
        client.send(ask(&path, "br") + &ask(&path, "gzip") + &get("/hello.txt"));
        let response = client.response();
        assert_eq!(response.header("content-length"), Some(&*coded.to_string()), "{path}");
        assert_eq!(response.header("content-encoding"), Some("br"));
        // The charset of a large original, which is not read, is not known.
        let media_type = if plain > 120 * 1024 { "text/css" } else { "text/css; charset=utf-8" };
        assert_eq!(response.header("content-type"), Some(media_type));
        assert!(response.body == pattern(coded), "{path}");
        assert_eq!(client.response().body, vec![b'p'; plain]);
        assert_eq!(client.response().text(), "hello\n", "nothing comes between the responses");
        client.send(ask(&path, "br").replacen("GET", "HEAD", 1));
        assert_eq!(client.head().header("content-length"), Some(&*coded.to_string()), "HEAD {path}");
    }
}

#[test]
fn variant_may_differ_from_request_to_request() {
    let site = Site::empty();
    write_with(&site, "app.js", &[CODINGS[0], CODINGS[2]]);
    let server = Server::start(&site);
    let mut client = server.connect();
    // Before and after the files settle, when they may come from memory.
    for _ in 0..2 {
        let asked = ["br", "", "gzip", "zstd", "gzip, br", "identity"];
        let requests: String = asked.iter().map(|accept| ask("/app.js", accept)).collect();
        // All requests arrive together, so the server answers them in one turn.
        server.while_stopped(|| client.send(requests + &get("/app.js.br") + &get("/app.js.zst")));
        for coding in ["br", "plain", "gzip", "plain", "br", "plain"] {
            assert_is(&client.response(), coding, "app.js");
        }
        let itself = client.response();
        assert_eq!((itself.text(), itself.header("content-encoding")), ("br app.js".into(), None));
        assert_eq!(client.response().status, 404);
        let_settle(&site, &mut client);
        for accept in ["br", "gzip", ""] {
            tag(&mut client, "/app.js", accept);
        }
    }
}

#[test]
fn variant_by_its_own_name_is_a_file() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS);
    site.write("app.js.gz.br", "br app.js.gz");
    let server = Server::start(&site);
    let mut client = server.connect();
    // Once before the files settle, and twice afterwards, when they may come from memory.
    for round in 0..3 {
        for (path, accept, body, media_type) in [
            ("/app.js.gz", "gzip", "gzip app.js", "application/gzip"),
            ("/app.js.gz", "", "gzip app.js", "application/gzip"),
            ("/app.js.br", ALL, "br app.js", "application/octet-stream"),
        ] {
            client.send(ask(path, accept));
            let response = client.response();
            assert_eq!((response.status, response.text()), (200, body.to_owned()), "{path} {accept}");
            assert_eq!(response.header("content-encoding"), None, "{path} {accept}");
            assert_eq!(response.header("content-type"), Some(media_type), "{path}");
        }
        // A variant requested by its own name may have variants.
        client.send(ask("/app.js.gz", "br") + &ask("/app.js", "gzip") + &ask("/app.js", "br"));
        assert_is(&client.response(), "br", "app.js.gz");
        assert_is(&client.response(), "gzip", "app.js");
        assert_is(&client.response(), "br", "app.js");
        if round == 0 {
            let_settle(&site, &mut client);
        }
    }
}

#[test]
fn variant_has_its_own_etag() {
    let site = Site::empty();
    write_with(&site, "app.js", &CODINGS);
    site.write("large.bin", pattern(1 << 20));
    site.write("large.bin.gz", pattern(1 << 19));
    // The same bytes in another content coding are a different representation (section 8.8.3.3).
    site.write("alike.js", "alike");
    site.write("alike.js.br", "alike");
    let server = Server::start(&site);
    let mut client = server.connect();
    let_settle(&site, &mut client);
    for (path, accepted) in [
        ("/app.js", &["identity", "br", "zstd", "gzip"][..]),
        ("/large.bin", &["identity", "gzip"]),
        ("/alike.js", &["identity", "br"]),
    ] {
        let tags: Vec<_> = accepted.iter().map(|accept| tag(&mut client, path, accept)).collect();
        for (accept, own) in accepted.iter().zip(&tags) {
            for tag in &tags {
                client.send(ask_with(path, accept, &format!("If-None-Match: {tag}\r\n")));
                let response = client.response();
                let expected = if tag == own { 304 } else { 200 };
                assert_eq!(response.status, expected, "{path} in {accept}");
                assert_eq!(response.header("etag"), Some(&**own));
                assert_varies(&response);
            }
            client.send(ask_with(path, accept, &format!("If-None-Match: {}\r\n", tags.join(", "))));
            assert_eq!(client.response().status, 304, "{path} in {accept}, with all ETags");
            client.send(ask_with(path, accept, &format!("If-Match: {own}\r\n")));
            assert_eq!(client.response().status, 200, "{path} in {accept}, with its own ETag");
        }
        let mut distinct = tags.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), tags.len(), "each representation has its own ETag: {tags:?}");
    }
}

#[test]
fn variant_has_its_own_ranges() {
    let site = Site::empty();
    let rows = [("small.js", 4000, 300), ("middle.js", 30_000, 20_000), ("large.js", 300_000, 200_000)];
    for (name, plain, coded) in rows {
        site.write(name, vec![b'p'; plain]);
        site.write(format!("{name}.gz"), pattern(coded));
    }
    let server = Server::start(&site);
    let mut client = server.connect();
    let_settle(&site, &mut client);
    for (name, plain, coded) in rows {
        let path = format!("/{name}");
        let own = tag(&mut client, &path, "gzip");
        let of_original = tag(&mut client, &path, "");
        let mut ask = |accept: &str, fields: String| {
            client.send(ask_with(&path, accept, &fields));
            let response = client.response();
            assert_varies(&response);
            response
        };
        let content = pattern(coded);
        for (fields, first) in [
            ("Range: bytes=100-\r\n".to_owned(), 100),
            ("Range: bytes=-7\r\n".to_owned(), coded - 7),
            // A range past the end of the variant is left out, even if the original is longer.
            (format!("Range: bytes={coded}-,-7\r\n"), coded - 7),
            (format!("Range: bytes=100-\r\nIf-Range: {own}\r\n"), 100),
        ] {
            let part = ask("gzip", fields);
            assert_eq!((part.status, part.header("content-encoding")), (206, Some("gzip")));
            let is_known = plain <= 120 * 1024;
            assert_eq!(
                part.header("content-type"),
                Some(if is_known { JAVASCRIPT } else { "text/javascript" })
            );
            assert_eq!(part.header("content-range"), Some(&*format!("bytes {first}-{}/{coded}", coded - 1)));
            assert_eq!(part.header("etag"), Some(&*own));
            assert!(part.body == content[first..], "{name} from {first}");
        }
        // A client could combine a range of another content coding with its own bytes; several
        // ranges confuse some clients as well.
        for fields in [
            format!("Range: bytes=100-\r\nIf-Range: {of_original}\r\n"),
            "Range: bytes=0-0,-1\r\n".to_owned(),
        ] {
            let whole = ask("gzip", fields);
            assert_eq!((whole.status, whole.header("content-encoding")), (200, Some("gzip")));
            assert_eq!(whole.header("content-range"), None);
            assert!(whole.body == content, "{name}");
        }
        let none = ask("gzip", format!("Range: bytes={coded}-\r\n"));
        assert_eq!((none.status, none.header("content-range")), (416, Some(&*format!("bytes */{coded}"))));
        // The original has its own ranges, one or several.
        let part = ask("identity", format!("Range: bytes={coded}-\r\nIf-Range: {of_original}\r\n"));
        assert_eq!((part.status, part.body.len()), (206, plain - coded));
        assert_eq!(part.header("content-encoding"), None);
        assert_eq!(ask("identity", "Range: bytes=0-0,-1\r\n".into()).status, 206);
    }
}
