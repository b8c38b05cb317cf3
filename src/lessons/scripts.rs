//! What the clients of each lesson do.

use std::{io, time::Duration};

use super::harness::Harness;

pub const HELLO: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// How long the client of datagrams may take to get its answers.
const SECONDS_OF_QUESTIONS: usize = 3;
const BIG: &[u8] = b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";

pub fn drip_request(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    for piece in HELLO.chunks(HELLO.len().div_ceil(5)) {
        harness.send('A', piece)?;
    }
    harness.receive('A')
}

pub fn pipeline_requests(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.send('A', &[HELLO, HELLO].concat())?;
    harness.receive('A')?;
    harness.send_datagrams(&[b"one", b"two"])
}

pub fn stop_reading(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', true)?;
    harness.connect('B', false)?;
    harness.send_only('A', BIG)?;
    harness.send_only('B', HELLO)?;
    harness.run_until_idle()?;
    harness.receive('B')?;
    harness.receive('A')?;
    harness.run_until_idle()
}

pub fn leave_input_unread(harness: &mut Harness) -> io::Result<()> {
    for name in ['A', 'B', 'C'] {
        harness.connect_only(name, false)?;
    }
    harness.run_until_idle()?;
    harness.send('A', HELLO)?;
    harness.receive('A')?;
    // An empty line before a request is allowed, and causes one more edge.
    harness.send('A', b"\r\n")?;
    harness.receive('A')?;
    harness.send('C', HELLO)?;
    harness.receive('C')
}

pub fn half_close_client(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.send_only('A', HELLO)?;
    harness.half_close('A')?;
    harness.run_until_idle()?;
    harness.receive('A')
}

pub fn miss_deadlines(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.connect('B', false)?;
    harness.send('B', HELLO)?;
    harness.receive('B')?;
    harness.send('A', &HELLO[..20])?;
    harness.advance(Duration::from_secs(10))?;
    harness.receive('A')?;
    harness.advance(Duration::from_secs(2))?;
    harness.advance(Duration::from_secs(63))?;
    harness.receive('B')
}

pub fn send_many_requests(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.connect('B', false)?;
    harness.send_only('A', &HELLO.repeat(150))?;
    harness.send_only('B', HELLO)?;
    harness.run_until_idle()?;
    harness.receive('B')?;
    harness.receive('A')
}

pub fn connect_silent_clients(harness: &mut Harness) -> io::Result<()> {
    harness.connect_many(1000)?;
    harness.connect('A', false)?;
    harness.send('A', HELLO)?;
    harness.receive('A')
}

pub fn run_out_of_descriptors(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.send('A', HELLO)?;
    harness.receive('A')?;
    harness.connect_only('B', false)?;
    harness.use_up_descriptors()?;
    harness.send('A', HELLO)?;
    harness.receive('A')?;
    harness.advance(Duration::from_millis(200))?;
    harness.half_close('A')?;
    harness.run_until_idle()?;
    harness.send('B', HELLO)?;
    harness.receive('B')
}

pub fn fill_backlog(harness: &mut Harness) -> io::Result<()> {
    harness.connect_only('A', false)?;
    harness.send_only('A', HELLO)?;
    harness.connect_only('B', false)?;
    harness.start_connect('C')?;
    // After a second, the kernel would send C's first packet again. So nothing waits until C has
    // gone.
    harness.turn()?;
    harness.check_connect('C')?;
    harness.give_up('C')?;
    harness.connect_only('D', false)?;
    harness.send_only('D', HELLO)?;
    harness.run_until_idle()?;
    harness.receive('A')?;
    harness.receive('D')
}

pub fn reset_connection(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', true)?;
    harness.send('A', BIG)?;
    harness.reset('A')?;
    harness.run_until_idle()?;
    harness.connect('B', false)?;
    harness.send('B', HELLO)?;
    harness.receive('B')
}

pub fn send_messages(harness: &mut Harness) -> io::Result<()> {
    harness.connect_to('A', false, 1)?;
    harness.connect_to('B', false, 2)?;
    harness.send('A', b"one")?;
    harness.send('A', b"\ntwo\n")?;
    harness.receive('A')?;
    harness.send('B', b"\0\0")?;
    harness.send('B', b"\0\x07one")?;
    harness.send('B', b"\ntwo")?;
    harness.receive('B')?;
    // The length of a message of 64 MiB.
    harness.send('B', b"\x04\0\0\0")?;
    harness.receive('B')
}

pub fn wait_for_answers(harness: &mut Harness) -> io::Result<()> {
    harness.run_until_idle()?;
    for _ in 0..SECONDS_OF_QUESTIONS {
        harness.advance(Duration::from_secs(1))?;
    }
    Ok(())
}

pub fn read_from_slow_disk(harness: &mut Harness) -> io::Result<()> {
    harness.connect('A', false)?;
    harness.connect('B', false)?;
    harness.send_only('A', b"film.bin\n")?;
    harness.send_only('B', b"hello\n")?;
    harness.run_until_idle()?;
    harness.receive('B')?;
    for count in [4096, 8192] {
        harness.read_from_disk(count);
        harness.advance(Duration::from_millis(1))?;
    }
    harness.receive('A')
}
