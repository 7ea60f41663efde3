// Fool it yourself: the player of lesson 2 in this tab. Its picture is there at once; the network takes 33 MB.
import { answered } from "./asking.js";
import widget from "./player.js";

const LOADS = 33; // MB, the network and what runs it
const LATE = "No answer yet. This device may be busy, or short of memory: close other tabs, or reload this one.";
const GREY = { title: "grey → goldfish", picture: "grey", target: "goldfish", size: 1 };
const here = (name) => new URL(name, import.meta.url);
const query = new URLSearchParams(location.search);
const place = document.querySelector("#player");

function make(tag, parent, attributes = {}, text = "") {
  const element = parent.appendChild(document.createElement(tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

// What is in the player's place until it is there: its picture, how far it has loaded, and a button.
const poster = document.createElement("div");
poster.className = "poster";
const image = make("img", poster, { alt: "the picture to start with", width: 224, height: 224 });
const beside = make("div", poster);
const loading = make("label", beside, { class: "loading" });
const progressText = make("span", loading);
const bar = make("progress", loading, { max: 1 });
const told = make("p", beside, { role: "status" });
const button = make("button", beside, { type: "button" });
image.addEventListener("error", () => { image.hidden = true; });

function show({ text = "", action = "", act = null, progress = "", share = null }) {
  told.textContent = text;
  button.hidden = !action;
  button.textContent = action;
  button.onclick = act;
  loading.hidden = !progress;
  progressText.textContent = progress;
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
}

const inMB = (bytes) => Math.round(bytes / 1e6);
const amount = ({ part, loaded, total }) => ({
  progress: `Loading the ${part}: ${inMB(loaded)} of ${inMB(total)} MB`, share: Math.min(1, loaded / total),
});

// What the address asks for, as in ?picture=noise&target=robin&size=1; what there is none of is left out.
function asked({ pictures, traits: { names, methods } }) {
  const found = {};
  const knows = { picture: Object.keys(pictures), target: names, method: Object.keys(methods) };
  for (const [name, known] of Object.entries(knows)) {
    if (known.includes(query.get(name))) found[name] = query.get(name);
  }
  const { smallest, largest } = methods[found.method || Object.keys(methods)[0]];
  const size = Number(query.get("size"));
  if (size >= smallest && size <= largest) found.size = size;
  return Object.keys(found).length ? found : undefined;
}

async function contents() {
  const answer = await fetch(here("player.json"));
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

async function open() {
  place.hidden = true;
  place.replaceChildren();
  place.before(poster);
  show({ progress: "Loading the network" });
  let content;
  try {
    content = await contents();
  } catch {
    failed("This page could not be loaded completely. Are you offline?");
    return;
  }
  const worker = new Worker(here("player_worker.js"), { type: "module" });
  const presets = [...content.traits.presets, GREY];
  const traits = { ...content.traits, presets, addresses: false, alone: true, start: asked(content), late: "" };
  const model = answered(worker, traits, { progress: (now) => show(amount(now)) });
  const end = widget.render({ model, el: place });
  model.on("msg:custom", function first({ error }) {
    model.off("msg:custom", first);
    if (error) {
      end();
      worker.terminate();
      failed(error);
      return;
    }
    traits.late = LATE;
    poster.remove();
    place.hidden = false;
  });
}

function failed(error) {
  show({ text: error, action: "Try again", act: open });
}

const [wanted] = (query.get("picture") || "").match(/^\w+$/) || ["school_bus"];
image.src = here(`pictures/${wanted}.png`);
if (query.has("embedded")) {
  place.before(poster);
  show({ text: `This loads ${LOADS} MB, once.`, action: "▶ Start the network here", act: open });
} else open();
