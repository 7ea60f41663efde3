// The blink comparator. After the first answer everything is drawn here; only the verdicts are asked for.
const BLINK = `
.fool.blink .large { width: calc(1.3 * var(--picture)); }
.fool.blink label.wide span { white-space: nowrap; }
.fool.blink figcaption { font-weight: 600; }
.fool.blink .side { flex: 1 1 14em; display: flex; flex-direction: column; gap: .5em; }
.fool.blink .verdict { min-height: 2.7em; white-space: pre-line; }`;

const FASTEST = 3; // images a second

function blink(context) {
  const { model } = context;
  const ui = begin(context, "blink", "Blink comparator");
  make("style", ui.root).textContent = BLINK;
  let images = null;
  let shown = 0;
  let timer = 0;
  let rate = model.get("rate");
  let times = 20;
  let changes = 0;

  ui.presets(({ show: which, rate: fast, times: by }) => {
    if (which !== undefined) { alternate(false); show(which); }
    if (by !== undefined) { amplify.set(Math.log10(by)); difference(); }
    if (fast !== undefined) { speed.set(fast); rate = fast; alternate(true); }
  });
  const view = make("div", ui.body, { class: "row top" });
  const place = picture(view, "A");
  place.figure.classList.add("large");
  const second = picture(view, "B − A");
  second.figure.classList.add("large");
  const side = make("div", view, { class: "side" });
  const numbers = make("div", side);
  const verdict = make("div", side, { class: "verdict" });
  const controls = make("div", ui.body, { class: "row" });
  const playButton = button(controls, "▶ alternate", () => alternate(!timer), { class: "main" });
  button(controls, "show the other", () => { alternate(false); show(1 - shown); });
  const answers = button(side, "what does the network say?", reveal);
  const speed = slider(controls, "images a second", { min: 0.25, max: FASTEST, step: 0.25, value: rate, show: (v) => v.toFixed(2) },
    (value) => { rate = value; if (timer) alternate(true); });
  const amplify = slider(controls, "difference ×", { min: 0, max: Math.log10(200), step: 0.01, value: Math.log10(times), show: (v) => Math.round(10 ** v) },
    difference);

  function show(which) {
    if (!images) return;
    shown = which;
    place.draw(images[which]);
    place.title("AB"[which]);
    changes++;
    Object.assign(ui.root.dataset, { shown: "AB"[which], changes });
  }

  function difference() {
    times = Math.round(10 ** amplify.value);
    if (images) second.draw(amplified(images[0], images[1], times));
    second.title(`B − A, times ${times}`);
    ui.root.dataset.times = times;
  }

  function alternate(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => show(1 - shown), 1000 / Math.min(rate, FASTEST)) : 0;
    playButton.textContent = on ? "❚❚ stop" : "▶ alternate";
    ui.root.dataset.playing = Boolean(on);
  }

  async function reveal() {
    const answer = await ui.ask("verdicts");
    if (!answer) return;
    verdict.textContent = answer.verdicts.map((one, k) => `${"AB"[k]}: ${one.label} ${percent(one.probability)}`).join("\n");
    ui.say(verdict.textContent);
  }

  const louder = (by) => { amplify.set(amplify.value + by); difference(); };
  ui.keys([
    [" ", "start or stop", () => alternate(!timer)],
    ["ArrowLeft", "show A", () => { alternate(false); show(0); }],
    ["ArrowRight", "show B", () => { alternate(false); show(1); }],
    ["ArrowUp", "amplify the difference more", () => louder(0.15)],
    ["ArrowDown", "amplify it less", () => louder(-0.15)],
    ["a", "what the network says", reveal],
  ]);
  ui.ask("begin").then((answer) => {
    if (!answer) return;
    images = answer.buffers.map(asBytes);
    amplify.set(Math.log10(Math.min(200, answer.natural)));
    numbers.textContent = `B − A: L2 ${answer.l2.toFixed(2)}, typical (RMS) ${answer.rms.toFixed(2)} and at most ${answer.largest.toFixed(0)} grey levels`;
    answers.hidden = !answer.has_model;
    show(0);
    difference();
  });
  ui.onEnd(() => clearInterval(timer));
  return ui.end;
}

export default { render: blink };
