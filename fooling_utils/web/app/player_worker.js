// The player's other half in a tab: it answers what fooling_utils/widgets/player.py answers in a notebook.
import { answer, tellProgress } from "./answering.js";
import { fetched, load } from "./network.js";
import { levelsOf, png } from "./pictures.js";
import { changeSizes, fromLevels, largest, mover, norm, softmax, toLevels, withNoise } from "./steps.js";

const SIZE = 224;
const MOST_FRAMES = 4; // in one answer, so that a pause takes effect at once
const quoted = (text) => `'${text}'`;

let facts = null; // player.json
let network = null; // a promise
const own = new Map(); // levels of the reader's own pictures
const known = new Map(); // levels of the others
let state = null; // {settings, target, original, image, logits, gradient, index, move, own}

async function ready() {
  facts ||= await (await fetched("player.json")).json();
  network ||= begun();
  try {
    return await network;
  } catch (error) {
    network = null; // the next question tries again
    throw error;
  }
}

const ALTERED = "This browser alters what a page reads of a picture, as some do against tracking: "
  + "allow it for this page, or use another browser";

// The network, after it answered to a picture as it does in Python.
async function begun() {
  const { sizes, settings, check, traits } = facts;
  const made = await load({ sizes, classes: traits.names.length, size: SIZE }, tellProgress);
  const levels = await builtIn(settings.picture);
  if (levels.reduce((a, b) => a + b) !== check.sum) throw new Error(ALTERED);
  const { logits, gradient } = await made.run(fromLevels(levels), traits.names.indexOf(settings.target));
  const off = [...logits].map((one, k) => Math.abs(one - check.logits[k]));
  off.push(Math.abs(norm(gradient) / check.gradient - 1));
  if (!(Math.max(...off) < 0.05)) {
    throw new Error("This browser computes the network wrongly: update it, or use another one");
  }
  return made;
}

async function builtIn(name) {
  if (!known.has(name)) {
    const address = facts.pictures[name];
    known.set(name, await levelsOf(name, await (await fetched(address)).arrayBuffer(), SIZE));
  }
  return known.get(name);
}

async function answered(image, target) {
  const made = await ready();
  try {
    return await made.run(image, target);
  } catch (error) {
    made.end();
    network = null;
    throw error;
  }
}

const pictures = () => [...own.keys(), ...Object.keys(facts.pictures)];

async function pictureOf(name) {
  if (own.has(name)) return own.get(name);
  if (Object.hasOwn(facts.pictures, name)) return builtIn(name);
  throw new Error(`No picture is called ${quoted(name)}: choose from ${pictures().join(", ")}`);
}

function indexOf(target) {
  const { names } = facts.traits;
  if (Number.isInteger(target) && target >= 0 && target < names.length) return target;
  const plain = String(target).replaceAll("_", " ").toLowerCase();
  const index = names.includes(target) ? names.indexOf(target) : names.findIndex((one) => one.toLowerCase() === plain);
  if (index >= 0) return index;
  const near = names.filter((one) => plain.length > 2 && one.toLowerCase().includes(plain)).slice(0, 4);
  const hint = near.length ? `did you mean ${near.map(quoted).join(" or ")}?` : "choose one from the list";
  throw new Error(`No class is called ${quoted(target)}: ${hint}`);
}

// ---------------------------------------------------------------------------------------------------------- the loop

async function begin({ picture, target, method, size }) {
  const { methods, names } = facts.traits;
  if (!Object.hasOwn(methods, method)) {
    throw new Error(`No method is called ${quoted(method)}: choose from ${Object.keys(methods).join(", ")}`);
  }
  size ??= methods[method].size;
  if (!(size > 0 && size <= 1e15)) throw new Error(`Size must be greater than 0, got ${size}`);
  const index = indexOf(target);
  const original = fromLevels(await pictureOf(picture));
  const found = await answered(original, index);
  const settings = { picture, target: names[index], method, size };
  state = { settings, target: index, original, image: original, ...found, index: 0, move: null, spare: null };
  state.own = names[largest(found.logits, 1)[0]];
}

// Forward by one frame. After an error it goes on from the last one, with a step rule that remembers nothing.
async function step() {
  const { settings, original, image, gradient, target, spare } = state;
  const move = state.move || mover(settings.method, settings.size, original);
  state.move = null;
  const moved = spare || new Float32Array(image.length);
  move(image, gradient, moved);
  const found = await answered(moved, target);
  Object.assign(state, found, { image: moved, index: state.index + 1, move, spare: image === original ? null : image });
}

function read(image, logits) {
  const shares = softmax(logits);
  const { names } = facts.traits;
  const top = largest(shares, 5).map((index) => ({ label: names[index], probability: shares[index], index }));
  return { index: state.index, top, probability: shares[state.target], ...changeSizes(image, state.original) };
}

const bufferOf = (image) => toLevels(image).buffer;
const shown = () => ({ facts: read(state.image, state.logits), buffers: [bufferOf(state.image)] });

// --------------------------------------------------------------------------------------------- what the page asks

async function started(change = {}) {
  await ready();
  const before = state ? state.settings : facts.settings;
  const given = Object.entries(change).filter(([, value]) => value !== null && value !== undefined);
  await begin({ ...before, ...(change.method ? { size: null } : {}), ...Object.fromEntries(given) });
  return all();
}

function all() {
  const { facts: frame, buffers } = shown();
  const { settings, original, own: label } = state;
  const chosen = { settings, pictures: pictures(), own: label };
  return { facts: { ...frame, ...chosen }, buffers: [...buffers, bufferOf(original)] };
}

async function going() {
  if (!state) await started();
}

answer({
  begin: async () => (state ? all() : started()),
  start: started,
  async frame() {
    await going();
    await step();
    return shown();
  },
  async frames({ count, wait = false }) {
    if (!(Number.isInteger(count) && count >= 1 && count <= MOST_FRAMES)) {
      throw new Error(`Count must be a whole number from 1 to ${MOST_FRAMES}, got ${count}`);
    }
    await going();
    const found = [];
    while (found.length < count && !(wait && softmax(state.logits)[state.target] > facts.traits.until)) {
      await step();
      found.push(shown());
    }
    if (!found.length) found.push(shown());
    return { facts: { frames: found.map((one) => one.facts) }, buffers: found.flatMap((one) => one.buffers) };
  },
  async saved() {
    await going();
    const { index, target } = state;
    const file = await png(toLevels(state.image), SIZE);
    const levels = await levelsOf("the saved picture", await file.arrayBuffer(), SIZE);
    const shares = softmax((await answered(fromLevels(levels), target)).logits);
    const [top] = largest(shares, 1);
    const found = { label: facts.traits.names[top], probability: shares[top] };
    return { facts: { saved: { index, survives: top === target, ...found } } };
  },
  async random() {
    await going();
    const { l2 } = changeSizes(state.image, state.original);
    if (!l2) throw new Error("Nothing has changed yet: play first, then compare with random noise of the same size");
    const image = withNoise(state.original, l2);
    const { logits } = await answered(image, state.target);
    return { facts: read(image, logits), buffers: [bufferOf(image)] };
  },
  async upload({ name }, [content]) {
    await ready();
    const { traits } = facts;
    if (content.byteLength > traits.largest_upload) {
      const [size, most] = [content.byteLength, traits.largest_upload].map((one) => one / 1e6);
      throw new Error(`${name} has ${size.toFixed(1)} MB, but the limit is ${most} MB: save a smaller copy`);
    }
    const levels = await levelsOf(name, content, SIZE);
    const short = [...name].slice(0, 40).join("");
    const picture = Object.hasOwn(facts.pictures, short) ? `my ${short}` : short;
    own.set(picture, levels);
    return started({ picture });
  },
  address() {
    throw new Error("This page fetches nothing from other addresses: save the picture, and open the file here");
  },
});
