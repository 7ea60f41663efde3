// Two images in turn. Everything is drawn here: Python is asked once, for the images and the numbers.
const BLINK = `
.fool.blink .large { width: calc(1.6 * var(--picture)); max-width: 100%; }
.fool.blink .letter { font-size: 1.3em; font-weight: 600; padding: 0; }
.fool.blink .beside { flex: 1 1 20em; min-width: 0; display: flex; flex-direction: column; gap: .5em; }
.fool.blink .facts { flex: 1 1 9em; display: flex; flex-direction: column; gap: .6em; }
.fool.blink .numbers { display: grid; grid-template-columns: auto 1fr; gap: .1em .8em; }
.fool.blink .numbers b { font-variant-numeric: tabular-nums; }
.fool.blink .verdict { border-left: 4px solid var(--accent); padding: 0 .4em; overflow-wrap: anywhere; }
.fool.blink .verdict.fooled { border-left: 4px dashed var(--warm); }
.fool.blink .verdict span { display: block; }
.fool.blink label span { white-space: nowrap; }`;

const LOUDER = [1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200];
const CALM = 0.5; // images per second at most, where the reader prefers less motion
const STEPS = 24; // of the slider of rates

function blink(context) {
  const { model } = context;
  const ui = begin(context, "blink", "Blink comparator", BLINK);
  const [slowest, fastest] = model.get("rates");
  let images = null;
  let facts = null;
  let shown = 0;
  let timer = 0;
  let playing = false;
  let hidden = false;
  let revealed = false;
  let times = 20;
  let rate = model.get("rate");

  const view = make("div", ui.body, { class: "row top" });
  const large = picture(view, "A");
  large.figure.classList.add("large");
  large.figure.querySelector("figcaption").classList.add("letter");
  const beside = make("div", view, { class: "beside" });
  const pair = make("div", beside, { class: "row top" });
  const change = picture(pair, "B − A");
  const side = make("div", pair, { class: "facts" });
  const numbers = make("div", side, { class: "numbers" });
  const number = (name) => { make("span", numbers, {}, name); return make("b", numbers, {}, "–"); };
  const [l2, rms, largest] = ["L2", "RMS", "largest"].map(number);
  const answers = make("div", side, { class: "facts" });

  const controls = make("div", beside, { class: "row" });
  const playButton = button(controls, "▶ start", () => play(!playing), { class: "main" });
  const letters = ["A", "B"].map((name, k) => button(controls, name, () => choose(k), { "aria-label": `${name}, show it` }));
  const hideButton = button(controls, "hide the letter", () => hide(!hidden));
  const answerButton = button(controls, "answer", () => reveal(!revealed));
  const sliders = make("div", beside, { class: "row" });
  const toRate = (k) => slowest * (fastest / slowest) ** (k / STEPS);
  const toStep = (value) => Math.round((STEPS * Math.log(value / slowest)) / Math.log(fastest / slowest));
  const pace = () => (reducedMotion() ? Math.min(rate, CALM) : rate);
  const speed = slider(sliders, "images a second", { min: 0, max: STEPS, step: 1, value: toStep(rate), show: () => pace().toFixed(2) },
    (k) => { setRate(toRate(k)); presets.press(-1); });
  const amplify = slider(sliders, "change ×", { min: 0, max: LOUDER.length - 1, step: 1, value: 0, show: () => times },
    (k) => { setTimes(LOUDER[k]); presets.press(-1); });
  const presets = ui.presets((preset) => {
    if (preset.times) setTimes(preset.times);
    if (!preset.rate) return;
    setRate(preset.rate);
    if (!reducedMotion()) play(true);
  });

  const letter = () => "AB"[shown];
  function draw() {
    if (!images) return;
    large.draw(images[shown], facts.width);
    large.title(hidden ? "?" : letter());
    // while the class votes, the buttons must not give it away
    letters.forEach((one, k) => one.setAttribute("aria-pressed", String(!hidden && k === shown)));
    Object.assign(ui.root.dataset, { drawn: 1 + Number(ui.root.dataset.drawn || 0), shown: hidden ? "?" : letter() });
  }

  function setTimes(value) {
    times = value;
    const off = (k) => Math.abs(Math.log(LOUDER[k] / value));
    amplify.set(LOUDER.reduce((best, _, k) => (off(k) < off(best) ? k : best), 0));
    if (images) change.draw(amplified(images[0], images[1], times), facts.width);
    change.title(`B − A, × ${times}`);
  }
  const louder = (by) => {
    setTimes(LOUDER[Math.max(0, Math.min(LOUDER.length - 1, amplify.value + by))]);
    presets.press(-1);
  };

  function setRate(value) {
    rate = Math.max(slowest, Math.min(fastest, value));
    speed.set(toStep(rate));
    if (playing) wait();
  }

  // Each image waits for the one before it to be drawn, so that a page that was busy never hurries to catch up.
  function wait() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      shown = 1 - shown;
      draw();
      wait();
    }, 1000 / pace());
  }

  function play(on) {
    if (playing === on || !images) return;
    playing = on;
    playButton.textContent = on ? "❚❚ stop" : "▶ start";
    ui.root.dataset.playing = on;
    clearTimeout(timer);
    if (on) wait();
    ui.say(on ? `${pace().toFixed(1)} images a second` : `stopped${hidden ? "" : ` at ${letter()}`}`);
  }

  function choose(k) {
    play(false);
    shown = k;
    draw();
    if (!hidden) ui.say(letter());
  }

  // For a vote: which image is it? It is chosen at random, or the class would know.
  function hide(on) {
    hidden = on;
    if (on) {
      play(false);
      shown = Math.random() < 0.5 ? 0 : 1;
    }
    hideButton.textContent = on ? "show the letter" : "hide the letter";
    draw();
    ui.say(on ? "the letter is hidden" : letter());
  }

  function reveal(on) {
    if (!facts) return null;
    revealed = on;
    answers.replaceChildren();
    answerButton.textContent = on ? "hide the answer" : "answer";
    if (!on) return ui.say("the answer is hidden");
    const told = ["the original", "original + change"].map((what, k) => {
      const verdict = make("div", answers, { class: `verdict ${k ? "fooled" : ""}` });
      const [which, top] = [`${"AB"[k]}: ${what}`, facts.top[k]];
      const says = top ? `${top.label} ${percent(top.probability)}` : "";
      make("span", verdict, {}, which);
      make("b", verdict, {}, says);
      return `${which} ${says}`;
    });
    return ui.say(told.join(", "));
  }

  ui.keys([
    [" ", "start or stop", once(() => play(!playing))],
    ["ArrowLeft", "show A", () => choose(0)],
    ["ArrowRight", "show B", () => choose(1)],
    ["ArrowUp", "amplify the change more", () => louder(1)],
    ["ArrowDown", "amplify it less", () => louder(-1)],
    ["h", "hide or show the letter", once(() => hide(!hidden))],
    ["a", "reveal the answer", once(() => reveal(!revealed))],
  ]);
  ui.stage([controls, presets, sliders]);
  // for the console, and for tests
  ui.root.blink = () => ({ ...facts, shown: letter(), playing, hidden, revealed, times, rate, pace: pace() });
  ui.pause = () => play(false);
  ui.onEnd(() => clearTimeout(timer));
  ui.first("start", (answer) => {
    facts = answer;
    images = answer.buffers.map(asBytes);
    l2.textContent = answer.l2.toFixed(2);
    rms.textContent = `${answer.rms.toFixed(2)} grey levels`;
    largest.textContent = `${answer.largest.toFixed(0)} grey levels`;
    setTimes(answer.times);
    draw();
  });
  return ui.end;
}

export default { render: blink };
