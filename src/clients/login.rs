//! The name and the password with which a client logs in.

use std::fmt;

/// A name and a password, in which nothing can end the line that carries them.
#[derive(Clone)]
pub struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// The error for a name or a password that is empty or has a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginError;

impl Login {
    /// Creates a login.
    ///
    /// # Errors
    /// Fails if the name or the password is empty or has a control character.
    pub fn new(user: &str, password: &str) -> Result<Login, LoginError> {
        let is_valid = |text: &str| !text.is_empty() && !text.contains(char::is_control);
        match is_valid(user) && is_valid(password) {
            true => Ok(Login { user: user.to_owned(), password: password.to_owned() }),
            false => Err(LoginError),
        }
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or the password is empty or has a control character")
    }
}

impl std::error::Error for LoginError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_stays_on_its_line() {
        assert!(Login::new("a b", "c \u{e9}").is_ok());
        for (user, password) in [("", "b"), ("a", ""), ("a\r\nDELE 1", "b"), ("a", "b\n"), ("a\0", "b")] {
            assert_eq!(Login::new(user, password).err(), Some(LoginError), "{user:?} {password:?}");
        }
    }
}
