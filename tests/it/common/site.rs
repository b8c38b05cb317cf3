//! Directories to serve.

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
    /// Makes a site with `index.html` ("home\n"), `hello.txt` ("hello\n") and `docs/index.html`
    /// ("docs\n").
    pub fn new() -> Site {
        let site = Site::empty();
        site.write("index.html", "home\n");
        site.write("hello.txt", "hello\n");
        site.write("docs/index.html", "docs\n");
        site
    }

    /// Makes an empty site.
    pub fn empty() -> Site {
        Site { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the path of `name` in the site; `name` may hold any bytes that a file name may.
    pub fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.path().join(OsStr::from_bytes(name.as_ref()))
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("create folders");
        std::fs::write(path, content).expect("write a file");
    }

    /// Makes a directory with an empty file under each of `names`. All are links to one file: to
    /// make thousands of files takes a file system twenty times as long.
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

    /// Makes a file of `len` zero bytes that takes no room on disk.
    pub fn sparse(&self, name: &str, len: u64) {
        std::fs::File::create(self.at(name)).and_then(|f| f.set_len(len)).expect("make a sparse file");
    }
}

/// Makes `len` bytes in which every offset can be told from its neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}
