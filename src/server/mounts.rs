//! Opens the directories and files that a configuration mounts in its site.

use std::rc::Rc;

use super::{Config, StartError, open_site};
use crate::{http::Representation, services::directory_path, site::Site, site_path::SitePath};

/// A site that is mounted at a directory of the main site.
pub struct Mount {
    pub path: SitePath<'static>,
    pub site: Rc<Site<Representation>>,
}

/// Opens the mounts of `config`.
///
/// # Errors
/// Fails if a path is not valid or is given twice, or if a directory cannot be opened.
pub fn open_mounts(config: &Config) -> Result<Vec<Mount>, StartError> {
    let mut mounts: Vec<Mount> = Vec::new();
    for (text, dir) in &config.mounts {
        let path = directory_path(text)
            // The whole site is `Config::dir`.
            .filter(|path| *path != SitePath::ROOT)
            .ok_or_else(|| StartError::MountPath(text.clone()))?;
        if mounts.iter().any(|mount| mount.path == path) {
            return Err(StartError::MountTwice(text.clone()));
        }
        let site = open_site(dir, config)
            .map_err(|source| StartError::MountDirectory { dir: dir.clone(), source })?;
        mounts.push(Mount { path, site });
    }
    Ok(mounts)
}
