//! Listening for HTTP in a build without TLS.

use std::{io, rc::Rc};

use super::{Config, HttpServer, StreamListener};
use crate::services::HttpService;

/// Returns the scheme of the server's URLs.
pub fn scheme(_config: &Config) -> &'static str {
    "http"
}

impl HttpServer {
    /// Serves HTTP on `listener`.
    pub(super) fn listen(
        &mut self,
        listener: StreamListener,
        service: Rc<HttpService>,
        _config: &Config,
    ) -> io::Result<()> {
        self.add_listener(listener, service)
    }
}
