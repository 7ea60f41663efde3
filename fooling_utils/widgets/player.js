// The fooling player: it asks for one frame after another, and draws picture, change, result and bars itself.
const PLAYER = `
.fool.player .side { flex: 1 1 11em; min-width: 11em; display: flex; flex-direction: column; gap: .6em; }
.fool.player .side .bars { flex: none; max-width: none; }
.fool.player .numbers { contain: layout style; display: grid; grid-template-columns: auto 1fr; gap: .1em .8em; }
.fool.player .numbers b { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.fool.player .address { flex: 1 1 10em; min-width: 8em; }
.fool.player .size { max-width: 24em; }
.fool.player label span { white-space: nowrap; }
.fool.player[data-dropping] { outline: 3px dashed var(--accent); }
@media (max-width: 600px), (max-height: 500px) and (pointer: coarse) {
  .fool.player { display: grid; gap: .4em .5em; padding: 0; }
  .fool.player :is(.row.top, .side) { display: contents; }
  .fool.player figure { width: 100%; max-width: none; }
  .fool.player :is(.row, .numbers, .bars, .problem) { grid-column: 1 / -1; }
  .fool.player .choices { grid-area: choices; } .fool.player .bars { grid-area: bars; max-width: none; }
  .fool.player .before { grid-area: before; } .fool.player .change { grid-area: change; }
  .fool.player .after { grid-area: after; } .fool.player .controls { grid-area: controls; }
  .fool.player .numbers { grid-area: numbers; align-content: start; } .fool.player .problem { grid-area: problem; }
  .fool.player .presets { grid-area: presets; } .fool.player .row.own { grid-area: own; }
  .fool.player .keys { grid-area: keys; }
  .fool.player .bars { align-content: start; }
  .fool.player .choices { gap: .4em .5em; }
  .fool.player .choices > :not(button) { flex: 1 1 9em; min-width: 0; }
  .fool.player .choices > label { flex-basis: 10.5em; }
  .fool.player .choices :is(select, input) { flex: 1; width: 100%; min-width: 0; padding: .15em .3em; }
}
@media (max-width: 600px) {
  .fool.player { grid-template-columns: minmax(0, 2fr) minmax(0, 1fr);
    grid-template-areas: "choices choices" "problem problem" "after before" "after change" "bars bars"
      "controls controls" "numbers numbers" "presets presets" "own own" "keys keys"; }
}
@media (max-height: 500px) and (min-width: 601px) and (pointer: coarse) {
  .fool.player { grid-template-columns: 9.5em 13em minmax(0, 1fr);
    grid-template-areas: "choices choices choices" "problem problem problem" "before after bars" "change after numbers"
      "controls controls controls" "presets presets presets" "own own own" "keys keys keys"; }
  .fool.player :is(.before, .change) canvas { width: 5.4em; margin: 0 auto; }
}`;

const TIMES = [1, 2, 5, 10, 20, 50, 100, 200];
const LATE = 400; // ms of computing before the page hears of it; the connection delays an answer by 40 ms or more
const SAVED_EVERY = 10; // frames, while it plays: the check costs a forward pass

function player(context) {
  const { model } = context;
  const ui = begin(context, "player", "Fooling player", PLAYER);
  const methods = model.get("methods");
  let playing = false;
  let runs = 0;
  let original = null;
  let pixels = null; // of the result
  let control = null; // random noise in the result's place
  let state = { index: 0 };
  let settings = null;
  let times = 20;
  let saved = null;
  let checked = 0; // the frame of the last check
  let steps = 0; // that were asked for, and are not drawn yet
  let comparing = -1; // the run in which the control was asked for, and is not drawn yet

  const start = (change) => {
    if (Object.keys(change).length) presets.press(-1);
    return ui.tell("start", change).then(begun);
  };

  const choices = make("div", ui.body, { class: "row choices" });
  const pictures = choose(choices, "picture", [], (name) => { play(false); start({ picture: name }); });
  const target = search(choices, "target", model.get("names"), (name) => {
    play(false);
    start({ target: name });
    ui.root.focus();
  });
  const file = make("input", choices, {
    type: "file", accept: "image/*", hidden: "", "aria-label": "a picture of your own",
  });
  button(choices, "open a picture", () => file.click());
  file.addEventListener("change", () => {
    const [one] = file.files;
    if (one) open(one);
    file.value = "";
  });

  const view = make("div", ui.body, { class: "row top" });
  const before = picture(view, "original");
  const change = picture(view, "change");
  const after = picture(view, "result");
  Object.entries({ before, change, after }).forEach(([name, { figure }]) => figure.classList.add(name));
  const side = make("div", view, { class: "side" });
  const drawBars = bars(side);
  const numbers = make("div", side, { class: "numbers" });
  const number = (name) => { make("span", numbers, {}, name); return make("b", numbers, {}, "–"); };
  const [frame, l2, rms, largest, png] = ["frame", "L2", "RMS", "largest", "as PNG"].map(number);

  const controls = make("div", ui.body, { class: "row controls" });
  const playButton = button(controls, "▶ play", () => play(!playing), { class: "main" });
  button(controls, "one step", () => step());
  button(controls, "rewind", () => rewind());
  const noiseButton = button(controls, "random noise", () => compare(), { "aria-pressed": "false" });
  button(controls, "save as PNG", () => save());
  const amplify = slider(controls, "change ×", { min: 0, max: TIMES.length - 1, step: 1, value: TIMES.indexOf(times), show: (k) => TIMES[k] },
    (k) => { times = TIMES[k]; drawChange(); });

  const presets = ui.presets(async ({ title, ...change }) => {
    play(false);
    const rest = { method: Object.keys(methods)[0], size: null, ...change };
    const run = ++runs;
    if (begun(await ui.tell("start", rest)) && run === runs) play(true);
  });

  const own = make("div", ui.body, { class: "row own" });
  const method = choose(own, "method", Object.keys(methods), (name) => { play(false); start({ method: name }); });
  const STEPS = 40;
  const toSize = (k) => { const m = methods[method.value]; return m.smallest * (m.largest / m.smallest) ** (k / STEPS); };
  const toStep = (size) => {
    const m = methods[method.value];
    return Math.round((STEPS * Math.log(size / m.smallest)) / Math.log(m.largest / m.smallest));
  };
  const inUnits = (size) => `${size.toPrecision(2)} ${methods[method.value].unit}`;
  const size = slider(own, "step size", { min: 0, max: STEPS, step: 1, value: 20, show: (k) => inUnits(toSize(k)) }, () => {});
  size.input.parentElement.classList.add("size");
  size.input.addEventListener("change", () => { play(false); start({ size: toSize(size.value) }); });
  if (model.get("addresses") !== false) addresses(own);

  function addresses(row) {
    const address = make("input", row, {
      type: "url", class: "address", placeholder: "or paste https://… and press Enter",
      "aria-label": "address of a picture",
    });
    address.addEventListener("keydown", async (event) => {
      if (event.key !== "Enter" || !address.value) return;
      play(false);
      presets.press(-1);
      const answer = await ui.tell("address", { address: address.value });
      if (answer) address.value = "";
      begun(answer);
    });
  }

  // A picture of one's own: chosen, dropped or pasted.
  async function open(one) {
    play(false);
    const most = model.get("largest_upload");
    if (one.size > most) {
      ui.fail(`${one.name} has ${(one.size / 1e6).toFixed(1)} MB, but the limit is ${most / 1e6} MB: save a smaller copy.`);
      return;
    }
    const name = one.name.toWellFormed ? one.name.toWellFormed() : one.name; // half a character cannot be sent back
    presets.press(-1);
    const content = await one.arrayBuffer().catch(() => null);
    if (content) begun(await ui.tell("upload", { name }, content));
    else ui.fail(`${name} could not be read: is it still there?`);
  }
  const area = model.get("alone") ? document.documentElement : ui.root; // the whole page, where it has nothing else
  const listens = new AbortController();
  const listen = (kind, act) => area.addEventListener(kind, act, { signal: listens.signal });
  const takes = (event, [one]) => {
    event.preventDefault();
    event.stopPropagation();
    delete ui.root.dataset.dropping;
    open(one);
  };
  listen("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault(); // it may be dropped here
    event.stopPropagation();
    ui.root.dataset.dropping = "1";
  });
  listen("dragleave", ({ relatedTarget }) => { if (!area.contains(relatedTarget)) delete ui.root.dataset.dropping; });
  listen("drop", (event) => { if (event.dataTransfer.files.length) takes(event, event.dataTransfer.files); });
  listen("paste", (event) => { if (event.clipboardData.files.length) takes(event, event.clipboardData.files); });

  function drawChange() {
    if (original) change.draw(amplified(original, pixels, times));
    change.title(`${control ? "random noise" : "change"} × ${times}`);
  }

  function show(answer) {
    [pixels] = answer.buffers.map(asBytes);
    after.draw(pixels);
    after.title(control ? "random noise of the same size" : `result, toward ${settings.target}`);
    drawChange();
    drawBars(answer.top, { own: settings.own, target: settings.target });
    write(frame, answer.index);
    write(rms, `${answer.rms.toFixed(2)} grey levels`);
    write(largest, `${answer.largest.toFixed(0)} grey levels`);
    write(l2, answer.l2.toFixed(2));
    showSaved();
    noiseButton.setAttribute("aria-pressed", String(Boolean(control)));
    Object.assign(ui.root.dataset, { frame: answer.index, drawn: 1 + Number(ui.root.dataset.drawn || 0) });
  }

  function draw(answer) {
    [state, control] = [answer, null];
    if (answer.index === 0) [saved, checked] = [null, 0];
    show(answer);
  }

  // The control: noise that changes the original as much as the last frame does. Again, or any frame, goes back.
  async function compare() {
    if (control || comparing === runs) {
      runs++;
      return draw(state);
    }
    play(false);
    if (!state.index && !steps) {
      return ui.fail("Nothing has changed yet: play first, then compare with random noise of the same size.");
    }
    const run = comparing = ++runs;
    const answer = await ui.ask("random");
    if (!answer || run !== runs) return null;
    comparing = -1;
    control = answer;
    show(answer);
    const [{ label, probability }] = answer.top;
    return ui.say(`random noise of the same size: ${label} ${percent(probability)}`);
  }

  async function save() {
    if (!window.CompressionStream) {
      return ui.fail("This browser is too old to write a PNG file: update it, or use another one.");
    }
    const now = control ? "with random noise" : `as ${state.top[0].label}`;
    const name = `${settings.picture.replace(/\.\w{2,5}$/, "")} ${now}`.replace(/[\p{Cc}\\/:*?"<>|]/gu, "_");
    const href = URL.createObjectURL(await pngFile(pixels));
    make("a", ui.root, { href, download: `${name}.png`, hidden: "" }).click();
    ui.root.lastElementChild.remove();
    setTimeout(() => URL.revokeObjectURL(href), 60000);
    return ui.say(`saved as ${name}.png`);
  }

  function showSaved() {
    write(png, !saved || control ? "–"
      : `${saved.survives ? "✓" : "✗"} ${saved.label} ${percent(saved.probability)}${saved.index === state.index ? "" : ` (frame ${saved.index})`}`);
  }

  function showSettings() {
    pictures.set(settings.picture);
    target.set(settings.target);
    method.set(settings.method);
    size.set(toStep(settings.size), inUnits(settings.size));
  }

  function begun(answer) {
    if (!answer) {
      if (settings) showSettings(); // what was chosen could not be
      return false;
    }
    settings = { ...answer.settings, own: answer.own };
    pictures.fill(answer.pictures);
    showSettings();
    original = asBytes(answer.buffers[1]);
    before.draw(original);
    before.title(`${model.get("blanks").includes(settings.picture) ? settings.picture : "original"}: ${answer.own}`);
    draw(answer);
    return true;
  }

  async function checkSaved() {
    checked = state.index;
    judged(await ui.ask("saved"));
  }

  function judged(answer) {
    if (answer) saved = answer.saved;
    showSaved();
  }

  async function play(on) {
    if (playing && on) return;
    const run = ++runs; // a later play or pause ends this one, and a pause ends a preset that is still loading
    playing = on;
    playButton.textContent = on ? "❚❚ pause" : "▶ play";
    ui.root.dataset.playing = on;
    if (!on) return;
    ui.alone();
    const past = () => state.probability > model.get("until");
    if (past()) begun(await ui.tell("start", {})); // as a film starts again after its end
    if (run !== runs) return;
    const wait = !past(); // a picture that is of its target from the start simply goes on
    let count = 1;
    let last = null;
    let came = performance.now();
    let next = ui.askSeen("frames", { wait, count });
    while (next) {
      const answer = await next;
      const frames = answer ? answer.frames.map((frame, k) => ({ ...frame, buffers: [answer.buffers[k]] })) : [];
      last = frames[frames.length - 1];
      const stop = !last || run !== runs || (wait && last.probability > model.get("until"));
      const each = (performance.now() - came) / Math.max(1, frames.length);
      came = performance.now();
      count = Math.max(1, Math.min(4, Math.floor(LATE / each)));
      next = stop ? null : ui.askSeen("frames", { wait, count }); // Python computes the next ones while these are drawn
      for (const [k, frame] of frames.entries()) {
        if (k && !stop) await new Promise((resolve) => { setTimeout(resolve, Math.min(80, each)); });
        draw(frame);
      }
      if (!stop && last.index - checked >= SAVED_EVERY) checkSaved();
    }
    if (run === runs) play(false);
    if (!last) return; // an error stays on the page until somebody goes on
    ui.say(`frame ${state.index}, ${settings.target} ${percent(state.probability)}`);
    await checkSaved();
  }

  // Each press counts, however busy Python is; of a key that is held down, only what it can answer.
  async function step({ repeat = false } = {}) {
    if (playing) return play(false);
    steps++;
    const answer = await (repeat ? ui.ask("frame") : ui.tell("frame"));
    steps--;
    if (!answer) return null;
    draw(answer);
    return checkSaved();
  }

  function rewind() {
    play(false);
    return start({});
  }

  const louder = (by) => {
    amplify.set(Math.max(0, Math.min(TIMES.length - 1, amplify.value + by)));
    times = TIMES[amplify.value];
    drawChange();
  };
  ui.keys([
    [" ", "play or pause", once(() => play(!playing))],
    ["ArrowRight", "one step", step],
    ["r", "rewind", rewind],
    ["ArrowUp", "amplify the change more", () => louder(1)],
    ["ArrowDown", "amplify it less", () => louder(-1)],
    ["n c", "random noise of the same size, and back", once(compare), "n"], // in the lecture, c is the contents
    ["/", "choose a target", () => target.input.focus()],
    ["o", "open a picture", () => file.click()],
    ["s", "save as PNG", save],
  ]);
  ui.stage([controls, presets, choices, own], [[before.figure, after.figure], [change.figure], [after.figure]]);
  ui.root.player = () => ({ ...state, settings, saved, playing, times, control }); // for the console, and for tests
  const restarted = (answer) => { play(false); begun(answer); };
  ui.follow((answer) => {
    if (!settings) return;
    const { ask, frames, buffers } = answer;
    if (["start", "upload", "address"].includes(ask)) restarted(answer);
    else if (ask === "frame") draw(answer);
    else if (ask === "saved") judged(answer);
    else if (ask === "frames") draw({ ...frames[frames.length - 1], buffers: buffers.slice(-1) });
  });
  ui.pause = () => play(false);
  const wanted = model.get("start"); // settings, where the page's address has some
  ui.first(wanted ? "start" : "begin", begun, wanted);
  ui.onEnd(() => { runs++; listens.abort(); });
  return ui.end;
}

// A PNG file of a square of exactly these bytes, three per pixel. Some browsers alter what is read from a canvas.
async function pngFile(bytes) {
  const width = Math.round(Math.sqrt(bytes.length / 3));
  const rows = new Uint8Array(width * (1 + 3 * width)); // each row begins with its filter, 0 for none
  for (let y = 0; y < width; y++) rows.set(bytes.subarray(3 * width * y, 3 * width * (y + 1)), y * (1 + 3 * width) + 1);
  const packing = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]); // 8 bit, RGB
  [0, 4].forEach((place) => new DataView(header.buffer).setUint32(place, width));
  const parts = [["IHDR", header], ["IDAT", new Uint8Array(await new Response(packing).arrayBuffer())], ["IEND", []]];
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  return new Blob([signature, ...parts.map(([name, data]) => chunk(name, data))], { type: "image/png" });
}

function chunk(name, data) {
  const all = new Uint8Array(12 + data.length);
  const view = new DataView(all.buffer);
  view.setUint32(0, data.length);
  all.set(new TextEncoder().encode(name), 4);
  all.set(data, 8);
  let rest = -1; // CRC-32
  for (const byte of all.subarray(4, -4)) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 && 0xedb88320);
  }
  view.setUint32(8 + data.length, ~rest);
  return all;
}

export default { render: player };
