//! The scenes of one or two clients.

use std::{io, time::Duration};

use super::{
    Verdict,
    play::{ClientId, Play},
};
use crate::protocol::CloseReason;

/// How long a client pauses between two pieces, so that the server reads them one by one.
const PAUSE: Duration = Duration::from_millis(80);
/// The number of bytes to ask for. Linux keeps at most 4 MiB of unsent data for a socket (tcp(7),
/// `tcp_wmem`).
const MORE_THAN_FITS: u64 = 6 * 1024 * 1024;
/// The maximum number of requests that a client sends without reading.
const MAX_REQUESTS: u64 = 20_000;
/// How often a scene is repeated whose outcome depends on the moment.
const REPETITIONS: usize = 10;
/// The length of input that is longer than the buffer of most reads.
const LARGE: usize = 6000;

pub fn drip_request(play: &mut Play<'_>) -> io::Result<Verdict> {
    let request = play.target.request.bytes().to_vec();
    let client = play.connect(false)?;
    for (number, piece) in request.chunks(request.len().div_ceil(5)).enumerate() {
        if play.is_done(client, 1) {
            let state = play.state_of(client);
            return Ok(Verdict::Failed(format!("after {number} of 5 pieces A {state}")));
        }
        play.note(format!("A sends piece {}, {} bytes", number + 1, piece.len()));
        play.send(client, piece);
        play.run_for(PAUSE)?;
    }
    play.await_answers(client, 1)?;
    Ok(judge(play, client, 1))
}

pub fn pipeline_requests(play: &mut Play<'_>) -> io::Result<Verdict> {
    let client = play.connect(false)?;
    let both = play.target.request.bytes().repeat(2);
    play.note(format!("A sends 2 requests at once, {} bytes", both.len()));
    play.send(client, &both);
    play.await_answers(client, 2)?;
    Ok(if_kept(play, client, 2))
}

pub fn split_request(play: &mut Play<'_>) -> io::Result<Verdict> {
    let client = play.connect(false)?;
    let both = play.target.request.bytes().repeat(2);
    let (first, rest) = both.split_at(both.len() * 3 / 4);
    play.note(format!("A sends a request and half of the next, {} bytes", first.len()));
    play.send(client, first);
    play.run_for(PAUSE)?;
    play.note(format!("A sends the other half, {} bytes", rest.len()));
    play.send(client, rest);
    play.await_answers(client, 2)?;
    Ok(if_kept(play, client, 2))
}

pub fn stop_reading(play: &mut Play<'_>) -> io::Result<Verdict> {
    let len = play.target.answer_len.max(1);
    let most = if play.target.keeps_alive { MAX_REQUESTS } else { 1 };
    let requests = MORE_THAN_FITS.div_ceil(len).min(most);
    let a = play.connect(true)?;
    play.set_reading(a, false);
    play.note(format!("A sends {requests} requests, for {} bytes in all, and reads nothing", requests * len));
    play.send(a, &play.target.request.bytes().repeat(requests as usize));
    play.run_for(PAUSE * 2)?;
    let b = play.connect(false)?;
    play.note("B sends a request");
    play.ask(b);
    if !play.await_answers(b, 1)? {
        let state = play.state_of(b);
        play.note(format!("B {state}"));
        return Ok(Verdict::Failed(format!("while A read nothing, B {state}")));
    }
    play.note("B has its answer");
    let sent = play.client(a).sent;
    if sent < requests * play.target.request.bytes().len() as u64 {
        play.note(format!("{sent} bytes of A's requests have left, and the rest waits"));
        return Ok(Verdict::Passed("B was served while A read nothing, and A had to wait".into()));
    }
    play.set_reading(a, true);
    play.note("A begins to read");
    let (mut before, mut seen) = (0, 1);
    while seen != before && !play.is_done(a, requests as usize) {
        before = seen;
        let limit = play.limits().answer;
        play.run_until(limit, |play| {
            play.is_done(a, requests as usize) || play.client(a).received > before + (1 << 20)
        })?;
        seen = play.client(a).received.max(1);
    }
    let state = play.state_of(a);
    play.note(format!("A {state}"));
    let has_all = play.answers(a) as u64 == requests;
    let is_much = play.client(a).received >= MORE_THAN_FITS * 3 / 4;
    Ok(match (has_all, play.is_closed(a)) {
        (true, _) if is_much => {
            Verdict::Passed("B was served while A read nothing, and A got the rest".into())
        }
        (true, _) => Verdict::NotShown(format!(
            "the answers to A had {} bytes, which fit into socket buffers; give --path of a file of {} MB",
            requests * len,
            MORE_THAN_FITS.div_ceil(1 << 20)
        )),
        (false, true) if play.answers(a) > 0 => {
            Verdict::Passed(format!("B was served while A read nothing; then A {state}"))
        }
        (false, _) => Verdict::Failed(format!("B was served, but when A began to read, it {state}")),
    })
}

pub fn send_large_request(play: &mut Play<'_>) -> io::Result<Verdict> {
    let (bytes, answers) = play.target.request.enlarged(LARGE);
    let client = play.connect(false)?;
    let what = if answers == 1 { "a request".into() } else { format!("{answers} requests") };
    play.note(format!("A sends {what} of {} bytes at once", bytes.len()));
    play.send(client, &bytes);
    play.await_answers(client, answers)?;
    Ok(count_answers(play, client, answers))
}

pub fn half_close(play: &mut Play<'_>) -> io::Result<Verdict> {
    play.note(format!("{REPETITIONS} clients, one after the other, send a request and end their output"));
    for number in 1..=REPETITIONS {
        let client = play.connect(false)?;
        play.ask(client);
        play.half_close(client);
        play.await_answers(client, 1)?;
        if let Verdict::Failed(came) = judge(play, client, 1) {
            return Ok(Verdict::Failed(format!("client {number} of {REPETITIONS}: {came}")));
        }
    }
    Ok(Verdict::Passed(format!("all {REPETITIONS} got their answers")))
}

pub fn reset_connections(play: &mut Play<'_>) -> io::Result<Verdict> {
    let many = play.target.request.bytes().repeat(20);
    play.note(format!("{REPETITIONS} clients send 20 requests each, and reset their connections"));
    for number in 0..REPETITIONS {
        let client = play.connect(false)?;
        play.send(client, &many);
        // Half of them leave before the first answer, and half of them in the middle.
        if number % 2 == 0 {
            let limit = play.limits().answer;
            play.run_until(limit, |play| play.client(client).received > 0 || play.is_closed(client))?;
        }
        play.close(client, CloseReason::Aborted);
        let limit = play.limits().answer;
        play.run_until(limit, |play| play.is_closed(client))?;
    }
    let client = play.connect(false)?;
    play.note("B sends a request");
    play.ask(client);
    play.await_answers(client, 1)?;
    Ok(judge(play, client, 1))
}

pub fn leave_request_unfinished(play: &mut Play<'_>) -> io::Result<Verdict> {
    let request = play.target.request.bytes().to_vec();
    let a = play.connect(false)?;
    play.note("A sends half of a request, and no more");
    play.send(a, &request[..request.len() / 2]);
    play.run_for(PAUSE)?;
    let b = play.connect(false)?;
    play.note("B sends a request");
    play.ask(b);
    if !play.await_answers(b, 1)? {
        let state = play.state_of(b);
        return Ok(Verdict::Failed(format!("while A was silent, B {state}")));
    }
    play.note("B has its answer");
    let limit = play.limits().deadline;
    let is_closed = play.run_until(limit, |play| play.is_closed(a) || play.answers(a) > 0)?;
    let time = play.now().as_secs_f64();
    Ok(match is_closed {
        true => Verdict::Passed(format!("the server gave A up after {time:.1} s")),
        false => Verdict::Failed(format!(
            "after {time:.1} s A was still connected; if the server waits longer on purpose, give --deadline"
        )),
    })
}

/// Passes if a client has `answers` answers, with the status that a plain request gets.
pub fn judge(play: &mut Play<'_>, client: ClientId, answers: usize) -> Verdict {
    let usual = play.target.status;
    let other =
        play.client(client).answers.iter().map(|answer| answer.status).find(|status| *status != usual);
    match (other.flatten(), usual) {
        (Some(other), Some(usual)) => {
            play.note(format!("an answer has the status {other}"));
            Verdict::Failed(format!("an answer has the status {other}; a plain request gets {usual}"))
        }
        _ => count_answers(play, client, answers),
    }
}

/// Passes if a client has `answers` answers.
fn count_answers(play: &mut Play<'_>, client: ClientId, answers: usize) -> Verdict {
    let state = play.state_of(client);
    play.note(format!("the client {state}"));
    match play.answers(client) {
        got if got == answers => Verdict::Passed(match answers {
            1 => "the answer came".into(),
            count => format!("{count} answers came"),
        }),
        got if got > answers => Verdict::Failed(format!("{got} answers came instead of {answers}")),
        _ => Verdict::Failed(format!("the client {state}")),
    }
}

/// Judges a client of a server that keeps connections. Other servers need not answer more than one
/// request on a connection.
fn if_kept(play: &mut Play<'_>, client: ClientId, answers: usize) -> Verdict {
    match play.target.keeps_alive {
        true => judge(play, client, answers),
        false => Verdict::NotShown("the server closes each connection after one answer".into()),
    }
}
