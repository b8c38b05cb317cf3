//! The calls that only some systems have, behind functions that all systems have.
//!
//! The module `linux` makes the calls of Linux. The module `portable` does without them: on macOS
//! and the BSDs, and on Linux with the feature `portable`, which exists so that the tests can run
//! without them as well. A function that has no substitute fails with `ENOSYS`, as the same call
//! does on an old kernel, and its caller does what it would do there.
//!
//! Two modules are replaced as a whole, by the same condition: `site::inotify` and
//! `sandbox::landlock`.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
#[path = "linux.rs"]
mod calls;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
#[path = "portable.rs"]
mod calls;

pub use self::calls::*;

/// What a path must not do while the kernel resolves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// Lead out of the root, also by way of a magic link (symlink(7)).
    Root,
    /// Lead out of the root or into another mount.
    RootMount,
    /// Lead into another mount.
    Mount,
}
