// The canvas of lesson 4 in this tab. It starts at once: all that it loads has the size of a picture.
import { answered } from "./asking.js";
import widget from "./plane_canvas.js";

const LATE = "No answer yet. This device may be busy: close other tabs, or reload this one.";
const here = (name) => new URL(name, import.meta.url);
const query = new URLSearchParams(location.search);
const place = document.querySelector("#plane");

// What the address asks for, as in ?preset=spiral&zoom=5; what there is none of is left out.
function asked({ presets, constants }) {
  const found = [];
  if (Object.hasOwn(presets, query.get("preset"))) found.push(["preset", { name: query.get("preset") }]);
  const edge = Number(query.get("zoom"));
  if (edge >= 1 && edge <= constants.edge) found.push(["zoom", { edge }]);
  return found;
}

async function open() {
  let given;
  try {
    given = await (await fetch(here("plane.json"))).json();
  } catch {
    place.textContent = "This page could not be loaded completely. Are you offline? Reload it to try again.";
    place.setAttribute("role", "alert");
    return;
  }
  const worker = new Worker(here("plane_worker.js"), { type: "module" });
  const model = answered(worker, { ...given.traits, late: LATE });
  for (const [ask, values] of asked(given)) model.send({ id: "address", ask, with: values });
  widget.render({ model, el: place });
}

open();
