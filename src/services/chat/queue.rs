//! The lines that wait for one member.

use std::{collections::VecDeque, rc::Rc};

/// The number of lines, and the number of bytes in them, at which a queue is full.
pub const MAX_LINES: usize = 256;
pub const MAX_BYTES: usize = 64 * 1024;
/// The capacity that an empty queue may keep.
const SPARE: usize = 16;

/// The lines that wait until the member's connection can send them. All members share the bytes of
/// a line.
#[derive(Debug, Default)]
pub struct LineQueue {
    lines: VecDeque<Queued>,
    /// The number of lines that count, and of bytes in them.
    counted_lines: usize,
    counted_bytes: usize,
}

#[derive(Debug)]
struct Queued {
    line: Rc<[u8]>,
    counts: bool,
}

/// The result of adding a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The queue was empty: the member must be woken.
    First,
    /// The member has been woken for an earlier line.
    Next,
    /// The queue is full, and the line was not added.
    Full,
}

impl LineQueue {
    /// Adds a line, unless the queue is full.
    pub fn push(&mut self, line: &Rc<[u8]>) -> Pushed {
        if self.counted_lines >= MAX_LINES || self.counted_bytes >= MAX_BYTES {
            return Pushed::Full;
        }
        self.counted_lines += 1;
        self.counted_bytes += line.len();
        self.add(line, true)
    }

    /// Adds a line that does not count, also to a full queue. A connection that ends cannot wait
    /// until its notice fits. The number of such lines is limited anyway, because a member that
    /// leaves has joined, and that line counts.
    pub fn push_uncounted(&mut self, line: &Rc<[u8]>) -> Pushed {
        self.add(line, false)
    }

    fn add(&mut self, line: &Rc<[u8]>, counts: bool) -> Pushed {
        let pushed = if self.lines.is_empty() { Pushed::First } else { Pushed::Next };
        self.lines.push_back(Queued { line: Rc::clone(line), counts });
        pushed
    }

    /// Takes the oldest line.
    pub fn pop(&mut self) -> Option<Rc<[u8]>> {
        let Queued { line, counts } = self.lines.pop_front()?;
        if counts {
            self.counted_lines -= 1;
            self.counted_bytes -= line.len();
        }
        if self.lines.is_empty() && self.lines.capacity() > SPARE {
            self.lines = VecDeque::new(); // an idle member holds no memory
        }
        Some(line)
    }

    /// Returns whether no line waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(len: usize) -> Rc<[u8]> {
        vec![b'x'; len].into()
    }

    #[test]
    fn queue_is_bounded_by_lines_and_by_bytes() {
        for (len, fits) in [(1, MAX_LINES), (MAX_BYTES / 4, 4), (MAX_BYTES / 4 + 1, 4), (MAX_BYTES * 2, 1)] {
            let (mut queue, line) = (LineQueue::default(), line(len));
            assert_eq!(queue.push(&line), Pushed::First);
            for _ in 1..fits {
                assert_eq!(queue.push(&line), Pushed::Next);
            }
            assert_eq!((queue.push(&line), queue.lines.len()), (Pushed::Full, fits));
            // A line that does not count is added even now, and uses no room.
            assert_eq!(queue.push_uncounted(&line), Pushed::Next);
            assert!(queue.pop().is_some());
            assert_eq!((queue.push(&line), queue.push(&line)), (Pushed::Next, Pushed::Full));
        }
    }

    #[test]
    fn queue_keeps_the_order_and_copies_nothing() {
        let (mut queue, lines) = (LineQueue::default(), [line(1), line(2), line(3)]);
        assert_eq!(queue.push(&lines[0]), Pushed::First);
        assert_eq!(queue.push_uncounted(&lines[1]), Pushed::Next);
        assert_eq!(queue.push(&lines[2]), Pushed::Next);
        for expected in &lines {
            assert!(queue.pop().is_some_and(|line| Rc::ptr_eq(&line, expected)));
        }
        assert!(queue.pop().is_none() && queue.is_empty());
        assert_eq!((queue.counted_lines, queue.counted_bytes), (0, 0));
        assert_eq!(queue.push_uncounted(&lines[0]), Pushed::First);
    }

    #[test]
    fn queue_that_was_long_holds_no_memory() {
        let (mut queue, line) = (LineQueue::default(), line(9));
        (0..MAX_LINES).for_each(|_| assert_ne!(queue.push(&line), Pushed::Full));
        while queue.pop().is_some() {}
        assert_eq!(queue.lines.capacity(), 0);
    }
}
