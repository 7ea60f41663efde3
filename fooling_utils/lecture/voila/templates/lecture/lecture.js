// The page is a row of scenes: a markdown cell that begins with a heading, and all cells until the next one.
(() => {
  const root = document.documentElement;
  root.dataset.lecture = "1";
  const asked = new URLSearchParams(location.search).get("theme");
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const stored = (() => { try { return localStorage.getItem("lecture-theme"); } catch { return null; } })();
  const known = (theme) => (theme === "dark" || theme === "light" ? theme : null);
  root.dataset.theme = known(asked) || known(stored) || (prefersDark ? "dark" : "light");

  const KEYS = [
    ["Page Down, Page Up", "next scene, the one before"], ["f", "full screen"], ["t", "dark or light"], ["c", "contents"],
    ["m", "the controls, and away (the mouse shows them, too)"], ["T", "a clock of the minutes since it was first pressed"], ["?", "these keys"],
  ];
  const PHONE_KEYS = [["q", "the QR code for phones, and away"], ["Q", "as large as the screen"]];
  const typing = (target) => target.matches?.("input:not([type=range]), select, textarea");
  let scenes = [];
  let now = 0;
  let wanted = 0; // widgets
  const LOOK_EVERY = 1000; // ms
  const TOOLS_STAY = 3000; // ms after the mouse has moved

  function theme() {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("lecture-theme", root.dataset.theme); } catch { /* a private window keeps nothing */ }
  }

  function fullScreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    return root.requestFullscreen?.().catch(() => {}); // a browser may refuse: F11 still works
  }

  const base = () => (document.body.dataset.baseUrl || "/voila/").replace(/voila\/$/, "");
  const contents = () => { location.href = base(); };

  // The widget of a scene, which takes the keys.
  const widget = () => (scenes[now]?.cells || []).map((cell) => cell.querySelector(".fool")).find(Boolean);

  const settings = () => JSON.parse(document.getElementById("jupyter-config-data").textContent);

  // The page for phones that does what this scene does, as the query of its QR code.
  function forPhones() {
    const one = widget();
    if (!settings().phones || !one || one.closest(".no-phones")) return "";
    if (one.matches(".plane")) return "page=plane.html";
    if (!one.matches(".player")) return "";
    const { picture, target, method, size } = one.player().settings || {};
    return new URLSearchParams({ page: "fool.html", ...picture && { picture, target, method, size } }).toString();
  }

  function phones(size) {
    const shown = root.dataset.phones === size ? "" : size; // the same key again puts it away
    if (shown && forPhones()) root.dataset.phones = shown;
    else delete root.dataset.phones;
    drawPhones();
    window.dispatchEvent(new Event("resize"));
  }

  function drawPhones() {
    const query = forPhones();
    document.querySelector("#open-phones")?.toggleAttribute("hidden", !query);
    if (!query) delete root.dataset.phones;
    if (!root.dataset.phones) return isShown("phones")?.parentElement.remove();
    const aside = Object.assign(document.createElement("aside"), { ariaLabel: "for phones" });
    const figure = Object.assign(document.createElement("figure"), { id: "phones" });
    const box = isShown("phones") || document.body.appendChild(aside).appendChild(figure);
    const address = `${base()}phones/code.svg?${query}`;
    if (box.querySelector("img")?.getAttribute("src") === address) return;
    const image = Object.assign(document.createElement("img"), { src: address, alt: "QR code: this experiment, for phones" });
    const words = Object.assign(document.createElement("figcaption"), { textContent: "Fool it on your phone" });
    const host = settings().phones.replace(/^https?:\/\//, "").replace(/\/$/, "");
    words.append(Object.assign(document.createElement("b"), { textContent: host }));
    box.replaceChildren(image, words);
  }

  const isShown = (id) => document.getElementById(id);

  function show(next) {
    const left = widget();
    now = Math.max(0, Math.min(scenes.length - 1, next));
    scenes.forEach(({ cells }, k) => cells.forEach((cell) => cell.classList.toggle("now", k === now)));
    history.replaceState(null, "", `#${now + 1}`);
    document.querySelector("#bar output").textContent = `${now + 1} / ${scenes.length}`;
    document.querySelector("#before").disabled = now === 0;
    document.querySelector("#after").disabled = now === scenes.length - 1;
    document.querySelector(".said").textContent = `${scenes[now].title}, ${now + 1} of ${scenes.length}`;
    root.dataset.scene = now + 1;
    drawPhones();
    if (left !== widget()) left?.dispatchEvent(new Event("fool-pause"));
    widget()?.focus({ preventScroll: true });
    window.dispatchEvent(new Event("resize"));
  }

  function help() {
    const open = isShown("keys");
    if (open) {
      open.remove();
      return widget()?.focus({ preventScroll: true });
    }
    const box = document.createElement("div");
    box.id = "keys";
    box.setAttribute("role", "dialog");
    box.setAttribute("aria-label", "keys");
    const list = document.createElement("dl");
    const more = forPhones() ? PHONE_KEYS : [];
    for (const [key, what] of [...JSON.parse(widget()?.dataset.keys || "[]"), ...more, ...KEYS]) {
      list.append(Object.assign(document.createElement("dt"), { textContent: key }));
      list.append(Object.assign(document.createElement("dd"), { textContent: what }));
    }
    box.append(list);
    box.tabIndex = 0; // a list that is longer than the screen scrolls by its arrow keys
    document.body.append(box);
    box.focus();
  }

  // The controls, and the page's own buttons, are hidden until the mouse or a key asks.
  let hideLater = 0;
  let pinned = false;
  function tools(on) {
    clearTimeout(hideLater);
    root.toggleAttribute("data-tools", on);
  }
  const pin = () => tools(pinned = !pinned);
  window.addEventListener("pointermove", () => {
    tools(true);
    if (!pinned) hideLater = setTimeout(tools, TOOLS_STAY, false);
  });

  // The clock goes on from page to page; it is off until it is asked for.
  const START = "lecture-start";
  function clock() {
    if (isShown("clock")) {
      sessionStorage.setItem("lecture-clock", "off");
      return isShown("clock").remove();
    }
    if (!sessionStorage.getItem(START)) sessionStorage.setItem(START, Date.now());
    sessionStorage.setItem("lecture-clock", "on");
    const box = document.body.appendChild(Object.assign(document.createElement("div"), { id: "clock" }));
    box.setAttribute("role", "timer");
    const tick = () => {
      const seconds = Math.floor((Date.now() - sessionStorage.getItem(START)) / 1000);
      box.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      if (box.isConnected) setTimeout(tick, LOOK_EVERY);
    };
    return tick();
  }

  const acts = { PageDown: () => show(now + 1), PageUp: () => show(now - 1), f: fullScreen, t: theme, c: contents, m: pin, T: clock, "?": help,
    q: () => phones("small"), Q: () => phones("large") };

  window.addEventListener("keydown", (event) => {
    if (!event.isTrusted || event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target) && !["PageDown", "PageUp"].includes(event.key)) return;
    const links = document.querySelectorAll("body.contents a");
    if (links.length) {
      if (event.repeat) return;
      if (event.key === "t") theme();
      else if (event.key === "f") fullScreen();
      else links[event.key]?.click();
      return;
    }
    if (!scenes.length) return;
    if (event.key === "Escape" && root.dataset.phones === "large") phones("large");
    if (isShown("keys")) { // nothing moves behind the list
      if (["Escape", "?"].includes(event.key) && !event.repeat) help();
      if (!event.key.startsWith("Arrow")) event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (acts[event.key]) {
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) acts[event.key](); // a key that is held down would flash, and race through the scenes
      return;
    }
    const taker = widget();
    if (!taker || taker.contains(event.target) || event.target.closest?.("#bar")) return;
    const { key, shiftKey, repeat } = event;
    const copy = new KeyboardEvent("keydown", { key, shiftKey, repeat, bubbles: true, cancelable: true });
    if (!taker.dispatchEvent(copy)) event.preventDefault();
  }, true);

  function bar() {
    const box = document.createElement("nav");
    box.id = "bar";
    box.setAttribute("aria-label", "scenes");
    const button = (id, text, label, act) => {
      const one = Object.assign(document.createElement("button"), { id, textContent: text, type: "button", onclick: act });
      one.setAttribute("aria-label", label);
      box.append(one);
    };
    button("open-phones", "QR", "QR code for phones", () => phones("small"));
    button("help", "?", "? lists the keys", help);
    button("theme", "◐", "dark or light", theme);
    button("home", "☰", "contents", contents);
    button("before", "‹", "the scene before", () => show(now - 1));
    box.append(document.createElement("output"));
    button("after", "›", "next scene", () => show(now + 1));
    const said = Object.assign(document.createElement("div"), { className: "said" });
    said.setAttribute("aria-live", "polite");
    document.body.append(box, said);
  }

  // A server that has stopped, or was started again, cannot answer: say so before somebody presses a key in vain.
  async function watchServer() {
    const { kernelId } = settings();
    const problem = async () => {
      try {
        const answer = await fetch(`${base()}api/kernels/${kernelId}`, { redirect: "manual", cache: "no-store" });
        if (answer.ok) return "";
        return answer.status === 404
          ? "This page has lost its kernel. Reload the page."
          : "The lecture was started again. Open the address that it printed.";
      } catch {
        return "The lecture has stopped. Start it again, and open the address that it prints.";
      }
    };
    const box = document.body.appendChild(Object.assign(document.createElement("div"), { id: "lost" }));
    box.setAttribute("role", "alert");
    const tell = (words) => { if (box.textContent !== words) box.textContent = words; };
    for (;;) {
      await new Promise((resolve) => { setTimeout(resolve, LOOK_EVERY); });
      tell(await problem());
    }
  }

  // Voila shows its cells when all of them are there; the widgets follow.
  function begin() {
    for (const cell of document.querySelectorAll("#rendered_cells [cell-index]")) {
      const heading = cell.querySelector("h1");
      if (heading) scenes.push({ title: heading.textContent.replace("¶", ""), cells: [] });
      scenes.at(-1)?.cells.push(cell);
    }
    if (!scenes.length) return;
    bar();
    watchServer();
    if (sessionStorage.getItem("lecture-clock") === "on") clock();
    show((parseInt(location.hash.slice(1), 10) || 1) - 1);
    const widgets = () => document.querySelectorAll(".fool[data-answers]").length;
    const wait = setInterval(() => {
      if (widgets() < wanted) return;
      clearInterval(wait);
      root.dataset.ready = "1";
      root.dataset.readyMs = Math.round(performance.now());
      if (settings().phones) setInterval(drawPhones, LOOK_EVERY);
      drawPhones();
      widget()?.focus({ preventScroll: true });
    }, 50);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const cells = document.getElementById("rendered_cells");
    if (!cells) return;
    const outputs = [...document.querySelectorAll('script[type="application/vnd.voila.cell-output+json"]')];
    wanted = outputs.filter((one) => one.textContent.includes("jupyter.widget-view")).length;
    const shown = () => cells.style.display !== "none";
    const watch = new MutationObserver(() => { if (shown()) { watch.disconnect(); begin(); } });
    watch.observe(cells, { attributes: true, attributeFilter: ["style"] });
    if (shown()) { watch.disconnect(); begin(); }
  });
})();
