//! Files whose length is known only once they have been read. Many files in `/proc` and of FUSE
//! file systems have a status that says 0 bytes.

use std::fs::File;

use rustix::io::{Errno, pread};

use super::error::retry;

/// An open file of unknown length, too long to be kept in memory.
#[derive(Debug)]
pub struct UnmeasuredFile(File);

impl UnmeasuredFile {
    /// Creates a handle for an open file.
    pub(super) fn new(file: File) -> UnmeasuredFile {
        UnmeasuredFile(file)
    }

    /// Reads the bytes at `offset` into `buffer`. Returns their number, which is 0 at the end of
    /// the file.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        retry(|| pread(&self.0, &mut *buffer, offset))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, rc::Rc, time::SystemTime};

    use super::*;
    use crate::{
        clock::Clock,
        site::file::{Content, FileOrigin, Reading, SMALL, StaticFile},
    };

    #[test]
    fn file_of_the_kernel_is_read_whole_although_its_status_says_0() {
        let open = |path: &str| -> StaticFile<()> {
            let clock = Clock::frozen(SystemTime::now());
            let reading = Reading::read(File::open(path).expect("open").into(), &Rc::default(), &clock);
            reading.expect("read").expect("a regular file").into_file(&(), FileOrigin::Path(b""))
        };
        let small = open("/proc/self/status");
        assert!(matches!(&small.content, Content::Memory(content) if content.starts_with(b"Name:")));
        assert!(fs::metadata("/proc/self/status").is_ok_and(|status| status.len() == 0));

        let whole = fs::read("/proc/kallsyms").unwrap_or_default();
        if whole.len() <= SMALL as usize {
            return crate::testing::skip_for_kernel("no large file in /proc");
        }
        let large = open("/proc/kallsyms");
        let Content::Unmeasured(file) = &large.content else { panic!("{:?}", large.content) };
        assert!(!large.is_cacheable());
        let (mut read, mut buffer) = (Vec::<u8>::new(), [0; 1000]);
        loop {
            match file.read(read.len() as u64, &mut buffer).expect("read") {
                0 => break,
                got => read.extend(&buffer[..got]),
            }
        }
        assert!(read == whole);
    }
}
