//! A file system that finds a file by more than one name, as vfat and case-insensitive directories
//! do. It speaks FUSE (fuse(4), linux/fuse.h), so that any kernel can mount it.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::AsRawFd,
    path::Path,
};

use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
    process::geteuid,
};
use tempfile::TempDir;

use super::{Mount, skip_for_kernel};

/// The length of the header of a request, and the largest request that the kernel sends here.
const HEADER: usize = 40;
const MAX_REQUEST: usize = 256 * 1024;
const ROOT: u64 = 1;
const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;

/// One file or directory: the number of its parent (1 is the root), its own name, its other names,
/// and the content of a file. Its own number is 2 more than its index.
pub struct Node {
    pub parent: u64,
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub content: Option<&'static str>,
}

/// A mounted file system, unmounted when the test ends.
pub struct AliasFs {
    _mount: Mount,
    dir: TempDir,
}

impl AliasFs {
    /// Mounts a file system with `nodes`. Returns `None` and reports that the test is skipped if
    /// that is not possible.
    pub fn mount(nodes: &'static [Node]) -> Option<AliasFs> {
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let (true, Ok(device)) = (geteuid().is_root(), device) else {
            skip_for_kernel("no root, or no /dev/fuse");
            return None;
        };
        let dir = tempfile::tempdir().expect("a directory");
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0\0", device.as_raw_fd());
        let data = std::ffi::CString::from_vec_with_nul(data.into()).expect("one NUL");
        if let Err(errno) = mount("oneloop-test", dir.path(), "fuse", MountFlags::empty(), data.as_c_str()) {
            skip_for_kernel(&format!("cannot mount: {errno}"));
            return None;
        }
        // The thread ends when no process uses the file system any more.
        std::thread::spawn(move || serve(&device, nodes));
        Some(AliasFs { _mount: Mount::at(dir.path()), dir })
    }

    /// Returns the directory at which the file system is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Answers the kernel until the file system is unmounted.
fn serve(device: &File, nodes: &[Node]) {
    let mut buffer = vec![0; MAX_REQUEST];
    while let Ok(len) = (&mut &*device).read(&mut buffer) {
        let request = &buffer[..len];
        let (opcode, unique, node) = (u32_at(request, 4), u64_at(request, 8), u64_at(request, 16));
        // FORGET, INTERRUPT, BATCH_FORGET have no response.
        if matches!(opcode, 2 | 36 | 42) {
            continue;
        }
        let (error, body) = match respond(opcode, node, &request[HEADER..], nodes) {
            Ok(body) => (0, body),
            Err(errno) => (-errno.raw_os_error(), Vec::new()),
        };
        let mut response = Vec::new();
        response.extend((16 + body.len() as u32).to_ne_bytes());
        response.extend(error.to_ne_bytes());
        response.extend(unique.to_ne_bytes());
        response.extend(body);
        // This fails if the request was interrupted meanwhile.
        let _ = (&mut &*device).write_all(&response);
    }
}

/// Returns the body of the response to one request.
fn respond(opcode: u32, node: u64, body: &[u8], nodes: &[Node]) -> Result<Vec<u8>, Errno> {
    match opcode {
        // LOOKUP
        1 => {
            let name = body.split(|b| *b == 0).next().unwrap_or_default();
            let is_it = |n: &Node| {
                n.parent == node
                    && (n.name.as_bytes() == name || n.aliases.iter().any(|a| a.as_bytes() == name))
            };
            let found = nodes.iter().position(is_it).ok_or(Errno::NOENT)? as u64 + 2;
            Ok([&found.to_ne_bytes()[..], &[0; 32], &attributes(found, nodes)].concat())
        }
        // GETATTR
        3 => Ok([&[0; 16], &attributes(node, nodes)[..]].concat()),
        // OPEN, OPENDIR; RELEASE, RELEASEDIR
        14 | 27 => Ok(vec![0; 16]),
        18 | 29 => Ok(Vec::new()),
        // READ, READDIR
        15 | 28 => {
            let content = if opcode == 28 {
                entries(node, nodes)
            } else {
                content(node, nodes).unwrap_or_default().into()
            };
            let (offset, size) = (u64_at(body, 8) as usize, u32_at(body, 16) as usize);
            let from = offset.min(content.len());
            Ok(content[from..(from + size).min(content.len())].to_vec())
        }
        // INIT: protocol 7.31
        26 => {
            let mut init = vec![0; 64];
            init[0..4].copy_from_slice(&7_u32.to_ne_bytes());
            init[4..8].copy_from_slice(&31_u32.to_ne_bytes());
            init[20..24].copy_from_slice(&4096_u32.to_ne_bytes());
            Ok(init)
        }
        _ => Err(Errno::NOSYS),
    }
}

fn content(node: u64, nodes: &[Node]) -> Option<&'static str> {
    node.checked_sub(2).and_then(|index| nodes.get(index as usize)?.content)
}

/// Returns a `fuse_attr`.
fn attributes(node: u64, nodes: &[Node]) -> Vec<u8> {
    let content = content(node, nodes);
    let mode = if content.is_some() { FILE } else { DIRECTORY };
    let time = 1_000_000_000_u64;
    let wide = [node, content.unwrap_or_default().len() as u64, 0, time, time, time];
    let narrow = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0];
    wide.iter()
        .flat_map(|n| n.to_ne_bytes())
        .chain(narrow.iter().flat_map(|n: &u32| n.to_ne_bytes()))
        .collect()
}

/// Returns the entries of a directory, each a `fuse_dirent`. Its offset is that of the next
/// one, so that reading can go on at any entry.
fn entries(node: u64, nodes: &[Node]) -> Vec<u8> {
    let mut entries = Vec::new();
    let own = [(ROOT, "."), (ROOT, "..")];
    let children = nodes.iter().zip(2_u64..).filter(|(n, _)| n.parent == node).map(|(n, at)| (at, n.name));
    for (inode, name) in own.into_iter().chain(children) {
        let next = (entries.len() + 24 + name.len()).next_multiple_of(8);
        entries.extend(inode.to_ne_bytes());
        entries.extend((next as u64).to_ne_bytes());
        entries.extend((name.len() as u32).to_ne_bytes());
        entries.extend(0_u32.to_ne_bytes());
        entries.extend(name.as_bytes());
        entries.resize(next, 0);
    }
    entries
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
