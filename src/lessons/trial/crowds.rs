//! The scenes of many clients, or of many requests.

use std::{io, time::Duration};

use super::{
    Verdict,
    play::{ClientId, Play},
    scenes::judge,
};
use crate::protocol::CloseReason;

/// The number of clients that connect at once. They fit into the backlog of every server.
const BURST: usize = 5;
/// How often they do. A server that accepts one client for each event may keep up once.
const BURSTS: usize = 10;
/// The maximum number of requests of a hog.
const HOG_REQUESTS: u64 = 20_000;
/// The maximum number of bytes that a hog gets.
const HOG_BYTES: u64 = 10 * 1024 * 1024;
/// The number of requests below which the answers come too fast to measure.
const LEAST_REQUESTS: usize = 2000;
/// How often a hog is tried. On a busy machine, this program may notice late what B got.
const HOGS: usize = 3;
/// The number of clients that connect before the play lets the server accept them.
const BATCH: usize = 50;
/// The time in which the server can accept a batch.
const BETWEEN_BATCHES: Duration = Duration::from_millis(5);
/// The number of requests beside the silent clients.
const SAMPLES: usize = 30;
/// How much later an answer may come with silent clients. Anything below may have other causes.
const NOTICEABLE: Duration = Duration::from_micros(100);

pub fn connect_at_once(play: &mut Play<'_>) -> io::Result<Verdict> {
    for burst in 1..=BURSTS {
        let clients: Vec<ClientId> =
            (0..BURST).map(|_| play.start_connecting(false)).collect::<io::Result<_>>()?;
        play.note(format!("{BURST} clients connect at once, and each sends a request"));
        let limit = play.limits().answer;
        play.run_until(limit, |play| clients.iter().all(|client| play.is_connected(*client)))?;
        for client in &clients {
            play.ask(*client);
        }
        if let Some(unanswered) = serve_all(play, clients)? {
            let state = play.state_of(unanswered);
            return Ok(Verdict::Failed(format!("a client of burst {burst} {state}")));
        }
    }
    Ok(Verdict::Passed(format!("all {} clients got their answers", BURST * BURSTS)))
}

/// Lets each client leave when it has its answer, because a server that serves one client at a time
/// waits for that. Returns a client that gets no answer, if there is one.
fn serve_all(play: &mut Play<'_>, mut waiting: Vec<ClientId>) -> io::Result<Option<ClientId>> {
    while let Some(first) = waiting.first().copied() {
        let limit = play.limits().answer;
        play.run_until(limit, |play| waiting.iter().any(|client| play.is_done(*client, 1)))?;
        let (done, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|client| play.is_done(*client, 1));
        if done.is_empty() {
            return Ok(Some(first));
        }
        for client in done {
            if play.answers(client) == 0 {
                return Ok(Some(client));
            }
            play.close(client, CloseReason::Done);
        }
        waiting = rest;
    }
    Ok(None)
}

pub fn send_many_requests(play: &mut Play<'_>) -> io::Result<Verdict> {
    let requests = (HOG_BYTES / play.target.answer_len.max(1)).min(HOG_REQUESTS) as usize;
    if !play.target.keeps_alive {
        return Ok(Verdict::NotShown("the server closes each connection after one answer".into()));
    } else if requests < LEAST_REQUESTS {
        let advice = "give --path of a small file";
        return Ok(Verdict::NotShown(format!("the answer is too long to ask for it often; {advice}")));
    }
    let mut verdict = Verdict::Passed(String::new());
    for _ in 0..HOGS {
        verdict = play_hog(play, requests)?;
        if matches!(verdict, Verdict::Passed(_)) {
            break;
        }
    }
    Ok(verdict)
}

/// Lets A send many requests, and B one just after. Fails if B waits for most of the time that A's
/// answers take.
fn play_hog(play: &mut Play<'_>, requests: usize) -> io::Result<Verdict> {
    let (a, b) = (play.connect(false)?, play.connect(false)?);
    play.note(format!("A sends {requests} requests at once, and B sends one just after"));
    // Both have sent before A reads anything.
    play.set_reading(a, false);
    play.send(a, &play.target.request.bytes().repeat(requests));
    play.ask(b);
    let limit = play.limits().answer;
    play.run_until(limit, |play| play.has_acted(a) && play.has_acted(b))?;
    play.set_reading(a, true);
    play.await_answers(b, 1)?;
    let Some(of_b) = play.answer_time(b) else {
        let state = play.state_of(b);
        play.note(format!("B {state}"));
        return Ok(Verdict::Failed(format!("beside A, B {state}")));
    };
    play.note(format!("B has its answer after {of_b:.1?}; A has {} answers", play.answers(a)));
    // A needs not have all of them if it waits for longer than B did.
    let is_over = play.run_until(of_b * 2, |play| play.is_done(a, requests))?;
    let (count, of_a) = (play.answers(a), play.answer_time(a).unwrap_or_default());
    for client in [a, b] {
        play.close(client, CloseReason::Aborted);
    }
    let of_hog = match count {
        0 => "while A had no answer".to_owned(),
        _ => format!("and A had {count} of {requests} answers after {of_a:.1?}"),
    };
    let came = format!("B waited {of_b:.1?}, {of_hog}");
    let is_late = is_over && count == requests && of_b > of_a / 2;
    Ok(if is_late { Verdict::Failed(came) } else { Verdict::Passed(came) })
}

pub fn connect_silent_clients(play: &mut Play<'_>) -> io::Result<Verdict> {
    let wanted = play.limits().clients;
    let mut silent = Vec::new();
    let mut is_accepting = true;
    while silent.len() < wanted && is_accepting {
        let mut batch = Vec::new();
        for _ in 0..BATCH.min(wanted - silent.len()) {
            batch.push(play.start_connecting(false)?);
        }
        let limit = play.limits().answer;
        is_accepting = play.run_until(limit, |play| batch.iter().all(|client| play.is_connected(*client)))?;
        play.run_for(BETWEEN_BATCHES)?;
        silent.extend(batch.into_iter().filter(|client| play.is_connected(*client)));
    }
    let count = silent.len();
    play.note(format!("{count} of {wanted} silent clients are connected"));
    let Some(time) = play.fastest_answer(SAMPLES)? else {
        let client = play.connect(false)?;
        play.ask(client);
        play.await_answers(client, 1)?;
        let Verdict::Failed(came) = judge(play, client, 1) else {
            return Ok(Verdict::Failed("a client beside the silent ones had no answer at first".into()));
        };
        return Ok(Verdict::Failed(format!("beside {count} silent clients, {came}")));
    };
    let usual = play.target.usual_time;
    let [with, without] = [time, usual].map(|time| time.as_micros());
    play.note(format!(
        "the fastest of {SAMPLES} answers took {with} \u{b5}s; without them {without} \u{b5}s"
    ));
    let came =
        format!("an answer took {with} \u{b5}s beside {count} silent clients, and {without} \u{b5}s alone");
    Ok(if time > usual * 2 + NOTICEABLE { Verdict::Failed(came) } else { Verdict::Passed(came) })
}
