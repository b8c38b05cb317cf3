//! Says what oneloop and hyper make of the same bytes, for `differential.py`. Each line of standard
//! input is an input in hexadecimal digits. Each line of output has two verdicts, separated by a
//! tab. A verdict is the start of each request that was accepted, separated by `|`, and how the
//! input ended: `open`, `closed` or `refused`, with the reason if oneloop refused it.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    io::{self, BufRead, Write},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    rt::{Read, ReadBufCursor, Write as SocketWrite},
    server::conn::http1,
    service::service_fn,
};
use oneloop::internals::parse;

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let input = from_hex(&line?);
        writeln!(out, "{}\t{}", by_oneloop(&input), by_hyper(&input))?;
        out.flush()?;
    }
    Ok(())
}

fn from_hex(line: &str) -> Vec<u8> {
    let pairs = line.trim().as_bytes().chunks_exact(2);
    let digits = pairs.filter_map(|pair| std::str::from_utf8(pair).ok());
    digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

fn verdict(mut seen: Vec<String>, end: &str) -> String {
    seen.push(end.to_owned());
    seen.join("|")
}

fn by_oneloop(mut input: &[u8]) -> String {
    let mut seen = Vec::new();
    loop {
        match parse(input) {
            Err(refusal) => return verdict(seen, &format!("refused: {}", refusal.why)),
            Ok(None) => return verdict(seen, "open"),
            Ok(Some((request, len))) => {
                // Without the version.
                let line = String::from_utf8_lossy(request.info.line);
                seen.push(line.rsplit_once(' ').map_or("", |(start, _)| start).to_owned());
                let refusal = request.validate().err();
                let persists = request.info.persists() && refusal.is_none_or(|refusal| refusal.persists);
                if !persists {
                    return verdict(seen, "closed");
                }
                input = &input[len..];
            }
        }
    }
}

fn by_hyper(input: &[u8]) -> String {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let start = format!("{} {}", request.method(), request.uri());
            let mut body = request.into_body();
            // A request whose body is malformed counts as refused.
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                if frame.is_err() {
                    return Ok::<_, Infallible>(Response::new(String::new()));
                }
            }
            seen.borrow_mut().push(start);
            Ok(Response::new(String::new()))
        }
    });
    let socket = Socket { input: input.to_vec(), at: 0 };
    let mut connection = pin!(http1::Builder::new().serve_connection(socket, service));
    let mut cx = Context::from_waker(Waker::noop());
    // Nothing wakes the connection, so poll it until it can have no more to do.
    let mut end = "open";
    for _ in 0..50 {
        match connection.as_mut().poll(&mut cx) {
            Poll::Pending => {}
            Poll::Ready(result) => {
                end = if result.is_ok() { "closed" } else { "refused" };
                break;
            }
        }
    }
    verdict(seen.take(), end)
}

/// A socket from which `input` can be read, and that takes all output.
struct Socket {
    input: Vec<u8>,
    at: usize,
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.input[self.at..];
        let len = rest.len().min(buf.remaining());
        if len == 0 {
            return Poll::Pending;
        }
        buf.put_slice(&rest[..len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl SocketWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
