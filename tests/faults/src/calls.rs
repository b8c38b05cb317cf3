//! The functions of the C library that the server calls, replaced by ones that may fail.
//!
//! The linker prefers these definitions to those of the C library, so mio, rustix and the standard
//! library call them. Each one asks the [injector](crate::injector) and then calls the real
//! function. Outside of a turn of the server, nothing is injected.
//!
//! Some functions have a variable number of arguments, which Rust cannot define. On Linux, such
//! arguments are passed as if their number were fixed, so the definitions here have the maximum.

use std::{
    ffi::{CStr, c_char, c_int, c_long, c_uint, c_void},
    sync::atomic::{AtomicUsize, Ordering},
};

use libc::{dirent64, epoll_event, iovec, off64_t, size_t, sockaddr, socklen_t, ssize_t};

use crate::injector::{self, Call, Verdict};

/// Returns the address of the C library's function `name`, which `known` stores.
fn real(name: &CStr, known: &AtomicUsize) -> usize {
    let address = known.load(Ordering::Relaxed);
    if address != 0 {
        return address;
    }
    // SAFETY: `name` is a string with a NUL at its end.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
    assert!(found != 0, "the C library has no {name:?}");
    known.store(found, Ordering::Relaxed);
    found
}

fn fail(errno: c_int) {
    // SAFETY: the address is valid, and belongs to this thread.
    unsafe { *libc::__errno_location() = errno };
}

/// Defines functions that ask the injector first. `fd` and `len` are expressions for the descriptor
/// and for the number of bytes, which the injector may reduce. The body after `|real, len|` makes
/// the call.
macro_rules! replace {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty,
       $call:ident, $fd:expr, $length:expr, |$real:ident, $len:ident| $body:expr;)*) => {$(
        /// # Safety
        /// The same as for the function of the C library.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> $result {
            static KNOWN: AtomicUsize = AtomicUsize::new(0);
            let address = real(
                // SAFETY: the string ends with a NUL and has no other.
                unsafe { CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) },
                &KNOWN,
            );
            // SAFETY: the C library's function of this name has this type.
            let $real = unsafe {
                std::mem::transmute::<usize, unsafe extern "C" fn($($type),*) -> $result>(address)
            };
            match injector::ask(Call::$call, $fd, $length) {
                Verdict::Fail(errno) => {
                    fail(errno);
                    -1
                }
                // SAFETY: the caller's arguments are passed on, or fewer bytes than the caller has.
                Verdict::Pass($len) => unsafe { $body },
            }
        }
    )*};
}

replace! {
    recv(fd: c_int, buf: *mut c_void, count: size_t, flags: c_int) -> ssize_t,
        Recv, fd, count, |real, len| real(fd, buf, len, flags);
    recvfrom(fd: c_int, buf: *mut c_void, count: size_t, flags: c_int, from: *mut sockaddr, size: *mut socklen_t)
        -> ssize_t,
        Recv, fd, count, |real, len| real(fd, buf, len, flags, from, size);
    read(fd: c_int, buf: *mut c_void, count: size_t) -> ssize_t,
        Read, fd, 0, |real, _len| real(fd, buf, count);
    send(fd: c_int, buf: *const c_void, count: size_t, flags: c_int) -> ssize_t,
        Send, fd, count, |real, len| real(fd, buf, len, flags);
    sendto(fd: c_int, buf: *const c_void, count: size_t, flags: c_int, to: *const sockaddr, size: socklen_t)
        -> ssize_t,
        Send, fd, count, |real, len| real(fd, buf, len, flags, to, size);
    write(fd: c_int, buf: *const c_void, count: size_t) -> ssize_t,
        Send, fd, count, |real, len| real(fd, buf, len);
    writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t,
        Send, fd, total(parts, count), |real, len| {
            let parts = first_bytes(parts, count, len);
            real(fd, parts.as_ptr(), parts.len() as c_int)
        };
    sendfile64(to: c_int, from: c_int, offset: *mut off64_t, count: size_t) -> ssize_t,
        Sendfile, to, count, |real, len| real(to, from, offset, len);
    accept4(fd: c_int, address: *mut sockaddr, size: *mut socklen_t, flags: c_int) -> c_int,
        Accept, fd, 0, |real, _len| real(fd, address, size, flags);
    epoll_ctl(epoll: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int,
        EpollCtl, if op == libc::EPOLL_CTL_DEL { -1 } else { fd }, 0, |real, _len| {
            let result = real(epoll, op, fd, event);
            if result == 0 && !event.is_null() {
                injector::registered(fd, epoll, *event);
            }
            result
        };
    epoll_wait(epoll: c_int, events: *mut epoll_event, count: c_int, timeout: c_int) -> c_int,
        EpollWait, epoll, 0, |real, _len| {
            rearm();
            real(epoll, events, count, timeout)
        };
    open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int,
        Open, -1, 0, |real, _len| real(path, flags, mode);
    openat64(dir: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int,
        Open, dir, 0, |real, _len| real(dir, path, flags, mode);
    fstat64(fd: c_int, status: *mut libc::stat64) -> c_int,
        Stat, fd, 0, |real, _len| real(fd, status);
    stat64(path: *const c_char, status: *mut libc::stat64) -> c_int,
        Stat, -1, 0, |real, _len| real(path, status);
    fstatat64(dir: c_int, path: *const c_char, status: *mut libc::stat64, flags: c_int) -> c_int,
        Stat, dir, 0, |real, _len| real(dir, path, status, flags);
    pread64(fd: c_int, buf: *mut c_void, count: size_t, offset: off64_t) -> ssize_t,
        Pread, fd, count, |real, len| real(fd, buf, len, offset);
    preadv2(fd: c_int, parts: *const iovec, count: c_int, offset: off64_t, flags: c_int) -> ssize_t,
        Preadv2, fd, total(parts, count), |real, len| {
            let parts = first_bytes(parts, count, len);
            real(fd, parts.as_ptr(), parts.len() as c_int, offset, flags)
        };
    inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int,
        InotifyAdd, fd, 0, |real, _len| real(fd, path, mask);
    inotify_rm_watch(fd: c_int, id: c_int) -> c_int,
        InotifyRemove, fd, 0, |real, _len| real(fd, id);
    setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, size: socklen_t) -> c_int,
        SocketOption, fd, 0, |real, _len| real(fd, level, name, value, size);
    shutdown(fd: c_int, how: c_int) -> c_int,
        Shutdown, fd, 0, |real, _len| real(fd, how);
    syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long,
        Syscall, number as c_int, 0, |real, _len| real(number, a, b, c, d, e, f);
}

/// Replaces readdir(3), which reports an error by a null pointer and `errno`.
///
/// # Safety
/// The same as for the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn readdir64(dir: *mut libc::DIR) -> *mut dirent64 {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    let address = real(c"readdir64", &KNOWN);
    // SAFETY: the C library's function of this name has this type.
    let real = unsafe {
        std::mem::transmute::<usize, unsafe extern "C" fn(*mut libc::DIR) -> *mut dirent64>(address)
    };
    match injector::ask(Call::Readdir, -1, 0) {
        Verdict::Fail(errno) => {
            fail(errno);
            std::ptr::null_mut()
        }
        // SAFETY: the caller's argument is passed on.
        Verdict::Pass(_) => unsafe { real(dir) },
    }
}

/// Returns the number of bytes in `count` parts.
fn total(parts: *const iovec, count: c_int) -> usize {
    // SAFETY: the caller of writev or preadv2 passes this many parts.
    unsafe { std::slice::from_raw_parts(parts, count as usize) }.iter().map(|part| part.iov_len).sum()
}

/// Returns the parts of the first `len` bytes.
fn first_bytes(parts: *const iovec, count: c_int, len: usize) -> Vec<iovec> {
    let mut left = len;
    // SAFETY: as in `total`.
    let parts = unsafe { std::slice::from_raw_parts(parts, count as usize) };
    let mut first = Vec::new();
    for part in parts {
        let iov_len = part.iov_len.min(left);
        left -= iov_len;
        first.push(iovec { iov_base: part.iov_base, iov_len });
    }
    first
}

/// Makes epoll report again each descriptor for which an `EAGAIN` was injected, if it is ready.
///
/// A real `EAGAIN` is always followed by an edge when the descriptor becomes ready. An injected one
/// would be followed by none, because the descriptor is ready already.
fn rearm() {
    for (fd, epoll, mut event) in injector::take_unready() {
        // The descriptor may be closed by now, which is an error without meaning here.
        // SAFETY: `event` is valid.
        unsafe { epoll_ctl_unasked(epoll, fd, &mut event) };
    }
}

/// Modifies an epoll registration, and asks no injector.
unsafe fn epoll_ctl_unasked(epoll: c_int, fd: c_int, event: *mut epoll_event) {
    injector::pause(|| {
        // SAFETY: as for epoll_ctl(2).
        unsafe { epoll_ctl(epoll, libc::EPOLL_CTL_MOD, fd, event) };
    });
}
