// A slider whose every stop is an image: with two curves beside it (epsilon), or with two networks' opinions (prior).
const STOPS_STYLE = `
.fool.stops .plot { flex: 1 1 20em; min-width: 16em; }
.fool.stops svg { width: 100%; display: block; overflow: visible; font-size: 1em; }
.fool.stops svg text { fill: var(--ink); font-size: 1em; }
.fool.stops .axis { stroke: var(--line); fill: none; }
.fool.stops .target { stroke: var(--warm); } .fool.stops .own { stroke: var(--accent); }
.fool.stops .curve { fill: none; stroke-width: 4; } .fool.stops .noise { stroke-width: 2.5; stroke-dasharray: 7 6; }
.fool.stops .here { stroke: var(--ink); stroke-width: 2; }
.fool.stops .key { display: grid; grid-template-columns: 2.6em 1fr; gap: 0 .6em; align-items: center; }
.fool.stops .key svg { height: .8em; }
.fool.stops figcaption { white-space: pre-line; }
.fool.stops .largest { width: calc(1.4 * var(--picture)); }`;

const SVG = "http://www.w3.org/2000/svg";
function draw(tag, parent, attributes) {
  const element = parent.appendChild(document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// The slider itself; `show(answer)` is called with the answer to each stop.
function stopSlider(ui, parent, name, count, text, show) {
  let place = -1;
  const line = slider(parent, name, { min: 0, max: count - 1, step: 1, value: 0, show: text }, (value) => go(value));
  async function go(to) {
    const next = Math.max(0, Math.min(count - 1, to));
    if (next === place) return;
    place = next;
    line.set(place);
    const answer = await ui.ask("stop", { place });
    if (!answer) return;
    show(answer);
    Object.assign(ui.root.dataset, { place: answer.place });
  }
  ui.keys([
    ["ArrowRight", "further", () => go(place + 1)],
    ["ArrowLeft", "back", () => go(place - 1)],
    ["Home", "to the first", () => go(0)],
    ["End", "to the last", () => go(count - 1)],
  ]);
  return go;
}

function epsilon(ui, start) {
  const { labels, sizes, level } = start;
  const nearest = (size) => sizes.reduce((best, one, k) => (Math.abs(one - size) < Math.abs(sizes[best] - size) ? k : best), 0);
  let go = () => {};
  ui.presets(({ size }) => go(nearest(size)));
  const controls = make("div", ui.body, { class: "row" });
  const view = make("div", ui.body, { class: "row top" });
  const images = [picture(view, "with the change"), picture(view, "with noise of this size")];
  const plot = make("div", view, { class: "plot" });
  const chart = draw("svg", plot, { role: "img" });
  const key = make("div", plot, { class: "key" });
  for (const [name, kind, text] of [["target", "", "the change"], ["own", "", "the change"], ["target", "noise", "noise"], ["own", "noise", "noise"]]) {
    const sample = draw("svg", key, { viewBox: "0 0 40 10" });
    draw("path", sample, { d: "M0,5 H40", class: `curve ${name} ${kind}` });
    make("span", key, {}, `${labels[name]}, ${text}`);
  }
  let rows = start.rows;
  let at = 0;

  function paint() {
    const em = parseFloat(getComputedStyle(ui.root).fontSize);
    const width = Math.max(220, plot.clientWidth);
    const height = Math.round(Math.min(0.62 * width, 13 * em));
    const [left, bottom] = [3.3 * em, 2.6 * em];
    const x = (size) => left + ((width - left - em) * size) / sizes[sizes.length - 1];
    const y = (p) => 0.6 * em + (height - bottom - 0.6 * em) * (1 - p);
    chart.replaceChildren();
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (const p of [0, 0.5, 1]) {
      draw("path", chart, { d: `M${left},${y(p)} H${width - em}`, class: "axis" });
      const text = draw("text", chart, { x: left - 0.3 * em, y: y(p) + 0.35 * em, "text-anchor": "end" });
      text.textContent = `${100 * p} %`;
    }
    const most = sizes[sizes.length - 1] * level;
    const step = [0.25, 0.5, 1, 2, 5, 10, 20, 50].find((s) => most / s <= 5) || most / 4;
    for (let tick = 0; tick <= most; tick += step) {
      draw("path", chart, { d: `M${x(tick / level)},${y(0)} v${0.3 * em}`, class: "axis" });
      draw("text", chart, { x: x(tick / level), y: y(0) + 1.2 * em, "text-anchor": "middle" }).textContent = tick;
    }
    draw("text", chart, { x: (left + width) / 2, y: height - 0.1 * em, "text-anchor": "middle" }).textContent = "size: grey levels (RMS)";
    for (const kind of ["noise", "change"]) {
      for (const name of ["own", "target"]) {
        const d = rows.map((row, k) => `${k ? "L" : "M"}${x(row.size)},${y(row[`${name}, ${kind}`])}`).join("");
        if (d) draw("path", chart, { d, class: `curve ${name} ${kind}` });
      }
    }
    draw("path", chart, { d: `M${x(sizes[at])},${y(0)} V${y(1)}`, class: "here" });
    chart.setAttribute("aria-label", rows.length ? `probability of ${labels.target} and ${labels.own} over the size of the change` : "nothing is measured yet");
    ui.root.dataset.rows = rows.length;
  }

  const text = (k) => `${(sizes[k] * level).toFixed(2)} grey levels (L2 ${sizes[k].toFixed(2)})`;
  go = stopSlider(ui, controls, "size", sizes.length, text, ({ place, tops, buffers }) => {
    at = place;
    images.forEach((image, k) => {
      image.draw(asBytes(buffers[k]));
      const [top] = tops[k];
      image.title(`${k ? "noise" : "change"}: ${top.label}\n${percent(top.probability)}`);
    });
    paint();
  });
  const watch = new ResizeObserver(paint);
  watch.observe(plot);
  let closed = false;
  ui.onEnd(() => { closed = true; watch.disconnect(); });
  (async () => {
    await go(0);
    while (!closed && rows.length < sizes.length) {
      const answer = await ui.ask("measure");
      if (!answer) return;
      rows = answer.rows;
      paint();
    }
    ui.root.dataset.measured = "1";
  })();
}

function prior(ui, start, description) {
  const { titles, models, label } = start;
  let go = () => {};
  ui.presets(({ title }) => go(titles.indexOf(title)));
  const controls = make("div", ui.body, { class: "row" });
  const view = make("div", ui.body, { class: "row top" });
  const image = picture(view, "");
  image.figure.classList.add("largest");
  const drawers = models.map((name) => bars(view, name));
  go = stopSlider(ui, controls, description, titles.length, (k) => titles[k], ({ place, tops, buffers }) => {
    image.draw(asBytes(buffers[0]));
    image.title(titles[place]);
    drawers.forEach((drawBars, k) => drawBars(tops[k], { target: label }));
  });
  go(start.place);
}

function stops(context) {
  const { model } = context;
  const kind = model.get("kind");
  const ui = begin(context, `stops ${kind}`, kind === "epsilon" ? "Epsilon explorer" : "Prior explorer");
  make("style", ui.root).textContent = STOPS_STYLE;
  ui.ask("begin").then((start) => {
    if (!start) return;
    if (kind === "epsilon") epsilon(ui, start);
    else prior(ui, start, model.get("description"));
  });
  return ui.end;
}

export default { render: stops };
