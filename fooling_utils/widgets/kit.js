// What the widgets share. Each widget's own file follows this one and ends with `export default { render: ... }`.
const STYLE = `
.fool { --ink: var(--fool-ink, var(--jp-ui-font-color1, #222)); --paper: var(--fool-paper, var(--jp-layout-color0, #fff));
  --soft: var(--fool-soft, var(--jp-layout-color2, #eee)); --line: var(--fool-line, var(--jp-border-color1, #bbb));
  --accent: var(--fool-accent, var(--jp-brand-color1, #0072B2)); --warm: var(--fool-warm, color-mix(in srgb, #D55E00 75%, var(--ink)));
  --picture: var(--fool-picture, 200px);
  font: var(--fool-size, 15px)/1.3 system-ui, sans-serif; color: var(--ink); padding: 4px; outline-offset: 2px;
  display: flex; flex-direction: column; gap: .5em; max-width: 100%; box-sizing: border-box; }
.fool:focus-visible { outline: 2px solid var(--accent); }
[data-lecture] .fool:focus-visible { outline: none; }
.fool *, .fool *::before { box-sizing: border-box; }
.fool .row { display: flex; flex-wrap: wrap; gap: .5em .8em; align-items: center; margin: 0; }
.fool .row::before, .fool .row::after { content: none; } /* an extension of Jupyter may bring Bootstrap's styles */
.fool .row.top { align-items: flex-start; }
.fool button, .fool select, .fool input { font: inherit; color: var(--ink); background: var(--soft);
  border: 1px solid var(--line); border-radius: .3em; padding: .15em .55em; margin: 0; min-height: 1.8em; }
.fool button { cursor: pointer; }
.fool button:hover:not(:disabled) { border-color: var(--accent); }
.fool button:disabled { opacity: .45; cursor: default; }
.fool button[aria-pressed="true"], .fool button.main { background: var(--accent); border-color: var(--accent);
  color: var(--paper); }
.fool :is(button, select, input):focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
.fool input[type="range"] { padding: 0; min-width: 6em; flex: 1 1 8em; accent-color: var(--accent);
  border: 0; background: transparent; }
.fool label { margin: 0; font-weight: inherit; display: inline-flex; align-items: center; gap: .4em; }
.fool label.wide { flex: 1 1 14em; }
.fool ::placeholder { color: var(--ink); opacity: .65; }
.fool output { padding: 0; font: inherit; color: inherit; font-variant-numeric: tabular-nums; min-width: 3.2em; }
.fool figure { margin: 0; width: var(--picture); }
.fool figure canvas, .fool figure img { width: 100%; aspect-ratio: 1; display: block; background: var(--soft);
  object-fit: contain; image-rendering: auto; }
.fool figcaption { min-height: 1.3em; text-align: center; padding-top: .15em; }
.fool .bars, .fool figure { contain: layout style; }
.fool .bars { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .18em .5em; flex: 1 1 11em;
  min-width: 11em; max-width: 26em; }
.fool .bars .name { position: relative; padding: .05em .4em; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; z-index: 0; }
.fool .bars .name::before { content: ""; position: absolute; inset: 0 auto 0 0; width: var(--share);
  background: var(--soft); border-bottom: 3px solid var(--line); z-index: -1; }
.fool .bars .own::before { background: color-mix(in srgb, var(--accent) 45%, transparent);
  border-color: var(--accent); }
.fool .bars .target::before { background: repeating-linear-gradient(135deg,
  color-mix(in srgb, var(--warm) 50%, transparent) 0 6px, color-mix(in srgb, var(--warm) 30%, transparent) 6px 12px);
  border-color: var(--warm); }
.fool .bars .share { text-align: right; font-variant-numeric: tabular-nums; padding: .05em 0; }
.fool .bars .heading { grid-column: 1 / -1; font-weight: 600; }
.fool .problem { color: var(--warm); font-weight: 600; }
.fool .problem:empty { display: none; }
.fool .heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.fool summary { cursor: pointer; width: max-content; max-width: 100%; padding: .1em .6em .1em 0; }
.fool summary:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
.fool .keys dl { columns: 22em; column-gap: 2em; margin: .2em 0 0; }
.fool .keys dl > div { display: flex; gap: .8em; break-inside: avoid; padding: .05em 0; }
.fool .keys :is(dt, dd) { margin: 0; padding: 0; float: none; width: auto; min-width: 0; }
.fool .keys dt { flex: 0 0 5.4em; font-weight: 600; white-space: nowrap; }
[data-lecture] .fool .keys { display: none; } /* the page has a list of its own */
.fool .search { position: relative; display: inline-flex; }
.fool .search label { flex: 1; }
.fool .search input { width: 12em; }
.fool .search :is(ul, .none) { position: absolute; z-index: 10; top: 100%; right: 0; margin: 2px 0 0; padding: 0;
  list-style: none; background: var(--paper); border: 1px solid var(--line); min-width: 100%; width: max-content;
  max-width: min(24em, 90vw); }
.fool .search :is(li, .none) { padding: .15em .6em; cursor: pointer; }
.fool .search .none:empty { display: none; }
.fool .search li[aria-selected="true"] { background: var(--accent); color: var(--paper); }
@media (max-width: 600px) {
  .fool label { max-width: 100%; }
  .fool label.wide { flex-wrap: wrap; }
  .fool select { min-width: 0; }
}
@media (pointer: coarse) {
  .fool :is(button, select, input, summary, .search li) { min-height: 44px; min-width: 44px; }
  .fool .search li { display: flex; align-items: center; }
  .fool summary { line-height: 44px; padding-block: 0; }
}`;

// After the widget's own style: for readers whose system has stronger contrasts, or colours of its own.
const CONTRAST = `
@media (prefers-contrast: more), (forced-colors: active) {
  .fool { --line: var(--ink); }
  .fool :is(button, select, input:not([type="range"])) { border-width: 2px; }
  .fool :is(button:disabled, .hint), .fool ::placeholder { opacity: 1 !important; }
  .fool button:disabled { border-style: dashed; }
  .fool .bars .name::before { border-bottom-width: 5px; }
  .fool svg .axis { stroke-width: 2 !important; }
  .fool svg .noise .curve { stroke-width: 2.5 !important; }
  .fool svg .near { opacity: 1 !important; fill: none !important; stroke: var(--accent); stroke-width: 2; }
}
@media (prefers-contrast: more) {
  .fool { --ink: var(--fool-ink, var(--jp-ui-font-color0, #000));
    --accent: color-mix(in srgb, var(--fool-accent, var(--jp-brand-color1, #0072B2)) 65%, var(--ink));
    --warm: color-mix(in srgb, var(--fool-warm, #D55E00) 65%, var(--ink)); }
  .fool .ground :is(.mark, .region) { background: #fff !important; }
}
@media (forced-colors: active) {
  .fool { --ink: CanvasText; --paper: Canvas; --soft: Canvas; --accent: Highlight; --warm: CanvasText; }
  .fool button.main { background: Canvas; color: CanvasText; border-color: CanvasText; }
  .fool button:disabled { color: GrayText; border-color: GrayText; }
  .fool :is(button[aria-pressed="true"], .search li[aria-selected="true"]) { forced-color-adjust: none;
    background: Highlight !important; color: HighlightText !important; border-color: CanvasText; }
  .fool .bars .name { padding-bottom: .45em; }
  .fool .bars .name::before { forced-color-adjust: none; top: auto; height: .4em; border: 0; background: GrayText; }
  .fool .bars .own::before { background: Highlight; }
  .fool .bars .target::before { background: repeating-linear-gradient(90deg, CanvasText 0 6px, Canvas 6px 12px); }
  .fool .progress { outline: 1px solid; }
  .fool :is(.legend i, .ground *) { forced-color-adjust: none; }
}`;

const views = new Set(); // those of one widget, since each widget's page has a copy of this file
const ON_STAGE = "lecture" in document.documentElement.dataset; // the look of it is in the lecture's stage.css
const PATIENCE = 15000; // ms without an answer before the page says so
const AGAIN = ON_STAGE ? "reload this page" : "run this cell again";
const BUSY = `Python is busy, perhaps with another cell, and answers when it is free. If the kernel was restarted, ${AGAIN}.`;
const RESTARTED = `The kernel was restarted: ${AGAIN}.`;
const foreseen = new Set(); // what Python has foreseen, and a view has used

function make(tag, parent, attributes = {}, text = "") {
  const element = parent.appendChild(document.createElement(tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function shape(tag, parent, attributes = {}, text = "") {
  const element = parent.appendChild(document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

const percent = (share) => (share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`);
const reducedMotion = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

// The root of a widget, and the ways in which it talks: to Python, to the keyboard and to a screen reader.
function begin({ model, el }, name, label, style) {
  const root = make("div", el, {
    class: `fool ${name}`, tabindex: "0", role: "group", "aria-label": label,
  });
  make("style", root).textContent = STYLE + style + CONTRAST;
  const body = make("div", root, { style: "display: contents" });
  const problem = make("div", root, { class: "problem", role: "alert" });
  const heard = make("div", root, { class: "heard", "aria-live": "polite" });
  const fold = make("details", root, { class: "keys" });
  const alone = model.get("alone"); // on a page that has nothing else, they work wherever nobody types
  make("summary", fold, {}, alone ? "Keys" : "Keys, when the focus is in here");
  const keyList = make("dl", fold);
  const say = (text) => { heard.textContent = text; };
  let put = 0; // questions, up to now
  let toldAfter = 0; // as many as there were when it failed: their answers leave the message on the page
  const fail = (text) => { [problem.textContent, toldAfter] = [text, put]; };

  // One question is under way. Of those that wait, a newer `ask` replaces an older one of the same name; a `tell` stays;
  // an `update` replaces the one before it if that is about the same thing, so that nothing is told in another order.
  const mine = Math.random().toString(36).slice(2);
  let count = 0;
  let under = null;
  let late = 0;
  let waiting = [];
  const followers = [];
  function ask(question, values = {}) {
    waiting = waiting.filter((one) => one.stays || one.question !== question || one.resolve(null));
    return enqueue({ question, values });
  }
  // What goes on by itself asks only while it is seen, so that Python is free for the cells around it.
  let seen = false;
  const arrivals = [];
  const sight = new IntersectionObserver((changes) => {
    seen = changes[changes.length - 1].isIntersecting;
    if (seen) arrivals.splice(0).forEach((go) => go());
  });
  sight.observe(root);
  async function askSeen(question, values) {
    if (!seen) await new Promise((go) => { arrivals.push(go); });
    return ask(question, values);
  }
  const tell = (question, values = {}, content = null) => enqueue({ question, values, content, stays: true });
  function update(question, values, about = "") {
    const last = waiting[waiting.length - 1];
    if (last && last.question === question && last.about === about) waiting.pop().resolve(null);
    return enqueue({ question, values, about, stays: true });
  }
  const enqueue = (one) => known(one) || new Promise((resolve) => {
    waiting.push({ ...one, resolve, number: ++put });
    send();
  });
  // The answer to a question that every page begins with, which came with the widget: Python may be busy for minutes.
  function known({ question, values }) {
    const { id, answers = [] } = model.get("opening") || {};
    const place = answers.findIndex((one) => one.ask === question && JSON.stringify(one.with) === JSON.stringify(values));
    const name = `${id} ${place}`;
    if (put || place < 0 || foreseen.has(name)) return null;
    foreseen.add(name);
    root.dataset.answers = count;
    const { facts, buffers } = answers[place];
    return Promise.resolve({ ...facts, ask: question, buffers });
  }
  function send() {
    if (under || !waiting.length) return;
    under = { ...waiting.shift(), id: `${mine} ${++count}` };
    root.dataset.busy = "1";
    late = setTimeout(tellLate, PATIENCE);
    try {
      model.send({ id: under.id, ask: under.question, with: under.values }, undefined, under.content ? [under.content] : []);
    } catch {
      restarted();
    }
  }
  function tellLate() {
    const words = model.get("late") ?? BUSY;
    if (words) [problem.textContent, toldAfter] = [words, 0];
    else late = setTimeout(tellLate, PATIENCE); // the page itself says why
  }
  function restarted() {
    fail(RESTARTED);
    clearTimeout(late);
    delete root.dataset.busy;
    const unanswered = [under, ...waiting].filter(Boolean);
    [under, waiting] = [null, []];
    unanswered.forEach((one) => one.resolve(null));
  }
  const checkConnection = () => setTimeout(() => {
    try {
      model.send({}); // nobody waits for an answer to this
    } catch {
      restarted();
    }
  }, 1000);
  model.on("comm_live_update", checkConnection);
  function receive(message, buffers) {
    if (!under || message.id !== under.id) { // an answer to another view of this widget, which this one follows
      return message.error ? null : followers.forEach((act) => act({ ...message, buffers }));
    }
    const { resolve, number } = under;
    under = null;
    clearTimeout(late);
    delete root.dataset.busy;
    if (message.error || number > toldAfter) fail(message.error || "");
    resolve(message.error ? null : { ...message, buffers });
    root.dataset.answers = count;
    send();
  }
  model.on("msg:custom", receive);

  // The first question. If it fails, it is asked again when the reader comes back.
  async function first(question, act, values = {}) {
    const answer = await ask(question, values);
    if (answer) return act(answer);
    fail(`${problem.textContent.replace(/\.?$/, ".")} Click here to try again.`);
    const waits = new AbortController();
    const again = () => { waits.abort(); first(question, act, values); };
    for (const kind of ["pointerdown", "keydown"]) root.addEventListener(kind, again, { signal: waits.signal });
    return null;
  }

  // `keys`: rows of [key, what it does, function, the key's name]; several keys as "1 2 3". The number keys are the
  // presets', where there are any.
  const actions = {};
  function keys(rows) {
    const told = rows.map(([key, what, , name = key === " " ? "space" : key]) => [name, what]);
    for (const [key, , act] of rows) (key === " " ? [key] : key.split(" ")).forEach((one) => { actions[one] = act; });
    root.dataset.keys = JSON.stringify([...JSON.parse(root.dataset.keys || "[]"), ...told]);
    for (const [name, what] of told) {
      const row = make("div", keyList, {}, "");
      make("dt", row, {}, SIGNS[name] || name);
      make("dd", row, {}, what);
    }
  }
  // Jupyter has shortcuts for the same keys, and takes them before we hear of a key, unless it finds this on the way up
  // from the focused element. With Ctrl, Cmd or Alt a key is Jupyter's, but for those that edit what somebody types.
  const isTyping = (target) => target.matches("input:not([type=range]), select, textarea");
  const isOurs = ({ target, key, ctrlKey, metaKey, altKey }) => !(ctrlKey || metaKey || altKey)
    || (isTyping(target) && (/^[acvxyz]$/i.test(key) || (ctrlKey && altKey))); // AltGr is both
  const beforeJupyter = (event) => {
    if (!root.contains(event.target)) return;
    const name = "data-lm-suppress-shortcuts";
    for (const one of [root, event.target]) isOurs(event) ? one.setAttribute(name, "true") : one.removeAttribute(name);
  };
  window.addEventListener("keydown", beforeJupyter, true);
  root.addEventListener("keydown", (event) => {
    if (!isOurs(event)) return;
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    const typing = isTyping(target);
    if (event.key === "Escape" && root.dataset.large) return fillScreen([]);
    if (event.key === "Escape") return target === root ? leave() : root.focus();
    if (typing || (target.matches("button, summary") && (event.key === " " || event.key === "Enter"))) return;
    if (target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
    const act = actions[event.key] || actions[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
  const fromPage = (event) => {
    const { key, shiftKey, repeat } = event;
    if (event.target !== document.body || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!root.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, repeat, cancelable: true }))) event.preventDefault();
  };
  if (alone) document.addEventListener("keydown", fromPage);
  function leave() {
    root.blur();
    root.parentElement.closest("[tabindex]")?.focus({ preventScroll: true }); // the notebook, which has its own keys
  }
  root.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("button, input, select, label, [tabindex]:not(.fool)")) root.focus({ preventScroll: true });
  });

  // After a click the keys are the widget's again. Who presses a button by a key goes on from that button.
  root.addEventListener("click", ({ target, detail }) => {
    if (detail && target.closest("button")) root.focus({ preventScroll: true });
  });

  // The presets, as a row of buttons and on the number keys.
  function presets(apply) {
    const row = make("div", body, { class: "row presets", role: "group", "aria-label": "presets" });
    const press = (place) => {
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(k === place)));
      root.dataset.preset = place + 1;
    };
    const all = model.get("presets").map((preset, place) => {
      const act = () => {
        press(place);
        say(preset.title);
        return apply(preset);
      };
      return [preset, act];
    });
    const buttons = all.map(([preset, act], place) => button(row, `${place + 1}  ${preset.title}`, act));
    keys(all.map(([preset, act], place) => [String(place + 1), preset.title, act]));
    return Object.assign(row, { press }); // press(-1) where a preset does not hold any more
  }

  // In a lecture, `rows` of controls become one line that hides, and key x shows pictures as large as the screen: one
  // after the other, or those of `sets`, where a set of two lies under a curtain that the pointer moves.
  function stage(rows, sets = null) {
    if (!ON_STAGE) return;
    make("div", root, { class: "tools", role: "group", "aria-label": "controls" }).append(...rows);
    const all = () => sets || [...root.querySelectorAll("figure")].map((one) => [one]);
    const seen = () => all().filter((set) => set.every((one) => !one.closest("[hidden]")));
    keys([
      ["x", "the next picture as large as the screen, and back", once(() => fillScreen(seen()[Number(root.dataset.large || 0)] || []))],
      ...(sets || []).some((set) => set.length > 1) ? [
        [",", "move the curtain to the left", () => drawCurtain(curtain - 0.05)],
        [".", "to the right", () => drawCurtain(curtain + 0.05)],
      ] : [],
    ]);
    root.addEventListener("pointermove", ({ clientX }) => {
      const canvas = root.querySelector("figure.over canvas");
      if (!canvas) return;
      const { left, width } = canvas.getBoundingClientRect();
      drawCurtain((clientX - left) / width);
    });
  }
  function fillScreen(set) {
    root.querySelectorAll("figure.large-now").forEach((one) => one.classList.remove("large-now", "under", "over"));
    set.forEach((one, k) => one.classList.add("large-now", ...(set.length > 1 ? [k ? "over" : "under"] : [])));
    if (set.length) root.dataset.large = 1 + Number(root.dataset.large || 0);
    else delete root.dataset.large;
    drawCurtain(0.5);
    window.dispatchEvent(new Event("resize"));
  }
  let curtain = 0.5;
  function drawCurtain(share) {
    curtain = Math.max(0, Math.min(1, share));
    root.style.setProperty("--curtain", curtain);
  }

  const endings = [];
  const ui = {
    root, body, problem, first, ask, askSeen, tell, update, say, fail, keys, presets, stage,
    pause: () => {},
    alone: () => views.forEach((one) => one === ui || one.pause()), // one view plays, and the others follow
    follow: (act) => followers.push(act), // of every answer to another view, whose `ask` is the question
    onEnd: (act) => endings.push(act),
    end: () => {
      clearTimeout(late);
      sight.disconnect();
      views.delete(ui);
      model.off("msg:custom", receive);
      model.off("comm_live_update", checkConnection);
      window.removeEventListener("keydown", beforeJupyter, true);
      document.removeEventListener("keydown", fromPage);
      waiting = [];
      endings.forEach((act) => act());
    },
  };
  root.addEventListener("fool-pause", () => ui.pause()); // the lecture sends it to a scene that is left
  views.add(ui);
  return ui;
}

// For a key that turns something on and off, and would flicker while it is held down.
const once = (act) => (event) => { if (!event.repeat) act(event); };

function button(parent, text, act, attributes = {}) {
  const one = make("button", parent, { type: "button", ...attributes }, text);
  one.addEventListener("click", act);
  return one;
}

// A slider with its name before it and its value after it: {min, max, step, value, show(value)}.
function slider(parent, name, { min, max, step, value, show = String }, act) {
  const label = make("label", parent, { class: "wide" });
  make("span", label, {}, name);
  const input = make("input", label, { type: "range", min, max, step });
  const output = make("output", label);
  const set = (number, words = show(number)) => {
    input.value = number;
    write(output, words);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  set(value);
  input.addEventListener("input", () => { set(Number(input.value)); act(Number(input.value)); });
  return { set, input, get value() { return Number(input.value); } };
}

function choose(parent, name, options, act) {
  const label = make("label", parent);
  make("span", label, {}, name);
  const select = make("select", label, { "aria-label": name });
  const fill = (names) => {
    const before = select.value;
    select.replaceChildren();
    names.forEach((one) => make("option", select, { value: one }, one.replaceAll("_", " ")));
    if (names.includes(before)) select.value = before;
  };
  fill(options);
  let byMouse = false;
  select.addEventListener("pointerdown", () => { byMouse = true; });
  select.addEventListener("keydown", () => { byMouse = false; });
  select.addEventListener("change", () => {
    act(select.value);
    if (byMouse) select.closest(".fool").focus({ preventScroll: true }); // the keys are the widget's again
  });
  return { fill, set: (value) => { select.value = value; }, get value() { return select.value; }, select };
}

// Type to search among many names; arrow keys and Enter, or a click, choose one.
function search(parent, name, names, act) {
  const box = make("div", parent, { class: "search" });
  const label = make("label", box);
  make("span", label, {}, name);
  const id = `fool-${Math.random().toString(36).slice(2)}`;
  const input = make("input", label, {
    type: "text", role: "combobox", "aria-label": `${name}: type to search`, "aria-autocomplete": "list",
    "aria-expanded": "false", "aria-controls": id, autocomplete: "off", spellcheck: "false",
  });
  const list = make("ul", box, { role: "listbox", id, "aria-label": name, hidden: "" });
  const none = make("div", box, { class: "none", role: "status" });
  let found = [];
  let place = 0;
  let chosen = "";
  const close = () => {
    [list.hidden, none.textContent] = [true, ""];
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const take = (value) => {
    [chosen, input.value] = [value, value];
    close();
    act(value);
  };
  const rank = (one, part) => {
    const low = one.toLowerCase();
    if (low === part) return 0;
    const words = low.split(/[\s-]/);
    if (words.includes(part)) return 1;
    if (low.startsWith(part)) return 2;
    if (words.some((word) => word.startsWith(part))) return 3;
    return low.includes(part) ? 4 : 9;
  };
  // In a lecture the row of controls scrolls: what opens above it must be told where the field is.
  const above = (one) => {
    if (!ON_STAGE) return;
    one.style.left = "0";
    const [room, field, is] = [box.closest(".fool"), input, one].map((part) => part.getBoundingClientRect());
    one.style.left = `${Math.max(room.left, Math.min(field.left, room.right - is.width)) - is.left}px`;
  };
  const fill = () => {
    const part = input.value.trim().toLowerCase();
    found = names.filter((one) => rank(one, part) < 9).sort((a, b) => rank(a, part) - rank(b, part)).slice(0, 8);
    place = Math.min(place, Math.max(0, found.length - 1));
    if (!found.length) {
      close();
      none.textContent = `nothing is called "${input.value}"`;
      return above(none);
    }
    list.replaceChildren();
    found.forEach((one, k) => {
      const item = make("li", list, { role: "option", id: `${id}-${k}`, "aria-selected": String(k === place) }, one);
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(one); });
    });
    [list.hidden, none.textContent] = [false, ""];
    input.setAttribute("aria-expanded", "true");
    input.setAttribute("aria-activedescendant", `${id}-${place}`);
    return above(list);
  };
  input.addEventListener("focus", () => input.select());
  input.addEventListener("input", () => { place = 0; fill(); });
  input.addEventListener("blur", () => { close(); input.value = chosen; });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      place = (place + (event.key === "ArrowDown" ? 1 : -1) + found.length) % Math.max(1, found.length);
      fill();
    } else if (event.key === "Enter" && !list.hidden && found.length) take(found[place]);
    else return;
    event.preventDefault();
  });
  return { set: (value) => { [chosen, input.value] = [value, value]; }, input, get value() { return chosen; } };
}

// A picture with a caption. `draw` takes three bytes per pixel, and the width in pixels where it is not a square.
function picture(parent, caption) {
  const figure = make("figure", parent);
  const canvas = make("canvas", figure, { role: "img", "aria-label": caption });
  const text = make("figcaption", figure, {}, caption);
  const draw = (bytes, width = Math.round(Math.sqrt(bytes.length / 3))) => {
    const height = bytes.length / 3 / width;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer); // alpha, blue, green, red, from the highest byte down
    for (let from = 0, to = 0; from < bytes.length; from += 3) {
      pixels[to++] = 0xff000000 | (bytes[from + 2] << 16) | (bytes[from + 1] << 8) | bytes[from];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  };
  const title = (words) => {
    if (text.textContent === words) return;
    text.textContent = words;
    canvas.setAttribute("aria-label", words);
  };
  return { figure, canvas, draw, title };
}

const asBytes = (buffer) => (buffer instanceof Uint8Array ? buffer
  : new Uint8Array(buffer.buffer || buffer, buffer.byteOffset || 0, buffer.byteLength));

// The change between two pictures, `times` as large, around grey.
function amplified(before, after, times) {
  const out = new Uint8ClampedArray(before.length);
  for (let k = 0; k < out.length; k++) out[k] = 127.5 + times * (after[k] - before[k]);
  return out;
}

// The most probable classes as bars; `marks` says by name which bar is the picture's own class and which the target.
function bars(parent, heading = "") {
  const box = make("div", parent, { class: "bars", role: "img" });
  if (heading) make("div", box, { class: "heading" }, heading);
  const rows = [];
  return (top, marks = {}) => {
    while (rows.length > top.length) rows.pop().forEach((element) => element.remove());
    while (rows.length < top.length) rows.push([make("div", box, { class: "name" }), make("div", box, { class: "share" })]);
    top.forEach(({ label, probability }, k) => {
      const kind = label === marks.target ? "name target" : label === marks.own ? "name own" : "name";
      const [name, share] = rows[k]; // what is the same stays untouched: a change costs the page a new layout
      if (name.className !== kind) name.className = kind;
      write(name, label);
      if (name.title !== label) name.title = label;
      name.style.setProperty("--share", `${(100 * probability).toFixed(1)}%`);
      write(share, percent(probability));
    });
    const told = top.map((one) => `${one.label} ${percent(one.probability)}`).join(", ");
    box.setAttribute("aria-label", heading ? `${heading}: ${told}` : told);
  };
}

function write(element, text) {
  const words = String(text);
  if (element.textContent !== words) element.textContent = words;
}
