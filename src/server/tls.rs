//! Listening for HTTPS.

use std::{io, rc::Rc};

use super::{Config, HttpServer, StreamListener};
use crate::{protocol::ProtocolFactory, services::HttpService, tls::TlsIdentity};

/// Returns the scheme of the server's URLs.
pub fn scheme(config: &Config) -> &'static str {
    if config.tls.is_some() { "https" } else { "http" }
}

impl HttpServer {
    /// Serves HTTP on `listener`, over TLS if `config` says so. A Unix socket is for a proxy on
    /// this machine, and stays plain.
    pub(super) fn listen(
        &mut self,
        listener: StreamListener,
        service: Rc<HttpService>,
        config: &Config,
    ) -> io::Result<()> {
        match &config.tls {
            Some(identity) if listener.address().ip().is_some() => {
                self.add_tls_listener(listener, service, identity.clone())
            }
            _ => self.add_listener(listener, service),
        }
    }

    /// Adds a listening socket like [`HttpServer::add_listener`] for connections over TLS.
    ///
    /// # Errors
    /// See [`HttpServer::add_listener`].
    pub fn add_tls_listener(
        &mut self,
        listener: impl Into<StreamListener>,
        factory: impl ProtocolFactory + 'static,
        identity: TlsIdentity,
    ) -> io::Result<()> {
        let (socket, file) = listener.into().into_parts();
        self.event_loop.add_tls_listener(socket, Box::new(factory), identity)?;
        self.socket_files.extend(file);
        Ok(())
    }
}
