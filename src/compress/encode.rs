//! The encoders. Each reads a file in blocks and writes the compressed bytes; the memory that it
//! needs depends on its level, not on the file.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
};

use super::{Coding, CompressionProgress};

/// The base-2 logarithm of the distance over which brotli finds repetitions: 4 MiB. Every decoder
/// supports it (RFC 7932 section 9.1), and it is the default of the command `brotli`.
const BROTLI_WINDOW: i32 = 22;
/// The best level of brotli.
const BROTLI_LEVEL: i32 = 11;
/// The best level of Zstandard whose window is at most 8 MiB. Browsers refuse a larger window (RFC
/// 9659).
const ZSTD_LEVEL: i32 = 19;

/// Reads a file from its beginning, and reports to `progress` how far it is. Fails once `progress`
/// says to stop.
pub struct MonitoredReader<'a> {
    file: &'a File,
    offset: u64,
    progress: &'a mut dyn CompressionProgress,
}

impl<'a> MonitoredReader<'a> {
    /// Creates a reader for `file`.
    pub fn new(file: &'a File, progress: &'a mut dyn CompressionProgress) -> MonitoredReader<'a> {
        MonitoredReader { file, offset: 0, progress }
    }

    /// Returns the number of bytes that have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Read for MonitoredReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.is_stopped() {
            return Err(io::Error::other("stopped"));
        }
        let got = self.file.read_at(buffer, self.offset)?;
        self.offset += got as u64;
        self.progress.on_bytes(got as u64);
        Ok(got)
    }
}

/// Writes to a file, at most a given number of bytes.
pub struct CappedWriter<'a> {
    file: &'a File,
    /// The number of bytes written.
    pub written: u64,
    at_most: u64,
    /// Whether there were more bytes.
    pub is_exceeded: bool,
}

impl<'a> CappedWriter<'a> {
    /// Creates a writer of `at_most` bytes to `file`.
    pub fn new(file: &'a File, at_most: u64) -> CappedWriter<'a> {
        CappedWriter { file, written: 0, at_most, is_exceeded: false }
    }
}

impl Write for CappedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written + bytes.len() as u64 > self.at_most {
            self.is_exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let got = self.file.write(bytes)?;
        self.written += got as u64;
        Ok(got)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compresses `source`, which has about `len` bytes, to `out`.
///
/// # Errors
/// Fails if `source` or `out` does.
pub fn encode(
    coding: Coding,
    source: &mut MonitoredReader<'_>,
    len: u64,
    out: &mut CappedWriter<'_>,
) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(32 * 1024, out);
    match coding {
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
            io::copy(source, &mut encoder)?;
            encoder.finish()?;
        }
        Coding::Brotli => {
            let params = brotli::enc::BrotliEncoderParams {
                quality: BROTLI_LEVEL,
                lgwin: BROTLI_WINDOW,
                size_hint: usize::try_from(len).unwrap_or(usize::MAX),
                ..Default::default()
            };
            brotli::BrotliCompress(source, &mut out, &params)?;
        }
        Coding::Zstandard => {
            let mut encoder = zstd::Encoder::new(&mut out, ZSTD_LEVEL)?;
            // With the length, the encoder chooses a window that is no larger than the file.
            encoder.set_pledged_src_size(Some(len))?;
            io::copy(source, &mut encoder)?;
            encoder.finish()?;
        }
    }
    out.flush()
}
