//! What the operator wants said with every response: how long a copy is good, who may read it from elsewhere, and
//! whatever fields a site needs.

use percent_encoding::percent_decode;

use super::{
    cors::Cors,
    extra::{Extra, Topics, check_value},
    negotiate::Vary,
    request::Request,
    target::locate,
};

/// The operator's choices.
#[derive(Debug)]
pub struct Policy {
    /// `Cache-Control` for files, and what else goes with each of them: whole field lines.
    of_files: Box<[u8]>,
    cors: Option<Cors>,
    extra: Vec<Extra>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { of_files: FOR_NOW.into(), cors: None, extra: Vec::new() }
    }
}

/// With all that is no file at its own address, which may be out of date at once: a file that was missing is written. With
/// files, too, where the operator has not chosen.
const FOR_NOW: &[u8] = b"Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n";

impl Policy {
    /// `cache_control` goes with every file.
    ///
    /// # Errors
    /// It is no field value: what is wrong with it.
    pub fn new(cache_control: &str, cors: Option<Cors>, extra: Vec<Extra>) -> Result<Policy, &'static str> {
        check_value(cache_control)?;
        let of_files = format!("Cache-Control: {cache_control}\r\nX-Content-Type-Options: nosniff\r\n");
        Ok(Policy { of_files: of_files.into_bytes().into(), cors, extra })
    }

    /// Whether the operator says something of the content of the file that `request` means.
    pub fn is_about_content(&self, request: &Request<'_>) -> bool {
        !self.extra.is_empty() && {
            let path = path_of(request);
            self.extra.iter().any(|extra| extra.is_about_content(&path))
        }
    }

    /// Appends the operator's field lines to a head, which begins at `head` in `out` and ends there. The response is
    /// about `topics`, and was decided on by what `vary` names.
    pub fn append(
        &self,
        topics: Topics,
        mut vary: Vary,
        request: Option<&Request<'_>>,
        head: usize,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(if topics.lifetime { &self.of_files } else { FOR_NOW });
        if let (Some(cors), Some(request)) = (&self.cors, request) {
            vary = vary.and(cors.append(request, out));
        }
        vary.append(out);
        if let (false, Some(request)) = (self.extra.is_empty(), request) {
            let path = path_of(request);
            for extra in self.extra.iter().filter(|extra| extra.applies(topics, &path)) {
                extra.set(head, out);
            }
        }
    }
}

/// The path that a request means, however it is written, as far as it can be one.
fn path_of(request: &Request<'_>) -> Vec<u8> {
    match locate(request.path()) {
        Ok(path) => [b"/", path.bytes()].concat(),
        Err(_) => percent_decode(request.path()).collect(),
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

    const OF_FILE: Topics = Topics { content: true, lifetime: true, loading: true };
    const OF_COPY: Topics = Topics { content: false, ..OF_FILE };
    const OF_PAGE: Topics = Topics { content: false, lifetime: false, loading: true };

    fn lines(policy: &Policy, topics: Topics, vary: Vary, request: &Request<'_>) -> Vec<String> {
        let mut out = b"before\r\n\r\nHTTP/1.1 200 OK\r\nServer: oneloop\r\nContent-Type: a\r\n".to_vec();
        policy.append(topics, vary, Some(request), 10, &mut out);
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
        assert_eq!(lines(&policy, OF_FILE, Vary::ACCEPT_ENCODING, &a), [&file[..], &rest].concat());
        let b = request("GET /%62", "");
        let page = [
            "Content-Type: a",
            "Cache-Control: no-cache",
            "X-Content-Type-Options: nosniff",
            "X-A: 2",
            "Link: <a>",
            "Link: <b>",
            "server: mine",
        ];
        assert_eq!(lines(&policy, OF_PAGE, Vary::NOTHING, &b), page);
        let copy =
            ["Content-Type: a", "X-Content-Type-Options: nosniff", "X-A: 2", "Cache-Control: max-age=1"];
        assert_eq!(lines(&policy, OF_COPY, Vary::NOTHING, &b)[..4], copy);
    }

    #[test]
    fn what_a_listing_may_load_is_not_the_operators_word() {
        let policy = "Content-Security-Policy: default-src 'self'";
        let extra = vec![Extra::parse(policy).expect("a line")];
        let said = Policy::new("no-cache", None, extra).expect("a policy");
        let request = request("GET /", "");
        let says = |topics| lines(&said, topics, Vary::NOTHING, &request).iter().any(|line| line == policy);
        assert!(says(OF_FILE) && says(OF_PAGE));
        assert!(!says(Topics { loading: false, ..OF_PAGE }));
    }

    #[test]
    fn who_may_read_from_elsewhere() {
        let policy = |cors| Policy::new("no-cache", Some(cors), Vec::new()).expect("a policy");
        let some = policy(Cors::Origins(vec!["http://localhost:3000".into(), "null".into()]));
        let everybody = policy(Cors::Everybody);
        let start = [
            "Server: oneloop",
            "Content-Type: a",
            "Cache-Control: no-cache",
            "X-Content-Type-Options: nosniff",
        ];
        let check = |policy: &Policy, line: &str, fields: &str, expected: &[&str]| {
            let request = request(line, fields);
            let got = lines(policy, OF_PAGE, Vary::NOTHING, &request);
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
