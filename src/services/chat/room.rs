//! The room: its members, and the lines that wait for each of them. Pure: a connection passes in
//! the time of the turn, and a function that wakes another member's connection.

use std::{collections::BTreeMap, fmt, rc::Rc, time::SystemTime};

use super::{
    queue::{LineQueue, Pushed},
    text::{self, NameError},
};

/// The maximum number of connections, with and without a name.
const MAX_MEMBERS: usize = 1000;
/// The number of lines that the room accepts in one turn of the loop, and the number of bytes in
/// them. A member is woken for the first line in its queue and has its turn before the end of the
/// next turn of the loop. So its queue fills only if its connection cannot send.
const LINES_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 16 * 1024;
/// The maximum number of names in a list of the members.
const MAX_LISTED: usize = 50;

/// A room. `K` is the key that wakes a member's connection.
pub struct Room<K> {
    /// The members by number, in the order in which they joined. Numbers are never reused.
    members: BTreeMap<u64, Member<K>>,
    last_number: u64,
    /// The number of connections, with and without a name.
    connections: usize,
    /// The turn that the next two numbers count for.
    turn: u64,
    lines_in_turn: usize,
    bytes_in_turn: usize,
    /// Whether lines wait for a member without limit. Only a lesson about this fault sets it.
    has_unbounded_queues: bool,
}

struct Member<K> {
    label: Label,
    /// The name in lower case.
    folded_name: String,
    key: K,
    queue: LineQueue,
}

/// A member's name and address, as the others see them.
struct Label {
    name: String,
    address: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// What happened to a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The number of members for which the line waits.
    pub members: usize,
    /// The names of the members that were dropped because their queues were full.
    pub dropped: Vec<String>,
}

impl<K: Copy> Room<K> {
    /// Creates an empty room.
    pub fn new() -> Room<K> {
        let (members, last_number, connections) = (BTreeMap::new(), 0, 0);
        let (lines_in_turn, bytes_in_turn, has_unbounded_queues) = (0, 0, false);
        Room {
            members,
            last_number,
            connections,
            turn: 0,
            lines_in_turn,
            bytes_in_turn,
            has_unbounded_queues,
        }
    }

    /// Lets lines wait for a member without limit, which only a room in a lesson may do.
    #[cfg(feature = "lessons")]
    pub fn unbound_queues(&mut self) {
        self.has_unbounded_queues = true;
    }

    /// Counts a connection that wants to join. Returns `false` if the room is full.
    #[must_use]
    pub fn admit(&mut self) -> bool {
        let has_place = self.connections < MAX_MEMBERS;
        self.connections += usize::from(has_place);
        has_place
    }

    /// Gives back the place of a connection that was [admitted](Room::admit).
    pub fn release(&mut self) {
        self.connections -= 1;
    }

    /// Returns whether the room accepts another line in this turn of the loop.
    pub fn has_budget(&mut self, turn: u64) -> bool {
        if self.turn != turn {
            (self.turn, self.lines_in_turn, self.bytes_in_turn) = (turn, 0, 0);
        }
        self.lines_in_turn < LINES_PER_TURN && self.bytes_in_turn < BYTES_PER_TURN
    }

    /// Adds a member, and returns its number. The others have not been notified yet.
    ///
    /// # Errors
    /// Fails if another member has the name, compared without case.
    pub fn join(&mut self, name: String, address: String, key: K) -> Result<u64, NameError> {
        let folded_name = name.to_lowercase();
        if self.members.values().any(|member| member.folded_name == folded_name) {
            return Err(NameError::Taken);
        }
        self.last_number += 1;
        let label = Label { name, address };
        let member = Member { label, folded_name, key, queue: LineQueue::default() };
        self.members.insert(self.last_number, member);
        Ok(self.last_number)
    }

    /// Queues the notice that `member` has joined for all other members.
    pub fn announce(&mut self, member: u64, time: SystemTime, wake: impl FnMut(K)) -> Delivery {
        let line = self.members.get(&member).map(|member| text::notice(time, &member.label, "joined"));
        self.send(member, time, line, wake)
    }

    /// Queues a line of `member` for all other members.
    pub fn say(&mut self, member: u64, text: &str, time: SystemTime, wake: impl FnMut(K)) -> Delivery {
        let line = self.members.get(&member).map(|member| text::spoken(time, &member.label, text));
        self.send(member, time, line, wake)
    }

    /// Queues a line for all members except `sender`. Drops each member whose queue is full: its
    /// connection has been unable to send for as long as it took to fill the queue.
    fn send(
        &mut self,
        sender: u64,
        time: SystemTime,
        line: Option<String>,
        mut wake: impl FnMut(K),
    ) -> Delivery {
        let Some(line) = line else { return Delivery::default() };
        let line: Rc<[u8]> = line.into_bytes().into();
        self.lines_in_turn += 1;
        self.bytes_in_turn += line.len();
        let (mut delivery, mut full) = (Delivery::default(), Vec::new());
        for (number, member) in self.members.iter_mut().filter(|(number, _)| **number != sender) {
            match member.queue.push(&line) {
                Pushed::First => wake(member.key),
                Pushed::Next => {}
                Pushed::Full if self.has_unbounded_queues => {
                    member.queue.push_uncounted(&line);
                }
                Pushed::Full => full.push(*number),
            }
        }
        delivery.members = self.members.len().saturating_sub(1 + full.len());
        let dropped: Vec<_> = full.iter().filter_map(|number| self.members.remove(number)).collect();
        for member in dropped {
            self.notify(&text::notice(time, &member.label, "left: does not read"), &mut wake);
            wake(member.key); // its connection sends a last notice, if it can send at all
            delivery.dropped.push(member.label.name);
        }
        delivery
    }

    /// Removes a member and returns its name, or `None` if it has been dropped. `what` is the
    /// notice for the others, such as `left`.
    pub fn leave(
        &mut self,
        member: u64,
        what: Option<&str>,
        time: SystemTime,
        mut wake: impl FnMut(K),
    ) -> Option<String> {
        let member = self.members.remove(&member)?;
        if let Some(what) = what {
            self.notify(&text::notice(time, &member.label, what), &mut wake);
        }
        Some(member.label.name)
    }

    /// Queues a notice for every member, also for those whose queues are full.
    fn notify(&mut self, notice: &str, wake: &mut impl FnMut(K)) {
        let line: Rc<[u8]> = notice.as_bytes().into();
        for member in self.members.values_mut() {
            if member.queue.push_uncounted(&line) == Pushed::First {
                wake(member.key);
            }
        }
    }

    /// Returns the lines that wait for a member, or `None` if it has been dropped.
    pub fn queue(&mut self, member: u64) -> Option<&mut LineQueue> {
        self.members.get_mut(&member).map(|member| &mut member.queue)
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns a line with the number of members and their names and addresses.
    pub fn list(&self) -> String {
        let listed: Vec<_> =
            self.members.values().take(MAX_LISTED).map(|member| member.label.to_string()).collect();
        let more = match self.members.len() - listed.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let noun = if self.members.len() == 1 { "member" } else { "members" };
        format!("{} {noun}: {}{more}\n", self.members.len(), listed.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{super::queue::MAX_LINES, *};

    const NOW: SystemTime = UNIX_EPOCH;

    /// Returns a room with the members `m1`, `m2`, ..., which are woken by the keys 1, 2, ...
    fn room_of(members: u64) -> Room<u64> {
        let mut room = Room::new();
        for key in 1..=members {
            join(&mut room, &format!("m{key}"), key);
        }
        room
    }

    fn join(room: &mut Room<u64>, name: &str, key: u64) -> u64 {
        assert!(room.admit());
        room.join(name.into(), format!("127.0.0.1:{key}"), key).expect("a free name")
    }

    /// Takes all lines that wait for a member.
    fn lines(room: &mut Room<u64>, member: u64) -> Vec<String> {
        let queue = room.queue(member).expect("a member");
        std::iter::from_fn(|| queue.pop())
            .map(|line| String::from_utf8(line.to_vec()).expect("text"))
            .collect()
    }

    #[test]
    fn line_reaches_everyone_else_and_wakes_each_once() {
        let mut room = room_of(3);
        let mut woken = Vec::new();
        let delivery = room.say(2, "one", NOW, |key| woken.push(key));
        assert_eq!(delivery, Delivery { members: 2, dropped: Vec::new() });
        room.say(2, "two", NOW, |key| woken.push(key));
        room.say(1, "three", NOW, |key| woken.push(key));
        assert_eq!(woken, [1, 3, 2]);
        let said = |name: &str, port: u8, text: &str| {
            format!("[1970-01-01 00:00:00] {name} (127.0.0.1:{port}): {text}\n")
        };
        let (one, two, three) = (said("m2", 2, "one"), said("m2", 2, "two"), said("m1", 1, "three"));
        assert_eq!(lines(&mut room, 1), [one.clone(), two.clone()]);
        assert_eq!(lines(&mut room, 2), [three.as_str()]);
        assert_eq!(lines(&mut room, 3), [one, two, three]);
        // An emptied queue wakes its member again.
        room.say(2, "four", NOW, |key| woken.push(key));
        assert_eq!(woken, [1, 3, 2, 1, 3]);
    }

    #[test]
    fn line_is_shared_by_all_queues() {
        let mut room = room_of(300);
        room.say(1, "hello", NOW, |_| {});
        let first = room.queue(2).and_then(LineQueue::pop).expect("a line");
        assert_eq!(Rc::strong_count(&first), 299);
    }

    #[test]
    fn joins_and_leaves_are_announced() {
        let mut room = room_of(2);
        let third = join(&mut room, "m3", 3);
        assert_eq!(room.announce(third, NOW, |_| {}).members, 2);
        assert_eq!(room.leave(third, Some("left"), NOW, |_| {}), Some("m3".into()));
        assert_eq!(room.leave(third, Some("left"), NOW, |_| {}), None);
        for member in [1, 2] {
            let expected =
                ["joined", "left"].map(|what| format!("[1970-01-01 00:00:00] m3 (127.0.0.1:3) {what}\n"));
            assert_eq!(lines(&mut room, member), expected);
        }
        room.leave(1, None, NOW, |_| {});
        assert_eq!((room.len(), lines(&mut room, 2).len()), (1, 0));
    }

    #[test]
    fn name_is_taken_whatever_its_case_until_its_member_leaves() {
        let mut room = room_of(1);
        let again = |room: &mut Room<u64>| room.join("M1".into(), "127.0.0.1:9".into(), 9);
        assert_eq!(again(&mut room), Err(NameError::Taken));
        room.leave(1, Some("left"), NOW, |_| {});
        assert_eq!(again(&mut room), Ok(2));
    }

    #[test]
    fn member_that_does_not_read_is_dropped_and_the_others_lose_nothing() {
        let mut room = room_of(4);
        for n in 0..MAX_LINES {
            assert_eq!(room.say(1, "x", NOW, |_| {}).dropped, [""; 0], "line {n}");
            assert_eq!((lines(&mut room, 2).len(), lines(&mut room, 4).len()), (1, 1));
        }
        let mut woken = Vec::new();
        let delivery = room.say(1, "last", NOW, |key| woken.push(key));
        assert_eq!(delivery, Delivery { members: 2, dropped: vec!["m3".into()] });
        assert_eq!(woken, [2, 4, 1, 3]);
        assert!(room.queue(3).is_none());
        assert_eq!(lines(&mut room, 1), ["[1970-01-01 00:00:00] m3 (127.0.0.1:3) left: does not read\n"]);
        for member in [2, 4] {
            let got = lines(&mut room, member);
            assert!(got[0].ends_with(": last\n") && got[1].ends_with("does not read\n"), "{got:?}");
        }
        // Its connection still counts until it closes, and its name is free at once.
        assert_eq!(room.connections, 4);
        assert!(room.join("m3".into(), "127.0.0.1:5".into(), 5).is_ok());
    }

    #[test]
    fn many_leaving_at_once_drop_nobody() {
        let mut room = room_of(MAX_MEMBERS as u64);
        for member in 3..=MAX_MEMBERS as u64 {
            room.leave(member, Some("left: the connection broke"), NOW, |_| {});
            room.release();
        }
        assert_eq!(room.say(1, "still here?", NOW, |_| {}).dropped, [""; 0]);
        assert_eq!(lines(&mut room, 2).len(), MAX_MEMBERS - 2 + 1);
    }

    #[test]
    fn connections_are_limited() {
        let mut room = Room::<u64>::new();
        assert!((0..MAX_MEMBERS).all(|_| room.admit()));
        assert!(!room.admit());
        room.release();
        assert!(room.admit() && !room.admit());
    }

    #[test]
    fn lines_of_two_turns_fit_into_a_queue() {
        for text in ["", "x".repeat(1024).as_str()] {
            let mut room = room_of(3);
            let mut said = 0;
            for turn in [7, 8] {
                while room.has_budget(turn) {
                    assert_eq!(room.say(1, text, NOW + Duration::from_secs(turn), |_| {}).dropped, [""; 0]);
                    said += 1;
                }
            }
            assert_eq!(lines(&mut room, 2).len(), said);
        }
    }

    #[test]
    fn list_names_the_first_members() {
        assert_eq!(room_of(1).list(), "1 member: m1 (127.0.0.1:1)\n");
        assert_eq!(room_of(2).list(), "2 members: m1 (127.0.0.1:1), m2 (127.0.0.1:2)\n");
        let many = room_of(300).list();
        assert!(
            many.starts_with("300 members: m1 ") && many.ends_with("m50 (127.0.0.1:50) and 250 more\n"),
            "{many}"
        );
    }
}
