//! Writing to whoever reads our output, without ever waiting for them.
//!
//! A log is read by a person, a pipe or a disk, and any of them may stall: a paused terminal must not stop the loop. So
//! output goes out only while its reader takes it, and what it does not take is dropped and counted.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// A pipe that can be written to has room for this much (`PIPE_BUF`, pipe(7)).
const CHUNK: usize = 4096;

/// Where lines go.
pub struct Sink {
    output: Option<File>,
    dropped: u64,
}

impl Sink {
    /// Lines go to `output`.
    pub fn new(output: File) -> Sink {
        Sink { output: Some(output), dropped: 0 }
    }

    /// Writes whole lines, as many as the reader takes.
    pub fn write(&mut self, mut lines: &[u8]) {
        while !lines.is_empty() {
            let (chunk, rest) = lines.split_at(chunk_len(lines));
            lines = rest;
            match self.output.as_mut().map(|output| (takes_more(&*output), output)) {
                Some((true, output)) => {
                    if let Err(e) = output.write_all(chunk) {
                        self.give_up(&e);
                    }
                }
                _ => self.dropped += memchr::memchr_iter(b'\n', chunk).count() as u64,
            }
        }
    }

    /// How many lines nobody took.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn give_up(&mut self, e: &io::Error) {
        if e.kind() != ErrorKind::Interrupted {
            log::warn!("the access log ends here: {e}");
            self.output = None;
        }
    }
}

/// The length of the first lines that fit into a chunk together, or of one line that does not.
fn chunk_len(lines: &[u8]) -> usize {
    let head = &lines[..lines.len().min(CHUNK)];
    match memchr::memrchr(b'\n', head) {
        Some(end) => end + 1,
        None => memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1),
    }
}

/// Whether a short write to `output` will neither wait nor fail.
pub fn takes_more(output: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&output, PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(_) => fds[0].revents() == PollFlags::OUT,
        Err(e) => e == Errno::INTR,
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use super::*;

    fn pair() -> (Sink, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        (Sink::new(File::from(std::os::fd::OwnedFd::from(ours))), theirs)
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (mut sink, mut reader) = pair();
        let lines: String = (0..2000).map(|i| format!("line {i}\n")).collect();
        sink.write(lines.as_bytes());
        drop(sink);
        let mut got = String::new();
        reader.read_to_string(&mut got).expect("read");
        assert_eq!(got, lines);
    }

    #[test]
    fn a_stalled_reader_loses_lines_and_stops_nobody() {
        let (mut sink, mut reader) = pair();
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        let mut written = 0;
        while sink.dropped() == 0 {
            sink.write(&line);
            written += 1;
        }
        drop(sink);
        let mut got = Vec::new();
        reader.read_to_end(&mut got).expect("read");
        assert_eq!(got.len(), (written - 1) * line.len());
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure() {
        let (mut sink, reader) = pair();
        drop(reader);
        sink.write(b"one\ntwo\n");
        assert_eq!(sink.dropped(), 2);
    }
}
