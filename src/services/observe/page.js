// Keeps the turns that the server sends, and draws one: the last, or the one that is chosen.

import { drawConnections, drawTrace, drawTurn } from "./view.js";

/** How many turns of a live loop are kept. The server keeps as many. */
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
/** The number of the turn that is shown, or null for the last one. */
let shown = null;
/** The recording that is shown: its name and how many turns it has, or null for a live loop. */
let recording = null;
let isStale = false;

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
    if (rows.length === 1 && number < first && row.closed) history.delete(id);
  }
}

/** Adds what happened to connections while nothing was recorded. */
function addMissed({ open, rows, gone }) {
  const number = first + turns.length - 1;
  rows.forEach((row) => remember(row, number));
  gone.forEach((id) => remember({ id, closed: "unknown", gone: true }, number));
  if (turns.length) turns.at(-1).open = open;
  else hello.state.open = open;
}

function add(turn) {
  if (turn.turn === undefined) return addMissed(turn);
  const number = first + turns.length;
  turns.push(turn);
  hidden += turn.hidden;
  turn.rows.forEach((row) => remember(row, number));
  if (turns.length > MAX_TURNS && !recording) {
    turns.shift();
    first += 1;
    if (shown !== null) shown = Math.max(shown, first);
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
  const number = shown ?? last;
  const turn = turns[number - first];
  const next = turns[number - first + 1];
  // The deadlines of a turn in the past are shown as they were at its end.
  const now = shown === null || !turn ? performance.now() * 1000 + ahead : turn.woke_us + turn.work_us;
  drawTurn(turn);
  const open = turn?.open ?? hello.state.open;
  const changed = new Set(turn?.rows.map((row) => row.id));
  drawConnections(rowsAt(number, now), changed, isOwn, now, open);
  const lines = [];
  for (let at = number - first; at >= 0 && lines.length < MAX_LINES; at -= 1) {
    if (turns[at]) lines.unshift(...linesOf(turns[at]));
  }
  drawTrace(lines.slice(-MAX_LINES));
  drawTime(number, last, turn, next);
}

/** Returns the lines of a turn. The last one is its wait. */
function linesOf({ turn, lines, more_lines: more }) {
  if (more === 0) return lines;
  const [wait, before] = [lines.at(-1), lines.slice(0, -1)];
  return [...before, [wait[0], `#${turn} … and ${more} more steps`], wait];
}

function drawTime(number, last, turn, next) {
  const [scrubber, isPaused] = [find("scrubber"), shown !== null];
  find("time").hidden = turns.length === 0;
  [scrubber.min, scrubber.max, scrubber.value] = [first, Math.max(first, last), number];
  find("pause").setAttribute("aria-pressed", isPaused);
  find("live").disabled = !isPaused;
  find("back").disabled = number <= first;
  find("forward").disabled = number >= last;
  const place = turn ? placeOf(turn, isPaused) : "";
  const gap = isPaused && turn && next ? next.turn - turn.turn - 1 - next.hidden : 0;
  find("place").textContent = gap > 0 ? `${place}; ${gap} more before the next` : place;
  scrubber.setAttribute("aria-valuetext", place);
  if (recording) {
    const all = recording.kept < recording.turns ? `the last ${recording.kept} of ${recording.turns}` : `${recording.turns}`;
    find("counts").textContent = `${recording.name} · ${all} turns · ${turn?.open ?? 0} open`;
    return;
  }
  const kept = turns.length < MAX_TURNS ? `${turns.length} turns` : `the last ${turns.length} turns`;
  find("counts").textContent =
    `${turn?.open ?? hello.state.open} open · ${kept} · ${hidden} turns of this page hidden`;
}

/** Says which turn is shown. */
function placeOf(turn, isPaused) {
  if (recording) return `turn ${turn.turn}, at ${(turn.woke_us / 1e6).toFixed(3)} s`;
  const ago = ((turns.at(-1).woke_us - turn.woke_us) / 1e6).toFixed(1);
  return isPaused ? `turn ${turn.turn}, ${ago} s before the last` : "the last turn";
}

/** Shows the turn with this number, or the last one for null. */
function show(number) {
  if (!turns.length) return;
  const last = first + turns.length - 1;
  shown = number === null ? null : Math.min(last, Math.max(first, number));
  if (!recording) find("status").textContent = shown === null ? "Live" : "Paused";
  draw();
}

/** Prepares the page for a recording, whose turns all come now. */
function openRecording() {
  shown = 0;
  document.body.className = "recorded";
  document.title = `oneloop: ${recording.name}`;
  find("title").textContent = "The loop, recorded";
  find("status").textContent = "Loading …";
  find("empty").textContent = "The recording has no turn.";
  if (recording.kept === 0) closeRecording();
}

/** Ends the stream of a recording that has arrived. The page then needs no server. */
function closeRecording() {
  events.close();
  find("status").textContent = "Recording";
}

/** Draws soon, at most once for each frame. */
function drawSoon() {
  if (isStale) return;
  isStale = true;
  requestAnimationFrame(() => {
    isStale = false;
    draw();
  });
}

const current = () => shown ?? first + turns.length - 1;
find("pause").addEventListener("click", () => show(shown === null ? current() : null));
find("back").addEventListener("click", () => show(current() - 1));
find("forward").addEventListener("click", () => show(current() + 1));
find("live").addEventListener("click", () => show(null));
find("scrubber").addEventListener("input", (event) => show(Number(event.target.value)));
find("time").addEventListener("submit", (event) => event.preventDefault());

document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const hasModifier = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
  // The slider and the regions that scroll have these keys themselves.
  if (!step || hasModifier || event.target.closest("input, .scroll")) return;
  event.preventDefault();
  show(current() + step);
});

const events = new EventSource("events");

events.addEventListener("hello", (event) => {
  hello = JSON.parse(event.data);
  [turns, first, history, hidden] = [[], 0, new Map(), 0];
  [shown, recording] = [null, hello.state.recording ?? null];
  hello.state.rows.forEach((row) => remember(row, -1));
  ahead = hello.state.now_us - performance.now() * 1000;
  find("status").textContent = "Live";
  // A site on Unix sockets alone has no URL.
  if (hello.site) find("site").href = hello.site;
  if (recording) openRecording();
  draw();
});

events.addEventListener("turns", (event) => {
  JSON.parse(event.data).forEach(add);
  if (recording && turns.length >= recording.kept) closeRecording();
  drawSoon();
});

events.addEventListener("error", () => {
  const isOver = events.readyState === EventSource.CLOSED;
  find("status").textContent = isOver ? "The server does not answer; load the page again" : "Connecting …";
});

// The times until the deadlines go on while nothing happens.
setInterval(() => shown === null && draw(), 500);
