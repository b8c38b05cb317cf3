//! A line writer that never waits for its reader.
//!
//! Logs and traces go to a terminal, a pipe or a file. A terminal or pipe may stop reading, and a
//! paused terminal must not stop the loop. So the writer writes as much as the reader accepts, then
//! drops whole lines and counts them. A regular file can still make the writer wait, for as long as
//! the disk takes.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use rustix::{
    fs::{FileType, OFlags, fstat},
    net::SendFlags,
};

/// A non-blocking line writer.
pub struct LossyWriter {
    output: Output,
    /// The rest of a line whose beginning has been written.
    tail: Vec<u8>,
    dropped: u64,
}

/// The destination of the lines.
enum Output {
    File(File),
    Socket(OwnedFd),
}

impl LossyWriter {
    /// Creates a writer to the terminal, pipe, socket or file that `output` refers to.
    ///
    /// Writes do not block, except in two cases: a regular file, and an `output` that cannot be
    /// reopened (without `/proc`, or on another user's terminal).
    pub fn new(output: OwnedFd) -> LossyWriter {
        // Do not reopen a regular file. Its position is shared with other writers, and a reopened
        // file would overwrite their lines.
        let is_on_disk =
            fstat(&output).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let output = if is_on_disk { Output::File(File::from(output)) } else { Output::non_blocking(output) };
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
    /// Returns a non-blocking output to the destination of `output`, if possible.
    fn non_blocking(output: OwnedFd) -> Output {
        // `O_NONBLOCK` belongs to the open file description, which this process shares with the
        // shell. So get another description by reopening through `/proc`. A socket cannot be
        // reopened; `MSG_DONTWAIT` makes each write to it non-blocking.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let reopened = OpenOptions::new()
            .append(true)
            .custom_flags(flags.bits() as i32)
            .open(format!("/proc/self/fd/{}", output.as_raw_fd()));
        match reopened {
            Ok(file) => Output::File(file),
            Err(_) if rustix::net::sockopt::socket_type(&output).is_ok() => Output::Socket(output),
            Err(_) => Output::File(File::from(output)),
        }
    }

    /// Writes once. Returns the number of bytes written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::File(file) => file.write(bytes),
            Output::Socket(socket) => {
                Ok(rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
            }
        }
    }
}

/// Returns the length of the first line in bytes, including its newline.
fn line_len(lines: &[u8]) -> usize {
    memchr::memchr(b'\n', lines).map_or(lines.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream};

    use rustix::pipe::pipe;

    use super::*;

    /// Returns two pairs of a writer and its reader, one over a socket and one over a pipe.
    fn pairs() -> [(LossyWriter, File); 2] {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let (read, write) = pipe().expect("a pipe");
        [(ours.into(), theirs.into()), (write, read)]
            .map(|(output, reader): (OwnedFd, OwnedFd)| (LossyWriter::new(output), File::from(reader)))
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
