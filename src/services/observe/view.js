// Draws one turn. Text from the server is only ever set as text, never as HTML.

const find = (id) => document.getElementById(id);

/** Creates an element with text and a class. */
function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function time(us) {
  if (us === null) return "never";
  if (us < 1000) return `${us} µs`;
  return us < 1e6 ? `${(us / 1e3).toFixed(1)} ms` : `${(us / 1e6).toFixed(us < 1e7 ? 2 : 1)} s`;
}

function bytes(count) {
  if (count < 10240) return `${count}`;
  return count < 1e7 ? `${(count / 1024).toFixed(0)}K` : `${(count / 1048576).toFixed(1)}M`;
}

/** The state of a connection, in the letters and words of Apache's mod_status. */
function state(row) {
  if (row.closed) return `. closed: ${row.closed}`;
  // A response that is made in pieces may be between two of them.
  if (row.state === "IDLE" && row.deadline?.[0] === "send-timeout") return "W sending";
  switch (row.state) {
    case "HEAD": return "R reading";
    case "SEND": return "W sending";
    case "BLOCKED": return "W sending, blocked";
    case "LINGER": return "C closing";
    case "CONNECT": return "C connecting";
    default: return row.requests > 0 || row.sent > 0 ? "K keep-alive" : "_ waiting";
  }
}

export function drawTurn(turn) {
  find("empty").hidden = turn !== undefined;
  find("turn-title").textContent = turn ? `Turn ${turn.turn}` : "Turn";
  drawRibbon(turn);
  drawSets(turn);
}

function drawRibbon(turn) {
  const ribbon = find("ribbon");
  ribbon.replaceChildren();
  // A few phases have room for their names, however short they are.
  ribbon.className = turn && turn.phases.length <= 6 ? "few" : "";
  find("sum").textContent = "";
  if (!turn) return;
  const add = (title, below, className, grow) => {
    const item = element("li", title, className);
    item.append(element("small", below));
    item.title = `${title}: ${below}`;
    if (grow) item.style.flexGrow = grow;
    if (grow) item.style.flexBasis = "0";
    ribbon.append(item);
  };
  add("wait", `${turn.timeout_us === 0 ? "no sleep," : "slept"} ${time(turn.slept_us)}`, "wait");
  for (const phase of turn.phases) {
    const what = phase.kind === "other" ? "handle" : phase.kind;
    add(`${what} ${phase.source}`, `${time(phase.took_us)} ${phase.does.join(" ")}`, phase.kind,
      `${Math.max(1, phase.took_us)}`);
  }
  if (turn.more_phases) add(`+${turn.more_phases}`, "more sources", "other");
  if (turn.carried_to_next.length) add("carried over", turn.carried_to_next.join(" "), "left");
  const served = turn.phases.length + turn.more_phases;
  const page = turn.page_us ? `, of which this page took ${time(turn.page_us)}` : "";
  // The timeout is also 0 if a deadline has passed.
  const reason = turn.carried.length ? "Work was carried over" : "The timeout was 0";
  const slept = turn.timeout_us === 0
    ? `${reason}, so the poll did not sleep and took ${time(turn.slept_us)}`
    : `Slept ${time(turn.slept_us)}${turn.timeout_us === null ? "" : ` of at most ${time(turn.timeout_us)}`}`;
  find("sum").textContent =
    `${slept}, then worked for ` +
    `${time(turn.work_us)}${page}: ${served} ${served === 1 ? "turn" : "turns"} of sources. ` +
    `Carried over: ${turn.carried_to_next.join(" ") || "nothing, so the next poll may sleep"}.`;
}

function drawSets(turn) {
  const sets = find("sets");
  sets.replaceChildren();
  if (!turn) return;
  const add = (name, meaning, value) => {
    const term = element("dt", name);
    term.append(element("small", meaning));
    const list = element("dd");
    // A long set may be wrapped after each source.
    value.split(/(?<=,)/).forEach((source) => list.append(source, document.createElement("wbr")));
    sets.append(term, list);
  };
  add("rlist", "polled for reading", turn.rlist);
  add("wlist", "polled for writing", turn.wlist);
  add("rs", "ready to read", turn.rs);
  add("ws", "ready to write", turn.ws);
  add("carried over", "from the turn before", turn.carried.length ? `{${turn.carried.join(",")}}` : "{}");
}

/** Draws the rows of the connections at `now`, in microseconds. */
export function drawConnections(rows, changed, isOwn, now, open) {
  const body = find("connections");
  body.replaceChildren();
  const order = (row) => (row.closed ? 1 : 0);
  rows.sort((a, b) => order(a) - order(b) || Number(a.id.slice(1)) - Number(b.id.slice(1)));
  for (const row of rows.slice(0, 100)) {
    const line = element("tr", "", `${changed.has(row.id) ? "changed" : ""} ${row.closed ? "closed" : ""}`);
    const source = element("td", `${row.id} `);
    if (isOwn(row)) source.append(element("span", "you", "own"));
    const due = row.closed || !row.deadline ? "" : `${row.deadline[0]} in ${time(Math.max(0, row.deadline[1] - now))}`;
    const unsent = row.of > row.sent ? `${bytes(row.sent)} of ${bytes(row.of)}` : bytes(row.sent);
    const unread = row.unread ? `${bytes(row.received)}, ${bytes(row.unread)} unparsed` : bytes(row.received);
    line.append(source, element("td", state(row)), element("td", unread), element("td", unsent),
      element("td", due), element("td", `${row.requests}`), element("td", row.request, "request"),
      element("td", row.peer));
    body.append(line);
  }
  const hidden = open - rows.slice(0, 100).filter((row) => !row.closed).length;
  find("more").textContent = hidden > 0 ? `and ${hidden} more` : "";
  drawTimers(rows, now);
}

function drawTimers(rows, now) {
  const due = rows.filter((row) => row.deadline && !row.closed).sort((a, b) => a.deadline[1] - b.deadline[1]);
  const lines = due.slice(0, 8).map((row) =>
    element("li", `${row.id} ${row.deadline[0]} in ${time(Math.max(0, row.deadline[1] - now))}`));
  find("timers").replaceChildren(...lines);
}

export function drawTrace(lines) {
  const text = lines.map(([us, line]) => `${(us / 1e6).toFixed(6).padStart(11)} ${line}`);
  const trace = find("trace");
  if (trace.textContent === text.join("\n")) return;
  trace.textContent = text.join("\n");
  trace.parentElement.scrollTop = trace.parentElement.scrollHeight;
}
