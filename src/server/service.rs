//! Creates the HTTP service that a configuration describes.

use std::{cell::RefCell, rc::Rc};

use super::{Config, StartError, max_head, mounts::Mount, scheme};
use crate::{
    clock::Clock,
    http::{Cors, HeaderPolicy, HostAllowlist, Redirects, Representation, TrustedProxies},
    lossy_writer::LossyWriter,
    services::{AccessLog, HttpService, LoadTarget, Monitoring, UrlOptions, directory_path, file_path},
    site::{Error, Resolved, Site},
};

/// The message in the response to a request that a page of another site makes.
const CROSS_SITE: &str = "This server does not answer requests that pages of other sites make.";

/// Takes the file for the access log from `config`, and returns the log.
pub fn access_log(config: &mut Config, proxies: &Rc<TrustedProxies>) -> Option<Rc<RefCell<AccessLog>>> {
    let writer = LossyWriter::new(config.access_log.take()?.into());
    let log = AccessLog::new(writer, config.access_log_format).with_proxies(Rc::clone(proxies));
    Some(Rc::new(RefCell::new(log)))
}

/// Creates the HTTP service from the site, its mounts, the URL options and the header policy.
pub fn http_service(
    config: &Config,
    site: &Rc<Site<Representation>>,
    mounts: &[Mount],
    clock: &Clock,
) -> Result<HttpService, StartError> {
    let base =
        directory_path(&config.base_path).ok_or_else(|| StartError::BasePath(config.base_path.clone()))?;
    let spa = config.spa.as_ref().map(|name| {
        let path = file_path(name)
            .filter(|path| site.options().dotfiles.allow_all(path))
            .ok_or_else(|| StartError::SpaFallback(name.clone()))?;
        match site.resolve(&path, clock) {
            Ok(Resolved::File(_)) => {}
            Ok(Resolved::Directory) | Err(Error::NotFound) => {
                log::warn!("the SPA fallback '{name}' does not exist; missing paths get a 404 until it does");
            }
            Err(e) => log::warn!("cannot read the SPA fallback '{name}': {e}; missing paths get an error"),
        }
        Ok(path)
    });
    let options = UrlOptions {
        base,
        spa: spa.transpose()?,
        clean_urls: config.clean_urls,
        listing: config.listing,
        unlisted: None,
        redirects: Redirects::new(config.redirects.clone()),
    };
    let policy = HeaderPolicy::new(&config.cache_control, config.cors.clone(), config.headers.clone())
        .map_err(|source| StartError::CacheControl { value: config.cache_control.clone(), source })?;
    let http = HttpService::new(Rc::clone(site), config.timeouts).with_max_head(max_head(config));
    let http = http.with_slow_network(config.throttle, config.delay);
    let monitoring = Monitoring::new(config.health.as_deref(), config.metrics.as_deref())
        .map_err(StartError::MonitoringPath)?;
    let mut http = http.with_monitoring(monitoring).with_url_options(options).with_policy(policy);
    for Mount { path, site: mounted } in mounts {
        if let Some(hidden) = path.without_extension("/")
            && site.resolve(&hidden, clock).is_ok()
        {
            log::info!("the mount at {hidden} hides what the served directory has there");
        }
        http = http.with_mount(path.clone(), Rc::clone(mounted));
    }
    Ok(http)
}

/// Returns the load target, if there is one.
pub fn load_target(
    config: &Config,
    proxies: Rc<TrustedProxies>,
) -> Result<Option<Rc<LoadTarget>>, StartError> {
    let Some(name) = &config.target else { return Ok(None) };
    let path = directory_path(name).filter(|_| name.starts_with('/'));
    let path = path.ok_or_else(|| StartError::TargetPath(name.clone()))?;
    Ok(Some(Rc::new(LoadTarget::new(path, scheme(config), config.target_from.clone(), proxies))))
}

/// Returns the service for a server that listens on loopback only. It refuses requests for hosts
/// that are not allowed, and, without CORS, requests that pages of other sites make. Its clients
/// are programs of the operator, so it may list directories, or say how to do that.
pub fn for_this_machine(http: HttpService, config: &Config) -> Result<HttpService, StartError> {
    let mut http = http.with_hosts(host_allowlist(config)?);
    let is_for_any_host = config.allow_hosts.iter().any(|name| name == "*");
    let is_for_any_page = is_for_any_host || config.cors == Some(Cors::AnyOrigin);
    if config.local_listing && !is_for_any_page {
        http = http.with_listing();
    }
    if let Some(message) = config.unlisted_message {
        http = http.with_unlisted_message(message);
    }
    if config.cors.is_some() || is_for_any_host {
        return Ok(http);
    }
    Ok(http.for_same_site(config.cross_site_refusal.unwrap_or(CROSS_SITE)))
}

/// Returns the hosts that requests may name when the server listens on loopback only: this
/// machine's own names and the configured hosts.
fn host_allowlist(config: &Config) -> Result<HostAllowlist, StartError> {
    let allowed = HostAllowlist::loopback_and(config.allow_hosts.iter().map(String::as_str))
        .map_err(|name| StartError::AllowedHost(name.to_owned()))?;
    // Requests may also name the hosts that the server listens on.
    let hosts = config.hosts.iter().fold(allowed, |hosts, name| hosts.with(name));
    Ok(match config.host_refusal {
        Some(refusal) => hosts.with_refusal(refusal),
        None => hosts,
    })
}
