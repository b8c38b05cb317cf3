//! The registered status codes (RFC 9110 section 15, IANA "HTTP Status Code Registry"). The server
//! sends most of them only if a client asks the load target for them.

use std::borrow::Cow;

macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        /// A status code and its reason phrase.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Status {
            $(#[doc = concat!($code, " ", $reason)] $name,)*
            /// Another code, which is not registered.
            Unregistered(u16),
        }

        impl Status {
            /// Returns the status code as a number.
            pub fn code(self) -> u16 {
                match self { $(Status::$name => $code,)* Status::Unregistered(code) => code }
            }

            /// Returns the status with this code.
            pub fn of(code: u16) -> Status {
                match code { $($code => Status::$name,)* code => Status::Unregistered(code) }
            }

            /// Returns the start of a response head: the status line, the `Server` field, and the
            /// name of the `Date` field.
            #[inline]
            pub fn head(self) -> Cow<'static, str> {
                Cow::Borrowed(match self {
                    $(Status::$name => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\nServer: oneloop\r\nDate: "),)*
                    Status::Unregistered(code) => return unregistered_head(code),
                })
            }

            /// Returns the code and its reason phrase, such as `404 Not Found`, or only a phrase if
            /// the code is not registered.
            pub fn line(self) -> &'static str {
                match self {
                    $(Status::$name => concat!($code, " ", $reason),)*
                    Status::Unregistered(_) => UNREGISTERED,
                }
            }
        }
    };
}

/// The reason phrase of codes that are not registered.
const UNREGISTERED: &str = "Unregistered";

#[cold]
fn unregistered_head(code: u16) -> Cow<'static, str> {
    Cow::Owned(format!("HTTP/1.1 {code} {UNREGISTERED}\r\nServer: oneloop\r\nDate: "))
}

statuses! {
    Ok = 200, "OK";
    Created = 201, "Created";
    Accepted = 202, "Accepted";
    NonAuthoritative = 203, "Non-Authoritative Information";
    NoContent = 204, "No Content";
    ResetContent = 205, "Reset Content";
    PartialContent = 206, "Partial Content";
    Multi = 207, "Multi-Status";
    AlreadyReported = 208, "Already Reported";
    ImUsed = 226, "IM Used";
    MultipleChoices = 300, "Multiple Choices";
    MovedPermanently = 301, "Moved Permanently";
    Found = 302, "Found";
    SeeOther = 303, "See Other";
    NotModified = 304, "Not Modified";
    UseProxy = 305, "Use Proxy";
    TemporaryRedirect = 307, "Temporary Redirect";
    PermanentRedirect = 308, "Permanent Redirect";
    BadRequest = 400, "Bad Request";
    Unauthorized = 401, "Unauthorized";
    PaymentRequired = 402, "Payment Required";
    Forbidden = 403, "Forbidden";
    NotFound = 404, "Not Found";
    MethodNotAllowed = 405, "Method Not Allowed";
    NotAcceptable = 406, "Not Acceptable";
    ProxyAuthenticationRequired = 407, "Proxy Authentication Required";
    RequestTimeout = 408, "Request Timeout";
    Conflict = 409, "Conflict";
    Gone = 410, "Gone";
    LengthRequired = 411, "Length Required";
    PreconditionFailed = 412, "Precondition Failed";
    ContentTooLarge = 413, "Content Too Large";
    UriTooLong = 414, "URI Too Long";
    UnsupportedMediaType = 415, "Unsupported Media Type";
    RangeNotSatisfiable = 416, "Range Not Satisfiable";
    ExpectationFailed = 417, "Expectation Failed";
    ImATeapot = 418, "I'm a teapot";
    MisdirectedRequest = 421, "Misdirected Request";
    UnprocessableContent = 422, "Unprocessable Content";
    Locked = 423, "Locked";
    FailedDependency = 424, "Failed Dependency";
    TooEarly = 425, "Too Early";
    UpgradeRequired = 426, "Upgrade Required";
    PreconditionRequired = 428, "Precondition Required";
    TooManyRequests = 429, "Too Many Requests";
    RequestHeaderFieldsTooLarge = 431, "Request Header Fields Too Large";
    UnavailableForLegalReasons = 451, "Unavailable For Legal Reasons";
    InternalServerError = 500, "Internal Server Error";
    NotImplemented = 501, "Not Implemented";
    BadGateway = 502, "Bad Gateway";
    ServiceUnavailable = 503, "Service Unavailable";
    GatewayTimeout = 504, "Gateway Timeout";
    HttpVersionNotSupported = 505, "HTTP Version Not Supported";
    VariantAlsoNegotiates = 506, "Variant Also Negotiates";
    InsufficientStorage = 507, "Insufficient Storage";
    LoopDetected = 508, "Loop Detected";
    NotExtended = 510, "Not Extended";
    NetworkAuthenticationRequired = 511, "Network Authentication Required";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_of_each_code_has_that_code_in_its_head() {
        for code in 200..=599 {
            let status = Status::of(code);
            assert_eq!(status.code(), code);
            let line = match status {
                Status::Unregistered(_) => format!("{code} {UNREGISTERED}"),
                _ => status.line().to_owned(),
            };
            assert!(line.starts_with(&format!("{code} ")), "{line}");
            assert_eq!(status.head(), format!("HTTP/1.1 {line}\r\nServer: oneloop\r\nDate: "));
        }
        assert_eq!(Status::of(418).line(), "418 I'm a teapot");
    }
}
