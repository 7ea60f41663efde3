// The plane explorer: it keeps asking for a finer map and, in between, for the image at the cross.
const EXPLORER = `
.fool.plane-explorer .map { --side: 24em; display: grid; grid-template: auto auto auto / auto minmax(0, 1fr);
  width: calc(var(--side) + 3.6em); max-width: 100%; flex: none; }
.fool.plane-explorer .ground { position: relative; aspect-ratio: 1; overflow: hidden; cursor: crosshair;
  touch-action: none; user-select: none; border: 1px solid var(--line); }
.fool.plane-explorer .ground figure { contain: none; } /* so that the canvas has its place in the ground */
.fool.plane-explorer .ground canvas { position: absolute; image-rendering: pixelated; }
.fool.plane-explorer .ground > * { pointer-events: none; }
.fool.plane-explorer .ticks { position: relative; font-variant-numeric: tabular-nums; }
.fool.plane-explorer .ticks span { position: absolute; white-space: nowrap; }
.fool.plane-explorer .up { grid-row: 1; grid-column: 1; width: 2.9em; }
.fool.plane-explorer .up span { right: .35em; transform: translateY(50%); }
.fool.plane-explorer .across { grid-row: 2; grid-column: 2; height: 1.35em; }
.fool.plane-explorer .across span { transform: translateX(-50%); }
.fool.plane-explorer .unit { grid-row: 3; grid-column: 2; text-align: center; }
.fool.plane-explorer .mark, .fool.plane-explorer .region { position: absolute; white-space: nowrap; color: #000;
  background: rgba(255, 255, 255, .85); padding: 0 .3em; border-radius: .2em; line-height: 1.2; }
.fool.plane-explorer .mark { font-weight: 600; }
.fool.plane-explorer .spot { position: absolute; width: .75em; height: .75em; transform: translate(-50%, 50%);
  border-radius: 50%; background: #000; border: .12em solid #fff; }
.fool.plane-explorer .cross { position: absolute; width: 0; height: 0; }
.fool.plane-explorer .cross::before, .fool.plane-explorer .cross::after { content: ""; position: absolute;
  background: #000; box-shadow: 0 0 0 .1em #fff; }
.fool.plane-explorer .cross::before { left: -.09em; top: -.9em; width: .18em; height: 1.8em; }
.fool.plane-explorer .cross::after { top: -.09em; left: -.9em; height: .18em; width: 1.8em; }
.fool.plane-explorer .side { flex: 1 1 12em; min-width: 12em; display: flex; flex-direction: column; gap: .7em; }
.fool.plane-explorer .side .bars { flex: none; max-width: none; }
.fool.plane-explorer .legend { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: .1em .5em;
  align-items: center; }
.fool.plane-explorer .legend .heading { grid-column: 1 / -1; font-weight: 600; }
.fool.plane-explorer .legend i { width: 1.1em; height: 1.1em; border: 1px solid var(--line); }
.fool.plane-explorer .legend .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.fool.plane-explorer .legend .share { text-align: right; }
.fool.plane-explorer :is(.share, .computed) { font-variant-numeric: tabular-nums; }
.fool.plane-explorer select { max-width: 8.5em; }
.fool.plane-explorer figcaption { font-variant-numeric: tabular-nums; }`;

const MOVE = 0.02; // of the map's side
const FAR = 5; // times as far, with shift
const OTHERS = "#adadad"; // the grey of classes without a colour, where the network is most certain

function explorer(context) {
  const { model } = context;
  const ui = begin(context, "plane-explorer", "Plane explorer: a map of classes, and the image of each place", EXPLORER);
  let state = null;
  let here = null;
  let seen = null;
  let running = false;
  let runs = 0;
  let sayLater = 0;
  let chosenBefore = "";
  let choosing = 0; // choices that are not answered yet
  let wished = null; // the size that was chosen last, until it is answered
  let written = [];

  const choices = make("div", ui.body, { class: "row" });
  const pictures = ["a", "b", "c"].map((name) => choose(choices, name, [], () => goTo(pictures.map((one) => one.value))));
  const size = choose(choices, "map", [], (value) => resize(parseInt(value, 10)));
  const go = button(choices, "", () => run(!running));

  const presetRow = ui.presets(async (preset) => {
    if (!state) return null;
    if (preset.pictures && preset.pictures.some((name, k) => name !== state.chosen[k])) await goTo(preset.pictures);
    if ("x" in preset) return look(preset.x, preset.y);
    return "corner" in preset && jump(preset.corner);
  });
  const progress = make("span", presetRow, { class: "computed" });

  const view = make("div", ui.body, { class: "row top" });
  const map = make("div", view, { class: "map" });
  const up = make("div", map, { class: "ticks up", "aria-hidden": "true" });
  const ground = make("div", map, { class: "ground", role: "img", style: "grid-row: 1; grid-column: 2" });
  const across = make("div", map, { class: "ticks across", "aria-hidden": "true" });
  make("div", map, { class: "unit" }, "grey levels (RMS)");
  const drawn = picture(ground, "");
  drawn.canvas.setAttribute("aria-hidden", "true");
  const names = make("div", ground, { "aria-hidden": "true" });
  const marks = make("div", ground, { "aria-hidden": "true" });
  const cross = make("div", ground, { class: "cross" });
  const there = picture(view, "the image at the cross");
  const side = make("div", view, { class: "side" });
  const drawBars = bars(side);
  const legend = make("div", side, { class: "legend" });

  const placed = (element, { x, y }) => {
    element.style.left = `${100 * x}%`;
    element.style.bottom = `${100 * y}%`;
    return element;
  };

  // A label centred on a place of the map, moved only as far as it must be to stay on the map.
  // It is left out if it would cover another one: the legend has the classes, and the buttons have the pictures.
  function write(parent, kind, text, { x, y }, lift = 0) {
    const label = make("span", parent, { class: kind }, text);
    const box = ground.getBoundingClientRect();
    if (!box.width) return null; // not shown; it is written again with the next answer
    const { width, height } = label.getBoundingClientRect();
    const left = Math.max(2, Math.min(box.width - width - 4, x * box.width - width / 2));
    const wish = (1 - y) * box.height - height / 2 - lift * height;
    const top = wish < 0 && lift ? (1 - y) * box.height + 0.6 * height : Math.max(2, Math.min(box.height - height - 4, wish));
    const over = written.some((one) => left < one.left + one.width && one.left < left + width
      && top < one.top + one.height && one.top < top + height);
    if (over) return label.remove();
    written.push({ left, top, width, height });
    return Object.assign(label.style, { left: `${(100 * left) / box.width}%`, top: `${(100 * top) / box.height}%` });
  }

  function ticks(parent, low, high, edge) {
    const rough = (high - low) / 5;
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * ten).find((one) => one >= rough);
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    parent.replaceChildren();
    for (let k = Math.ceil(low / step); k * step <= high; k++) {
      const text = (k * step).toFixed(digits).replace("-", "−");
      const share = (k * step - low) / (high - low);
      if (share > 0.03 && share < 0.97) make("span", parent, {}, text).style[edge] = `${100 * share}%`;
    }
  }

  function showMap(answer) {
    if (!answer) return false;
    state = { ...state, ...answer };
    const bytes = asBytes(answer.buffers[0]);
    drawn.draw(bytes);
    const cells = Math.sqrt(bytes.length / 3);
    const share = 100 / (cells - 1); // the outermost cells are centred on the borders
    Object.assign(drawn.canvas.style, { left: `${-share / 2}%`, top: `${-share / 2}%`, width: `${cells * share}%` });
    showChoices();
    const [left, right, bottom, top] = state.extent;
    ticks(across, left, right, "left");
    ticks(up, bottom, top, "bottom");
    written = [];
    marks.replaceChildren();
    for (const mark of state.marks.filter(inside)) {
      placed(make("div", marks, { class: "spot" }), mark);
      write(marks, "mark", mark.name.replaceAll("_", " "), mark, 1);
    }
    names.replaceChildren();
    for (const region of state.regions) if ("x" in region) write(names, "region", region.label, region);
    showLegend();
    const { computed, done } = state;
    const all = state.size ** 2;
    progress.textContent = done ? `all ${all} places computed` : `${computed} of ${all} places, ${Math.floor((100 * computed) / all)} %`;
    ground.setAttribute("aria-label", `map of ${state.regions.map((one) => `${one.label} ${percent(one.share)}`).join(", ")}`);
    showButtons();
    Object.assign(ui.root.dataset, { computed, done, drawn: 1 + Number(ui.root.dataset.drawn || 0) });
    return true;
  }

  const inside = ({ x, y }) => x >= 0 && x <= 1 && y >= 0 && y <= 1;

  function showChoices() {
    const choices = JSON.stringify([state.chosen, state.sizes, state.size]);
    if (choosing || choices === chosenBefore) return; // filling a list closes it, even while somebody is choosing
    chosenBefore = choices;
    state.chosen.forEach((name, k) => pictures[k].set(name));
    const text = (places) => `${places} × ${places}`;
    size.fill(state.sizes.map(text));
    size.set(text(state.size));
  }

  function showLegend() {
    legend.replaceChildren();
    make("div", legend, { class: "heading" }, "share of the map");
    const rest = 1 - state.regions.reduce((sum, one) => sum + one.share, 0);
    const rows = rest > 1e-6 ? [...state.regions, { label: "other classes", colour: OTHERS, share: rest }] : state.regions;
    for (const { label, colour, share } of rows) {
      make("i", legend).style.background = colour;
      make("span", legend, { class: "name", title: label }, label);
      make("span", legend, { class: "share" }, percent(share));
    }
  }

  function showButtons() {
    go.textContent = running ? "❚❚ stop" : "▶ continue";
    go.disabled = state.done;
    const corner = (k) => state.marks.find((mark) => mark.name === state.chosen[k]);
    model.get("presets").forEach((preset, k) => {
      if (!("corner" in preset) || "pictures" in preset) return;
      const one = presetRow.children[k];
      const mark = corner(preset.corner);
      one.textContent = `${k + 1}  ${(state.chosen[preset.corner] || preset.title).replaceAll("_", " ")}`;
      one.disabled = !mark || !inside(mark);
    });
  }

  function jump(corner) {
    const mark = state.marks.find((one) => one.name === state.chosen[corner]);
    if (mark && inside(mark)) return look(mark.x, mark.y);
    ui.say("this picture is outside the map");
    return null;
  }

  const clip = (share) => Math.min(1, Math.max(0, share));

  async function look(x, y) {
    here = { x: clip(x), y: clip(y) };
    placed(cross, here);
    looked(await ui.ask("look", here));
  }

  function looked(answer) {
    if (!answer) return;
    there.draw(asBytes(answer.buffers[0]));
    const [right, high] = [answer.across, answer.up].map((value) => value.toFixed(1).replace("-", "−"));
    there.title(`${right} across, ${high} up`);
    drawBars(answer.top);
    seen = answer;
    Object.assign(ui.root.dataset, { x: answer.x, y: answer.y });
    clearTimeout(sayLater);
    sayLater = setTimeout(() => ui.say(`${right} across, ${high} up: ${answer.top[0].label} ${percent(answer.top[0].probability)}`), 500);
  }

  function begun(answer) {
    chosenBefore = ""; // a list may show what could not be chosen
    if (!answer) {
      if (state && showMap(state)) run(true);
      return;
    }
    pictures.forEach((one) => one.fill(answer.pictures));
    showMap(answer);
    const [x, y] = answer.at || [];
    if (answer.at) look(x, y);
    else if (!state.marks[0] || !inside(state.marks[0])) look(0.5, 0.5);
    else look(state.marks[0].x, state.marks[0].y);
    run(true);
  }

  async function change(values) {
    choosing++;
    const answer = await ui.tell("choose", values);
    choosing--;
    if (choosing) return;
    wished = null;
    begun(answer);
  }
  const goTo = (three) => change({ pictures: three });
  const resize = (value) => {
    wished = value;
    return change({ size: value });
  };

  async function run(on) {
    const mine = ++runs; // a later start or stop ends this one
    running = on && !state.done;
    if (running) ui.alone();
    showButtons();
    ui.root.dataset.running = running;
    while (running && mine === runs) {
      const done = !showMap(await ui.askSeen("refine")) || state.done; // a question about a place is answered before the next one
      if (mine !== runs) return;
      if (done) {
        running = false;
        showButtons();
        ui.root.dataset.running = running;
        if (state.done) ui.say("the map is computed");
      }
    }
  }

  const toShare = (event) => {
    const box = ground.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
  };
  for (const kind of ["pointermove", "pointerdown"]) ground.addEventListener(kind, (event) => look(...toShare(event)));

  const move = (x, y) => (event) => {
    const step = event.shiftKey ? FAR * MOVE : MOVE;
    return here && look(here.x + step * x, here.y + step * y);
  };
  const finer = (by) => {
    const next = state.sizes[state.sizes.indexOf(wished ?? state.size) + by];
    return next && resize(next);
  };
  ui.keys([
    ["ArrowLeft", "move the cross left (shift: far)", move(-1, 0)],
    ["ArrowRight", "move the cross right", move(1, 0)],
    ["ArrowUp", "move the cross up", move(0, 1)],
    ["ArrowDown", "move the cross down", move(0, -1)],
    [" ", "stop or continue the map", once(() => run(!running))],
    ["+", "more places", () => finer(1)],
    ["-", "fewer places", () => finer(-1)],
    ["/", "choose pictures", () => pictures[0].select.focus()],
  ]);
  const resized = new ResizeObserver(() => { if (state) showMap(state); }); // labels are placed by their size
  resized.observe(ground);
  ui.stage([presetRow, choices], [[there.figure]]);
  ui.root.explorer = () => ({ ...state, here, seen, running }); // for the console, and for tests
  ui.follow((answer) => {
    if (!state) return;
    if (answer.ask === "choose") chosenBefore = "";
    if (["choose", "refine"].includes(answer.ask)) showMap(answer);
    if (answer.ask === "look") {
      here = { x: answer.x, y: answer.y };
      placed(cross, here);
      looked(answer);
    }
  });
  ui.pause = () => running && run(false);
  ui.first("begin", begun);
  ui.onEnd(() => {
    running = false;
    runs++;
    clearTimeout(sayLater);
    resized.disconnect();
  });
  return ui.end;
}

export default { render: explorer };
