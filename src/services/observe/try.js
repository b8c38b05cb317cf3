// Makes this browser a client that is worth a look: it reads slowly, goes away, or stays idle.

const find = (id) => document.getElementById(id);
const LARGE = "try/large";
/** How much to read at a time, and how often. */
const [PART, EVERY] = [64 * 1024, 1000];

let slow = null;

function say(text) {
  find("tried").textContent = text;
}

async function readSlowly() {
  slow = new AbortController();
  find("slow").setAttribute("aria-pressed", true);
  say("Reading slowly. Press the button again to stop.");
  try {
    const response = await fetch(LARGE, { signal: slow.signal });
    const reader = response.body.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(PART);
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) break;
      buffer = value.buffer;
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
    say("The response has ended.");
  } catch {
    if (!slow.signal.aborted) say("The server has closed the connection.");
  }
  slow = null;
  find("slow").setAttribute("aria-pressed", false);
}

async function goAway() {
  const controller = new AbortController();
  try {
    const response = await fetch(LARGE, { signal: controller.signal });
    await response.body.getReader().read();
    controller.abort();
    say("Gone: the browser has closed the connection with bytes unread.");
  } catch {
    say("The server does not answer.");
  }
}

async function stayIdle() {
  try {
    await (await fetch("try/small", { cache: "no-store" })).text();
    say("The response has arrived. The connection stays open.");
  } catch {
    say("The server does not answer.");
  }
}

function stop() {
  slow.abort();
  say("Stopped: the browser has closed the connection.");
}

find("slow").addEventListener("click", () => (slow ? stop() : readSlowly()));
find("abort").addEventListener("click", goAway);
find("idle").addEventListener("click", stayIdle);
