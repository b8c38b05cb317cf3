//! Temporary directories to serve.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// A directory to serve, removed when the test ends.
pub struct Site {
    dir: TempDir,
}

impl Site {
    /// Creates a site with `index.html` ("home\n"), `hello.txt` ("hello\n") and `docs/index.html`
    /// ("docs\n").
    pub fn new() -> Site {
        let site = Site::empty();
        site.write("index.html", "home\n");
        site.write("hello.txt", "hello\n");
        site.write("docs/index.html", "docs\n");
        site
    }

    /// Creates an empty site.
    pub fn empty() -> Site {
        Site { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Returns the site's directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the path of `name` in the site; `name` may contain any bytes that a file name may.
    pub fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.path().join(OsStr::from_bytes(name.as_ref()))
    }

    /// Writes a file and creates its parent directories.
    pub fn write(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("create directories");
        std::fs::write(path, content).expect("write a file");
    }

    /// Creates a directory with an empty file under each of `names`. All are hard links to one
    /// file, because a file system takes twenty times as long to create thousands of files.
    pub fn crowd(&self, dir: &str, names: impl IntoIterator<Item = String>) {
        let mut names = names.into_iter();
        let first = format!("{dir}/{}", names.next().expect("a name"));
        self.write(&first, "");
        for name in names {
            let path = self.at(format!("{dir}/{name}"));
            let linked = std::fs::hard_link(self.at(&first), &path);
            linked.or_else(|_| std::fs::write(&path, "")).expect("make a file");
        }
    }

    /// Creates a sparse file of `len` zero bytes, which uses no disk space.
    pub fn sparse(&self, name: &str, len: u64) {
        std::fs::File::create(self.at(name)).and_then(|f| f.set_len(len)).expect("make a sparse file");
    }
}

/// Returns `len` bytes in which each offset differs from its neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}
