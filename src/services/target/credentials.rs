//! Paths that require credentials, as in httpbin. They protect nothing: the URL has the right
//! credentials in it, or any will do.

use base64::{Engine, prelude::BASE64_STANDARD};

/// The credentials that a request must have.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    /// This user name and this password (RFC 7617).
    Basic { user: String, password: String },
    /// Any token (RFC 6750).
    Bearer,
}

impl Credentials {
    /// Returns what a request for `path` needs, which is relative to the path of the target.
    pub fn at(path: &[u8]) -> Option<Credentials> {
        let path = std::str::from_utf8(path).ok()?;
        if path == "bearer" {
            return Some(Credentials::Bearer);
        }
        let (user, password) = path.strip_prefix("basic-auth/")?.split_once('/')?;
        let is_whole = !user.is_empty() && !password.is_empty() && !password.contains('/');
        is_whole.then(|| Credentials::Basic { user: user.into(), password: password.into() })
    }

    /// Returns the field value that asks for the credentials.
    pub fn challenge(&self) -> &'static str {
        match self {
            Credentials::Basic { .. } => "Basic realm=\"load target\"",
            Credentials::Bearer => "Bearer",
        }
    }

    /// Returns the response to a request with this `Authorization` field as JSON, or `None` if the
    /// credentials are not right.
    pub fn json(&self, authorization: Option<&[u8]>) -> Option<String> {
        let value = std::str::from_utf8(authorization?).ok()?;
        let (scheme, given) = value.split_once(' ')?;
        let (name, shown) = match self {
            Credentials::Basic { user, password } => {
                let decoded = BASE64_STANDARD.decode(given.trim_ascii()).ok()?;
                let is_right = scheme.eq_ignore_ascii_case("Basic")
                    && decoded == [user.as_bytes(), b":", password.as_bytes()].concat();
                is_right.then_some(("user", user.as_str()))?
            }
            Credentials::Bearer => {
                let token = given.trim_ascii();
                (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(("token", token))?
            }
        };
        let shown = serde_json::Value::from(shown);
        Some(format!("{{\n  \"authenticated\": true,\n  \"{name}\": {shown}\n}}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_paths() {
        let basic = |user: &str, password: &str| {
            Some(Credentials::Basic { user: user.into(), password: password.into() })
        };
        let table = [
            ("bearer", Some(Credentials::Bearer)),
            ("basic-auth/a/b", basic("a", "b")),
            ("basic-auth/\u{e4} :/\"", basic("\u{e4} :", "\"")),
            ("basic-auth/a", None),
            ("basic-auth/a/", None),
            ("basic-auth//b", None),
            ("basic-auth/a/b/c", None),
            ("bearer/a", None),
        ];
        for (path, expected) in table {
            assert_eq!(Credentials::at(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn credentials_are_checked() {
        let answer = |path: &str, value: &str| {
            let credentials = Credentials::at(path.as_bytes()).expect(path);
            let json = credentials.json(Some(value.as_bytes()))?;
            Some(serde_json::from_str::<serde_json::Value>(&json).expect("JSON"))
        };
        let user = |name: &str| Some(serde_json::json!({"authenticated": true, "user": name}));
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        assert_eq!(answer("basic-auth/a/b", &basic("a:b")), user("a"));
        assert_eq!(answer("basic-auth/a/b:c", &basic("a:b:c").replace("Basic ", "basic  ")), user("a"));
        assert_eq!(answer("basic-auth/\u{e4}\"/b", &basic("\u{e4}\":b")), user("\u{e4}\""));
        for wrong in [&*basic("a:c"), &basic("a"), "Basic", "Basic ?", "Bearer a:b", "", "Basic YTpi x"] {
            assert_eq!(answer("basic-auth/a/b", wrong), None, "{wrong}");
        }
        let token = answer("bearer", "Bearer a.b-c").expect("it is right");
        assert_eq!(token, serde_json::json!({"authenticated": true, "token": "a.b-c"}));
        for wrong in ["Bearer", "Bearer ", "Basic a", ""] {
            assert_eq!(answer("bearer", wrong), None, "{wrong}");
        }
        assert_eq!(Credentials::Bearer.json(None), None);
    }
}
