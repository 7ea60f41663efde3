// Images along a path, one stop at a time; `stops` holds what the two widgets share.
const STOPS = `
.fool.stops .bars { flex: none; max-width: none; min-width: 0; align-content: start; }
.fool.stops .bars .target { font-weight: 600; }
.fool.stops .along { max-width: 100%; flex-wrap: nowrap; }
.fool.stops .along output { white-space: nowrap; text-align: right; }
.fool.sizes .along output { min-width: 15em; }
.fool.sizes .shown { width: var(--picture); }
.fool.sizes .shown figcaption { font-weight: 600; }
.fool.sizes .plot { flex: 1 1 22em; min-width: 0; }
.fool.sizes .plot svg { display: block; width: 100%; height: calc(1.2 * var(--picture)); cursor: pointer;
  touch-action: none; }
.fool.sizes .legend { display: grid; grid-template-columns: auto auto; justify-content: start; gap: .1em .8em; }
.fool.sizes .legend div { display: flex; gap: .4em; align-items: center; min-width: 0; }
.fool.sizes .legend span { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.fool.sizes .legend svg { flex: none; width: 2em; height: 1em; }
.fool.sizes svg text { fill: var(--ink); font: inherit; }
.fool.sizes .axis { stroke: var(--line); stroke-width: 1; fill: none; }
.fool.sizes .here { stroke: var(--ink); stroke-width: 2; stroke-dasharray: 3 4; }
.fool.sizes .own { --line-colour: var(--accent); }
.fool.sizes .target { --line-colour: var(--warm); }
.fool.sizes .curve { fill: none; stroke: var(--line-colour); stroke-width: 3.5; }
.fool.sizes .own .curve { stroke-dasharray: 9 4; }
.fool.sizes .mark { fill: var(--line-colour); stroke: none; }
.fool.sizes .noise .curve { stroke-width: 1.5; }
.fool.sizes .noise .mark { fill: var(--paper); stroke: var(--line-colour); stroke-width: 1.5; }
.fool.priors { --picture: calc(1.5 * var(--fool-picture, 200px)); }
.fool.priors figcaption { font-weight: 600; white-space: pre-line; }
.fool.priors .beside { flex: 1 1 24em; min-width: 0; display: flex; flex-direction: column; gap: .8em; }
.fool.priors .judges { display: flex; flex-wrap: wrap; gap: .8em 1.2em; }
.fool.priors .judges .bars { flex: 1 1 12em; min-height: 12.5em; }`;

// A slider over the stops, with its keys. `told` and `spoken` say where it is, `show` draws the answer of a stop.
function stops(ui, parent, name, count, { told, spoken, show }) {
  const last = count - 1;
  const set = (place) => {
    move.set(place);
    if (spoken) move.input.setAttribute("aria-valuetext", spoken[place]);
  };
  let moves = 0;
  let at = 0; // the stop that is shown
  const go = async (place) => {
    const mine = ++moves;
    set(Math.max(0, Math.min(last, place)));
    row.press(presets.findIndex((preset) => preset.place === move.value));
    return arrive(await ui.ask("stop", { place: move.value }), mine);
  };
  function arrive(answer, mine) {
    if (!answer) {
      if (mine === moves) set(at);
      return null;
    }
    show(answer);
    at = answer.place;
    if (mine === moves) set(answer.place); // otherwise somebody moved on, and must not be moved back
    Object.assign(ui.root.dataset, { place: answer.place, drawn: 1 + Number(ui.root.dataset.drawn || 0) });
    return answer;
  }
  const line = make("div", parent, { class: "row along" });
  const move = slider(line, name, { min: 0, max: last, step: 1, value: 0, show: told }, go);
  let presets = [];
  let row = { press: () => {} };
  const offer = (all, apply) => {
    presets = all;
    if (all.length) row = ui.presets(apply);
  };
  ui.keys([
    ["ArrowLeft", "one stop back", () => go(move.value - 1)],
    ["ArrowRight", "one stop forward", () => go(move.value + 1)],
    ["Home", "the first stop", () => go(0)],
    ["End", "the last stop", () => go(last)],
  ]);
  const follow = (answer) => {
    arrive(answer, moves);
    row.press(presets.findIndex((preset) => preset.place === answer.place));
  };
  return { go, arrive, follow, offer, moves: () => moves };
}

// ------------------------------------------------------------------------------------------------ how large a change?

const LINES = [["own", "change"], ["target", "change"], ["own", "noise"], ["target", "noise"]];
const FORM = { own: (x, y, r) => ["rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r }],
  target: (x, y, r) => ["circle", { cx: x, cy: y, r: 1.1 * r }] };

function line(parent, [name, way], points, radius, marks = points) {
  const group = shape("g", parent, { class: `${name} ${way}` });
  shape("polyline", group, { class: "curve", points: points.map((point) => point.join()).join(" ") });
  let before = -Infinity;
  for (const [x, y] of marks) {
    if (x - before < 4 * radius) continue; // overlapping marks cannot be read
    before = x;
    const [tag, place] = FORM[name](x, y, radius);
    shape(tag, group, { ...place, class: "mark" });
  }
}

// A few round numbers for an axis from 0.
function ticks(largest) {
  const rough = largest / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  return Array.from({ length: Math.floor(largest / step + 1e-9) + 1 }, (_, k) => Number((k * step).toPrecision(6)));
}

function sizes(context) {
  const { model } = context;
  const ui = begin(context, "stops sizes", "Size of a change", STOPS);
  const titles = model.get("titles");
  const rows = new Map();
  let facts = null;
  let now = null;
  let measuring = null;
  let ended = false;

  const view = make("div", ui.body, { class: "row top" });
  const plot = make("div", view, { class: "plot" });
  const svg = shape("svg", plot, { role: "img" });
  const legend = make("div", plot, { class: "legend", "aria-hidden": "true" });
  const shown = ["the change", "noise, same size"].map((caption) => {
    const box = make("div", view, { class: "shown" });
    return { picture: picture(box, caption), verdict: bars(box) };
  });
  // the size that was asked for, until the size after rounding is known
  const told = (place) => {
    const size = rows.has(place) ? rows.get(place).change.size : null;
    return size === null ? titles[place] : `L2 ${size.toFixed(2)}, ${(size / facts.level).toFixed(2)} grey levels`;
  };
  const way = stops(ui, ui.body, "size", titles.length, { told, show });
  way.offer(model.get("presets"), async (preset) => {
    if (!preset.enough) return way.go(preset.place);
    const mine = way.moves();
    await measure();
    return mine === way.moves() && way.arrive(await ui.ask("enough"), mine); // unless somebody moved on in the meantime
  });

  function show(answer) {
    now = answer;
    rows.set(answer.place, answer.row);
    ["change", "noise"].forEach((kind, k) => {
      const { label, probability } = answer.row[kind];
      shown[k].picture.draw(asBytes(answer.buffers[k]), answer.width);
      shown[k].verdict([{ label, probability }], facts);
    });
    drawPlot();
    const verdict = (kind) => `${answer.row[kind].label} ${percent(answer.row[kind].probability)}`;
    const words = `${told(answer.place)}: ${verdict("change")}, with noise ${verdict("noise")}`;
    svg.setAttribute("aria-label", `Probability of ${facts.own} and of ${facts.target} against the size of the change. At ${words}`);
    ui.say(words);
    measure();
  }

  // A few sizes at a time, so that one sees the curves grow, and a question in between is answered soon.
  const measure = () => {
    measuring ||= measureAll().finally(() => { measuring = null; });
    return measuring;
  };
  async function measureAll() {
    while (!ended && rows.size < facts.sizes.length) {
      const answer = await ui.ask("measure");
      if (!answer) return; // the next stop tries again
      measured(answer);
    }
  }
  function measured(answer) {
    answer.rows.forEach(([place, row]) => rows.set(place, row));
    drawPlot();
  }

  let scale = null;
  function drawPlot() {
    const [width, height] = [svg.clientWidth, svg.clientHeight];
    if (!facts || !width) return;
    const em = parseFloat(getComputedStyle(svg).fontSize);
    const [left, right, top, bottom] = [3.9 * em, width - 0.8 * em, 0.7 * em, height - 2.8 * em];
    const largest = facts.sizes[facts.sizes.length - 1];
    const x = (size) => left + ((right - left) * Math.min(size, largest)) / largest;
    const y = (share) => bottom - (bottom - top) * share;
    scale = (at) => ((at - left) / (right - left)) * largest;
    svg.replaceChildren();
    for (const share of [0, 0.5, 1]) {
      shape("line", svg, { class: "axis", x1: left, x2: right, y1: y(share), y2: y(share) });
      shape("text", svg, { x: left - 0.4 * em, y: y(share) + 0.35 * em, "text-anchor": "end" }, `${100 * share} %`);
    }
    for (const size of ticks(largest)) {
      shape("line", svg, { class: "axis", x1: x(size), x2: x(size), y1: bottom, y2: bottom + 0.3 * em });
      shape("text", svg, { x: x(size), y: bottom + 1.35 * em, "text-anchor": "middle" }, String(size));
    }
    const missing = facts.sizes.length - rows.size;
    shape("text", svg, { x: (left + right) / 2, y: height - 0.3 * em, "text-anchor": "middle" },
      `size of the change, L2${missing ? ` (${rows.size} of ${facts.sizes.length} measured)` : ""}`);
    const known = [...rows.keys()].sort((a, b) => a - b).map((place) => rows.get(place));
    for (const one of [...LINES].reverse()) { // the change over the noise
      line(svg, one, known.map((row) => [x(row[one[1]].size), y(row[one[1]][one[0]])]), 0.2 * em);
    }
    if (now) {
      const at = x(now.row.change.size);
      shape("line", svg, { class: "here", x1: at, x2: at, y1: top - 0.4 * em, y2: bottom });
      for (const [name, kind] of [...LINES].reverse()) {
        const group = shape("g", svg, { class: `${name} ${kind}` });
        const [tag, place] = FORM[name](x(now.row[kind].size), y(now.row[kind][name]), 0.36 * em);
        shape(tag, group, { ...place, class: "mark chosen" });
      }
    }
    Object.assign(ui.root.dataset, { measured: rows.size });
  }

  function explain() {
    for (const one of LINES) {
      const entry = make("div", legend);
      const sample = shape("svg", entry, { viewBox: "0 0 40 20" });
      line(sample, one, [[0, 10], [40, 10]], 5, [[20, 10]]);
      make("span", entry, { title: facts[one[0]] }, `${facts[one[0]]}, ${one[1]}`);
    }
    // change and noise side by side, a class per row
    legend.append(...[0, 2, 1, 3].map((k) => legend.children[k]));
  }

  const point = (event) => {
    if (!scale || (event.type === "pointermove" && !event.buttons)) return;
    const size = scale(event.clientX - svg.getBoundingClientRect().left);
    const off = (place) => Math.abs(facts.sizes[place] - size);
    const nearest = facts.sizes.reduce((best, _, place) => (off(place) < off(best) ? place : best), 0);
    if (!now || nearest !== now.place) way.go(nearest);
  };
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointermove", point);
  const watch = new ResizeObserver(drawPlot);
  watch.observe(svg);
  ui.onEnd(() => { ended = true; watch.disconnect(); });

  ui.stage([...ui.root.querySelectorAll(".presets")]);
  ui.root.stops = () => ({ ...facts, place: now && now.place, row: now && now.row, rows: [...rows] }); // for the console, and for tests
  ui.follow((answer) => facts && ({ stop: way.follow, enough: way.follow, measure: measured }[answer.ask] || (() => {}))(answer));
  ui.first("begin", (answer) => {
    facts = answer;
    explain();
    way.go(answer.place);
  });
  return ui.end;
}

// ------------------------------------------------------------------------------------------------ from a prior to none

function priors(context) {
  const { model } = context;
  const ui = begin(context, "stops priors", model.get("description"), STOPS);
  const titles = model.get("titles");
  let now = null;

  const view = make("div", ui.body, { class: "row top" });
  const image = picture(view, "");
  const beside = make("div", view, { class: "beside" });
  const way = stops(ui, beside, model.get("description"), titles.length, {
    told: (place) => `${place + 1} of ${titles.length}`, spoken: titles, show,
  });
  const judges = make("div", beside, { class: "judges" });
  way.offer(model.get("presets"), (preset) => way.go(preset.place));

  function show(answer) {
    now = answer;
    image.draw(asBytes(answer.buffers[0]), answer.width);
    image.title(titles[answer.place]);
    judges.replaceChildren();
    for (const { name, top, marked } of answer.answers) {
      const missing = marked && marked.rank > top.length;
      const target = missing ? `${marked.label}, rank ${marked.rank}` : marked && marked.label;
      bars(judges, name)([...top, ...(missing ? [{ ...marked, label: target }] : [])], { target });
    }
    const told = answer.answers.map(({ name, top }) => `${name}: ${top[0].label} ${percent(top[0].probability)}`);
    ui.say([titles[answer.place], ...told].join(", "));
  }

  ui.stage([...ui.root.querySelectorAll(".along, .presets")]);
  ui.root.stops = () => ({ ...now }); // for the console, and for tests
  ui.follow((answer) => answer.ask === "stop" && way.follow(answer));
  ui.first("begin", (answer) => way.go(answer.place));
  return ui.end;
}

export default { render: (context) => ({ sizes, priors })[context.model.get("kind")](context) };
