// Keeps the turns that the server sends, and draws the last one.

import { drawConnections, drawTrace, drawTurn } from "./view.js";

const MAX_TURNS = 2000;
const MAX_LINES = 30;
/** How long a closed connection stays in the table. */
const CLOSED_US = 10e6;

const find = (id) => document.getElementById(id);

let hello;
/** The turns, the oldest first. */
let turns = [];
/** The number of the oldest turn. */
let first = 0;
/** For each connection its rows, each with the number of the turn that changed it. */
let history = new Map();
let hidden = 0;
/** What to add to the time of this page to get the time of the server. */
let ahead = 0;

function remember(row, number) {
  const rows = history.get(row.id) ?? [];
  rows.push({ number, row });
  history.set(row.id, rows);
}

/** Forgets what lies before the oldest turn. */
function prune() {
  for (const [id, rows] of history) {
    while (rows.length > 1 && rows[1].number <= first) rows.shift();
    const { number, row } = rows[0];
    if (rows.length === 1 && number < first && (!row || row.closed)) history.delete(id);
  }
}

function add(turn) {
  const number = first + turns.length;
  turns.push(turn);
  hidden += turn.hidden;
  turn.rows.forEach((row) => remember(row, number));
  turn.gone.forEach((id) => remember({ id, closed: "unknown", gone: true }, number));
  if (turns.length > MAX_TURNS) {
    turns.shift();
    first += 1;
    if (first % 100 === 0) prune();
  }
}

/** Returns the rows of the connections as they were after the turn with this number. */
function rowsAt(number, now) {
  const rows = [];
  for (const known of history.values()) {
    let low = 0;
    let high = known.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (known[middle].number <= number) low = middle + 1;
      else high = middle;
    }
    const entry = known[low - 1];
    if (!entry || entry.row.gone) continue;
    const at = turns[entry.number - first]?.woke_us ?? 0;
    if (!entry.row.closed || at + CLOSED_US > now) rows.push(entry.row);
  }
  return rows;
}

function isOwn(row) {
  const address = row.peer.slice(0, row.peer.lastIndexOf(":"));
  return row.agent === hello.agent && address === hello.peer;
}

function draw() {
  if (!hello) return;
  const last = first + turns.length - 1;
  const turn = turns.at(-1);
  const now = performance.now() * 1000 + ahead;
  drawTurn(turn);
  const open = turn?.open ?? hello.state.open;
  const changed = new Set(turn?.rows.map((row) => row.id));
  drawConnections(rowsAt(last, now), changed, isOwn, now, open);
  const lines = [];
  for (let at = turns.length - 1; at >= 0 && lines.length < MAX_LINES; at -= 1) {
    lines.unshift(...turns[at].lines);
  }
  drawTrace(lines.slice(-MAX_LINES));
  find("counts").textContent = `${open} open · ${turns.length} turns kept · ${hidden} turns of this page hidden`;
}

const events = new EventSource("events");

events.addEventListener("hello", (event) => {
  hello = JSON.parse(event.data);
  [turns, first, history, hidden] = [[], 0, new Map(), 0];
  hello.state.rows.forEach((row) => remember(row, -1));
  ahead = hello.state.now_us - performance.now() * 1000;
  find("status").textContent = "Live";
  find("site").href = hello.site;
  draw();
});

events.addEventListener("turns", (event) => {
  JSON.parse(event.data).forEach(add);
  draw();
});

events.addEventListener("error", () => {
  const isOver = events.readyState === EventSource.CLOSED;
  find("status").textContent = isOver ? "The server does not answer; load the page again" : "Connecting …";
});

// The times of the deadlines go on while nothing happens.
setInterval(draw, 500);
