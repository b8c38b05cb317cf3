//! `oneloop talk http`, `smtp` and `pop3`: the real program against scripted servers on real
//! sockets.

mod http;
mod http_server;
mod mail_server;
mod outputs;
mod pop3;
mod smtp;

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread::JoinHandle,
};

use crate::common::{SOON, lossy};

/// The result of `oneloop talk`.
#[derive(Debug, PartialEq, Eq)]
struct Talked {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Returns the command `oneloop talk ARGS...`.
fn talk_command<S: AsRef<str>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("talk").args(args.iter().map(AsRef::as_ref)).env_remove("ONELOOP_TALK_PASSWORD");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `oneloop talk ARGS...` with an empty standard input.
fn talk<S: AsRef<str>>(args: &[S]) -> Talked {
    talked(talk_command(args).output().expect("run oneloop"))
}

/// Runs `oneloop talk ARGS...` with this standard input.
fn talk_with_input<S: AsRef<str>>(args: &[S], input: &[u8]) -> Talked {
    let mut child = talk_command(args).stdin(Stdio::piped()).spawn().expect("run oneloop");
    let mut stdin = child.stdin.take().expect("piped");
    // The program may refuse its arguments without reading.
    let _ = stdin.write_all(input);
    drop(stdin);
    talked(child.wait_with_output().expect("run oneloop"))
}

fn talked(output: Output) -> Talked {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Talked { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// How a scripted server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As much at once as possible.
    Whole,
    /// One byte at a time.
    Bytes,
}

impl Pace {
    fn send(self, socket: &mut TcpStream, bytes: &[u8]) {
        let step = if self == Pace::Whole { bytes.len().max(1) } else { 1 };
        for piece in bytes.chunks(step) {
            // A client that has seen enough may have closed.
            if socket.write_all(piece).is_err() {
                return;
            }
        }
    }
}

/// Starts a server for one connection, which `serve` handles.
fn serve_one<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("its address");
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a client");
        socket.set_nodelay(true).expect("set nodelay");
        socket.set_read_timeout(Some(SOON)).expect("set a timeout");
        serve(socket)
    });
    (address, server)
}

/// Starts a server that follows a dialogue: it sends each line after `S: ` (the dialogue) or `D: `
/// (data that the client writes to its output), and expects each line after `C: `.
fn follow(dialogue: &str, pace: Pace) -> (SocketAddr, JoinHandle<()>) {
    let dialogue = dialogue.to_owned();
    serve_one(move |mut socket| {
        let mut reader = BufReader::new(socket.try_clone().expect("duplicate the socket"));
        let mut unsent = Vec::new();
        for line in dialogue.lines() {
            let (side, text) = line.split_once(':').expect("a side");
            let text = text.strip_prefix(' ').unwrap_or(text);
            if side != "C" {
                unsent.extend_from_slice(format!("{text}\r\n").as_bytes());
                continue;
            }
            pace.send(&mut socket, &std::mem::take(&mut unsent));
            let mut got = Vec::new();
            reader.read_until(b'\n', &mut got).expect("a line");
            assert_eq!(lossy(&got), format!("{text}\r\n"));
        }
        pace.send(&mut socket, &unsent);
    })
}

/// Returns the lines of a dialogue without the data.
fn without_data(dialogue: &str) -> String {
    dialogue.lines().filter(|line| !line.starts_with("D:")).map(|line| format!("{line}\n")).collect()
}

/// Runs a client against a server that follows `dialogue`, at both paces. The client gets the
/// server's address and returns what it printed. Returns the results, which must be equal.
fn converse(dialogue: &str, client: impl Fn(&str) -> Talked) -> Talked {
    let [whole, bytes] = [Pace::Whole, Pace::Bytes].map(|pace| {
        let (address, server) = follow(dialogue, pace);
        let talked = client(&address.to_string());
        server.join().unwrap_or_else(|_| panic!("the client does not follow the dialogue: {talked:?}"));
        Talked { stderr: talked.stderr.replace(&address.to_string(), "ADDR"), ..talked }
    });
    assert_eq!(whole, bytes);
    whole
}
