//! The URLs at which programs ask how the server is doing.
//!
//! They come before the files of the site, and before the checks of the host and the base path: the
//! programs that ask, such as load balancers, know the address of the server and not the site.

/// The URLs, as paths from the root of the server.
#[derive(Debug, Clone, Default)]
pub struct Monitoring {
    health: Option<Box<[u8]>>,
}

/// A resource that shows how the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitoringResource {
    /// Whether the server takes requests.
    Health,
}

impl Monitoring {
    /// Creates the URLs from their paths, or returns `None` if there is none.
    ///
    /// # Errors
    /// Returns a path that no request can have.
    pub fn new(health: Option<&str>) -> Result<Option<Monitoring>, String> {
        match health {
            None => Ok(None),
            Some(path) if is_path(path) => Ok(Some(Monitoring { health: Some(path.as_bytes().into()) })),
            Some(path) => Err(path.to_owned()),
        }
    }

    /// Returns the resource at `path`, the path of a request as the client sent it.
    pub fn resource(&self, path: &[u8]) -> Option<MonitoringResource> {
        let is_at = |own: &Option<Box<[u8]>>| own.as_deref() == Some(path);
        is_at(&self.health).then_some(MonitoringResource::Health)
    }
}

/// Returns whether `text` is a path that a request can have. The path of the site's root is for the
/// site.
fn is_path(text: &str) -> bool {
    let is_allowed = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\');
    text.len() > 1
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.as_bytes().iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitoring_paths_are_paths_of_requests() {
        for path in ["/health", "/-/healthy", "/health.txt", "/a%20b"] {
            let monitoring = Monitoring::new(Some(path)).expect("a path").expect("one resource");
            assert_eq!(monitoring.resource(path.as_bytes()), Some(MonitoringResource::Health), "{path}");
            assert_eq!(monitoring.resource(b"/"), None);
        }
        for path in ["", "/", "//health", "health", "/a b", "/health?x", "/health#x", "/h\u{e9}", "/a\n"] {
            assert_eq!(Monitoring::new(Some(path)).err().as_deref(), Some(path));
        }
        assert!(Monitoring::new(None).expect("no path").is_none());
    }
}
