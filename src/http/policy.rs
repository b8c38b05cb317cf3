//! What the operator wants said with every response: how long a copy is good, who may read it from elsewhere, and
//! whatever fields a site needs.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    cors::Cors,
    extra::{Extra, Kind, check_value},
    negotiate::Vary,
    request::Request,
};

/// The operator's choices.
#[derive(Debug)]
pub struct Policy {
    /// `Cache-Control` for files, and what else goes with each of them: whole field lines.
    of_files: Box<[u8]>,
    cors: Option<Cors>,
    extra: Vec<Extra>,
}

/// With files and with pages of ours: a browser is not to guess types.
const NOSNIFF: &str = "X-Content-Type-Options: nosniff\r\n";

impl Default for Policy {
    fn default() -> Policy {
        Policy { of_files: of_files("no-cache"), cors: None, extra: Vec::new() }
    }
}

fn of_files(cache_control: &str) -> Box<[u8]> {
    format!("Cache-Control: {cache_control}\r\n{NOSNIFF}").into_bytes().into()
}

impl Policy {
    /// `cache_control` goes with every file.
    ///
    /// # Errors
    /// It is no field value: what is wrong with it.
    pub fn new(cache_control: &str, cors: Option<Cors>, extra: Vec<Extra>) -> Result<Policy, &'static str> {
        check_value(cache_control)?;
        Ok(Policy { of_files: of_files(cache_control), cors, extra })
    }

    /// Appends the operator's field lines to a head, which begins at `head` in `out` and ends there. The response is of
    /// that `kind`, and was decided on by what `vary` names.
    pub fn append(
        &self,
        kind: Kind,
        mut vary: Vary,
        request: Option<&Request<'_>>,
        head: usize,
        out: &mut Vec<u8>,
    ) {
        if kind != Kind::Page {
            out.extend_from_slice(&self.of_files);
        }
        if let (Some(cors), Some(request)) = (&self.cors, request) {
            vary = vary.and(cors.append(request, out));
        }
        vary.append(out);
        if let (false, Some(request)) = (self.extra.is_empty(), request) {
            let path = Cow::from(percent_decode_str(request.path()));
            for extra in self.extra.iter().filter(|extra| extra.applies(kind, &path)) {
                extra.set(head, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse;

    fn request(line: &str, fields: &str) -> Request<'static> {
        let input = format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").leak();
        parse(input.as_bytes()).expect("no refusal").expect("a whole request").0
    }

    fn lines(policy: &Policy, kind: Kind, vary: Vary, request: &Request<'_>) -> Vec<String> {
        let mut out = b"before\r\n\r\nHTTP/1.1 200 OK\r\nServer: oneloop\r\nContent-Type: a\r\n".to_vec();
        policy.append(kind, vary, Some(request), 10, &mut out);
        let text = String::from_utf8(out).expect("text");
        text.strip_prefix("before\r\n\r\nHTTP/1.1 200 OK\r\n")
            .expect("the rest is untouched")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_last_line_that_applies_replaces_ours_and_earlier_ones() {
        let extra = [
            "X-A: 1",
            "/b* X-A: 2",
            "Content-Type: text/x",
            "Cache-Control: max-age=1",
            "Link: <a>",
            "Link: <b>",
            "server: mine",
        ];
        let extra = extra.map(|line| Extra::parse(line).expect(line)).to_vec();
        let policy = Policy::new("no-store", None, extra).expect("a policy");
        let a = request("GET /a", "");
        let file =
            ["X-Content-Type-Options: nosniff", "Vary: Accept-Encoding", "X-A: 1", "Content-Type: text/x"];
        let rest = ["Cache-Control: max-age=1", "Link: <a>", "Link: <b>", "server: mine"];
        assert_eq!(lines(&policy, Kind::File, Vary::ACCEPT_ENCODING, &a), [&file[..], &rest].concat());
        let b = request("GET /%62", "");
        let page = ["Content-Type: a", "X-A: 2", "Link: <a>", "Link: <b>", "server: mine"];
        assert_eq!(lines(&policy, Kind::Page, Vary::NOTHING, &b), page);
        let copy =
            ["Content-Type: a", "X-Content-Type-Options: nosniff", "X-A: 2", "Cache-Control: max-age=1"];
        assert_eq!(lines(&policy, Kind::Copy, Vary::NOTHING, &b)[..4], copy);
    }

    #[test]
    fn who_may_read_from_elsewhere() {
        let policy = |cors| Policy::new("no-cache", Some(cors), Vec::new()).expect("a policy");
        let some = policy(Cors::Origins(vec!["http://localhost:3000".into(), "null".into()]));
        let everybody = policy(Cors::Everybody);
        let start = ["Server: oneloop", "Content-Type: a"];
        let check = |policy: &Policy, line: &str, fields: &str, expected: &[&str]| {
            let request = request(line, fields);
            let got = lines(policy, Kind::Page, Vary::NOTHING, &request);
            assert_eq!(got, [&start, expected].concat(), "{line} {fields:?}");
        };
        let preflight = [
            "Access-Control-Allow-Methods: GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers: *, Authorization",
            "Access-Control-Max-Age: 600",
        ];
        let expose = "Access-Control-Expose-Headers: *";
        let asks = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: GET\r\n";
        let anybody = "Access-Control-Allow-Origin: *";
        let one = "Access-Control-Allow-Origin: http://localhost:3000";
        check(&everybody, "GET /", "", &[anybody, expose]);
        check(&everybody, "OPTIONS /", asks, &[&[anybody][..], &preflight].concat());
        check(&everybody, "GET /", asks, &[anybody, expose]);
        check(&some, "GET /", "", &["Vary: Origin"]);
        check(&some, "GET /", "Origin: http://localhost:3001\r\n", &["Vary: Origin"]);
        check(&some, "GET /", "Origin: http://localhost:3000\r\n", &[one, expose, "Vary: Origin"]);
        check(
            &some,
            "GET /",
            "Origin: null\r\n",
            &["Access-Control-Allow-Origin: null", expose, "Vary: Origin"],
        );
        check(&some, "OPTIONS /", asks, &[&[one][..], &preflight, &["Vary: Origin"]].concat());
    }
}
