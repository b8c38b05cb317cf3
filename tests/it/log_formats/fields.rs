//! Log fields: bytes from a client stay in their field.

use super::*;
use crate::common::*;

#[test]
fn log_fields_referer_and_user_agent_in_combined_and_json() {
    let site = Site::new();
    let fields = "Referer: http://localhost/?q=\"x\"\r\nUser-Agent: Moz\\illa/5.0 (X11; \"Li nux\")\r\n";
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        logging.server.ask(request("GET /", fields));
        logging.server.ask(request("GET /", ""));
        let (with_fields, without_fields) = (logging.line(), logging.line());
        if *format == "common" {
            return;
        }
        assert_eq!(with_fields.referer.as_deref(), Some("http://localhost/?q=\"x\""));
        assert_eq!(with_fields.user_agent.as_deref(), Some("Moz\\illa/5.0 (X11; \"Li nux\")"));
        let nothing = if *format == "json" { "" } else { "-" };
        assert_eq!(
            (without_fields.referer.as_deref(), without_fields.user_agent.as_deref()),
            (Some(nothing), Some(nothing))
        );
    });
}

#[test]
fn log_fields_contain_what_a_client_sends() {
    let site = Site::new();
    let lines: [(&[u8], &str); 8] = [
        (b"GET /\"\\\"?\" 200 1 0.1 HTTP/1.1", ""),
        (b"GET /\\x0a\" HTTP/1.1", "GET /\\x0a\" HTTP/1.1"),
        (b"GET /\",\"status\":999,\"x\":\" HTTP/1.1", "GET /\",\"status\":999,\"x\":\" HTTP/1.1"),
        (b"GET /\x1b]0;title\x07 HTTP/1.1", "GET /\\x1b]0;title\\x07 HTTP/1.1"),
        (b"GET /\xc3\xa4\xff\x7f HTTP/1.1", "GET /\\xc3\\xa4\\xff\\x7f HTTP/1.1"),
        (b"GET /\xe2\x80\xa8\xc2\x9b HTTP/1.1", "GET /\\xe2\\x80\\xa8\\xc2\\x9b HTTP/1.1"),
        (b"\x16\x03\x01\x02\x00", "\\x16\\x03\\x01\\x02\\x00"),
        (b"G\x00T / HTTP/1.1", "G\\x00T / HTTP/1.1"),
    ];
    let fields: [&[u8]; 7] = [
        b"\" 1 aborted",
        b"\\",
        b"\\\" \"",
        b"\",\"status\":999,\"",
        b"\xc3\xa4\xff\xe2\x80\xa8\t\xc2\x9b",
        b"</script><script>",
        b"",
    ];
    each(FORMATS, |format| {
        let mut logging = Logging::with(&site, format, &[]);
        for (line, shown) in lines {
            let status = logging.server.ask([line, b"\r\nHost: a\r\n\r\n"].concat()).status;
            let logged = logging.line();
            assert_eq!((logged.status, logged.is_aborted), (status, false), "{logged:?}");
            assert!(shown.is_empty() || logged.request == shown, "{logged:?} does not contain {shown}");
        }
        for value in fields {
            let parts =
                [b"GET / HTTP/1.1\r\nHost: a\r\nReferer: ", value, b"\r\nUser-Agent: ", value, b"\r\n\r\n"];
            assert_eq!(logging.server.ask(parts.concat()).status, 200);
            let logged = logging.line();
            assert_eq!((&*logged.request, logged.status, logged.bytes), ("GET / HTTP/1.1", 200, 5));
            assert!(!logged.is_aborted);
            assert_eq!(logged.referer, logged.user_agent, "{logged:?}");
            if let Some(text) = logged.referer.filter(|_| value.is_ascii() && !value.is_empty()) {
                assert_eq!(text.as_bytes(), value, "printable text is logged unchanged");
            }
        }
        // A head at its maximum length, full of characters that are escaped: the log line is
        // shorter.
        let long = [b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ", &[0xff; 15_000][..], b"\r\n\r\n"].concat();
        assert_eq!(logging.server.ask(long).status, 200);
        let line = logging.server.stdout_line();
        Line::parse(format, &line);
        assert!(line.len() < 15_000, "{} bytes", line.len());
        logging.expect_no_more();
    });
}

#[test]
fn log_fields_in_json_escape_without_ambiguity() {
    let site = Site::new();
    let mut logging = Logging::with(&site, "json", &[]);
    for (value, shown) in [(&b"\xff"[..], r#""\\xff""#), (b"\\xff", r#""\\\\xff""#)] {
        logging.server.ask([b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: ", value, b"\r\n\r\n"].concat());
        let line = logging.server.stdout_line();
        assert!(line.contains(&format!("\"user_agent\":{shown}")), "{line}");
    }
}
