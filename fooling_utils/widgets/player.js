// The fooling player: it asks for one frame after another, and draws picture, change, result and bars itself.
const PLAYER = `
[data-lecture] .fool.player { --picture: calc(var(--fool-picture) * .9); gap: .4em; }
.fool.player .side { flex: 1 1 11em; min-width: 11em; display: flex; flex-direction: column; gap: .6em; }
.fool.player .side .bars { flex: none; max-width: none; }
.fool.player .numbers { contain: layout style; display: grid; grid-template-columns: auto 1fr; gap: .1em .8em; }
.fool.player .numbers b { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.fool.player .address { flex: 1 1 10em; min-width: 8em; }
.fool.player .size { max-width: 24em; }`;

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
  let shown = null;
  let state = { index: 0 };
  let settings = null;
  let times = 20;
  let saved = null;
  let checked = 0; // the frame of the last check

  const start = (change) => ui.tell("start", change).then(begun);

  const choices = make("div", ui.body, { class: "row" });
  const pictures = choose(choices, "picture", [], (name) => { play(false); start({ picture: name }); });
  const target = search(choices, "target", model.get("names"), (name) => {
    play(false);
    start({ target: name });
    ui.root.focus();
  });
  const method = choose(choices, "method", Object.keys(methods), (name) => { play(false); start({ method: name }); });
  const STEPS = 40;
  const toSize = (k) => { const m = methods[method.value]; return m.smallest * (m.largest / m.smallest) ** (k / STEPS); };
  const toStep = (size) => {
    const m = methods[method.value];
    return Math.round((STEPS * Math.log(size / m.smallest)) / Math.log(m.largest / m.smallest));
  };
  const showSize = (k) => `${toSize(k).toPrecision(2)} ${methods[method.value].unit}`;
  const own = make("div", ui.body, { class: "row own" });
  const size = slider(own, "step size", { min: 0, max: STEPS, step: 1, value: 20, show: showSize }, () => {});
  size.input.parentElement.classList.add("size");
  size.input.addEventListener("change", () => { play(false); start({ size: toSize(size.value) }); });

  const file = make("input", own, { type: "file", accept: "image/*", hidden: "", "aria-label": "a picture of your own" });
  button(own, "upload a picture", () => file.click());
  file.addEventListener("change", async () => {
    const [one] = file.files;
    file.value = "";
    if (!one) return;
    play(false);
    if (one.size > model.get("largest_upload")) {
      ui.fail(`${one.name} has ${(one.size / 1e6).toFixed(1)} MB, but the limit is ${model.get("largest_upload") / 1e6} MB: save a smaller copy.`);
      return;
    }
    const name = one.name.toWellFormed ? one.name.toWellFormed() : one.name; // half a character cannot be sent back
    begun(await ui.tell("upload", { name }, await one.arrayBuffer()));
  });
  const address = make("input", own, {
    type: "url", class: "address", placeholder: "or paste https://… and press Enter", "aria-label": "address of a picture",
  });
  address.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter" || !address.value) return;
    play(false);
    const answer = await ui.tell("address", { address: address.value });
    if (answer) address.value = "";
    begun(answer);
  });

  ui.presets(async ({ title, ...change }) => {
    play(false);
    const rest = { method: Object.keys(methods)[0], size: null, ...change };
    const run = ++runs;
    if (begun(await ui.tell("start", rest)) && run === runs) play(true);
  });

  const view = make("div", ui.body, { class: "row top" });
  const before = picture(view, "original");
  const change = picture(view, "change");
  const after = picture(view, "result");
  const side = make("div", view, { class: "side" });
  const drawBars = bars(side);
  const numbers = make("div", side, { class: "numbers" });
  const number = (name) => { make("span", numbers, {}, name); return make("b", numbers, {}, "–"); };
  const [frame, l2, rms, largest, png] = ["frame", "L2", "RMS", "largest", "as PNG"].map(number);

  const controls = make("div", ui.body, { class: "row" });
  const playButton = button(controls, "▶ play", () => play(!playing), { class: "main" });
  button(controls, "one step", () => step());
  button(controls, "rewind", () => rewind());
  const amplify = slider(controls, "change ×", { min: 0, max: TIMES.length - 1, step: 1, value: TIMES.indexOf(times), show: (k) => TIMES[k] },
    (k) => { times = TIMES[k]; drawChange(); });

  function drawChange() {
    if (original) change.draw(amplified(original, shown, times));
    change.title(`change × ${times}`);
  }

  function draw(answer) {
    state = answer;
    [shown] = answer.buffers.map(asBytes);
    after.draw(shown);
    drawChange();
    drawBars(answer.top, { own: settings.own, target: settings.target });
    write(frame, answer.index);
    write(rms, `${answer.rms.toFixed(2)} grey levels`);
    write(largest, `${answer.largest.toFixed(0)} grey levels`);
    write(l2, answer.l2.toFixed(2));
    if (answer.index === 0) [saved, checked] = [null, 0];
    showSaved();
    Object.assign(ui.root.dataset, { frame: answer.index, drawn: 1 + Number(ui.root.dataset.drawn || 0) });
  }

  function showSaved() {
    write(png, !saved ? "–"
      : `${saved.survives ? "✓" : "✗"} ${saved.label} ${percent(saved.probability)}${saved.index === state.index ? "" : ` (frame ${saved.index})`}`);
  }

  function showSettings() {
    pictures.set(settings.picture);
    target.set(settings.target);
    method.set(settings.method);
    size.set(toStep(settings.size));
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
    after.title(`result, toward ${settings.target}`);
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
    if (playing === on) return;
    playing = on;
    playButton.textContent = on ? "❚❚ pause" : "▶ play";
    ui.root.dataset.playing = on;
    const run = ++runs; // a later play or pause ends this one
    if (!on) return;
    ui.alone();
    const past = () => state.probability > model.get("until");
    if (past()) begun(await ui.tell("start", {})); // as a film starts again after its end
    if (run !== runs) return;
    const wait = !past(); // a picture that is of its target from the start simply goes on
    let count = 1;
    let last = null;
    let came = performance.now();
    let next = ui.ask("frames", { wait, count });
    while (next) {
      const answer = await next;
      const frames = answer ? answer.frames.map((frame, k) => ({ ...frame, buffers: [answer.buffers[k]] })) : [];
      last = frames[frames.length - 1];
      const stop = !last || run !== runs || (wait && last.probability > model.get("until"));
      const each = (performance.now() - came) / Math.max(1, frames.length);
      came = performance.now();
      count = Math.max(1, Math.min(4, Math.floor(LATE / each)));
      next = stop ? null : ui.ask("frames", { wait, count }); // Python computes the next ones while these are drawn
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

  async function step() {
    if (playing) return play(false);
    const answer = await ui.ask("frame");
    if (!answer) return null;
    draw(answer);
    return checkSaved();
  }

  function rewind() {
    play(false);
    runs++; // a preset that is still loading must not play now
    return start({});
  }

  const louder = (by) => {
    amplify.set(Math.max(0, Math.min(TIMES.length - 1, amplify.value + by)));
    times = TIMES[amplify.value];
    drawChange();
  };
  ui.keys([
    [" ", "play or pause", () => play(!playing)],
    ["ArrowRight", "one step", step],
    ["r", "rewind", rewind],
    ["ArrowUp", "amplify the change more", () => louder(1)],
    ["ArrowDown", "amplify it less", () => louder(-1)],
    ["/", "choose a target", () => target.input.focus()],
  ]);
  ui.root.player = () => ({ ...state, settings, saved, playing, times }); // for the console, and for tests
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
  ui.first("begin", begun);
  ui.onEnd(() => { runs++; });
  return ui.end;
}

export default { render: player };
