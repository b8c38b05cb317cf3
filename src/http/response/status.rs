//! The status codes that this server sends (RFC 9110 section 15).

macro_rules! statuses {
    ($($name:ident = $code:literal, $reason:literal;)*) => {
        /// A status code and its reason phrase.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Status { $(#[doc = concat!($code, " ", $reason)] $name),* }

        impl Status {
            /// Returns the status code as a number.
            pub fn code(self) -> u16 {
                match self { $(Status::$name => $code),* }
            }

            /// Returns the start of a response head: the status line, the `Server` field, and the
            /// name of the `Date` field.
            pub fn head(self) -> &'static str {
                match self {
                    $(Status::$name => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\nServer: oneloop\r\nDate: ")),*
                }
            }

            /// Returns the code and its reason phrase, such as `404 Not Found`.
            pub fn line(self) -> &'static str {
                match self { $(Status::$name => concat!($code, " ", $reason)),* }
            }
        }
    };
}

statuses! {
    Ok = 200, "OK";
    NoContent = 204, "No Content";
    PartialContent = 206, "Partial Content";
    MovedPermanently = 301, "Moved Permanently";
    Found = 302, "Found";
    SeeOther = 303, "See Other";
    NotModified = 304, "Not Modified";
    TemporaryRedirect = 307, "Temporary Redirect";
    PermanentRedirect = 308, "Permanent Redirect";
    BadRequest = 400, "Bad Request";
    Forbidden = 403, "Forbidden";
    NotFound = 404, "Not Found";
    MethodNotAllowed = 405, "Method Not Allowed";
    NotAcceptable = 406, "Not Acceptable";
    RequestTimeout = 408, "Request Timeout";
    PreconditionFailed = 412, "Precondition Failed";
    ContentTooLarge = 413, "Content Too Large";
    UriTooLong = 414, "URI Too Long";
    RangeNotSatisfiable = 416, "Range Not Satisfiable";
    ExpectationFailed = 417, "Expectation Failed";
    MisdirectedRequest = 421, "Misdirected Request";
    RequestHeaderFieldsTooLarge = 431, "Request Header Fields Too Large";
    InternalServerError = 500, "Internal Server Error";
    NotImplemented = 501, "Not Implemented";
    ServiceUnavailable = 503, "Service Unavailable";
    HttpVersionNotSupported = 505, "HTTP Version Not Supported";
}
