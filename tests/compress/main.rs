//! `oneloop compress`: what it writes, what it leaves alone, and that the server sends it.
//! (`cargo test --features compress --test compress`)

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const EXTENSIONS: [&str; 3] = [".br", ".zst", ".gz"];

/// A directory with compressible files.
struct Dir(TempDir);

impl Dir {
    fn new() -> Dir {
        let dir = Dir(tempfile::tempdir().expect("a directory"));
        dir.write("app.js", script(500));
        dir.write("css/style.css", script(400));
        dir
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("create directories");
        fs::write(path, content).expect("write");
    }

    /// Returns the names of all files, sorted.
    fn names(&self) -> Vec<String> {
        fn add(dir: &Path, root: &Path, names: &mut Vec<String>) {
            for entry in fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                match path.symlink_metadata().expect("its status").is_dir() {
                    true => add(&path, root, names),
                    false => names.push(path.strip_prefix(root).expect("a path").display().to_string()),
                }
            }
        }
        let mut names = Vec::new();
        add(self.0.path(), self.0.path(), &mut names);
        names.sort();
        names
    }

    /// Returns which variants `name` has.
    fn variants(&self, name: &str) -> Vec<&'static str> {
        EXTENSIONS.into_iter().filter(|extension| self.at(&format!("{name}{extension}")).exists()).collect()
    }

    fn compress(&self, args: &[&str]) -> Output {
        command(self.0.path(), args).output().expect("run oneloop")
    }

    /// Compresses without a failure and returns the summary.
    fn compressed(&self, args: &[&str]) -> String {
        let output = self.compress(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{args:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Returns the inode and change time of each file, which a write changes.
    fn stamps(&self) -> Vec<(String, u64, i64, i64)> {
        let stamp = |name: String| {
            let status = self.at(&name).symlink_metadata().expect("its status");
            (name, status.ino(), status.ctime(), status.ctime_nsec())
        };
        self.names().into_iter().map(stamp).collect()
    }
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("compress").args(args).arg(dir);
    command
}

/// Returns `lines` lines of text that shrink, each different.
fn script(lines: usize) -> Vec<u8> {
    (0..lines).flat_map(|i| format!("let value{i} = {};\n", i * i % 977).into_bytes()).collect()
}

/// Returns `len` bytes that do not shrink.
fn noise(len: usize) -> Vec<u8> {
    let mut random = oorandom::Rand64::new(1);
    (0..len).map(|_| random.rand_u64() as u8).collect()
}

/// Decodes a variant.
fn decoded(extension: &str, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match extension {
        ".br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut content),
        ".zst" => zstd::Decoder::new(bytes).expect("a decoder").read_to_end(&mut content),
        _ => flate2::read::GzDecoder::new(bytes).read_to_end(&mut content),
    }
    .expect("a complete variant");
    content
}

fn mtime(path: &Path) -> SystemTime {
    fs::metadata(path).expect("its status").modified().expect("a time")
}

#[test]
fn compress_writes_each_variant_with_the_time_and_mode_of_its_original() {
    let dir = Dir::new();
    fs::set_permissions(dir.at("app.js"), PermissionsExt::from_mode(0o640)).expect("chmod");
    let summary = dir.compressed(&[]);
    assert!(summary.starts_with("compressed 2 files of ") && summary.lines().count() == 1, "{summary}");
    for name in ["app.js", "css/style.css"] {
        let original = fs::metadata(dir.at(name)).expect("its status");
        for extension in EXTENSIONS {
            let path = dir.at(&format!("{name}{extension}"));
            let status = fs::metadata(&path).expect("a variant");
            assert_eq!(
                decoded(extension, &fs::read(&path).expect("read")),
                fs::read(dir.at(name)).expect("read")
            );
            assert!(status.len() < original.len() * 2 / 3, "{path:?}");
            assert_eq!((mtime(&path), status.mode()), (mtime(&dir.at(name)), original.mode()), "{path:?}");
        }
    }
    assert_eq!(dir.names().len(), 8, "{:?}", dir.names());
}

#[test]
fn compress_writes_only_what_changed() {
    let dir = Dir::new();
    dir.compressed(&[]);
    let before = dir.stamps();
    assert_eq!(dir.compressed(&[]), "nothing to compress; 2 up to date\n");
    assert_eq!(dir.stamps(), before, "the second run writes nothing");

    // A build may also restore an older version, with an older time.
    for (lines, time) in [(600, 7), (450, -7)] {
        dir.write("app.js", script(lines));
        let shifted = SystemTime::now() - Duration::from_secs((1000 - time) as u64);
        File::options()
            .write(true)
            .open(dir.at("app.js"))
            .expect("open")
            .set_modified(shifted)
            .expect("set it");
        let summary = dir.compressed(&[]);
        assert!(
            summary.starts_with("compressed 1 file of ") && summary.ends_with("; 1 up to date\n"),
            "{summary}"
        );
        for extension in EXTENSIONS {
            let path = dir.at(&format!("app.js{extension}"));
            assert_eq!(decoded(extension, &fs::read(&path).expect("read")), script(lines));
            assert_eq!(mtime(&path), shifted);
        }
    }
    let css = |stamp: &&(String, u64, i64, i64)| stamp.0.starts_with("css/");
    let after = dir.stamps();
    assert!(before.iter().filter(css).eq(after.iter().filter(css)), "the other file is left alone");
}

#[test]
fn compress_skips_what_does_not_shrink_or_is_compressed_already() {
    let dir = Dir::new();
    dir.write("noise.txt", noise(50_000));
    dir.write("small.txt", "short\n".repeat(100));
    dir.write("photo.png", script(500));
    dir.write("archive.tar.gz", script(500));
    dir.write("unknown", script(500));
    dir.write("drawing.svgz", script(500));
    let summary = dir.compressed(&[]);
    assert!(summary.ends_with("; 1 would not shrink\n"), "{summary}");
    for name in ["noise.txt", "small.txt", "photo.png", "archive.tar.gz", "unknown", "drawing.svgz"] {
        assert_eq!(dir.variants(name), [""; 0], "{name}");
    }
    assert_eq!(dir.names().len(), 8 + 6, "no temporary file is left: {:?}", dir.names());
}

#[test]
fn compress_removes_old_variants_of_what_no_longer_shrinks_and_no_other_file() {
    let dir = Dir::new();
    dir.compressed(&[]);
    dir.write("app.js", noise(50_000));
    dir.write("css/style.css", "a { }\n");
    // What has no original may be a download.
    dir.write("gone.js.gz", "not ours to judge");
    dir.write("kept.txt", "short\n");
    fs::create_dir(dir.at("kept.txt.gz")).expect("a directory");
    symlink("app.js", dir.at("kept.txt.br")).expect("a link");
    let later = SystemTime::now() + Duration::from_secs(2);
    for name in ["app.js", "css/style.css"] {
        File::options().write(true).open(dir.at(name)).expect("open").set_modified(later).expect("set it");
    }
    let summary = dir.compressed(&[]);
    assert_eq!(summary, "nothing to compress; 1 would not shrink; 6 old variants removed\n");
    assert_eq!(dir.names(), ["app.js", "css/style.css", "gone.js.gz", "kept.txt", "kept.txt.br"]);
    assert!(dir.at("kept.txt.gz").is_dir());
}

#[test]
fn compress_takes_the_files_that_a_server_would_send() {
    let outside = Dir::new();
    let dir = Dir::new();
    dir.write(".env.json", script(200));
    dir.write(".git/config.json", script(200));
    dir.write(".well-known/site.json", script(200));
    symlink("../app.js", dir.at("css/linked.js")).expect("a link");
    symlink(".", dir.at("again")).expect("a link");
    symlink(outside.at("app.js"), dir.at("out.js")).expect("a link");
    symlink(outside.0.path(), dir.at("out")).expect("a link");
    dir.compressed(&[]);
    for (name, count) in [
        ("css/linked.js", 3),
        (".well-known/site.json", 3),
        (".env.json", 0),
        (".git/config.json", 0),
        ("out.js", 0),
        ("out/app.js", 0),
    ] {
        assert_eq!(dir.variants(name).len(), count, "{name}");
    }
    dir.compressed(&["--hidden", "--format", "gz"]);
    assert_eq!((dir.variants(".env.json"), dir.variants(".git/config.json")), (vec![".gz"], vec![".gz"]));
    dir.compressed(&["--follow-links"]);
    assert_eq!((dir.variants("out.js").len(), outside.variants("css/style.css").len()), (3, 3));
}

#[test]
fn compress_reports_an_unreadable_file_and_goes_on() {
    let dir = Dir::new();
    // Root can read and write everywhere, but cannot replace a directory by the temporary file.
    let script = "mkdir \"$2/.oneloop-compress-$$\"; exec \"$0\" compress \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_oneloop")]).args([dir.0.path(), &dir.at("css")]);
    let output = command.output().expect("run oneloop");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let [line, last] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("{stderr}") };
    assert!(line.starts_with("oneloop: cannot compress 'css/style.css': "), "{stderr}");
    assert_eq!((last, output.status.code()), ("oneloop: 1 file or directory was left out", Some(1)));
    assert_eq!((dir.variants("css/style.css").len(), dir.variants("app.js").len()), (0, 3));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("compressed 1 file of "), "{output:?}");

    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(dir.at("css"), PermissionsExt::from_mode(0o0)).expect("chmod");
        dir.write("new.js", self::script(500));
        fs::set_permissions(dir.at("new.js"), PermissionsExt::from_mode(0o0)).expect("chmod");
        let output = dir.compress(&[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((stderr.matches("permission denied\n").count(), output.status.code()), (2, Some(1)));
        fs::set_permissions(dir.at("css"), PermissionsExt::from_mode(0o700)).expect("chmod");
    }
    let output = self::command(Path::new("/nowhere"), &[]).output().expect("run oneloop");
    let message =
        "oneloop: cannot compress '/nowhere': no such file or directory; use a directory that can be read\n";
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(2), message));
}

#[test]
fn compress_leaves_no_temporary_file_when_it_is_stopped() {
    let dir = Dir::new();
    dir.compressed(&[]);
    let before = dir.stamps();
    dir.write("large.txt", script(100_000)); // takes many seconds at the best level
    for signal in [Signal::INT, Signal::TERM] {
        let child = command(dir.0.path(), &[]).stdout(Stdio::piped()).spawn().expect("start oneloop");
        let is_temporary = |name: &String| name.starts_with(".oneloop-compress-");
        while !dir.names().iter().any(is_temporary) {
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&child), signal).expect("signal it");
        let output = child.wait_with_output().expect("wait for it");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(signal.as_raw()));
        assert_eq!(dir.names().len(), 9, "{:?}", dir.names());
        let is_other = |stamp: &(String, u64, i64, i64)| stamp.0 != "large.txt";
        assert!(dir.stamps().into_iter().filter(is_other).eq(before.clone()));
    }
}

/// A server of `dir`, which is killed when the test ends.
struct Server(Child, String);

impl Server {
    fn start(dir: &Dir) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", "0"]).arg(dir.0.path()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start oneloop");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Server(child, address)
    }

    /// Asks for `path` and returns the head and the body of the response.
    fn get(&self, path: &str, accept_encoding: &str) -> (String, Vec<u8>) {
        let mut socket = TcpStream::connect(&self.1).expect("connect");
        let fields = format!("Host: localhost\r\nAccept-Encoding: {accept_encoding}\r\nConnection: close");
        write!(socket, "GET {path} HTTP/1.1\r\n{fields}\r\n\r\n").expect("send");
        let mut response = Vec::new();
        socket.read_to_end(&mut response).expect("a response");
        let end = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
        (String::from_utf8_lossy(&response[..end]).into_owned(), response[end..].to_vec())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn server_sends_each_variant_that_compress_wrote() {
    let dir = Dir::new();
    let server = Server::start(&dir);
    assert!(!server.get("/app.js", "br").0.contains("Content-Encoding"), "there is no variant yet");
    dir.compressed(&[]);
    for (accepted, coding, extension) in
        [("gzip, deflate, br, zstd", "br", ".br"), ("zstd", "zstd", ".zst"), ("gzip", "gzip", ".gz")]
    {
        let (head, body) = server.get("/app.js", accepted);
        assert!(head.contains(&format!("\r\nContent-Encoding: {coding}\r\n")), "{head}");
        assert!(head.contains("\r\nContent-Type: text/javascript; charset=utf-8\r\n"), "{head}");
        assert_eq!(decoded(extension, &body), script(500), "{coding}");
    }
}

#[test]
fn compress_counts_a_file_whose_second_variant_fails() {
    let dir = Dir::new();
    let numbers: String = (1..=60_000).map(|i| format!("{i}\n")).collect();
    dir.write("css/style.css", numbers);
    // The .br and .zst take less than 100 KiB, the .gz takes more.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" compress \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_oneloop")]).arg(dir.at("css"));
    let output = command.output().expect("run oneloop");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(stderr.contains("cannot compress 'style.css': file too large"), "{stderr}");
    assert!(stdout.starts_with("compressed 1 file of 348.89 kB: "), "{stdout}");
    assert_eq!(output.status.code(), Some(1));
}
