//! Authentication with AUTH LOGIN and AUTH PLAIN (RFC 4954, RFC 4616).
//!
//! Any name and password are accepted. The exchange is checked nevertheless, so that a client's
//! mistakes show. Names and passwords must never be kept, logged or traced.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::reply::{self, SmtpReply};

/// The response that is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthStep {
    /// The name of AUTH LOGIN.
    Name,
    /// The password of AUTH LOGIN.
    Password,
    /// The only response of AUTH PLAIN.
    Plain,
}

/// What follows a response.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthResult {
    /// The server sends the step's prompt, and the client another response.
    Continue(AuthStep),
    /// The exchange is over.
    Done,
}

impl AuthStep {
    /// Starts an exchange with `AUTH mechanism [initial]`.
    ///
    /// # Errors
    /// Returns the reply that ends the exchange.
    pub fn start(mechanism: &str, initial: Option<&str>) -> Result<AuthResult, SmtpReply> {
        let first = match mechanism.to_ascii_uppercase().as_str() {
            "LOGIN" => AuthStep::Name,
            "PLAIN" => AuthStep::Plain,
            _ => return Err(reply::UNKNOWN_MECHANISM),
        };
        match initial {
            // A single equals sign is an empty response (RFC 4954 section 4).
            Some("=") => first.respond(b""),
            Some(initial) => first.respond(initial.as_bytes()),
            None => Ok(AuthResult::Continue(first)),
        }
    }

    /// Handles the client's response to this step, a line without its line end.
    ///
    /// # Errors
    /// Returns the reply that ends the exchange.
    pub fn respond(self, line: &[u8]) -> Result<AuthResult, SmtpReply> {
        if line == b"*" {
            return Err(reply::CANCELLED);
        }
        let response = STANDARD.decode(line).map_err(|_| reply::NOT_BASE64)?;
        match self {
            AuthStep::Name => Ok(AuthResult::Continue(AuthStep::Password)),
            AuthStep::Password => Ok(AuthResult::Done),
            // An identity to act as, a name and a password, separated by NUL.
            AuthStep::Plain if response.iter().filter(|b| **b == 0).count() == 2 => Ok(AuthResult::Done),
            AuthStep::Plain => Err(reply::NOT_BASE64),
        }
    }

    /// Returns the prompt for the response.
    pub fn prompt(self) -> SmtpReply {
        SmtpReply {
            code: 334,
            text: match self {
                AuthStep::Name => "VXNlcm5hbWU6".into(),     // "Username:"
                AuthStep::Password => "UGFzc3dvcmQ6".into(), // "Password:"
                AuthStep::Plain => "".into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_accepts_any_name_and_password() {
        use AuthResult::{Continue, Done};
        let start = AuthStep::start;
        assert_eq!(start("LOGIN", None), Ok(Continue(AuthStep::Name)));
        assert_eq!(start("login", Some("dXNlcg==")), Ok(Continue(AuthStep::Password)));
        assert_eq!(start("LOGIN", Some("=")), Ok(Continue(AuthStep::Password)));
        assert_eq!(AuthStep::Name.respond(b"dXNlcg=="), Ok(Continue(AuthStep::Password)));
        assert_eq!(AuthStep::Password.respond(b"cGFzcw=="), Ok(Done));
        assert_eq!(AuthStep::Password.respond(b""), Ok(Done));
        assert_eq!(start("PLAIN", None), Ok(Continue(AuthStep::Plain)));
        assert_eq!(start("Plain", Some("AHVzZXIAcGFzcw==")), Ok(Done)); // \0user\0pass
        assert_eq!(AuthStep::Plain.respond(b"bWUAdXNlcgBwYXNz"), Ok(Done)); // me\0user\0pass
    }

    #[test]
    fn auth_refuses_what_is_no_exchange() {
        let start = AuthStep::start;
        assert_eq!(start("CRAM-MD5", None), Err(reply::UNKNOWN_MECHANISM));
        assert_eq!(start("PLAIN", Some("=")), Err(reply::NOT_BASE64));
        assert_eq!(start("PLAIN", Some("dXNlcg==")), Err(reply::NOT_BASE64));
        assert_eq!(start("LOGIN", Some("dXNlcg")), Err(reply::NOT_BASE64));
        for step in [AuthStep::Name, AuthStep::Password, AuthStep::Plain] {
            assert_eq!(step.respond(b"*"), Err(reply::CANCELLED));
            assert_eq!(step.respond(b"not base64!"), Err(reply::NOT_BASE64));
        }
    }

    #[test]
    fn prompts_are_base64() {
        for (step, text) in [(AuthStep::Name, "Username:"), (AuthStep::Password, "Password:")] {
            assert_eq!(STANDARD.decode(&*step.prompt().text).expect("base64"), text.as_bytes());
        }
    }
}
