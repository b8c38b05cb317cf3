// Reloads pages when files change (oneloop --live). This file is the script of each page, and of the
// worker that holds one stream of events for the pages of all tabs. A browser opens only six
// connections to a host, so six streams would leave none for requests.
"use strict";
(() => {
  // Opens the stream of events for a page whose request began at `start`, and calls `receive` with
  // the changed paths. Opens the stream again when it ends, for example because the server restarts.
  const open = (url, start, receive) => {
    let source, timer, last = null;
    const connect = () => {
      const query = last ? "?since=" + last : "?age=" + Math.round(Date.now() - start);
      source = new EventSource(url + query);
      source.onmessage = (event) => {
        const { id, paths } = JSON.parse(event.data);
        last = id;
        if (paths === null || paths.length > 0) receive(paths);
      };
      source.onerror = () => {
        source.close();
        timer = setTimeout(connect, 500);
      };
    };
    connect();
    return {
      close() {
        clearTimeout(timer);
        source.close();
      },
      reopen: connect,
    };
  };

  if (typeof document === "undefined") {
    const ports = new Set(), recent = [];
    let stream = null;
    self.onconnect = ({ ports: [port] }) => {
      port.onmessage = ({ data: { start } }) => {
        // A page that is left says so with no time.
        if (start === undefined) return ports.delete(port);
        ports.add(port);
        // What has changed since the request of the page, which was on its way meanwhile.
        for (const { at, paths } of recent) if (at > start) port.postMessage(paths);
        stream ??= open(new URL("events", self.location), start, (paths) => {
          recent.push({ at: Date.now(), paths });
          if (recent.length > 50) recent.shift();
          for (const port of ports) port.postMessage(paths);
        });
      };
    };
    return;
  }

  const mark = Symbol.for("oneloop.live");
  if (window[mark]) return;
  window[mark] = true;
  const script = document.currentScript.src;
  const replaced = new WeakSet();

  // Returns whether `url`, as a page names it, is one of the changed files.
  const isChanged = (url, changed) => {
    try {
      const { origin, pathname } = new URL(url, document.baseURI);
      return origin === location.origin && changed.has(decodeURIComponent(pathname));
    } catch {
      return false;
    }
  };
  const fresh = (url) => {
    const next = new URL(url, document.baseURI);
    next.searchParams.set("live", Date.now());
    return next.href;
  };

  // Replaces the changed stylesheets. If no link names them, another stylesheet may import them.
  const swapStyles = (changed) => {
    const all = [...document.querySelectorAll("link[rel~=stylesheet][href]")];
    const links = all.filter((link) => !replaced.has(link) && new URL(link.href).origin === location.origin);
    const named = links.filter((link) => isChanged(link.href, changed));
    for (const link of named.length > 0 ? named : links) {
      const next = link.cloneNode();
      next.removeAttribute("integrity");
      next.href = fresh(link.href);
      // The old one stays until the new one has arrived, so that the page never lacks its style.
      next.onload = next.onerror = () => link.remove();
      replaced.add(link);
      link.after(next);
    }
  };

  // Replaces one changed image where the page shows it. Returns whether the page does.
  const swapImage = (path) => {
    const changed = new Set([path]);
    let found = false;
    const attributes = { "img, input, source": "src", "video": "poster", "link[rel~=icon], image": "href" };
    for (const [selector, name] of Object.entries(attributes)) {
      for (const element of document.querySelectorAll(selector)) {
        const url = element.getAttribute(name);
        if (!url || !isChanged(url, changed)) continue;
        element.setAttribute(name, fresh(url));
        found = true;
      }
    }
    for (const element of document.querySelectorAll("[srcset]")) {
      const candidates = element.getAttribute("srcset").split(/,\s+/).map((text) => text.trim().split(/\s+/));
      const some = candidates.filter(([url]) => isChanged(url, changed));
      if (some.length === 0) continue;
      for (const candidate of some) candidate[0] = fresh(candidate[0]);
      element.setAttribute("srcset", candidates.map((candidate) => candidate.join(" ")).join(", "));
      found = true;
    }
    return found;
  };

  const apply = (paths) => {
    if (paths === null) return location.reload();
    const urls = paths.map((path) => decodeURIComponent(new URL("../" + path, script).pathname));
    const styles = urls.filter((url) => /\.css$/i.test(url));
    const images = urls.filter((url) => /\.(avif|bmp|gif|ico|jpe?g|png|svg|webp)$/i.test(url));
    const imports = [...document.querySelectorAll("style")].some((style) => /@import/.test(style.textContent));
    const isReload = styles.length + images.length < urls.length || (styles.length > 0 && imports);
    if (isReload || !images.every(swapImage)) return location.reload();
    if (styles.length > 0) swapStyles(new Set(styles));
  };
  const receive = (paths) => {
    try {
      apply(paths);
    } catch {
      location.reload(); // for example a name that is not UTF-8
    }
  };

  // Without a shared worker, each page has a stream of its own, but only while it is visible.
  const direct = () => {
    const start = Date.now() - performance.now();
    let stream = null;
    const update = () => {
      if (document.hidden) stream?.close();
      else if (stream) stream.reopen();
      else stream = open(new URL("events", script), start, receive);
    };
    document.addEventListener("visibilitychange", update);
    update();
  };
  try {
    const worker = new SharedWorker(script, "oneloop-live");
    worker.onerror = direct;
    worker.port.onmessage = ({ data }) => receive(data);
    worker.port.postMessage({ start: Date.now() - performance.now() });
    let left;
    addEventListener("pagehide", () => {
      left = Date.now();
      worker.port.postMessage({});
    });
    addEventListener("pageshow", ({ persisted }) => {
      if (persisted) worker.port.postMessage({ start: left });
    });
  } catch {
    direct(); // this browser has no shared workers, or none in this frame
  }
})();
