// A map, a cross on it, and beside it the image at the cross with its top five. One question at a time is under way.
const CSS = `
.plane-explorer { display: flex; flex-wrap: wrap; gap: 20px; font: 17px/1.35 system-ui, sans-serif;
  color: var(--jp-ui-font-color1, #222); background: transparent; padding: 4px; }
.plane-explorer .map { position: relative; width: min(460px, 100%); aspect-ratio: 1; cursor: crosshair;
  touch-action: none; outline-offset: 3px; }
.plane-explorer .map:focus-visible { outline: 3px solid #0072B2; }
.plane-explorer .map img { width: 100%; height: 100%; image-rendering: pixelated; display: block; }
.plane-explorer .mark { position: absolute; transform: translate(-50%, 50%); pointer-events: none; white-space: nowrap; }
.plane-explorer .mark::before { content: ""; display: block; margin: auto; width: 11px; height: 11px;
  border-radius: 50%; background: #000; border: 2px solid #fff; }
.plane-explorer .mark span { position: absolute; left: 50%; bottom: 17px; transform: translateX(-50%); color: #000;
  background: rgba(255, 255, 255, .85); padding: 0 5px; border-radius: 3px; }
.plane-explorer .cross { position: absolute; width: 25px; height: 25px; transform: translate(-50%, 50%);
  pointer-events: none; }
.plane-explorer .cross::before, .plane-explorer .cross::after { content: ""; position: absolute; background: #000;
  box-shadow: 0 0 0 1.5px #fff; }
.plane-explorer .cross::before { left: 11px; width: 3px; height: 25px; }
.plane-explorer .cross::after { top: 11px; height: 3px; width: 25px; }
.plane-explorer .seen { width: 300px; }
.plane-explorer .seen > img { width: 260px; height: 260px; display: block; background: #ddd; }
.plane-explorer .place { margin: 6px 0; }
.plane-explorer .row { position: relative; padding: 1px 6px; margin: 2px 0; }
.plane-explorer .bar { position: absolute; inset: 0 auto 0 0; background: #56B4E9; opacity: .55; }
.plane-explorer .row span { position: relative; display: flex; justify-content: space-between; }
.plane-explorer .error { color: #D55E00; font-weight: bold; }`;

const STEP = 0.02;

function render({ model, el }) {
  const make = (tag, parent, attributes = {}) => {
    const element = parent.appendChild(document.createElement(tag));
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const addresses = [];
  const address = (bytes) => {
    addresses.push(URL.createObjectURL(new Blob([bytes], { type: "image/png" })));
    return addresses[addresses.length - 1];
  };
  const root = make("div", el, { class: "plane-explorer" });
  make("style", root).textContent = CSS;
  const map = make("div", root, {
    class: "map", tabindex: "0", role: "application", "data-lm-suppress-shortcuts": "true",
    "aria-label": "Map of classes. Arrow keys move the cross, with shift in large steps.",
  });
  make("img", map, { src: address(model.get("map")), alt: "", draggable: "false" });
  for (const mark of model.get("marks")) {
    const spot = make("div", map, { class: "mark" });
    spot.style.left = `${100 * mark.x}%`;
    spot.style.bottom = `${100 * mark.y}%`;
    make("span", spot).textContent = mark.name;
  }
  const cross = make("div", map, { class: "cross" });
  const seen = make("div", root, { class: "seen" });
  const image = make("img", seen, { alt: "the image at this place" });
  const place = make("div", seen, { class: "place" });
  const answer = make("div", seen, { class: "answer", "aria-live": "polite" });

  let here = { ...(model.get("marks")[0] || { x: 0.5, y: 0.5 }) };
  let underWay = false;
  let waiting = false;
  const ask = () => {
    waiting = underWay;
    if (underWay) return;
    underWay = true;
    model.send({ x: here.x, y: here.y });
  };
  const go = (x, y) => {
    here = { x: Math.min(1, Math.max(0, x)), y: Math.min(1, Math.max(0, y)) };
    cross.style.left = `${100 * here.x}%`;
    cross.style.bottom = `${100 * here.y}%`;
    ask();
  };

  map.addEventListener("pointermove", (event) => {
    const box = map.getBoundingClientRect();
    go((event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height);
  });
  map.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has its own use for arrow keys
    const step = event.shiftKey ? 5 * STEP : STEP;
    go(here.x + step * move[0], here.y + step * move[1]);
  });

  const hear = (content, buffers) => {
    underWay = false;
    answer.replaceChildren();
    if (content.error) {
      make("div", answer, { class: "error" }).textContent = content.error;
    } else {
      URL.revokeObjectURL(image.src);
      image.src = URL.createObjectURL(new Blob([buffers[0]], { type: "image/png" }));
      place.textContent = content.place;
      for (const { label, probability } of content.top) {
        const row = make("div", answer, { class: "row" });
        make("div", row, { class: "bar" }).style.width = `${100 * probability}%`;
        const text = make("span", row);
        make("b", text).textContent = label;
        make("b", text).textContent = `${(100 * probability).toFixed(1)} %`;
      }
    }
    if (waiting) ask();
  };
  model.on("msg:custom", hear);
  go(here.x, here.y);
  return () => {
    model.off("msg:custom", hear);
    [...addresses, image.src].forEach((one) => URL.revokeObjectURL(one));
  };
}

export default { render };
