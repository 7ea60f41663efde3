// A guess before the answer. The answer is not in this page until Python sends it, after the commitment.
const GUESS = `
.fool.guess .question { font-size: 1.2em; font-weight: 600; max-width: 50em; }
.fool.guess .pictures { display: grid; gap: .8em; max-width: 100%; align-items: start;
  grid-template-columns: repeat(var(--count), minmax(0, calc(var(--picture) + 1em))); }
.fool.guess .pictures figure { width: 100%; }
.fool.guess .pictures canvas.coarse { image-rendering: pixelated; }
.fool.guess .choice { text-align: left; border-width: 3px; position: relative; }
.fool.guess .choice:disabled { opacity: 1; color: var(--ink); }
.fool.guess .pictures .choice { padding: .35em; background: transparent; }
.fool.guess .pictures .choice figcaption { font-weight: 600; }
.fool.guess figcaption:empty { display: none; }
.fool.guess .beside { flex: 1 1 16em; min-width: 0; display: flex; flex-direction: column; gap: .5em; }
.fool.guess .texts { display: flex; flex-direction: column; gap: .4em; align-items: stretch; max-width: 34em; }
.fool.guess .choice[aria-pressed="true"] { background: var(--soft); color: var(--ink); border: 3px dashed var(--ink); }
.fool.guess .choice.answer { border: 3px solid var(--accent); box-shadow: inset 0 0 0 2px var(--accent); }
.fool.guess .scale { position: relative; flex: 1 1 12em; min-width: 8em; padding-bottom: 1.3em; margin-right: .8em; }
.fool.guess .scale input { width: 100%; display: block; }
.fool.guess .scale span { position: absolute; bottom: 0; left: calc(8px + var(--share) * (100% - 16px)); translate: -50%;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.fool.guess .mark { font-weight: 700; }
.fool.guess .verdict { font-size: 1.1em; font-weight: 600; border-left: .3em solid var(--accent); padding: 0 .5em; }
.fool.guess .verdict.wrong { border-left: .3em dashed var(--warm); }
.fool.guess .verdict[hidden], .fool.guess [hidden] { display: none; }
.fool.guess .explanation { max-width: 50em; }
.fool.guess .score { font-variant-numeric: tabular-nums; margin-left: auto; }
.fool.guess output { min-width: 9em; }
.fool.guess svg { display: block; width: 100%; max-width: 50em; height: 6.6em; }
.fool.guess svg text { fill: var(--ink); font: inherit; }
.fool.guess svg .axis { stroke: var(--ink); stroke-width: 2; }
.fool.guess svg .near { fill: var(--accent); opacity: .3; }
.fool.guess svg .yours { fill: var(--warm); }
.fool.guess svg .true { fill: var(--accent); }`;

const STOPS = 100; // of the slider

function guess(context) {
  const { model } = context;
  const ui = begin(context, "guess", "Guess first", GUESS);
  const choices = model.get("choices");
  const range = model.get("range");
  const isNumber = !choices.length;
  let now = {}; // guess, right and answer, as far as Python has sent them
  let buttons = [];

  make("div", ui.body, { class: "question" }, model.get("question"));
  const view = make("div", ui.body, { class: "row top" });
  const pictures = make("div", view, { class: "pictures" });
  const beside = make("div", view, { class: "beside" });
  const verdict = make("div", ui.body, { class: "verdict", hidden: "" });
  const line = shape("svg", ui.body, { role: "img" });
  const explanation = make("div", ui.body, { class: "explanation", hidden: "" });
  const last = make("div", ui.body, { class: "row" });
  const showButton = button(last, "show the answer (not counted)", () => reveal());
  const againButton = button(last, "ask again", () => again());
  const score = make("span", last, { class: "score" });

  const number = isNumber ? numberChoice() : null;
  if (!isNumber && !model.get("among_pictures")) {
    const texts = make("div", beside, { class: "texts" });
    buttons = choices.map((text, k) => choice(texts, k, text));
  }

  function choice(parent, place, text) {
    const one = button(parent, "", () => commit(place), { class: "choice", "aria-pressed": "false" });
    one.textContent = text ? `${place + 1}  ${text}` : "";
    make("span", one, { class: "mark" });
    return one;
  }

  // ------------------------------------------------------------------------------------------------------- a number

  // The numbers to name below the slider: powers of ten, or the quarters of the range.
  function scale() {
    const { low, high, log } = range;
    if (!log) return [0, 1, 2, 3, 4].map((k) => Number((low + ((high - low) * k) / 4).toPrecision(3)));
    const powers = Array.from({ length: 40 }, (_, k) => Number(`1e${k - 20}`));
    return powers.filter((power) => low <= power && power <= high);
  }

  function numberChoice() {
    const { low, high, log, unit } = range;
    const at = (k) => {
      const exact = log ? low * (high / low) ** (k / STOPS) : low + ((high - low) * k) / STOPS;
      return Math.max(low, Math.min(high, Number(exact.toPrecision(log ? 2 : 3))));
    };
    const row = make("div", beside, { class: "row" });
    const control = slider(row, "your guess", {
      min: 0, max: STOPS, step: 1, value: STOPS / 2, show: (k) => `${at(k)} ${unit}`,
    }, () => {});
    const share = (value) => (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
    const marked = make("div", row, { class: "scale" });
    control.input.replaceWith(marked);
    marked.append(control.input);
    for (const value of scale()) make("span", marked, { "aria-hidden": "true", style: `--share: ${share(value)}` }, String(value));
    const by = (k) => { if (!control.input.disabled) control.set(Math.max(0, Math.min(STOPS, control.value + k))); };
    const take = button(row, "commit", () => commit(at(control.value)), { class: "main" });
    return {
      by, share, get value() { return at(control.value); },
      enable: (on) => { control.input.disabled = !on; take.disabled = !on; },
    };
  }

  // Both numbers on a line, the guess above and the answer below it, with everything that counts as right.
  function drawLine() {
    line.replaceChildren();
    line.setAttribute("aria-label", told());
    line.style.display = isNumber && now.answer ? "block" : "none";
    const width = line.clientWidth;
    if (!isNumber || !now.answer || !width) return;
    const em = parseFloat(getComputedStyle(line).fontSize);
    const { low, high, within, unit } = range;
    const x = (value) => em + (width - 2 * em) * number.share(Math.max(low, Math.min(high, value)));
    const put = (tag, attributes, text) => shape(tag, line, attributes, text);
    const middle = 2.9 * em;
    const { value } = now.answer;
    put("rect", { class: "near", x: x(value / within), width: x(value * within) - x(value / within), y: middle - 0.5 * em, height: em });
    put("line", { class: "axis", x1: em, x2: width - em, y1: middle, y2: middle });
    const write = (at, y, text) => {
      const anchor = at < 0.3 * width ? "start" : at > 0.7 * width ? "end" : "middle";
      put("text", { x: at, y, "text-anchor": anchor }, text);
    };
    const triangle = (at, up) => [[0, 0], [-0.5, up], [0.5, up]].map(([a, b]) => `${at + a * em},${middle + b * em}`).join(" ");
    put("polygon", { class: "true", points: triangle(x(value), 0.9) });
    write(x(value), middle + 2.1 * em, `answer: ${value}`);
    if (now.guess !== undefined) {
      put("polygon", { class: "yours", points: triangle(x(now.guess), -0.9) });
      write(x(now.guess), middle - 1.3 * em, `your guess: ${now.guess}`);
    }
    for (const [end, anchor, at] of [[low, "start", em], [high, "end", width - em]]) {
      put("line", { class: "axis", x1: at, x2: at, y1: middle - 0.35 * em, y2: middle + 0.35 * em });
      put("text", { x: at, y: middle + 3.4 * em, "text-anchor": anchor }, `${end} ${unit}`);
    }
  }

  // ------------------------------------------------------------------------------------------------------- the answer

  const name = (value) => (isNumber ? String(value) : choices[value]);
  const unit = isNumber && range.unit ? ` (${range.unit})` : "";

  function told() {
    if (!now.answer) return "";
    const truth = name(now.answer.value);
    if (now.guess === undefined) return `The answer: ${truth}${unit}`;
    if (!now.right) return `✗ Not quite: you said ${name(now.guess)}, but it is ${truth}${unit}`;
    return isNumber ? `✓ Right, within a factor of ${range.within}: it is ${truth}${unit}` : `✓ Right: ${truth}`;
  }

  function draw() {
    const open = !now.answer;
    buttons.forEach((one, k) => {
      one.disabled = !open;
      one.setAttribute("aria-pressed", String(now.guess === k));
      one.classList.toggle("answer", !open && now.answer.value === k);
      const mark = !open && now.answer.value === k ? "  ✓" : now.guess === k ? "  ✗" : "";
      one.querySelector(".mark").textContent = mark;
    });
    if (number) number.enable(open);
    verdict.hidden = open;
    verdict.textContent = told();
    verdict.classList.toggle("wrong", now.right === false);
    explanation.hidden = open || !now.answer.explanation;
    explanation.textContent = open ? "" : now.answer.explanation;
    showButton.hidden = !open;
    againButton.hidden = open;
    drawLine();
    ui.root.dataset.state = open ? "open" : now.guess === undefined ? "shown" : "committed";
  }

  function take(answer, aloud = true) {
    if (!answer) return;
    const { guess: committed, right, answer: truth } = answer;
    now = { guess: committed, right, answer: truth };
    const inside = ui.root.contains(document.activeElement); // on a button that can no longer be pressed
    draw();
    if (!aloud) return;
    ui.say(truth ? `${told()}. ${truth.explanation}` : "");
    if (inside) ui.root.focus({ preventScroll: true });
  }

  let asked = false; // and not answered yet: a second click of a hurried reader is none
  async function tell(question, values) {
    if (asked) return;
    asked = true;
    const answer = await ui.tell(question, values);
    asked = false;
    take(answer);
  }
  const commit = (value) => !now.answer && tell("commit", { guess: value });
  const reveal = () => !now.answer && tell("show");
  const again = () => now.answer && tell("again");

  function showScore() {
    const { right = 0, asked = 0 } = model.get("score");
    score.textContent = asked ? `${right} of ${asked} right so far` : "";
  }
  model.on("change:score", showScore);
  showScore();

  ui.keys([
    ...choices.map((text, k) => [String(k + 1), text, () => commit(k)]),
    ...(isNumber ? [
      ["ArrowRight", "a larger number", () => number.by(2)],
      ["ArrowLeft", "a smaller number", () => number.by(-2)],
      ["Enter", "commit", () => commit(number.value)],
    ] : []),
    ["a", "show the answer, not counted", reveal],
    ["r", "ask again", again],
  ]);

  const watch = new ResizeObserver(drawLine);
  watch.observe(ui.root);
  ui.onEnd(() => { watch.disconnect(); model.off("change:score", showScore); });
  ui.stage([last]);
  ui.root.guess = () => ({ ...now, score: model.get("score") }); // for the console, and for tests
  draw();
  ui.follow((answer) => ["commit", "show", "again"].includes(answer.ask) && take(answer, false));
  ui.first("begin", (answer) => {
    pictures.style.setProperty("--count", Math.max(1, answer.widths.length));
    answer.widths.forEach((width, k) => {
      const among = model.get("among_pictures");
      const parent = among ? choice(pictures, k, "") : pictures;
      const one = picture(parent, among ? `${k + 1}  ${choices[k]}` : "");
      one.canvas.setAttribute("aria-label", `picture ${k + 1}`);
      one.canvas.ariaHidden = String(among); // a button is called what is written on it
      one.draw(asBytes(answer.buffers[k]), width);
      one.canvas.classList.toggle("coarse", width < 64);
      if (!among) return;
      one.figure.querySelector("figcaption").append(parent.querySelector(".mark"));
      buttons.push(parent);
    });
    pictures.hidden = !answer.widths.length;
    beside.hidden = !beside.childElementCount;
    take(answer, false);
    ui.root.dataset.begun = "1";
  });
  return ui.end;
}

export default { render: guess };
