//! A line writer that never waits for its reader.
//!
//! Logs and traces go to a terminal, a pipe or a file. A terminal or pipe may stop reading, and a
//! paused terminal must not stop the loop. So the writer writes as much as the reader accepts, then
//! drops whole lines and counts them. A regular file can still make the writer wait, for as long as
//! the disk takes.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, OFlags, fstat},
    io::Errno,
    net::SendFlags,
    termios::tcgetsid,
};

use crate::system::{NOSIGNAL, reopen, write_without_waiting};

/// The number of bytes that fit into a pipe that poll(2) reports as writable: `PIPE_BUF` (pipe(7)).
const PIPE_ROOM: usize = 4096;
/// The number of bytes that fit into any other output that poll(2) reports as writable. A terminal
/// promises no more than one.
const OTHER_ROOM: usize = 1;

/// A non-blocking line writer.
pub struct LossyWriter {
    output: Output,
    /// The rest of a line whose beginning has been written.
    tail: Vec<u8>,
    dropped: u64,
}

/// The destination of the lines.
enum Output {
    /// A regular file, or an output that this process has opened itself as non-blocking.
    File(File),
    Socket(OwnedFd),
    /// An output in blocking mode, which takes at most `room` bytes after poll(2) has reported that
    /// it is writable.
    Polled {
        output: OwnedFd,
        room: usize,
    },
}

impl LossyWriter {
    /// Creates a writer to the terminal, pipe, socket or file that `output` refers to.
    ///
    /// Writes do not block, except to a regular file.
    pub fn new(output: OwnedFd) -> LossyWriter {
        let kind = fstat(&output).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let output = match kind {
            // Do not reopen a regular file. Its position is shared with other writers, and a
            // reopened file would overwrite their lines.
            Ok(FileType::RegularFile) => Output::File(File::from(output)),
            Ok(FileType::Socket) => Output::Socket(output),
            _ => Output::reopened(&output).map_or_else(|_| Output::polled(output), Output::File),
        };
        LossyWriter { output, tail: Vec::new(), dropped: 0 }
    }

    /// Returns another writer to the same destination, which counts its own dropped lines.
    ///
    /// # Errors
    /// Fails if no descriptor is available (dup(2)).
    pub fn try_clone(&self) -> io::Result<LossyWriter> {
        let output = match &self.output {
            Output::File(file) => Output::File(file.try_clone()?),
            Output::Socket(socket) => Output::Socket(socket.try_clone()?),
            Output::Polled { output, room } => Output::Polled { output: output.try_clone()?, room: *room },
        };
        Ok(LossyWriter { output, tail: Vec::new(), dropped: 0 })
    }

    /// Writes as many of `lines` as the reader accepts, and drops and counts the rest. Each line
    /// must end in a newline.
    pub fn write(&mut self, lines: &[u8]) {
        // First finish the line that was cut last time, so that two lines are never mixed.
        let tail_sent = self.push(&self.tail.clone());
        self.tail.drain(..tail_sent);
        let taken = if self.tail.is_empty() { self.push(lines) } else { 0 };
        let (done, rest) = lines.split_at(taken);
        // The reader has part of a line: keep the rest of that line and drop the lines after it.
        let is_cut = done.last().is_some_and(|last| *last != b'\n');
        let (tail, lost) = rest.split_at(if is_cut { line_len(rest) } else { 0 });
        self.tail.extend_from_slice(tail);
        self.dropped += memchr::memchr_iter(b'\n', lost).count() as u64;
    }

    /// Returns the number of dropped lines.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Writes until the reader accepts no more bytes or a write fails. Returns the number of bytes
    /// written.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            match self.output.write(&bytes[taken..]) {
                Ok(0) => break,
                Ok(n) => taken += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        taken
    }
}

impl Output {
    /// Opens the destination of `output` again, as non-blocking.
    ///
    /// `O_NONBLOCK` belongs to the open file description, which this process shares with the shell.
    /// So get another description.
    ///
    /// # Errors
    /// Fails where the system cannot do that, and if the pipe or terminal belongs to another user.
    fn reopened(output: &OwnedFd) -> io::Result<File> {
        reopen(output).or_else(|e| {
            // Every user may open the controlling terminal, for example after su(1).
            if tcgetsid(output).is_err() {
                return Err(e);
            }
            let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
            OpenOptions::new().append(true).custom_flags(flags.bits() as i32).open("/dev/tty")
        })
    }

    /// Returns an output that asks poll(2) before each write.
    fn polled(output: OwnedFd) -> Output {
        let is_pipe = fstat(&output).is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Fifo);
        Output::Polled { output, room: if is_pipe { PIPE_ROOM } else { OTHER_ROOM } }
    }

    /// Writes once. Returns the number of bytes written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::File(file) => file.write(bytes),
            Output::Socket(socket) => Ok(rustix::net::send(socket, bytes, SendFlags::DONTWAIT | NOSIGNAL)?),
            Output::Polled { output, room } => write_if_writable(output, &bytes[..bytes.len().min(*room)]),
        }
    }
}

/// Writes `bytes` to an output in blocking mode if poll(2) reports that it is writable. `bytes`
/// must fit into an output that has just become writable. Returns the number of bytes written.
fn write_if_writable(output: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut [PollFd::new(output, PollFlags::OUT)], Some(&now))? == 0 {
        return Err(ErrorKind::WouldBlock.into());
    }
    // Another process may fill the pipe after the poll. Recent kernels then refuse this write;
    // older ones, other systems and terminals do not support it.
    match write_without_waiting(output, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::SPIPE | Errno::INVAL) => {
            Ok(rustix::io::write(output, bytes)?)
        }
        result => Ok(result?),
    }
}

/// Returns the length of the first line in bytes, including its newline.
fn line_len(lines: &[u8]) -> usize {
    memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use rustix::{
        fs::Mode,
        pipe::pipe,
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    };

    use super::*;

    /// Returns three pairs of a writer and its reader: over a socket, over a pipe, and over a pipe
    /// that cannot be reopened.
    fn pairs() -> [(LossyWriter, File); 3] {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let (read, write) = pipe().expect("a pipe");
        let (read_polled, write_polled) = pipe().expect("a pipe");
        [
            (LossyWriter::new(ours.into()), OwnedFd::from(theirs).into()),
            (LossyWriter::new(write), read.into()),
            (polled(write_polled), read_polled.into()),
        ]
    }

    /// Returns a writer to an output that cannot be reopened.
    fn polled(output: OwnedFd) -> LossyWriter {
        LossyWriter { output: Output::polled(output), tail: Vec::new(), dropped: 0 }
    }

    /// Returns a terminal in its default mode, and the side that reads what is written to it.
    fn terminal() -> (OwnedFd, File) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&controller).and_then(|()| unlockpt(&controller)).expect("unlock it");
        let path = ptsname(&controller, Vec::new()).expect("its path");
        let terminal = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        (terminal.expect("open it"), controller.into())
    }

    fn read_all(mut reader: File) -> Vec<u8> {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).expect("read");
        got
    }

    #[test]
    fn writer_keeps_lines_whole_and_in_order() {
        for (mut writer, reader) in pairs() {
            let lines: String = (0..2000).map(|i| format!("line {i}\n")).collect();
            writer.write(lines.as_bytes());
            drop(writer);
            assert_eq!(read_all(reader), lines.as_bytes());
        }
    }

    #[test]
    fn writer_with_a_stalled_reader_drops_lines() {
        for (mut writer, mut reader) in pairs() {
            // Longer than a page of the pipe, and not a divisor of its size, so that a full pipe
            // splits a line.
            let line = [b"x".repeat(9_998), b"\n".to_vec()].concat();
            let mut written = 0;
            while writer.dropped() < 3 {
                writer.write(&line);
                written += 1;
            }
            // The reader continues: the split line is completed before new lines follow.
            let mut buffer = vec![0; 1 << 20];
            let mut got = reader.read(&mut buffer).expect("read");
            writer.write(b"news\n");
            drop(writer);
            buffer.truncate(got);
            buffer.extend(read_all(reader));
            got = buffer.len();
            assert_eq!(got, (written - 3) * line.len() + 5, "every line is whole or not there");
            assert!(buffer.ends_with(b"x\nnews\n"));
        }
    }

    #[test]
    fn writer_ignores_a_closed_reader() {
        for (mut writer, reader) in pairs() {
            drop(reader);
            writer.write(b"one\ntwo\n");
            assert_eq!(writer.dropped(), 2);
        }
    }

    #[test]
    fn writer_to_a_full_terminal_drops_lines() {
        let (terminal, mut reader) = terminal();
        let mut writer = polled(terminal);
        // Newlines only: the terminal writes each as two bytes.
        while writer.dropped() == 0 {
            writer.write(&[b'\n'; 1000]);
        }
        let got = reader.read(&mut [0; 4096]).expect("read");
        assert!(got > 0, "the terminal got what fits");
    }

    #[test]
    fn writer_of_a_shared_file_appends() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut theirs = file.reopen().expect("open it");
        let mut writer = LossyWriter::new(theirs.try_clone().expect("clone").into());
        theirs.write_all(b"theirs\n").expect("write");
        writer.write(b"ours\n");
        theirs.write_all(b"theirs again\n").expect("write");
        let got = std::fs::read_to_string(file.path()).expect("read");
        assert_eq!(got, "theirs\nours\ntheirs again\n");
    }

    #[test]
    fn writer_leaves_a_shared_descriptor_blocking() {
        let (_read, write) = pipe().expect("a pipe");
        let theirs = write.try_clone().expect("clone");
        let _writer = LossyWriter::new(write);
        assert!(!rustix::fs::fcntl_getfl(&theirs).expect("flags").contains(OFlags::NONBLOCK));
    }
}
