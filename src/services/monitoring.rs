//! The URLs at which programs ask how the server is doing.
//!
//! They come before the files of the site, and before the checks of the host and the base path: the
//! programs that ask, such as load balancers, know the address of the server and not the site.

/// The URLs, as paths from the root of the server.
#[derive(Debug, Clone, Default)]
pub struct Monitoring {
    health: Option<Box<[u8]>>,
    metrics: Option<Box<[u8]>>,
}

/// A resource that shows how the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitoringResource {
    /// Whether the server takes requests.
    Health,
    /// What the server has counted, for programs that collect metrics.
    Metrics,
}

impl Monitoring {
    /// Creates the URLs from their paths, or returns `None` if there is none.
    ///
    /// # Errors
    /// Returns a path that no request can have, or that is given twice.
    pub fn new(health: Option<&str>, metrics: Option<&str>) -> Result<Option<Monitoring>, String> {
        if let Some(path) = health.into_iter().chain(metrics).find(|path| !is_monitoring_path(path)) {
            return Err(path.to_owned());
        }
        match (health, metrics) {
            (None, None) => Ok(None),
            (Some(path), other) if Some(path) == other => Err(path.to_owned()),
            _ => {
                let [health, metrics] = [health, metrics].map(|path| path.map(|path| path.as_bytes().into()));
                Ok(Some(Monitoring { health, metrics }))
            }
        }
    }

    /// Returns the resource at `path`, the path of a request as the client sent it.
    pub fn resource(&self, path: &[u8]) -> Option<MonitoringResource> {
        let is_at = |own: &Option<Box<[u8]>>| own.as_deref() == Some(path);
        if is_at(&self.health) {
            return Some(MonitoringResource::Health);
        }
        is_at(&self.metrics).then_some(MonitoringResource::Metrics)
    }
}

/// Returns whether monitoring can be at the path `text`: a path that a request can have, other than
/// the root.
pub fn is_monitoring_path(text: &str) -> bool {
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
            let monitoring = Monitoring::new(Some(path), Some("/m")).expect("paths").expect("resources");
            assert_eq!(monitoring.resource(b"/m"), Some(MonitoringResource::Metrics));
            assert_eq!(monitoring.resource(path.as_bytes()), Some(MonitoringResource::Health), "{path}");
            assert_eq!(monitoring.resource(b"/"), None);
        }
        for path in ["", "/", "//health", "health", "/a b", "/health?x", "/health#x", "/h\u{e9}", "/a\n"] {
            assert_eq!(Monitoring::new(Some(path), None).err().as_deref(), Some(path));
            assert_eq!(Monitoring::new(Some("/a"), Some(path)).err().as_deref(), Some(path));
        }
        assert_eq!(Monitoring::new(Some("/a"), Some("/a")).err().as_deref(), Some("/a"));
        assert!(Monitoring::new(None, None).expect("no path").is_none());
    }
}
