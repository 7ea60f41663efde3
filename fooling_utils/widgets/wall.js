// The wall of champions: it asks for one generation after another, and draws the new champions.
const WALL = `
.fool.wall .frame { flex: 1 1 30em; min-width: 0; max-width: 44em; display: flex; flex-direction: column; gap: .3em; }
.fool.wall .ground { position: relative; background: #000; cursor: crosshair; touch-action: manipulation; }
.fool.wall .ground canvas { display: block; width: 100%; }
.fool.wall .ground canvas.coarse { image-rendering: pixelated; }
.fool.wall .cursor { position: absolute; pointer-events: none; border: .2em solid #fff; outline: .15em solid #000;
  margin: -.2em; box-shadow: inset 0 0 0 .12em #000; }
.fool.wall .cursor[hidden] { display: none; }
.fool.wall .foot { display: flex; flex-wrap: wrap; gap: 0 1em; white-space: nowrap; }
.fool.wall .here { flex: 1 1 7em; min-width: 0; overflow: hidden; text-overflow: ellipsis; font-weight: 600; }
.fool.wall .progress { height: .35em; position: relative; background: var(--soft); }
.fool.wall .progress i { position: absolute; left: 0; bottom: 0; background: var(--accent); }
.fool.wall .progress i:nth-child(1) { height: 34%; } .fool.wall .progress i:nth-child(2) { height: 67%; }
.fool.wall .progress i:nth-child(3) { height: 100%; }
.fool.wall .counts { display: flex; flex-wrap: wrap; gap: 0 1.1em; font-variant-numeric: tabular-nums; }
.fool.wall .search input { width: 9em; }
.fool.wall .beside { flex: 1 1 18em; min-width: 0; display: flex; flex-wrap: wrap; gap: .6em .8em; align-items: flex-start; }
.fool.wall .beside .opinions { flex: 1 1 11em; min-width: 0; display: flex; flex-direction: column; gap: .6em; }
.fool.wall .beside .bars { flex: none; max-width: none; min-width: 0; }
.fool.wall .beside figcaption { font-weight: 600; overflow-wrap: anywhere; }
.fool.wall .beside .born { font-weight: 400; }`;

const EDGE = 1; // pixels around a thumbnail
const FLOOR = ON_STAGE ? 0.2 : 0; // of the brightness, so that a first generation is not black in a hall
const SURE = 0.99; // a white frame, so that brightness is not the only sign

function wall(context) {
  const { model } = context;
  const ui = begin(context, "wall", "Wall of champions", WALL);
  const names = model.get("names");
  const columns = model.get("columns");
  const rows = Math.ceil(names.length / columns);
  const confidence = new Float64Array(names.length).fill(-1); // -1: no champion was drawn
  let facts = { generations: 0 };
  let place = 0;
  let pointed = null; // the champion under the pointer
  let looked = null; // what is shown large
  let rank = 0; // of the champion that was last chosen by its confidence
  let playing = false;
  let runs = 0;
  let filling = null;
  let choices = 0; // of a champion: a later one ends the search for one that both networks know

  const controls = make("div", ui.body, { class: "row" });
  const playButton = button(controls, "▶ play", () => play(!playing), { class: "main" });
  button(controls, "one generation", () => step());
  const find = search(controls, "class", names, (name) => { visit(names.indexOf(name)); ui.root.focus(); });
  const presetRow = ui.presets((preset) => {
    if (preset.play) return play(true);
    if (preset.agree) return agree(preset.agree);
    return preset.best ? best(preset.best) : visit(preset.place);
  });
  controls.append(presetRow);
  if (!model.get("presets").length) presetRow.remove();

  const counts = make("div", ui.body, { class: "counts" });
  const view = make("div", ui.body, { class: "row top" });
  const frame = make("div", view, { class: "frame" });
  const ground = make("div", frame, { class: "ground", role: "img" });
  const canvas = make("canvas", ground, { "aria-hidden": "true" });
  const cursor = make("div", ground, { class: "cursor" });
  const progress = make("div", frame, { class: "progress", "aria-hidden": "true" });
  const shares = [0, 1, 2].map(() => make("i", progress));
  const foot = make("div", frame, { class: "foot" });
  const here = make("span", foot, { class: "here" });
  make("span", foot, { class: "key" }, "bright: confident, framed: 99 %");
  const beside = make("div", view, { class: "beside" });
  const large = picture(beside, "");
  large.title("click a champion to see it large");
  const opinions = make("div", beside, { class: "opinions" });

  // ------------------------------------------------------------------------------------------------- what is drawn

  function paint(champions, bytes) {
    const [height, width] = [facts.height, facts.width];
    const drawing = canvas.getContext("2d");
    champions.places.forEach((one, k) => {
      const share = champions.confidence[k];
      confidence[one] = share;
      const image = new ImageData(width + 2 * EDGE, height + 2 * EDGE);
      const sure = share >= SURE;
      for (let y = -EDGE, to = 0; y < height + EDGE; y++) {
        for (let x = -EDGE; x < width + EDGE; x++, to += 4) {
          // the frame takes the outermost pixels of the thumbnail, too: one would be lost on a small screen
          const edge = Math.min(x, y, width - 1 - x, height - 1 - y) < (sure && width > 2 * EDGE + 8 ? EDGE : 0);
          const from = 3 * ((champions.which[k] * height + y) * width + x);
          for (let c = 0; c < 3; c++) image.data[to + c] = edge ? 255 * sure : (FLOOR + (1 - FLOOR) * share) * bytes[from + c];
          image.data[to + 3] = 255;
        }
      }
      drawing.putImageData(image, (one % columns) * image.width, Math.floor(one / columns) * image.height);
    });
  }

  function draw(answer) {
    paint(answer.champions, asBytes(answer.buffers[0]));
    count(answer);
    where();
  }

  function count(answer) {
    const { generations, evaluations, over, median } = answer;
    facts = { ...facts, generations, evaluations, over, median };
    counts.replaceChildren();
    const number = (value) => value.toLocaleString("en").replaceAll(",", " ");
    const texts = [`generation ${number(generations)}`, `${number(evaluations)} evaluations`,
      ...["over 50", "90", "99"].map((limit, k) => `${limit} %: ${over[k]}`), `median ${percent(median)}`];
    texts.forEach((text) => make("span", counts, {}, text));
    shares.forEach((one, k) => { one.style.width = `${(100 * over[k]) / names.length}%`; });
    ground.setAttribute("aria-label", `the champions of ${names.length} classes, brighter means more confident: ${texts.join(", ")}`);
    Object.assign(ui.root.dataset, { generations, drawn: 1 + Number(ui.root.dataset.drawn || 0) });
  }

  const known = (one) => confidence[one] >= 0;
  // the number first: where there is little room, the end of a long name is lost
  const tell = (one) => (known(one) ? `${percent(confidence[one])} ${names[one]}` : `no champion yet: ${names[one]}`);

  function where() {
    here.textContent = tell(pointed === null ? place : pointed);
    here.title = here.textContent;
    Object.assign(cursor.style, {
      left: `${(100 * (place % columns)) / columns}%`, width: `calc(${100 / columns}% + .4em)`,
      top: `${(100 * Math.floor(place / columns)) / rows}%`, height: `calc(${100 / rows}% + .4em)`,
    });
  }

  function show(answer) {
    looked = answer;
    large.draw(asBytes(answer.buffers[0]), answer.width);
    large.canvas.style.imageRendering = answer.width < 64 ? "pixelated" : "auto";
    large.title(names[answer.place]);
    make("div", large.figure.querySelector("figcaption"), { class: "born" }, `generation ${answer.born}`);
    opinions.replaceChildren();
    for (const { name, top, own } of answer.opinions) {
      const low = own.rank > top.length;
      const target = low ? `${own.label}, rank ${own.rank}` : own.label;
      bars(opinions, name)(low ? [...top.slice(0, -1), { ...own, label: target }] : top, { target });
    }
    ui.root.dataset.looked = answer.place;
  }

  // -------------------------------------------------------------------------------------------------- what is asked

  // All champions so far, a few rows at a time.
  const fill = () => {
    filling ||= fillAll().finally(() => { filling = null; });
    return filling;
  };
  async function fillAll() {
    for (let first = 0; first < names.length; first += facts.at_once) {
      const answer = await ui.ask("champions", { first });
      if (!answer) return;
      draw(answer);
    }
    ui.root.dataset.filled = "1";
  }

  const generation = () => ui.askSeen("generation");

  function grown(answer, own = true) {
    const missed = answer.before !== facts.generations;
    draw(answer);
    if (missed) fill();
    if (own && looked && answer.champions.places.includes(looked.place)) look(looked.place, false); // a better one came
  }

  async function play(on) {
    if (playing === on) return;
    playing = on;
    playButton.textContent = on ? "❚❚ pause" : "▶ play";
    ui.root.dataset.playing = on;
    const run = ++runs; // a later play or pause ends this one
    if (!on) return;
    ui.alone();
    let next = generation();
    let answer = null;
    while (next) {
      answer = await next;
      const stop = !answer || run !== runs;
      next = stop ? null : generation(); // Python evolves while this one is drawn
      if (answer) grown(answer);
    }
    if (run === runs) play(false);
    if (answer) told(); // an error stays on the page until somebody goes on
  }

  // Each press counts, however busy Python is; of a key that is held down, only what it can answer.
  async function step({ repeat = false } = {}) {
    if (playing) return play(false);
    const answer = await (repeat ? generation() : ui.tell("generation"));
    if (!answer) return null;
    grown(answer);
    return told();
  }

  const told = () => {
    if (!facts.generations) return null;
    ui.say(`generation ${facts.generations}, ${facts.over[0]} of ${names.length} over 50 %`);
    return looked || best(1);
  };

  async function look(one = place, aloud = true) {
    if (aloud) choices++;
    const answer = await ui.ask("look", { place: one });
    if (!answer) return;
    show(answer);
    if (!aloud) return;
    const opinions = answer.opinions.map(({ name, top }) => `${name}: ${top[0].label} ${percent(top[0].probability)}`);
    ui.say([names[one], ...opinions].join(", "));
  }

  function go(to) {
    choices++;
    [place, pointed] = [to, null];
    where();
    find.set(names[place]);
  }

  function move(to) {
    if (to < 0 || to >= names.length) return;
    rank = 0;
    go(to);
    ui.say(tell(place));
  }

  function visit(one) {
    go(one);
    return look();
  }

  function best(wanted) {
    const order = [...names.keys()].filter(known).sort((a, b) => confidence[b] - confidence[a] || a - b);
    if (!order.length) return ui.fail("There are no champions yet: play, or ask for one generation.");
    rank = Math.min(wanted, order.length);
    return visit(order[rank - 1]);
  }

  async function agree(wanted) {
    const mine = ++choices;
    let answer = { asked: 0, of: 1 };
    while (answer && mine === choices && answer.place === undefined) {
      answer = await ui.ask("agree", { rank: wanted });
      if (answer && mine === choices) here.textContent = `the second network was asked about ${answer.asked} of ${answer.of}`;
    }
    if (answer && mine === choices) await visit(answer.place);
  }

  // ------------------------------------------------------------------------------------------------- mouse and keys

  const under = (event) => {
    const box = ground.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const one = Math.floor(((event.clientY - box.top) / box.height) * rows) * columns + column;
    return column >= 0 && column < columns && one >= 0 && one < names.length ? one : place;
  };
  ground.addEventListener("pointermove", (event) => { pointed = under(event); where(); });
  ground.addEventListener("pointerleave", () => { pointed = null; where(); });
  ground.addEventListener("click", (event) => visit(under(event)));
  ui.keys([
    [" ", "play or pause", once(() => play(!playing))],
    ["s", "one generation", step],
    ["ArrowLeft", "the champion to the left", () => move(place - 1)],
    ["ArrowRight", "to the right", () => move(place + 1)],
    ["ArrowUp", "above", () => move(place - columns)],
    ["ArrowDown", "below", () => move(place + columns)],
    ["Enter", "see it large", () => look()],
    ["n", "the next by confidence", () => best(rank + 1)],
    ["/", "find a class", () => find.input.focus()],
  ]);

  ui.stage([controls]);
  ui.root.wall = () => ({ ...facts, place, playing, confidence: [...confidence], looked }); // for the console, and for tests
  ui.follow((answer) => {
    if (!ui.root.dataset.begun) return;
    if (answer.ask === "champions") draw(answer);
    if (answer.ask === "generation") grown(answer, false);
    if (answer.ask === "look") {
      go(answer.place);
      show(answer);
    }
  });
  ui.pause = () => { choices++; play(false); };
  ui.first("begin", (answer) => {
    facts = answer;
    canvas.width = columns * (facts.width + 2 * EDGE);
    canvas.height = rows * (facts.height + 2 * EDGE);
    canvas.classList.toggle("coarse", facts.width < 16);
    count(answer);
    go(0);
    ui.root.dataset.begun = "1";
    if (answer.generations) fill().then(() => looked || playing || best(1));
  });
  ui.onEnd(() => { runs++; });
  return ui.end;
}

export default { render: wall };
