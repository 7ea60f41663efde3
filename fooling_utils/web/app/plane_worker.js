// Answers the canvas of points as PlaneCanvas does in Python: the same questions, facts, pictures and sentences.
import { answer } from "./answering.js";
import { fault, fixed, nearest, oneOf, rounded, short, whole, within } from "./as_python.js";
import * as network from "./plane_network.js";

const SEED = 0;

// given: what plane.json says. Returns a function for each question; it changes the plane, and may return an answer.
function newPlane({ traits: { names }, constants, settings: first, limits, presets }) {
  const { nothing: NOTHING, edge: EDGE, fooling_steps: FOOLING_STEPS } = constants;
  const settings = { ...first };
  let edge = constants.start_edge;
  let points = []; // [x, y, label]
  let preset = "";
  let warning = "";
  let withNothing = false;
  let net = null;
  let steps = 0;
  let path = null;
  let result = "";

  // -------------------------------------------------------------------------------------------------- the points

  const labels = () => [...Array(settings.classes).keys(), ...(withNothing ? [NOTHING] : [])];
  const present = () => [...new Set(points.map(([, , label]) => label))];
  const trainable = () => present().length > 1;

  function change(changed, name = "") {
    if (changed.length > constants.most_points) {
      throw fault(`${constants.most_points} points is the most that can be trained on live: remove some, or choose a preset`);
    }
    [points, preset] = [changed, name];
    warning = warn();
    forgetPath();
  }

  function warn() {
    const classes = present();
    if (!classes.length) return "There are no points. Click in the plane to add some, or choose a preset.";
    if (classes.length === 1) {
      return `All points are of one class, ${names[classes[0]]}. Add points of a second class, or choose a preset.`;
    }
    const classesAt = new Map();
    for (const [x, y, label] of points) {
      const place = [x, y].map((value) => nearest(Math.fround(1000 * value)));
      classesAt.set(String(place), { place, classes: new Set(classesAt.get(String(place))?.classes).add(label) });
    }
    const shared = [...classesAt.values()].filter((one) => one.classes.size > 1).map((one) => one.place);
    if (!shared.length) return "";
    const [x, y] = shared.sort(([a, b], [c, d]) => a - c || b - d)[0].map((value) => fixed(Math.fround(value / 1000), 2));
    return `Points of different classes lie on one place, (${x}, ${y}). No network can separate them. `
      + "Training goes on; move or remove one.";
  }

  function placed(x, y) {
    within(-EDGE, EDGE, { x, y });
    return [Math.fround(x), Math.fround(y)];
  }

  function known(label) {
    whole(0, NOTHING, { label });
    oneOf(labels(), { label });
    return label;
  }

  function existing(index) {
    if (!points.length) throw fault("there are no points: click in the plane to add some, or choose a preset");
    whole(0, points.length - 1, { index });
    return index;
  }

  function load(name) {
    oneOf(Object.keys(presets), { preset: name });
    change(presets[name][settings.classes].map(([x, y, label]) => [Math.fround(x), Math.fround(y), label]), name);
  }

  function scatter() {
    const taken = points.filter(([, , label]) => label !== NOTHING);
    const found = network.emptyPlaces(constants.nothing_points, edge, taken, constants.nothing_gap, SEED + points.length);
    if (!found.length) throw fault("there is no empty place in view: zoom out, or remove some points");
    change([...points, ...found.map((place) => [...place, NOTHING])]);
    if (!withNothing) {
      withNothing = true;
      renew();
    }
    result = `${found.length} points of nothing, up to ±${short(edge)}. Train, and then zoom out.`;
  }

  // ------------------------------------------------------------------------------------------------- the network

  function renew() {
    net = network.newNetwork({ ...settings, classes: labels().length }, SEED);
    steps = 0;
    forgetPath();
  }

  function configure(values) {
    for (const [name, value] of Object.entries(values)) {
      oneOf(Object.keys(limits), { setting: name });
      if (name === "activation") oneOf(limits[name], { [name]: value });
      else (name === "weight_decay" ? within : whole)(...limits[name], { [name]: value });
    }
    const changed = Object.keys(values).filter((name) => settings[name] !== values[name]);
    Object.assign(settings, values);
    if (changed.includes("classes")) {
      if (preset) load(preset);
      else change(points.filter(([, , label]) => labels().includes(label)));
    }
    if (changed.some((name) => name !== "weight_decay")) renew();
  }

  // The places (2, N), and the labels as the network's outputs have them.
  function targets() {
    const places = Float32Array.from([...points.map(([x]) => x), ...points.map(([, y]) => y)]);
    return [places, points.map(([, , label]) => Math.min(label, settings.classes))];
  }

  function train(count, seconds = Infinity) {
    forgetPath();
    const end = performance.now() + 1000 * seconds;
    const [places, classes] = targets();
    for (let step = 0; step < count; step++) {
      const { weight_decay } = settings;
      const loss = network.train(net, places, classes, { rate: constants.rate, weight_decay });
      if (!Number.isFinite(loss)) throw fault("the loss is no longer a finite number: press Reset");
      steps++;
      if (performance.now() > end) break;
    }
  }

  // --------------------------------------------------------------------------------------------------- fooling it

  function fool(x, y, label) {
    const name = names[known(label)];
    const length = edge / 50; // a hundredth of the view's width
    const { places, probability } = network.walk(net, placed(x, y), labels().indexOf(label),
      { length, steps: FOOLING_STEPS, sure: constants.sure });
    const distance = fixed(Math.fround(Math.hypot(...places.at(-1).map((value, k) => Math.fround(value - places[0][k])))), 2);
    const sure = `${fixed(100 * probability, 1)} %`;
    if (probability <= constants.sure) {
      showPath(places, label, `After ${FOOLING_STEPS} steps only ${sure} ${name}. Train longer, or start elsewhere.`);
    } else if (places.length === 1) {
      showPath(places, label, `This place is ${name} already, ${sure}. Choose another class.`);
    } else showPath(places, label, `From here to ${name}, ${sure}: ${distance} away.`);
  }

  function shortest(index) {
    const [x, y, label] = points[existing(index)];
    const [place, own] = [[x, y], names[label]];
    const distances = constants.looked.map((range) => network.between(...range));
    const found = network.shortest(net, place, { directions: constants.directions, distances });
    if (!found) return showPath([place], label, "There is no boundary near here: train first.");
    const at = (there) => labels()[network.classAt(net, there)];
    const [before, after] = [at(place), at(found.end)];
    const words = `The shortest way from this ${own} to ${names[after]}: ${fixed(found.distance, 2)}.`;
    const wrong = before === label ? "" : `The network takes this ${own} for ${names[before]} already. `;
    return showPath([place, found.end], after, wrong + words);
  }

  function showPath(places, label, words) {
    const untrained = steps ? "" : " The network is untrained.";
    const outside = Math.max(...places.at(-1).map(Math.abs)) > edge ? " Zoom out to see the end." : "";
    path = { places: places.map(tidy), label };
    result = words + untrained + outside;
  }

  function forgetPath() {
    [path, result] = [null, ""];
  }

  // ------------------------------------------------------------------------------------------------- what is seen

  const tidy = (place) => place.map((value) => rounded(value, 4));

  // A byte per cell for the class, and one for its probability, from the bottom left.
  function picture() {
    const { classes, confidence } = network.regions(net, edge, constants.size);
    const shown = labels();
    return [classes.map((place) => shown[place]),
      Uint8Array.from(confidence, (share) => nearest(Math.fround(255 * (share || 0))))];
  }

  function facts() {
    const { loss, right } = network.judged(net, ...targets());
    const finite = (number) => (Number.isFinite(number) ? number : null);
    return { settings: { ...settings }, labels: labels(), preset, zoom: edge, steps, loss: finite(loss), right: finite(right),
      trainable: trainable(), warning, result, path };
  }

  const seen = () => ({ facts: { ...facts(), points: points.map(([x, y, label]) => [...tidy([x, y]), label]) },
    buffers: picture() });

  function step(count) {
    whole(1, 100000, { count });
    if (!trainable()) throw fault(warning);
    train(count);
  }

  function frame(pictures) {
    whole(1, 4, { pictures });
    const buffers = [];
    for (let k = 0; k < pictures; k++) {
      if (trainable()) train(constants.steps_per_picture, constants.picture_seconds);
      buffers.push(...picture());
    }
    return { facts: facts(), buffers };
  }

  load(constants.start_preset);
  renew();
  const changes = {
    begin: () => {},
    add: ({ x, y, label }) => change([...points, [...placed(x, y), known(label)]]),
    move: ({ index, x, y }) => {
      existing(index);
      const place = placed(x, y);
      change(points.map((point, k) => (k === index ? [...place, point[2]] : point)));
    },
    remove: ({ index }) => {
      existing(index);
      change(points.filter((_, k) => k !== index));
    },
    nothing: scatter,
    preset: ({ name }) => {
      load(name);
      if (!withNothing) return;
      withNothing = false;
      renew();
    },
    set: configure,
    reset: renew,
    step: ({ count = 1 }) => step(count),
    fool: ({ x, y, label }) => fool(x, y, label),
    shortest: ({ index }) => shortest(index),
    zoom: ({ edge: wanted }) => {
      within(1, EDGE, { edge: wanted });
      edge = wanted;
    },
  };
  const answers = { frame: ({ pictures = 1 }) => frame(pictures) };
  for (const [name, act] of Object.entries(changes)) {
    answers[name] = (values) => {
      act(values);
      return seen();
    };
  }
  return answers;
}

let plane = null;

async function given() {
  try {
    return await (await fetch(new URL("plane.json", import.meta.url))).json();
  } catch {
    throw fault("the points could not be loaded: go online, and reload the page");
  }
}

const QUESTIONS = ["begin", "add", "move", "remove", "nothing", "preset", "set", "reset", "step", "fool", "shortest", "zoom",
  "frame"];
answer(Object.fromEntries(QUESTIONS.map((name) => [name, async (values) => {
  plane ??= newPlane(await given());
  return plane[name](values);
}])));
