//! A level-triggered poll in place of the edges of the poller.

use std::{io, os::fd::BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::trace::EventFlags;

/// Returns which of `sources` poll(2) reports, without sleeping. Each is a key, a descriptor and
/// whether to ask for room to send. It reports a source for as long as that is ready.
///
/// # Errors
/// Fails as poll(2) does.
pub fn poll_level<'fd, K: Copy>(
    sources: impl Iterator<Item = (K, BorrowedFd<'fd>, bool)>,
) -> io::Result<Vec<(K, EventFlags)>> {
    let (keys, mut asked): (Vec<K>, Vec<PollFd<'fd>>) = sources
        .map(|(key, fd, sends)| {
            let input = PollFlags::IN | PollFlags::RDHUP;
            (key, PollFd::from_borrowed_fd(fd, if sends { input | PollFlags::OUT } else { input }))
        })
        .unzip();
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    let ready = keys.into_iter().zip(&asked).map(|(key, asked)| (key, flags(asked.revents())));
    Ok(ready.filter(|(_, flags)| *flags != EventFlags::default()).collect())
}

fn flags(reported: PollFlags) -> EventFlags {
    let hangs_up = reported.contains(PollFlags::HUP);
    EventFlags {
        readable: reported.contains(PollFlags::IN),
        writable: reported.contains(PollFlags::OUT),
        read_closed: hangs_up || reported.contains(PollFlags::RDHUP),
        write_closed: hangs_up,
        error: reported.contains(PollFlags::ERR),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::{fd::AsFd, unix::net::UnixStream},
    };

    use super::*;

    #[test]
    fn level_is_reported_until_everything_has_been_read() {
        let (mut ours, mut peer) = UnixStream::pair().expect("a pair");
        let reported =
            |socket: &UnixStream, sends| poll_level([(7, socket.as_fd(), sends)].into_iter()).expect("poll");
        assert_eq!(reported(&ours, false), []);
        peer.write_all(b"two").expect("send");
        for left in [2, 1, 0] {
            assert!(reported(&ours, false)[0].1.readable);
            ours.read_exact(&mut [0]).expect("read");
            assert_eq!(reported(&ours, false).len(), usize::from(left > 0), "{left} bytes are left");
        }
        assert_eq!(reported(&ours, true), [(7, EventFlags { writable: true, ..EventFlags::default() })]);
        drop(peer);
        assert!(reported(&ours, false)[0].1.read_closed);
    }
}
