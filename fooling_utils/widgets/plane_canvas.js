// The page's half of PlaneCanvas. It asks, Python answers; at most one question is under way.
// It starts paused, and nothing moves or flashes unless the reader presses Play (so for reduced motion too).

const NAMES = ["cheetah", "robin", "armadillo"];
const COLOURS = [[213, 94, 0], [0, 114, 178], [0, 158, 115]]; // Okabe and Ito; each class has a shape as well
const ZOOMS = [1, 1.25, 1.6, 2, 3, 5, 8, 12, 20];
const DECAYS = [0, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1];
const SIZE = 100; // cells along each side of the picture
const NEAR = 14; // pixels
const PATIENCE = 5000; // milliseconds
const PER_ANSWER = 2; // pictures: Jupyter's server often holds an answer back for 40 ms (Nagle's algorithm)
const REPLACEABLE = ["move", "set", "zoom"]; // of several that wait, only the last counts

const STYLE = `
.plane { --text: var(--fool-ink, var(--jp-ui-font-color1, #222)); --line: var(--fool-line, var(--jp-border-color1, #999));
  --back: var(--fool-soft, var(--jp-layout-color1, #fff)); --chosen: var(--fool-accent, var(--jp-brand-color1, #0b5cad));
  color: var(--text); font: var(--fool-size, 16px)/1.35 var(--jp-ui-font-family, system-ui, sans-serif);
  display: flex; flex-wrap: wrap; gap: 16px; padding: 4px; }
.plane * { box-sizing: border-box; }
.plane-left { flex: 1 1 360px; max-width: 560px; min-width: 0; }
.plane-right { flex: 1 1 270px; max-width: 400px; min-width: 0; display: flex; flex-direction: column; gap: 9px; }
.plane-view { position: relative; aspect-ratio: 1; overflow: hidden; background: white; }
.plane-marks { position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none; user-select: none;
  cursor: crosshair; box-shadow: inset 0 0 0 1px var(--line); }
.plane-marks:focus-visible { outline: 3px solid var(--chosen); outline-offset: -3px; }
.plane-regions { position: absolute; left: ${-50 / (SIZE - 1)}%; top: ${-50 / (SIZE - 1)}%;
  width: ${(100 * SIZE) / (SIZE - 1)}%; } /* the first and the last cells are centred on the borders */
.plane button:focus-visible, .plane select:focus-visible, .plane input:focus-visible,
.plane summary:focus-visible { outline: 3px solid var(--chosen); outline-offset: 1px; }
.plane-row { display: flex; gap: 6px; align-items: center; flex-wrap: wrap; }
.plane-row > button { flex: 1 1 auto; }
.plane-pair { display: grid; grid-template-columns: 1fr 1fr; gap: 7px 12px; }
.plane button, .plane select { font: inherit; color: inherit; background: var(--back); min-height: 34px;
  border: 1px solid var(--line); border-radius: 4px; padding: 2px 8px; cursor: pointer; }
.plane button[aria-pressed=true] { box-shadow: inset 0 0 0 2px var(--chosen); font-weight: 600; }
.plane svg { width: .95em; height: .95em; vertical-align: -.12em; margin-right: .3em; }
.plane label { display: flex; gap: 8px; align-items: center; justify-content: space-between; }
.plane label > select { min-width: 0; }
.plane input[type=range] { flex: 1; min-width: 60px; accent-color: var(--chosen); }
.plane output { font-variant-numeric: tabular-nums; white-space: nowrap; }
.plane-under { margin-top: 4px; font-variant-numeric: tabular-nums; min-height: 22px; }
.plane-hint { opacity: 0.85; min-height: 43px; }
.plane-says { min-height: 48px; font-size: 18px; }
.plane-wrong { border-left: 5px solid #D55E00; padding-left: 8px; }
.plane-said { border-left: 5px solid var(--chosen); padding-left: 8px; }
.plane-wrong:empty, .plane-said:empty { display: none; }
.plane-heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.plane kbd { font: inherit; font-weight: 600; }
.plane dl { display: grid; grid-template-columns: auto 1fr; gap: 1px 12px; margin: 6px 0 0; }
.plane dt, .plane dd { margin: 0; padding: 0; float: none; width: auto; white-space: nowrap; }
.plane dd { white-space: normal; }
[data-lecture] .plane { flex-wrap: nowrap; gap: 20px; line-height: 1.25; }
[data-lecture] .plane-left { flex: 0 0 540px; }
[data-lecture] .plane-right { max-width: none; gap: 7px; }
[data-lecture] :is(.plane-hint, .plane details) { display: none; }
[data-lecture] .plane :is(button, select) { min-height: 40px; }
[data-lecture] .plane-under { min-height: 30px; }
[data-lecture] .plane-says { font-size: inherit; min-height: 60px; }
`;

const PRESETS = ["blobs", "moons", "rings", "spiral", "empty"];
const UNITS = [1, 2, 4, 8, 16, 32, 64]; // what the key goes through; the slider has the others too

const KEYS = [
  ["Space", "play or pause"], ["S", "one step"], ["R", "reset"], ["1 2 3", "choose the class"],
  ["4 5 6 7 8", `points: ${PRESETS.join(", ")}`], ["Arrows", "move the crosshair"],
  ["Enter", "add a point of the chosen class"], ["Delete", "remove the nearest point"],
  ["Shift + arrows", "move the nearest point"], ["F", "fool: walk from the crosshair to the chosen class"],
  ["N", "the shortest way out, from the nearest training point"], ["+ −", "zoom in, out"],
  ["H, Shift + H", "more, fewer hidden units"], ["D", "depth: 1, 2, 3"], ["A", "ReLU or tanh"],
  ["W, Shift + W", "more, less weight decay"], ["K", "two or three classes"],
];

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function rgb(label) {
  return `rgb(${COLOURS[label].join(",")})`;
}

function outline(context, label, x, y, r) {
  context.beginPath();
  if (label === 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else if (label === 1) context.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  else {
    context.moveTo(x, y - 1.2 * r);
    context.lineTo(x + 1.15 * r, y + 0.85 * r);
    context.lineTo(x - 1.15 * r, y + 0.85 * r);
    context.closePath();
  }
}

function icon(label) {
  const shapes = ['<circle cx="8" cy="8" r="7"/>', '<rect x="2" y="2" width="12" height="12"/>',
    '<path d="M8 1 L15.5 14.5 L0.5 14.5 Z"/>'];
  const holder = document.createElement("span");
  holder.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true" fill="${rgb(label)}" stroke="white">${shapes[label]}</svg>`;
  return holder.firstChild;
}

function render({ model, el }) {
  const view = Math.random().toString(36).slice(2);
  let state = { zoom: 1.25, settings: { classes: 3 }, path: null };
  let points = [], classes = null, strengths = null, version = -1;
  let queue = [], underWay = null, questions = 0, painted = 0, closed = false;
  let playing = false, label = 0, fooling = false, cross = [0, 0], byKeys = false, pointer = null, dragged = -1;
  let wishes = {}; // settings that keys have asked for and no answer has yet: a second press goes on from there
  let waits = 0, heardLater = 0, told = 0, drawing = false, newMarks = true, coming = [], came = 0, gap = 0;

  // ---------------------------------------------------------------------------------------- questions and answers

  function ask(name, args = {}) {
    const last = queue[queue.length - 1];
    const same = last && last.ask === name && last.with.index === args.index
      && String(Object.keys(last.with)) === String(Object.keys(args));
    if (same && REPLACEABLE.includes(name)) queue.pop();
    queue.push({ ask: name, with: args });
    if (underWay && underWay.late) underWay = null; // its answer may never come
    pump();
  }

  function pump() {
    if (underWay || closed) return;
    if (!el.isConnected) playing = false; // nobody sees it
    const next = queue.shift() || (playing && { ask: "frame", with: { play: true, pictures: PER_ANSWER } });
    if (!next) return;
    const mine = (underWay = { id: ++questions, late: false });
    waits = setTimeout(() => {
      if (underWay !== mine) return;
      mine.late = true;
      put(wrong, "Waiting for Python: another cell is running, or the kernel has stopped. If so, run this cell again.");
    }, PATIENCE);
    model.send({ ...next, id: mine.id, view, known: version });
  }

  function receive(answer, buffers) {
    if (closed || typeof answer !== "object" || !("problem" in answer)) return;
    const mine = answer.view === view;
    if (mine && underWay && answer.id === underWay.id) {
      clearTimeout(waits);
      underWay = null;
    }
    if (answer.points && !queue.length && dragged < 0 && (mine || !underWay)) {
      points = answer.points;
      version = answer.version;
    }
    const { points: news, ...rest } = answer;
    const marks = Boolean(news || rest.path || state.path || rest.zoom !== state.zoom || !mine);
    if (rest.settings && state.settings && rest.settings.classes <= label) label = 0;
    state = { ...state, ...rest };
    if (mine && !queue.length) wishes = {};
    if (buffers && buffers.length >= 2) {
      const parts = buffers.map((part) => new Uint8Array(part.buffer || part, part.byteOffset || 0, SIZE * SIZE));
      coming = [];
      for (let i = 0; i < parts.length; i += 2) coming.push([parts[i], parts[i + 1]]);
      gap = Math.min(50, (performance.now() - came) / coming.length);
      came = performance.now();
    }
    if (playing && (!state.trainable || state.path || state.problem)) playing = false;
    const behind = drawing;
    show(marks);
    if (queue.length || !behind) pump(); // Python works on while the page draws, but never two pictures ahead
  }

  // ------------------------------------------------------------------------------------------------- the controls

  function button(text, tip, act, ...first) {
    return make("button", { type: "button", title: tip, onclick: act }, ...first, text);
  }

  function select(text, choices, act, name) {
    const chooser = make("select", { "data-name": name, onchange: (event) => act(event.target.value) });
    for (const [value, shown] of choices) chooser.append(make("option", { value }, shown));
    return [chooser, make("label", {}, text, chooser)];
  }

  function slider(text, most, act, name) {
    const range = make("input", { type: "range", min: 0, max: most, step: 1, "data-name": name });
    const value = make("output", { "aria-live": "off" });
    range.addEventListener("input", () => act(Number(range.value)));
    return [range, value, make("label", {}, make("span", {}, text), range, value)];
  }

  const configure = (name) => (value) => ask("set", { [name]: value });

  function play(on = !playing) {
    playing = on;
    show();
    if (playing) pump();
  }

  function choose(next) {
    if (next < state.settings.classes) label = next;
    show();
  }

  const playButton = button("Play", "Space", () => play());
  const stepButton = button("Step", "one step of training (S)", () => ask("step"));
  const resetButton = button("Reset", "a new network (R)", () => ask("reset"));
  const editTool = button("Edit points", "", () => { fooling = false; show(); });
  const foolTool = button("Fool", "", () => { fooling = true; show(); });
  const classButtons = NAMES.map((name, i) => button(name, `key ${i + 1}`, () => choose(i), icon(i)));
  const classRow = make("div", { class: "plane-row", role: "group", "aria-label": "class" }, ...classButtons);
  const hint = make("div", { class: "plane-hint" });
  const presets = PRESETS.map((name) => [name, name]);
  const [preset, presetLabel] = select("Points", [...presets, ["", "own"]], (name) => name && ask("preset", { name }), "preset");
  const [count, countLabel] = select("Classes", [[2, 2], [3, 3]], (n) => configure("classes")(Number(n)), "classes");
  const [hidden, hiddenShown, hiddenLabel] = slider("Hidden units", 64, (n) => configure("hidden")(n), "hidden");
  hidden.min = 1;
  const [depth, depthLabel] = select("Depth", [[1, 1], [2, 2], [3, 3]], (n) => configure("depth")(Number(n)), "depth");
  const [activation, activationLabel] = select("Units", [["relu", "ReLU"], ["tanh", "tanh"]], configure("activation"), "activation");
  const [decay, decayShown, decayLabel] =
    slider("Weight decay", DECAYS.length - 1, (n) => configure("weight_decay")(DECAYS[n]), "weight_decay");
  const [zoom, zoomShown, zoomLabel] = slider("Zoom out", ZOOMS.length - 1, (n) => ask("zoom", { edge: ZOOMS[n] }), "zoom");
  const wrong = make("div", { class: "plane-wrong" });
  const said = make("div", { class: "plane-said" });
  const heard = make("div", { class: "plane-heard", "aria-live": "polite" });
  const keys = make("dl", {}, ...KEYS.flatMap(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)]));
  const help = make("details", {}, make("summary", {}, "Keys, when the plane has the focus"), keys);
  const status = make("div", { class: "plane-under" });
  const readout = make("output", { "aria-live": "off" });
  const regions = make("canvas", { class: "plane-regions", width: SIZE, height: SIZE });
  const canvas = make("canvas", { // on top, and drawn again only when something on it has changed
    class: "plane-marks", tabindex: 0, role: "application",
    "aria-label": "Plane of training points and regions of classes. " + KEYS.map((pair) => pair.join(": ")).join("; "),
  });
  const root = make("div", {
    class: "plane fool-canvas fool-keys", "data-lm-suppress-shortcuts": "true",
    "data-keys": JSON.stringify(KEYS.map(([key, what]) => [key.toLowerCase(), what])),
  },
    make("style", {}, STYLE),
    make("div", { class: "plane-left" },
      make("div", { class: "plane-view" }, regions, canvas), status),
    make("div", { class: "plane-right" },
      make("div", { class: "plane-row" }, playButton, stepButton, resetButton),
      make("div", { class: "plane-row", role: "group", "aria-label": "what a click does" }, editTool, foolTool),
      classRow, hint,
      make("div", { class: "plane-pair" }, presetLabel, countLabel, depthLabel, activationLabel),
      hiddenLabel, decayLabel, zoomLabel, make("label", {}, "Here", readout),
      make("div", { class: "plane-says", "aria-live": "polite" }, wrong, said), help),
    heard);

  function nearestIndex(values, value) {
    return values.reduce((best, v, i) => (Math.abs(v - value) < Math.abs(values[best] - value) ? i : best), 0);
  }

  function put(element, text) { // to write the same text again would cost a new layout
    if (element.textContent !== String(text)) element.textContent = text;
  }

  function press(button, on) {
    if (button.getAttribute("aria-pressed") !== String(on)) button.setAttribute("aria-pressed", on);
  }

  function showStatus() {
    const right = state.right === null ? "" : ` · ${Math.round(100 * state.right)} % of points right`;
    const loss = state.loss === null ? "" : ` · loss ${state.loss.toFixed(3)}`;
    put(status, `Step ${state.steps}${loss}${right}`);
    told = performance.now();
  }

  function show(marks = true) {
    const { settings } = state;
    put(playButton, playing ? "Pause" : "Play");
    press(editTool, !fooling);
    press(foolTool, fooling);
    classButtons.forEach((one, i) => {
      press(one, i === label);
      one.hidden = i >= settings.classes;
    });
    put(hint, fooling
      ? `Click a free place: walk to ${NAMES[label]}. Click a point: the shortest way out.`
      : `Click: add a ${NAMES[label]}. Drag: move. Shift + click: remove.`);
    if (state.steps !== undefined) {
      preset.value = state.preset;
      [count.value, depth.value, activation.value] = [settings.classes, settings.depth, settings.activation];
      if (!queue.length) { // while a slider is pulled, what it shows is newer than the answer
        hidden.value = settings.hidden;
        decay.value = nearestIndex(DECAYS, settings.weight_decay);
        zoom.value = nearestIndex(ZOOMS, state.zoom);
      }
      put(hiddenShown, settings.hidden);
      put(decayShown, settings.weight_decay);
      put(zoomShown, `±${state.zoom}`);
      put(wrong, [...new Set([state.problem, state.warning])].filter(Boolean).join(" "));
      put(said, state.result);
      if (!playing || performance.now() - told > 200) showStatus(); // faster than one can read
    }
    redraw(marks);
  }

  // -------------------------------------------------------------------------------------------------- the picture

  function redraw(marks = true) {
    newMarks ||= marks;
    if (!drawing) requestAnimationFrame(() => {
      drawing = false;
      if (closed) return;
      draw();
      pump();
    });
    drawing = true;
  }

  const width = () => canvas.clientWidth || 560;
  const letters = () => Math.max(16, parseFloat(getComputedStyle(root).fontSize) || 16); // pixels
  const toPixels = ([x, y]) => [(x / state.zoom + 1) * width() / 2, (1 - y / state.zoom) * width() / 2];
  const toPlane = ([x, y]) => [(2 * x / width() - 1) * state.zoom, (1 - 2 * y / width()) * state.zoom];

  const image = new ImageData(SIZE, SIZE);

  function paintRegions() {
    const { data } = image;
    const chance = 255 / state.settings.classes;
    for (let row = 0; row < SIZE; row++) {
      for (let column = 0; column < SIZE; column++) {
        const cell = (SIZE - 1 - row) * SIZE + column; // Python's row 0 is at the bottom
        const strength = 0.72 * Math.max(0, (strengths[cell] - chance) / (255 - chance));
        const colour = COLOURS[classes[cell]];
        const at = 4 * (row * SIZE + column);
        for (let c = 0; c < 3; c++) data[at + c] = 255 + strength * (colour[c] - 255);
        data[at + 3] = 255;
      }
    }
    regions.getContext("2d").putImageData(image, 0, 0);
  }

  function paintAxes(context) {
    const step = [0.5, 1, 2, 5, 10].find((s) => state.zoom / s <= 4.2);
    context.font = `${letters()}px sans-serif`;
    context.lineWidth = 4;
    context.strokeStyle = "rgba(255,255,255,0.85)";
    context.fillStyle = "#222";
    const write = (text, x, y, align, baseline) => {
      [context.textAlign, context.textBaseline] = [align, baseline];
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    };
    for (let k = -Math.floor(state.zoom / step); k <= state.zoom / step; k++) {
      const text = String(k * step).replace("-", "−");
      const [x, y] = toPixels([k * step, k * step]);
      context.fillRect(x - 0.75, width() - 7, 1.5, 7);
      context.fillRect(0, y - 0.75, 7, 1.5);
      if (Math.abs(k * step) < 0.93 * state.zoom) {
        write(text, x, width() - 10, "center", "bottom");
        write(text, 11, y, "left", "middle");
      }
    }
    if (state.zoom > 1) {
      const [left, top] = toPixels([-1, 1]);
      const side = width() / state.zoom;
      for (const [colour, thick] of [["rgba(255,255,255,0.8)", 4], ["#222", 1.8]]) {
        [context.strokeStyle, context.lineWidth] = [colour, thick];
        context.setLineDash(thick > 2 ? [] : [8, 6]);
        context.strokeRect(left, top, side, side);
      }
      context.setLineDash([]);
    }
  }

  function paintPoint(context, [x, y, kind], r, edge = "white") {
    const [px, py] = toPixels([x, y]);
    outline(context, kind, px, py, r);
    [context.fillStyle, context.strokeStyle, context.lineWidth] = [rgb(kind), edge, r / 3];
    context.fill();
    context.stroke();
  }

  function paintPath(context, { places, label: kind }) {
    const pixels = places.map(toPixels);
    for (const [colour, thick] of [["white", 7], ["#111", 3]]) {
      [context.strokeStyle, context.lineWidth, context.lineJoin] = [colour, thick, "round"];
      context.beginPath();
      pixels.forEach(([x, y]) => context.lineTo(x, y));
      context.stroke();
    }
    const [x, y] = pixels[0];
    context.beginPath();
    context.arc(x, y, 6, 0, 2 * Math.PI);
    [context.fillStyle, context.strokeStyle, context.lineWidth] = ["white", "#111", 3];
    context.fill();
    context.stroke();
    paintPoint(context, [...places[places.length - 1], kind], 9, "#111");
  }

  function paintCross(context) {
    const [x, y] = toPixels(cross);
    for (const [colour, thick] of [["white", 5], ["#111", 2]]) {
      [context.strokeStyle, context.lineWidth] = [colour, thick];
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 5 * dx, y + 5 * dy);
        context.lineTo(x + 18 * dx, y + 18 * dy);
      }
      context.stroke();
    }
  }

  function draw() {
    if (newMarks) paintMarks();
    newMarks = false;
    if (coming.length) {
      [classes, strengths] = coming.shift();
      paintRegions();
      Object.assign(root.dataset, { version, drawn: ++painted });
      if (coming.length) setTimeout(() => redraw(false), gap);
    }
    put(readout, here(byKeys ? cross : pointer));
  }

  function paintMarks() {
    const scale = window.devicePixelRatio || 1;
    const size = Math.round(width() * scale);
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width(), width());
    paintAxes(context);
    const r = (points.length > 300 ? 4.5 : 6.5) * (letters() / 16) * (state.zoom > 6 ? 0.5 : state.zoom > 2.5 ? 0.75 : 1);
    for (const point of points) paintPoint(context, point, r);
    if (state.path) paintPath(context, state.path);
    if (byKeys) paintCross(context);
  }

  function here(place) {
    if (!place || !classes || place.some((v) => Math.abs(v) > state.zoom)) return "–";
    const [column, row] = place.map((v) => Math.round((v / state.zoom + 1) / 2 * (SIZE - 1)));
    const cell = row * SIZE + column;
    const [x, y] = place.map((v) => v.toFixed(2).replace("-", "−"));
    return `(${x}, ${y}): ${NAMES[classes[cell]]}, ${Math.round(strengths[cell] / 2.55)} %`;
  }

  // ----------------------------------------------------------------------------------------- by mouse, by keyboard

  const inside = (place) => place.map((v) => Math.round(1e4 * Math.max(-state.zoom, Math.min(state.zoom, v))) / 1e4);

  function nearest(place, within = Infinity) {
    const [x, y] = toPixels(place);
    let best = -1;
    points.forEach((point, i) => {
      const [px, py] = toPixels(point);
      const distance = Math.hypot(px - x, py - y);
      if (distance <= within) [best, within] = [i, distance];
    });
    return best;
  }

  // the page makes a change at once, so that its indices are those that Python has when the question arrives
  function add(place) {
    points = [...points, [...place, label]];
    ask("add", { x: place[0], y: place[1], label });
    show();
  }

  function move(index, place) {
    points = points.map((point, i) => (i === index ? [...place, point[2]] : point));
    ask("move", { index, x: place[0], y: place[1] });
    show();
  }

  function remove(index) {
    if (index < 0) return;
    points = points.filter((_, i) => i !== index);
    ask("remove", { index });
    show();
  }

  function fool(place) {
    play(false);
    ask("fool", { x: place[0], y: place[1], label });
  }

  function shortest(index) {
    play(false);
    ask("shortest", { index: Math.max(0, index) });
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return inside(toPlane([event.clientX - box.left, event.clientY - box.top]));
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    const place = placeOf(event);
    const hit = nearest(place, NEAR);
    [cross, byKeys] = [place, false];
    if (fooling) return hit >= 0 ? shortest(hit) : fool(place);
    if (event.shiftKey) return remove(hit);
    if (hit < 0) return add(place);
    dragged = hit;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    pointer = placeOf(event);
    byKeys = false;
    if (dragged >= 0) move(dragged, pointer);
    else redraw();
  });
  const drop = () => {
    if (dragged < 0) return;
    dragged = -1;
    ask("frame");
  };
  canvas.addEventListener("pointerup", drop);
  canvas.addEventListener("pointercancel", drop);
  canvas.addEventListener("pointerleave", () => { pointer = null; redraw(); });
  canvas.addEventListener("blur", () => { byKeys = false; redraw(); });
  canvas.addEventListener("focus", () => { byKeys = canvas.matches(":focus-visible"); redraw(); });

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

  function arrow([dx, dy], withPoint) {
    const index = withPoint ? nearest(cross) : -1;
    const from = index >= 0 ? points[index] : cross;
    cross = inside([from[0] + dx * state.zoom / 25, from[1] + dy * state.zoom / 25]);
    if (index >= 0) move(index, cross);
    clearTimeout(heardLater);
    heardLater = setTimeout(() => { heard.textContent = here(cross); }, 500);
  }

  function zoomBy(steps) {
    const next = ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, nearestIndex(ZOOMS, state.zoom) + steps))];
    ask("zoom", { edge: next });
  }

  // The value of a setting that follows the present one; at the end of the list it begins again, if it is a circle.
  function after(values, value, by, circle = false) {
    const next = (typeof value === "string" ? values.indexOf(value) : nearestIndex(values, value)) + by;
    return values[circle ? (next + values.length) % values.length : Math.max(0, Math.min(values.length - 1, next))];
  }

  function turn(name, values, by, circle = false) {
    wishes[name] = after(values, name in wishes ? wishes[name] : state.settings[name], by, circle);
    configure(name)(wishes[name]);
  }

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const by = event.shiftKey ? -1 : 1;
    const acts = {
      Enter: () => add(cross), Delete: () => remove(nearest(cross)), Backspace: () => remove(nearest(cross)),
      1: () => choose(0), 2: () => choose(1), 3: () => choose(2), " ": () => play(), s: () => ask("step"),
      r: () => ask("reset"), "+": () => zoomBy(-1), "=": () => zoomBy(-1), "-": () => zoomBy(1),
      f: () => fool(cross), n: () => shortest(nearest(cross)),
      h: () => turn("hidden", UNITS, by), d: () => turn("depth", [1, 2, 3], by, true),
      a: () => turn("activation", ["relu", "tanh"], 1, true), w: () => turn("weight_decay", DECAYS, by),
      k: () => turn("classes", [2, 3], 1, true),
    };
    PRESETS.forEach((name, k) => { acts[4 + k] = () => ask("preset", { name }); });
    if (ARROWS[key]) arrow(ARROWS[key], event.shiftKey);
    else if (acts[key]) acts[key]();
    else return;
    event.preventDefault();
    byKeys = true;
    redraw();
  });
  root.addEventListener("keydown", (event) => event.stopPropagation()); // Jupyter has shortcuts for the same keys

  // ------------------------------------------------------------------------------------------------- begin and end

  root.plane = () => ({ ...state, points, playing, cross }); // for the browser's console, and for tests
  el.append(root);
  const resized = new ResizeObserver(redraw);
  resized.observe(canvas);
  model.on("msg:custom", receive);
  show();
  ask("frame");
  return () => {
    closed = true;
    clearTimeout(waits);
    clearTimeout(heardLater);
    resized.disconnect();
    model.off("msg:custom", receive);
  };
}

export default { render };
