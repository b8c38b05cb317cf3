//! Decides by a seed which calls fail, and how.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
};

use libc::{c_int, epoll_event};
use oorandom::Rand32;

/// The kinds of calls, by the errors that they may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Accept,
    EpollCtl,
    EpollWait,
    InotifyAdd,
    InotifyRemove,
    Open,
    Pread,
    Preadv2,
    Read,
    Readdir,
    Recv,
    Send,
    Sendfile,
    Shutdown,
    SocketOption,
    Stat,
    Syscall,
}

/// What an injected call does.
pub enum Verdict {
    /// It fails with this error.
    Fail(c_int),
    /// It is made, with at most this many bytes.
    Pass(usize),
}

/// The plan of one seed: how often calls fail.
pub struct Plan {
    random: Rand32,
    /// One in this many calls is hit.
    one_in: u32,
    /// A call that fails each time, and the number of times.
    lasting: Option<(Call, c_int, u32)>,
    /// Where each injected fault is written.
    trace: Option<File>,
    /// The descriptor of the trace, for which no call fails. So a seed is the same with and without
    /// a trace.
    trace_fd: c_int,
    /// The number of injected faults.
    injected: u64,
}

thread_local! {
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
    static PLAN: RefCell<Option<Plan>> = const { RefCell::new(None) };
    /// The registrations of descriptors with epoll.
    static EPOLL: RefCell<BTreeMap<c_int, (c_int, epoll_event)>> = const { RefCell::new(BTreeMap::new()) };
    /// The descriptors for which an `EAGAIN` was injected since the last poll.
    static UNREADY: RefCell<BTreeSet<c_int>> = const { RefCell::new(BTreeSet::new()) };
}

impl Call {
    /// Every call that may fail for long.
    const LASTING: [Call; 9] = [
        Call::Accept,
        Call::EpollCtl,
        Call::InotifyAdd,
        Call::Open,
        Call::Pread,
        Call::Preadv2,
        Call::Readdir,
        Call::Sendfile,
        Call::Stat,
    ];

    /// Returns the errors that the manual pages list, without those that are true of no file and no
    /// socket here: a call that says that a file does not exist is answered with a 404.
    fn errors(self) -> &'static [c_int] {
        use libc::*;
        match self {
            Call::Accept => &[
                EAGAIN,
                EINTR,
                ECONNABORTED,
                EMFILE,
                ENFILE,
                ENOBUFS,
                ENOMEM,
                EPROTO,
                EPERM,
                ENETDOWN,
                EHOSTUNREACH,
                EOPNOTSUPP,
            ],
            Call::EpollCtl => &[ENOMEM, ENOSPC],
            Call::EpollWait => &[EINTR],
            Call::InotifyAdd => &[ENOMEM, ENOSPC, EACCES],
            Call::InotifyRemove => &[EINVAL],
            Call::Open | Call::Syscall => {
                &[EINTR, EAGAIN, EMFILE, ENFILE, ENOMEM, EIO, ESTALE, EACCES, EPERM, ENOTCONN]
            }
            Call::Pread => &[EINTR, EIO, ESTALE, ENOMEM],
            Call::Preadv2 => &[EAGAIN, EOPNOTSUPP, EINTR, EIO, ENOSYS],
            Call::Read => &[EAGAIN, EINTR],
            Call::Readdir => &[EIO, ESTALE, EINTR],
            Call::Recv => &[EAGAIN, EINTR, ECONNRESET, ENOMEM, ETIMEDOUT],
            Call::Send => &[EAGAIN, EINTR, EPIPE, ECONNRESET, ENOBUFS, ENOMEM],
            Call::Sendfile => {
                &[EAGAIN, EINTR, EIO, ENOMEM, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EPIPE, ECONNRESET]
            }
            Call::Shutdown => &[ENOTCONN],
            Call::SocketOption => &[EINVAL, ENOMEM],
            Call::Stat => &[EIO, EINTR, ENOMEM, ESTALE],
        }
    }
}

impl Plan {
    /// Returns the plan of a seed.
    pub fn new(seed: u64) -> Plan {
        let mut random = Rand32::new(seed);
        let one_in = [2, 3, 5, 10, 30, 100][random.rand_range(0..6) as usize];
        let lasting = (random.rand_range(0..4) == 0).then(|| {
            let call = Call::LASTING[random.rand_range(0..Call::LASTING.len() as u32) as usize];
            let errors = call.errors();
            let errno = errors[random.rand_range(0..errors.len() as u32) as usize];
            (call, errno, 1 << random.rand_range(0..10))
        });
        Plan { random, one_in, lasting, trace: None, trace_fd: -1, injected: 0 }
    }

    /// Writes each fault to `trace`. The server writes its own trace to the descriptor `trace_fd`.
    pub fn with_trace(self, trace: File, trace_fd: c_int) -> Plan {
        Plan { trace: Some(trace), trace_fd, ..self }
    }

    /// Decides about a call that would transfer `len` bytes.
    fn decide(&mut self, call: Call, len: usize) -> Verdict {
        if let Some((lasting, errno, left)) = &mut self.lasting
            && *lasting == call
            && *left > 0
        {
            *left -= 1;
            return Verdict::Fail(*errno);
        }
        if self.random.rand_range(0..self.one_in) != 0 {
            return Verdict::Pass(len);
        }
        if len > 1 && self.random.rand_range(0..2) == 0 {
            return Verdict::Pass(self.random.rand_range(1..len as u32) as usize);
        }
        let errors = call.errors();
        Verdict::Fail(errors[self.random.rand_range(0..errors.len() as u32) as usize])
    }
}

/// Makes `plan` the one of this thread.
pub fn set(plan: Plan) {
    PLAN.set(Some(plan));
    UNREADY.with_borrow_mut(BTreeSet::clear);
}

/// Removes the plan, and forgets the descriptors of its server.
pub fn end() {
    PLAN.set(None);
    EPOLL.with_borrow_mut(BTreeMap::clear);
}

/// Returns the number of faults so far.
pub fn injected() -> u64 {
    PLAN.with_borrow(|plan| plan.as_ref().map_or(0, |plan| plan.injected))
}

/// Calls `act` while calls may fail.
pub fn inject<T>(act: impl FnOnce() -> T) -> T {
    let before = IS_ARMED.replace(true);
    let result = act();
    IS_ARMED.set(before);
    result
}

/// Calls `act` while no call fails.
pub fn pause<T>(act: impl FnOnce() -> T) -> T {
    let before = IS_ARMED.replace(false);
    let result = act();
    IS_ARMED.set(before);
    result
}

/// Decides about a call on `fd` that would transfer `len` bytes.
pub fn ask(call: Call, fd: c_int, len: usize) -> Verdict {
    // Only openat2 has no function in the C library.
    let is_other_syscall = call == Call::Syscall && i64::from(fd) != libc::SYS_openat2;
    let is_removal = call == Call::EpollCtl && fd == -1;
    if !IS_ARMED.get() || is_other_syscall || is_removal {
        return Verdict::Pass(len);
    }
    pause(|| {
        PLAN.with_borrow_mut(|plan| {
            let Some(plan) = plan.as_mut().filter(|plan| fd == -1 || fd != plan.trace_fd) else {
                return Verdict::Pass(len);
            };
            let verdict = plan.decide(call, len);
            let what = match verdict {
                Verdict::Fail(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
                Verdict::Pass(short) if short != len => format!("only {short} of {len}"),
                Verdict::Pass(_) => return verdict,
            };
            plan.injected += 1;
            // After EAGAIN or a short count, the loop waits for an event.
            if matches!(verdict, Verdict::Fail(libc::EAGAIN) | Verdict::Pass(_)) {
                UNREADY.with_borrow_mut(|unready| unready.insert(fd));
            }
            if let Some(trace) = &mut plan.trace {
                let _ = writeln!(trace, "          injected {call:?}({fd}) -> {what}");
            }
            verdict
        })
    })
}

/// Notes that `fd` is registered with `epoll`.
pub fn registered(fd: c_int, epoll: c_int, event: epoll_event) {
    EPOLL.with_borrow_mut(|known| known.insert(fd, (epoll, event)));
}

/// Returns the descriptors for which `EAGAIN` was injected, with their registrations.
pub fn take_unready() -> Vec<(c_int, c_int, epoll_event)> {
    let unready = UNREADY.take();
    EPOLL.with_borrow(|known| {
        let found = |fd| known.get(&fd).map(|(epoll, event)| (fd, *epoll, *event));
        unready.into_iter().filter_map(found).collect()
    })
}
