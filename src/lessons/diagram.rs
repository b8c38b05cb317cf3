//! A transcript as a sequence diagram in SVG: the clients and the loop as lifelines, what they send
//! each other as arrows, and the lines of the trace as text that can be selected.

use std::fmt::Write;

use super::{
    catalog::Lesson,
    page::rows,
    transcript::{ClientAction, NotedEvent, TracedStep, TranscriptEntry},
};
use crate::trace::{SourceId, Step};

/// The height of a row, and the distance between two lifelines, in pixels.
const ROW: usize = 20;
const LANE: usize = 70;
/// The height above the first row.
const HEAD: usize = 76;
/// The width of a character of the trace.
const CHAR: usize = 8;

const STYLE: &str = "\
text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#1b1f24}\
.title{font:bold 17px system-ui,sans-serif}.name{font-weight:bold;text-anchor:middle}.gloss{fill:#59636e}\
.page{fill:#fff}.turn{fill:#f3f6fa}.mark{fill:#fff1c2}.line{stroke:#8b949e}.sleep{fill:#c9d4e3}\
.arrow{stroke:#0b57d0;stroke-width:1.6;fill:none}.back{stroke:#1a7f37}.end{stroke:#c62828}.dot{fill:#0b57d0}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.gloss{fill:#9aa7b4}.page{fill:#0d1117}.turn{fill:#161c25}\
.mark{fill:#4a3c00}.line{stroke:#6e7681}.sleep{fill:#34435a}.arrow{stroke:#79b8ff}.back{stroke:#56d364}\
.end{stroke:#ff7b72}.dot{fill:#79b8ff}}";

/// The lifelines of a diagram, and which connection belongs to which client.
#[derive(Default)]
struct Lanes {
    clients: Vec<String>,
    /// The clients that have connected and have not been accepted.
    waiting: Vec<usize>,
    /// The peer of the loop's next outgoing connection.
    peer: Option<usize>,
    /// The sources with a client: accepted connections, and the UDP socket.
    accepted: Vec<(SourceId, usize)>,
}

/// How a row is drawn between the lifelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// A client sends something, or ends its output.
    ToLoop(usize),
    /// A client sends something that the loop does not see.
    ToKernel(usize),
    /// The loop sends something to a client.
    ToClient(usize),
    /// The loop ends a connection.
    End(usize),
    /// A client reads.
    AtClient(usize),
    /// A step of the loop that its client does not see.
    AtLoop,
    /// The loop waits until the next row.
    Sleep,
    /// Nothing.
    None,
}

/// Returns the transcript of a lesson as an SVG document.
pub fn svg(lesson: &Lesson, entries: &[TranscriptEntry]) -> String {
    let mut lanes = Lanes::default();
    let rows: Vec<(String, Mark, Option<u64>)> = rows(entries)
        .into_iter()
        .map(|(line, entry)| {
            let turn = match entry {
                Some(TranscriptEntry::Step(traced)) => Some(traced.line.turn),
                _ => None,
            };
            (line, entry.map_or(Mark::None, |entry| lanes.mark(entry)), turn)
        })
        .collect();
    let at_loop = LANE / 2 + LANE * lanes.clients.len();
    let text_at = at_loop + LANE / 2 + 8;
    let longest = rows.iter().map(|(line, ..)| line.chars().count()).max().unwrap_or(0);
    let (width, height) = (text_at + longest * CHAR + 16, HEAD + ROW * rows.len() + 16);
    let title = escaped(&format!("Lesson {}: {}", lesson.number, lesson.title));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\
         <text class=\"title\" x=\"16\" y=\"30\">{title}</text>\n"
    );
    backgrounds(&mut svg, lesson, &rows, width);
    let names = lanes.clients.iter().map(String::as_str).chain(["loop"]);
    for (lane, name) in names.enumerate() {
        let x = LANE / 2 + LANE * lane;
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{x}\" y=\"{}\">{name}</text><path class=\"line\" d=\"M{x} {HEAD}V{}\"/>",
            HEAD - 12,
            height - 12
        );
    }
    for (number, (line, mark, _)) in rows.iter().enumerate() {
        let y = HEAD + ROW * number + ROW / 2;
        draw(&mut svg, *mark, at_loop, y);
        let (facts, gloss) = line.split_once(" -- ").map_or((&**line, ""), |(facts, gloss)| (facts, gloss));
        let gloss = if gloss.is_empty() { String::new() } else { format!(" -- {gloss}") };
        let _ = writeln!(
            svg,
            "<text xml:space=\"preserve\" x=\"{text_at}\" y=\"{}\">{}<tspan class=\"gloss\">{}</tspan></text>",
            y + 5,
            escaped(facts),
            escaped(&gloss)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws the background of every other turn, and of the line that the lesson is about.
fn backgrounds(svg: &mut String, lesson: &Lesson, rows: &[(String, Mark, Option<u64>)], width: usize) {
    let decisive = rows.iter().position(|(line, ..)| line.contains(lesson.decisive));
    for (number, (_, mark, turn)) in rows.iter().enumerate() {
        let class = match turn {
            _ if Some(number) == decisive => "mark",
            Some(turn) if turn % 2 == 1 && *mark != Mark::Sleep => "turn",
            _ => continue,
        };
        let y = HEAD + ROW * number;
        let _ = writeln!(svg, "<rect class=\"{class}\" y=\"{y}\" width=\"{width}\" height=\"{ROW}\"/>");
    }
}

/// Draws what a row shows between the lifelines.
fn draw(svg: &mut String, mark: Mark, at_loop: usize, y: usize) {
    let lane = |client: usize| LANE / 2 + LANE * client;
    let _ = match mark {
        Mark::ToLoop(client) => arrow(svg, "arrow", lane(client), at_loop, y),
        Mark::ToKernel(client) => arrow(svg, "arrow end", lane(client), at_loop - LANE / 2, y),
        Mark::ToClient(client) => arrow(svg, "arrow back", at_loop, lane(client), y),
        Mark::End(client) => arrow(svg, "arrow end", at_loop, lane(client), y),
        Mark::AtClient(client) => {
            writeln!(svg, "<circle class=\"dot\" cx=\"{}\" cy=\"{y}\" r=\"4\"/>", lane(client))
        }
        Mark::AtLoop => writeln!(svg, "<circle class=\"dot\" cx=\"{at_loop}\" cy=\"{y}\" r=\"3\"/>"),
        Mark::Sleep => writeln!(
            svg,
            "<rect class=\"sleep\" x=\"{}\" y=\"{}\" width=\"10\" height=\"{ROW}\" rx=\"3\"/>",
            at_loop - 5,
            y - 2
        ),
        Mark::None => Ok(()),
    };
}

/// Draws an arrow from one lifeline to another.
fn arrow(svg: &mut String, class: &str, from: usize, to: usize, y: usize) -> std::fmt::Result {
    let back = if to > from { to - 7 } else { to + 7 };
    writeln!(
        svg,
        "<path class=\"{class}\" d=\"M{from} {y}H{to}M{back} {}L{to} {y}L{back} {}\"/>",
        y - 4,
        y + 4
    )
}

impl Lanes {
    /// Returns how to draw an entry, and learns of new clients and connections.
    fn mark(&mut self, entry: &TranscriptEntry) -> Mark {
        match entry {
            TranscriptEntry::Note(note) => self.mark_note(note.event),
            TranscriptEntry::Step(traced) => self.mark_step(traced),
        }
    }

    fn mark_note(&mut self, event: NotedEvent) -> Mark {
        let NotedEvent::Client(name, action) = event else { return Mark::None };
        let client = self.lane(&name.to_string());
        match action {
            ClientAction::Connect => self.waiting.push(client),
            ClientAction::AwaitLoop => {
                self.peer = Some(client);
                return Mark::AtClient(client);
            }
            ClientAction::SendDatagram => self.accepted.push((SourceId::Udp(1), client)),
            ClientAction::StartConnect => return Mark::ToKernel(client),
            ClientAction::Receive
            | ClientAction::StillConnecting
            | ClientAction::Connected
            | ClientAction::Refused
            | ClientAction::GiveUp => return Mark::AtClient(client),
            ClientAction::Send | ClientAction::HalfClose | ClientAction::Reset => {}
        }
        Mark::ToLoop(client)
    }

    /// Returns the lifeline with this name.
    fn lane(&mut self, name: &str) -> usize {
        let known = self.clients.iter().position(|client| client == name);
        known.unwrap_or_else(|| {
            self.clients.push(name.to_owned());
            self.clients.len() - 1
        })
    }

    fn mark_step(&mut self, traced: &TracedStep) -> Mark {
        if let source @ SourceId::Udp(2..) = traced.line.source {
            return self.mark_client_in_loop(source, &traced.step);
        }
        let client = self.client_of(traced.line.source);
        match (&traced.step, client) {
            (Step::Accepted { connection, .. }, _) => {
                if !self.waiting.is_empty() {
                    let client = self.waiting.remove(0);
                    self.accepted.push((SourceId::Connection(*connection), client));
                }
                Mark::AtLoop
            }
            (Step::Connecting { .. }, _) => {
                let Some(peer) = self.peer else { return Mark::AtLoop };
                self.accepted.push((traced.line.source, peer));
                Mark::ToClient(peer)
            }
            (Step::Waiting { .. }, _) => Mark::Sleep,
            (Step::Wrote { .. } | Step::Sent { .. } | Step::ShutDown, Some(client)) => Mark::ToClient(client),
            (Step::Closed { .. }, Some(client)) => Mark::End(client),
            _ => Mark::AtLoop,
        }
    }

    /// Marks a step of a client that is itself a source of the loop, and talks to its first UDP
    /// socket.
    fn mark_client_in_loop(&mut self, source: SourceId, step: &Step) -> Mark {
        let client = self.lane(&source.to_string());
        match step {
            Step::Sent { .. } => {
                self.accepted.retain(|(accepted, _)| *accepted != SourceId::Udp(1));
                self.accepted.push((SourceId::Udp(1), client));
                Mark::ToLoop(client)
            }
            Step::Received { .. } => Mark::AtClient(client),
            _ => Mark::AtLoop,
        }
    }

    /// Returns the client of a source.
    fn client_of(&self, source: SourceId) -> Option<usize> {
        self.accepted.iter().find(|(accepted, _)| *accepted == source).map(|(_, client)| *client)
    }
}

/// Returns `text` for a place between tags or in a quoted attribute.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
