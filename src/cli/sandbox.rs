//! Decides what the confined server may still reach.

use std::{
    env,
    path::{Path, PathBuf},
};

use oneloop::{
    Address,
    sandbox::{Confinement, Sandbox},
};

use super::{args::Cli, output};

/// Returns the sandbox for these arguments, or `None` if they ask for none.
pub fn sandbox(cli: &Cli) -> Option<Sandbox> {
    if cli.limits.no_sandbox {
        return None;
    }
    let mut sandbox = Sandbox::new();
    for served in cli.served() {
        // Links may lead anywhere.
        let readable = if cli.site.follow_links { "/".into() } else { readable(served) };
        if readable.is_file() {
            let file = served.display();
            log::warn!(
                "the sandbox allows only the file '{file}', because its directory holds too much; if an \
                 editor replaces the file, start again, or use --no-sandbox"
            );
        }
        sandbox = sandbox.read(&readable);
    }
    if let Some(dir) = cli.output.access_log.as_deref().and_then(log_directory) {
        sandbox = sandbox.write(dir);
    }
    if let Some(mail_dir) = &cli.conversations.mail.mail_dir {
        sandbox = sandbox.manage(mail_dir);
    }
    Some(sandbox)
}

/// Confines the process, which has opened sockets at `addresses`, if there is a sandbox.
pub fn enter<'a>(sandbox: Option<Sandbox>, addresses: impl Iterator<Item = &'a Address>) {
    let Some(mut sandbox) = sandbox else { return log::info!("sandbox: none (--no-sandbox)") };
    for address in addresses {
        // The file of a Unix socket is removed at the end.
        if let Address::Unix(Some(path)) = address {
            sandbox = sandbox.remove(directory(path));
        }
    }
    match sandbox.enter() {
        Ok(Confinement::Full) => log::info!("sandbox: Landlock"),
        Ok(Confinement::Partial) => log::info!("sandbox: Landlock, as far as this kernel has it"),
        Ok(Confinement::Absent) => log::info!("sandbox: none, because this system has no Landlock"),
        Err(e) => log::warn!("cannot enter the sandbox: {e}; serving without it"),
    }
}

/// Returns the directory whose files may be read, so that `root`, a directory or a file, can be
/// served.
///
/// Build tools delete their output directory and create it again, and editors do so with a file.
/// The kernel takes that for another directory or file, so the parent is allowed, but never the
/// root of the file system or the user's home. Then `root` itself is returned. Nothing can be
/// created again under the name `.`.
fn readable(root: &Path) -> PathBuf {
    let Ok(real) = root.canonicalize() else { return root.to_owned() };
    let is_too_much = |parent: &&Path| {
        parent.parent().is_none() || env::home_dir().is_some_and(|home| home.starts_with(parent))
    };
    match real.parent().filter(|parent| !is_too_much(parent)) {
        Some(parent) if root.file_name().is_some() => parent.to_owned(),
        _ => real,
    }
}

/// Returns the directory in which the access log `path` may be written. A log that is rotated is
/// created again, so the rule is for its directory. Standard output, a device or a FIFO has none.
fn log_directory(path: &Path) -> Option<&Path> {
    let is_file = !output::is_inherited(path) && path.metadata().map_or(true, |file| file.is_file());
    is_file.then(|| directory(path))
}

/// Returns the directory that the file `path` is in.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_that_is_a_file_makes_its_directory_writable() {
        let table = [
            ("-", None),
            ("/dev/stdout", None),
            ("/dev/fd/3", None),
            ("/dev/null", None),
            ("none.log", Some(".")),
            ("no-such-directory/access.log", Some("no-such-directory")),
            ("/etc/passwd", Some("/etc")),
        ];
        for (log, expected) in table {
            assert_eq!(log_directory(Path::new(log)), expected.map(Path::new), "{log}");
        }
    }

    #[test]
    fn readable_directory_is_the_parent_unless_that_is_too_much() {
        let dir = tempfile::tempdir().expect("a directory");
        let real = dir.path().canonicalize().expect("its path");
        let site = real.join("site");
        std::fs::create_dir(&site).expect("create");
        std::os::unix::fs::symlink(&site, real.join("link")).expect("link");
        assert_eq!(readable(&site), real, "the site can be created again");
        assert_eq!(readable(&real.join("link")), real, "the target of the link");
        assert_eq!(readable(Path::new(".")), env::current_dir().expect("a directory"));
        assert_eq!(readable(Path::new("/")), Path::new("/"));
        assert_eq!(readable(Path::new("/usr")), Path::new("/usr"), "not the whole file system");
        let home = env::home_dir().expect("a home");
        assert_eq!(readable(&home), home.canonicalize().expect("its path"));
        std::fs::write(site.join("page.html"), "page").expect("write");
        std::os::unix::fs::symlink("site/page.html", real.join("file")).expect("link");
        assert_eq!(readable(&site.join("page.html")), site, "an editor replaces the file");
        assert_eq!(readable(&real.join("file")), site, "the target of the link");
        assert!(readable(Path::new("/no-such-file")).is_absolute(), "the error comes later");
    }
}
