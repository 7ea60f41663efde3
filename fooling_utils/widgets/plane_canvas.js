// The canvas of points: a change is seen at once and told to Python, and the regions that come back are drawn.
// It starts paused, and nothing moves unless the reader presses Play (so for reduced motion too).
const PLANE = `
.fool.plane { font-size: var(--fool-size, 16px); line-height: 1.35; }
.fool.plane .sides { display: flex; flex-wrap: wrap; gap: 16px; }
.fool.plane .left { flex: 1 1 360px; max-width: 560px; min-width: 0; }
.fool.plane .right { flex: 1 1 270px; max-width: 400px; min-width: 0; display: flex; flex-direction: column; gap: 9px; }
.fool.plane .ground { position: relative; aspect-ratio: 1; overflow: hidden; background: white; }
.fool.plane .ground canvas { position: absolute; }
.fool.plane .marks { inset: 0; width: 100%; height: 100%; touch-action: none; user-select: none; cursor: crosshair;
  box-shadow: inset 0 0 0 1px var(--line); }
.fool.plane .row { gap: 6px; }
.fool.plane .row > button { flex: 1 1 auto; }
@media not (pointer: coarse) {
  .fool.plane :is(button, select) { min-height: 34px; }
  .fool.plane input[type=range] { min-height: 0; }
}
.fool.plane button[aria-pressed=true] { background: var(--soft); border-color: var(--line); color: var(--ink);
  box-shadow: inset 0 0 0 2px var(--accent); font-weight: 600; }
.fool.plane button svg { width: 1em; height: 1em; vertical-align: -.14em; margin-right: .3em; stroke: white; stroke-width: .15; }
.fool.plane .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 7px 12px; }
@media (max-width: 600px) { .fool.plane .pair { grid-template-columns: repeat(auto-fit, minmax(8em, 1fr)); } }
.fool.plane :is(label, .here) { display: flex; flex: none; gap: 8px; align-items: center; justify-content: space-between; }
.fool.plane label > span { white-space: nowrap; }
.fool.plane select { min-width: 0; }
.fool.plane input[type=range] { min-width: 60px; }
.fool.plane output { white-space: nowrap; text-align: right; }
.fool.plane .under { margin-top: 4px; font-variant-numeric: tabular-nums; min-height: 22px; }
.fool.plane .hint { opacity: .85; min-height: 43px; }
.fool.plane .says { min-height: 48px; font-size: 18px; }
.fool.plane .says > * { border-left: 5px solid var(--warm); padding-left: 8px; }
.fool.plane .says > .result { border-color: var(--accent); }
.fool.plane .says > :empty { display: none; }`;

const ZOOMS = [1, 1.25, 1.6, 2, 3, 5, 8, 12, 20];
const DECAYS = [0, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1];
const UNITS = Array.from({ length: 64 }, (_, k) => k + 1);
const DOUBLED = [1, 2, 4, 8, 16, 32, 64]; // units that the key goes through
const NEAR = { mouse: 14, touch: 24 }; // pixels
const PER_ANSWER = 2; // pictures: Jupyter's server often holds an answer back for 40 ms (Nagle's algorithm)
const FORMS = ["M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z", "M-.9-.9H.9V.9H-.9Z", "M0-1.2L1.15.85H-1.15Z",
  "M-1-.5-.5-1 0-.5 .5-1 1-.5 .5 0 1 .5 .5 1 0 .5-.5 1-1 .5-.5 0Z"]; // not by colour alone

const closest = (values, value) => (values.includes(value) ? values.indexOf(value)
  : values.reduce((best, one, k) => (Math.abs(one - value) < Math.abs(values[best] - value) ? k : best), 0));

function plane(context) {
  const { model } = context;
  const ui = begin(context, "plane", "Points in the plane, and the regions of a network that learns them", PLANE);
  const names = model.get("names");
  const colours = model.get("colours");
  const shades = colours.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const sets = model.get("presets").map((preset) => preset.title);
  let state = { zoom: 1.25, settings: {}, labels: names.slice(0, -1).map((_, kind) => kind), points: [], path: null }; // as Python told it
  let points = []; // with the changes that Python has not answered yet
  let wishes = {}; // settings that it has not answered yet: a second press goes on from there
  let changing = 0; // questions that it has not answered yet
  let seen = null;
  let latest = null;
  let came = 0;
  let playing = false;
  let runs = 0;
  let label = 0;
  let tool = "edit"; // or "remove" or "fool"
  let cross = [0, 0];
  let byKeys = false;
  let pointer = null;
  let dragged = -1;
  let told = 0;
  let sayLater = 0;
  let drawing = 0;

  // ---------------------------------------------------------------------------------------- questions and answers

  async function change(question, values = {}, about = null) {
    changing++;
    const answer = await (about === null ? ui.tell(question, values) : ui.update(question, values, about));
    changing--;
    if (answer) return take(answer);
    if (ui.problem.textContent) play(false);
    settle();
    return show();
  }

  function settle() {
    if (changing) return;
    wishes = {};
    if (dragged < 0) points = state.points;
  }

  async function take({ buffers, ...facts }) {
    const mine = (latest = {});
    const marks = Boolean(facts.points || facts.path || state.path);
    state = { ...state, ...facts };
    if (!state.labels.includes(label)) label = 0;
    if (state.path) play(false);
    settle();
    show(marks);
    const parts = buffers.map(asBytes);
    const gap = Math.min(50, (2 * (performance.now() - came)) / parts.length);
    came = performance.now();
    for (let k = 0; k < parts.length; k += 2) {
      if (k) await new Promise((resolve) => { setTimeout(resolve, gap); });
      await new Promise(requestAnimationFrame);
      if (mine !== latest) return;
      seen = { classes: parts[k], strengths: parts[k + 1] };
      paintRegions();
      showHere();
      ui.root.dataset.drawn = 1 + Number(ui.root.dataset.drawn || 0);
    }
  }

  async function play(on) {
    if (playing === on) return;
    playing = on;
    ui.root.dataset.playing = on;
    show();
    const run = ++runs; // a later play or pause ends this one
    if (on) ui.alone();
    const frame = () => ui.askSeen("frame", { pictures: PER_ANSWER });
    let next = on && frame();
    while (next) {
      const answer = await next;
      next = answer && answer.trainable && run === runs ? frame() : null; // Python trains while these are drawn
      if (answer) await take(answer);
    }
    if (run === runs) play(false);
  }

  // ------------------------------------------------------------------------------------------------- the controls

  const wanted = () => ({ ...state.settings, zoom: state.zoom, ...wishes });

  function wish(name, value) {
    wishes[name] = value;
    if (name === "zoom") change("zoom", { edge: value }, name);
    else change("set", { [name]: value }, name);
    show();
  }

  function turn(name, values, by, circle = false) {
    const next = closest(values, wanted()[name]) + by;
    const last = values.length - 1;
    wish(name, values[circle ? (next + values.length) % values.length : Math.max(0, Math.min(last, next))]);
  }

  function pick(kind) {
    if (state.labels.includes(kind)) label = kind;
    show();
  }

  const sides = make("div", ui.body, { class: "sides" });
  const left = make("div", sides, { class: "left" });
  const ground = make("div", left, { class: "ground" });
  const regions = make("canvas", ground, { "aria-hidden": "true" });
  // on top, and drawn again only when something on it has changed
  const canvas = make("canvas", ground, { class: "marks", role: "img", "aria-label": "training points and regions" });
  const status = make("div", left, { class: "under" });
  const right = make("div", sides, { class: "right" });
  const row = (title) => make("div", right, { class: "row", role: "group", "aria-label": title });

  const training = row("training");
  const playButton = button(training, "Play", () => play(!playing));
  button(training, "Step", () => change("step"), { title: "one step of training" });
  button(training, "Reset", () => change("reset"), { title: "a new network" });
  const tools = row("what a click does");
  const toolButtons = { edit: "Edit points", remove: "Remove", fool: "Fool" };
  for (const [name, title] of Object.entries(toolButtons)) {
    toolButtons[name] = button(tools, title, () => { tool = name; show(); });
  }
  const classRow = row("class");
  classRow.classList.add("class");
  const classButtons = names.map((name, kind) => {
    const one = button(classRow, "", () => pick(kind));
    const icon = shape("svg", one, { viewBox: "-1.2 -1.25 2.4 2.4", "aria-hidden": "true", fill: colours[kind] });
    shape("path", icon, { d: FORMS[kind] });
    one.append(name);
    return one;
  });
  const nothing = button(classRow, "Add nothing", () => change("nothing"), { title: "points of a class of its own, where there are none" });
  if (ON_STAGE) {
    const presetRow = row("points");
    presetRow.append(nothing);
    sets.forEach((name, k) => button(presetRow, `${k + 4}  ${name}`, () => change("preset", { name })));
  }
  const hint = make("div", right, { class: "hint" });
  const pair = make("div", right, { class: "pair" });
  const preset = choose(pair, "Points", [...sets, "own"], (name) => name !== "own" && change("preset", { name }));
  const classes = choose(pair, "Classes", ["2", "3"], (count) => wish("classes", Number(count)));
  const depth = choose(pair, "Depth", ["1", "2", "3"], (layers) => wish("depth", Number(layers)));
  const activation = choose(pair, "Units", ["ReLU", "tanh"], (name) => wish("activation", name.toLowerCase()));
  const pull = (name, title, values, before = "") => {
    const shown = () => (name in wanted() ? before + wanted()[name] : ""); // a cell may set what is not in the list
    const range = { min: 0, max: values.length - 1, step: 1, value: 0, show: shown };
    const one = slider(right, title, range, (k) => wish(name, values[k]));
    return () => one.set(closest(values, wanted()[name]));
  };
  const pulls = [pull("hidden", "Hidden units", UNITS), pull("weight_decay", "Weight decay", DECAYS),
    pull("zoom", "Zoom out", ZOOMS, "±")];
  const hereRow = make("div", right, { class: "here" }, "Here");
  const hereShown = make("output", hereRow, { "aria-live": "off" });
  const says = make("div", right, { class: "says" });
  says.append(ui.problem);
  const warned = make("div", says, { "aria-live": "polite" });
  const result = make("div", says, { class: "result", "aria-live": "polite" });

  function press(one, on) {
    if (one.getAttribute("aria-pressed") !== String(on)) one.setAttribute("aria-pressed", on);
  }

  function show(marks = true) {
    write(playButton, playing ? "Pause" : "Play");
    for (const [name, one] of Object.entries(toolButtons)) press(one, name === tool);
    classButtons.forEach((one, kind) => {
      press(one, kind === label);
      one.hidden = !state.labels.includes(kind);
    });
    const kind = `${label === names.length - 1 ? "" : "a "}${names[label]}`;
    const byTouch = window.matchMedia("(hover: none)").matches;
    const click = byTouch ? "Tap" : "Click";
    write(hint, {
      edit: `${click}: add ${kind}. Drag: move.${byTouch ? "" : " Shift + click: remove."}`,
      remove: `${click} a point to remove it.`,
      fool: `${click} a free place: walk to ${names[label]}. ${click} a point: the shortest way out.`,
    }[tool]);
    if ("steps" in state) showState();
    redraw(marks);
  }

  function showState() {
    const now = wanted();
    preset.set(state.preset || "own");
    classes.set(now.classes);
    depth.set(now.depth);
    activation.set(now.activation === "relu" ? "ReLU" : now.activation);
    pulls.forEach((set) => set());
    write(warned, state.warning === ui.problem.textContent ? "" : state.warning);
    write(result, state.result);
    if (playing && performance.now() - told < 200) return; // faster than one can read
    told = performance.now();
    const loss = state.loss === null ? "" : ` · loss ${state.loss.toFixed(3)}`;
    const share = state.right === null ? "" : ` · ${Math.round(100 * state.right)} % right`;
    write(status, `Step ${state.steps}${loss}${share}`);
  }

  function here(place) {
    if (!place || !seen || place.some((v) => Math.abs(v) > state.zoom)) return "–";
    const side = Math.sqrt(seen.classes.length);
    const [column, up] = place.map((v) => Math.round(((v / state.zoom + 1) / 2) * (side - 1)));
    const cell = up * side + column;
    const [x, y] = place.map((v) => v.toFixed(2).replace("-", "−"));
    return `(${x}, ${y}): ${names[seen.classes[cell]]}, ${Math.round(seen.strengths[cell] / 2.55)} %`;
  }
  const showHere = () => write(hereShown, here(byKeys ? cross : pointer));

  // -------------------------------------------------------------------------------------------------- the picture

  function redraw(marks = true) {
    if (marks && !drawing) drawing = requestAnimationFrame(() => { drawing = 0; paintMarks(); showHere(); });
  }

  const width = () => canvas.clientWidth || 560;
  const letters = () => Math.max(16, parseFloat(getComputedStyle(ui.root).fontSize) || 16); // pixels
  const toPixels = ([x, y]) => [((x / state.zoom + 1) * width()) / 2, ((1 - y / state.zoom) * width()) / 2];
  const toPlane = ([x, y]) => [((2 * x) / width() - 1) * state.zoom, (1 - (2 * y) / width()) * state.zoom];

  function paintRegions() {
    const side = Math.sqrt(seen.classes.length);
    if (regions.width !== side) {
      regions.width = regions.height = side;
      const share = 100 / (side - 1); // the outermost cells are centred on the borders
      Object.assign(regions.style, { left: `${-share / 2}%`, top: `${-share / 2}%`, width: `${side * share}%` });
    }
    const image = new ImageData(side, side);
    const chance = 255 / state.labels.length;
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const cell = (side - 1 - row) * side + column; // Python's row 0 is at the bottom
        const strength = 0.72 * Math.max(0, (seen.strengths[cell] - chance) / (255 - chance));
        const shade = shades[seen.classes[cell]];
        const at = 4 * (row * side + column);
        for (let c = 0; c < 3; c++) image.data[at + c] = 255 + strength * (shade[c] - 255);
        image.data[at + 3] = 255;
      }
    }
    regions.getContext("2d").putImageData(image, 0, 0);
  }

  function paintAxes(pen) {
    const step = [0.5, 1, 2, 5, 10].find((s) => state.zoom / s <= 4.2);
    pen.font = `${letters()}px sans-serif`;
    [pen.lineWidth, pen.strokeStyle, pen.fillStyle] = [4, "rgba(255,255,255,0.85)", "#222"];
    const name = (text, x, y, align, baseline) => {
      [pen.textAlign, pen.textBaseline] = [align, baseline];
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    };
    for (let k = -Math.floor(state.zoom / step); k <= state.zoom / step; k++) {
      const text = String(k * step).replace("-", "−");
      const [x, y] = toPixels([k * step, k * step]);
      pen.fillRect(x - 0.75, width() - 7, 1.5, 7);
      pen.fillRect(0, y - 0.75, 7, 1.5);
      if (Math.abs(k * step) < 0.93 * state.zoom) {
        name(text, x, width() - 10, "center", "bottom");
        if (y < width() - 2 * letters()) name(text, 11, y, "left", "middle"); // clear of the names below
      }
    }
    if (state.zoom > 1) {
      const [x, y] = toPixels([-1, 1]);
      twice(pen, ["rgba(255,255,255,0.8)", 4], ["#222", 1.8], (thick) => {
        pen.setLineDash(thick > 2 ? [] : [8, 6]);
        pen.strokeRect(x, y, width() / state.zoom, width() / state.zoom);
      });
      pen.setLineDash([]);
    }
  }

  // a light line below a dark one is seen on every ground
  function twice(pen, below, above, paint) {
    for (const [colour, thick] of [below, above]) {
      [pen.strokeStyle, pen.lineWidth] = [colour, thick];
      pen.beginPath();
      paint(thick);
      pen.stroke();
    }
  }

  const forms = FORMS.map((form) => new Path2D(form));
  function paintPoint(pen, [x, y, kind], r, edge = "white", thick = r / 3, fill = colours[kind]) {
    pen.save();
    pen.translate(...toPixels([x, y]));
    pen.scale(r, r);
    [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = [fill, edge, thick / r];
    pen.fill(forms[kind]);
    pen.stroke(forms[kind]);
    pen.restore();
  }

  function paintPath(pen, { places, label: kind }) {
    pen.lineJoin = "round";
    twice(pen, ["white", 7], ["#111", 3], () => places.forEach((place) => pen.lineTo(...toPixels(place))));
    paintPoint(pen, [...places[0], 0], 6, "#111", 3, "white");
    paintPoint(pen, [...places[places.length - 1], kind], 9, "#111");
  }

  function paintCross(pen) {
    const [x, y] = toPixels(cross);
    twice(pen, ["white", 5], ["#111", 2], () => {
      for (const [dx, dy] of Object.values(ARROWS)) {
        pen.moveTo(x + 5 * dx, y + 5 * dy);
        pen.lineTo(x + 18 * dx, y + 18 * dy);
      }
    });
  }

  function paintMarks() {
    if (!canvas.clientWidth) return;
    const scale = window.devicePixelRatio || 1;
    const size = Math.round(width() * scale);
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width(), width());
    paintAxes(pen);
    const r = (points.length > 300 ? 4.5 : 6.5) * (letters() / 16) * (state.zoom > 6 ? 0.5 : state.zoom > 2.5 ? 0.75 : 1);
    for (const point of points) paintPoint(pen, point, r);
    if (state.path) paintPath(pen, state.path);
    if (byKeys) paintCross(pen);
  }

  // ----------------------------------------------------------------------------------------- by mouse, by keyboard

  const inside = (place) => place.map((v) => Math.round(1e4 * Math.max(-state.zoom, Math.min(state.zoom, v))) / 1e4);

  function nearest(place, within = Infinity) {
    const [x, y] = toPixels(place);
    let best = -1;
    points.forEach((point, k) => {
      const [px, py] = toPixels(point);
      const distance = Math.hypot(px - x, py - y);
      if (distance <= within) [best, within] = [k, distance];
    });
    return best;
  }

  // made here at once, so that an index is the one that Python has when it hears of it
  function edit(question, values, changed, about) {
    points = changed;
    change(question, values, about);
    redraw();
  }
  const add = ([x, y]) => edit("add", { x, y, label }, [...points, [x, y, label]]);
  const move = (index, [x, y]) => edit("move", { index, x, y },
    points.map((point, k) => (k === index ? [x, y, point[2]] : point)), index);
  const remove = (index) => index >= 0 && edit("remove", { index }, points.filter((_, k) => k !== index));

  function walk(question, values) {
    play(false);
    change(question, values);
  }
  const fool = ([x, y]) => walk("fool", { x, y, label });
  const shortest = (index) => walk("shortest", { index: Math.max(0, index) });

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return inside(toPlane([event.clientX - box.left, event.clientY - box.top]));
  }

  function look(place, keys) {
    [pointer, byKeys] = [place, keys];
    redraw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    event.preventDefault();
    ui.root.focus({ preventScroll: true });
    const place = placeOf(event);
    const hit = nearest(place, NEAR[event.pointerType] || NEAR.mouse);
    [cross, pointer, byKeys] = [place, place, false];
    if (tool === "fool") return hit >= 0 ? shortest(hit) : fool(place);
    if (tool === "remove" || event.shiftKey) return remove(hit);
    if (hit < 0) return add(place);
    dragged = hit;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    look(placeOf(event), false);
    if (dragged >= 0) move(dragged, pointer);
  });
  const drop = () => {
    dragged = -1;
    settle();
    redraw();
  };
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, drop);
  canvas.addEventListener("pointerleave", ({ pointerType }) => look(pointerType === "mouse" ? null : pointer, byKeys));
  ui.root.addEventListener("focus", () => look(pointer, ui.root.matches(":focus-visible")));
  ui.root.addEventListener("focusout", () => look(pointer, false));

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

  function arrow({ key, shiftKey }) {
    const index = shiftKey ? nearest(cross) : -1;
    const [x, y] = index >= 0 ? points[index] : cross;
    const [dx, dy] = ARROWS[key];
    cross = inside([x + (dx * state.zoom) / 25, y + (dy * state.zoom) / 25]);
    if (index >= 0) move(index, cross);
    clearTimeout(sayLater);
    sayLater = setTimeout(() => ui.say(here(cross)), 500);
  }

  const by = ({ shiftKey }) => (shiftKey ? -1 : 1);
  const rows = [
    [" ", "play or pause", once(() => play(!playing))],
    ["s", "one step", ({ repeat }) => change("step", {}, repeat ? "held" : null)],
    ["r", "reset", () => change("reset")],
    ["1 2 3", "choose the class", ({ key }) => pick(key - 1)],
    ["0", "points of nothing, where there are none", () => change("nothing")],
    ["4 5 6 7 8", `points: ${sets.join(", ")}`, ({ key }) => change("preset", { name: sets[key - 4] })],
    [Object.keys(ARROWS).join(" "), "move the crosshair (shift: the nearest point)", arrow, "arrows"],
    ["Enter", "add a point of the chosen class", () => add(cross)],
    ["Delete Backspace", "remove the nearest point", () => remove(nearest(cross)), "Delete"],
    ["g", "go: fool from the crosshair to the chosen class", () => fool(cross)],
    ["n", "the shortest way out, from the nearest point", () => shortest(nearest(cross))],
    ["+ =", "zoom in", () => turn("zoom", ZOOMS, -1), "+"],
    ["-", "zoom out", () => turn("zoom", ZOOMS, 1)],
    ["h", "more hidden units (shift: fewer)", (event) => turn("hidden", DOUBLED, by(event))],
    ["d", "depth: 1, 2, 3", (event) => turn("depth", [1, 2, 3], by(event), true)],
    ["a", "ReLU or tanh", once(() => turn("activation", ["relu", "tanh"], 1, true))],
    ["w", "more weight decay (shift: less)", (event) => turn("weight_decay", DECAYS, by(event))],
    ["k", "two or three classes", once(() => turn("classes", [2, 3], 1, true))],
  ];
  ui.keys(rows.map(([key, what, act, name]) => [key, what, (event) => { act(event); look(pointer, true); }, name]));

  ui.stage([training, tools, pair, ...right.querySelectorAll(":scope > label")], []);
  ui.root.plane = () => ({ ...state, known: state.points, points, playing, cross }); // for the console, and for tests
  const resized = new ResizeObserver(() => redraw());
  resized.observe(canvas);
  const appeared = new IntersectionObserver(() => redraw()); // its size may have changed while it was not laid out
  appeared.observe(canvas);
  ui.follow(take);
  ui.pause = () => play(false);
  change("begin");
  ui.onEnd(() => {
    runs++;
    latest = null;
    clearTimeout(sayLater);
    cancelAnimationFrame(drawing);
    resized.disconnect();
    appeared.disconnect();
  });
  return ui.end;
}

export default { render: plane };
