// The network of the plane as torch has it on a CPU: the same start for a seed, the same steps, answers and walks.
// Numbers are kept in float32 and rounded where torch rounds them; only sums are longer. A matrix (rows, count) has one
// row per unit and one column per place.
import { generator } from "./random.js";

const { fround } = Math;

// Torch's linspace.
export function between(low, high, count) {
  const [first, last] = [fround(low), fround(high)];
  const step = fround(fround(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, k) => (
    k < count / 2 ? first + fround(step * k) : last - fround(step * (count - 1 - k))));
}

// --------------------------------------------------------------------------------------------------- the network

export function newNetwork({ hidden, depth, activation, classes }, seed) {
  const uniform = generator(seed);
  const sizes = [2, ...Array(depth).fill(hidden), classes];
  const layers = sizes.slice(1).map((outputs, k) => {
    const inputs = sizes[k];
    const bound = fround(1 / Math.sqrt(inputs));
    const drawn = (count) => parameter(Float32Array.from({ length: count }, () => uniform() * 2 * bound - bound));
    return { inputs, outputs, weight: drawn(inputs * outputs), bias: drawn(outputs) };
  });
  return { layers, tanh: activation === "tanh", classes, steps: 0 };
}

const like = (values) => new Float32Array(values.length);
const parameter = (value) => ({ value, slope: like(value), mean: like(value), square: like(value) });

// The outputs of each layer, beginning with the places (2, count); the last are the logits (classes, count).
function forward(net, places) {
  const count = places.length / 2;
  const sums = new Float64Array(count);
  const found = [places];
  net.layers.forEach(({ inputs, outputs, weight, bias }, k) => {
    const before = found[k];
    const after = new Float32Array(outputs * count);
    const last = k === net.layers.length - 1;
    for (let to = 0; to < outputs; to++) {
      sums.fill(bias.value[to]);
      addProducts(sums, weight.value, to * inputs, 1, inputs, before);
      const at = to * count;
      if (last) for (let n = 0; n < count; n++) after[at + n] = sums[n];
      else if (net.tanh) for (let n = 0; n < count; n++) after[at + n] = Math.tanh(fround(sums[n]));
      else for (let n = 0; n < count; n++) after[at + n] = sums[n] > 0 ? sums[n] : 0;
    }
    found.push(after);
  });
  return found;
}

// A row of weights, which begins at `at` and takes every `stride`-th, times a matrix (terms, count). Four columns at
// once take half the time of one after the other.
function addProducts(sums, weights, at, stride, terms, values) {
  const count = sums.length;
  let n = 0;
  for (; n + 4 <= count; n += 4) {
    let [a, b, c, d] = [sums[n], sums[n + 1], sums[n + 2], sums[n + 3]];
    for (let k = 0, w = at, v = n; k < terms; k++, w += stride, v += count) {
      const weight = weights[w];
      a += weight * values[v];
      b += weight * values[v + 1];
      c += weight * values[v + 2];
      d += weight * values[v + 3];
    }
    [sums[n], sums[n + 1], sums[n + 2], sums[n + 3]] = [a, b, c, d];
  }
  for (; n < count; n++) {
    for (let k = 0; k < terms; k++) sums[n] += weights[at + k * stride] * values[k * count + n];
  }
}

// The slopes of the weights, from those of the logits (classes, count); returns those of the places (2, count).
function backward(net, found, slopes) {
  for (let k = net.layers.length - 1; k >= 0; k--) {
    const { inputs, outputs, weight, bias } = net.layers[k];
    const before = found[k];
    const count = slopes.length / outputs;
    for (let to = 0; to < outputs; to++) {
      let sum = 0;
      for (let n = 0; n < count; n++) sum += slopes[to * count + n];
      bias.slope[to] = sum;
      for (let from = 0; from < inputs; from++) {
        let product = 0;
        for (let n = 0; n < count; n++) product += slopes[to * count + n] * before[from * count + n];
        weight.slope[to * inputs + from] = product;
      }
    }
    const next = new Float32Array(inputs * count);
    const sums = new Float64Array(count);
    for (let from = 0; from < inputs; from++) {
      sums.fill(0);
      addProducts(sums, weight.value, from, inputs, outputs, slopes);
      for (let n = 0, at = from * count; n < count; n++, at++) {
        if (k === 0) next[at] = sums[n];
        else if (net.tanh) next[at] = fround(sums[n]) * fround(1 - fround(before[at] * before[at]));
        else next[at] = before[at] > 0 ? sums[n] : 0;
      }
    }
    slopes = next;
  }
  return slopes;
}

// Each column of the logits (classes, count) as what `share` makes of e^(logit - most), the logit less the most, and the
// sum of the column's powers.
function normalised(logits, classes, share) {
  const count = logits.length / classes;
  const found = new Float32Array(logits.length);
  for (let n = 0; n < count; n++) {
    let most = -Infinity;
    for (let at = n; at < logits.length; at += count) most = Math.max(most, logits[at]);
    let sum = 0;
    for (let at = n; at < logits.length; at += count) {
      found[at] = Math.exp(fround(logits[at] - most));
      sum = fround(sum + found[at]);
    }
    for (let at = n; at < logits.length; at += count) found[at] = share(found[at], fround(logits[at] - most), sum);
  }
  return found;
}
const softmax = (logits, classes) => normalised(logits, classes, (power, less, sum) => power / sum);
const logSoftmax = (logits, classes) => normalised(logits, classes, (power, less, sum) => less - fround(Math.log(sum)));

// The place of the largest of column n, the first where several are; the first that is no number, as in torch.
function largest(values, classes, n) {
  const count = values.length / classes;
  let best = 0;
  for (let k = 0; k < classes; k++) {
    const value = values[k * count + n];
    if (Number.isNaN(value)) return k;
    if (value > values[best * count + n]) best = k;
  }
  return best;
}

const logits = (net, places) => forward(net, places).at(-1);

// The place of the most probable class of one place [x, y].
export const classAt = (net, place) => largest(softmax(logits(net, Float32Array.from(place)), net.classes), net.classes, 0);

// ------------------------------------------------------------------------------------------------------ training

// One step of torch's Adam on the cross-entropy of all places (2, count); returns the loss before it.
export function train(net, places, labels, { rate, weight_decay: decay }) {
  const found = forward(net, places);
  const slopes = logSoftmax(found.at(-1), net.classes);
  const [count, each] = [labels.length, fround(-1 / labels.length)];
  const loss = crossEntropy(slopes, labels);
  for (let at = 0; at < slopes.length; at++) {
    const n = at % count;
    const wanted = (at - n) / count === labels[n] ? each : 0;
    slopes[at] = wanted - fround(Math.exp(slopes[at])) * each;
  }
  backward(net, found, slopes);
  net.steps++;
  const [first, second] = [1 - 0.9 ** net.steps, Math.sqrt(1 - 0.999 ** net.steps)];
  for (const { weight, bias } of net.layers) {
    adam(weight, -rate / first, second, decay);
    adam(bias, -rate / first, second, decay);
  }
  return loss;
}

function adam({ value, slope, mean, square }, size, second, decay) {
  for (let k = 0; k < value.length; k++) {
    const now = fround(slope[k] + fround(fround(decay) * value[k]));
    mean[k] += fround(fround(0.1) * fround(now - mean[k]));
    square[k] = fround(square[k] * fround(0.999)) + fround(fround(fround(0.001) * now) * now);
    const root = fround(fround(fround(Math.sqrt(square[k])) / fround(second)) + fround(1e-8));
    value[k] += fround(fround(fround(size) * mean[k]) / root);
  }
}

function crossEntropy(logProbabilities, labels) {
  let sum = 0;
  labels.forEach((label, n) => { sum -= logProbabilities[label * labels.length + n]; });
  return fround(sum / labels.length);
}

// The loss, and the share of places whose most probable class is theirs; NaN without places.
export function judged(net, places, labels) {
  const found = logits(net, places);
  const right = labels.reduce((sum, label, n) => sum + (largest(found, net.classes, n) === label), 0);
  return { loss: crossEntropy(logSoftmax(found, net.classes), labels), right: fround(right / labels.length) };
}

// -------------------------------------------------------------------------------------------------- what is seen

// The most probable class and its probability at size x size places from -edge to edge, from the bottom left.
export function regions(net, edge, size) {
  const along = between(-edge, edge, size);
  const [classes, confidence] = [new Uint8Array(size * size), new Float32Array(size * size)];
  const rows = 5; // at a time: what they need stays near the processor
  const places = new Float32Array(2 * rows * size);
  for (let row = 0; row < size; row += rows) {
    const count = Math.min(rows, size - row) * size;
    const here = count === rows * size ? places : new Float32Array(2 * count);
    for (let n = 0; n < count; n++) [here[n], here[count + n]] = [along[n % size], along[row + Math.floor(n / size)]];
    const found = softmax(logits(net, here), net.classes);
    for (let n = 0; n < count; n++) {
      const best = largest(found, net.classes, n);
      classes[row * size + n] = best;
      confidence[row * size + n] = found[best * count + n];
    }
  }
  return { classes, confidence };
}

// ------------------------------------------------------------------------------------------------------ fooling

// Steps of one length up the slope of a class's log-probability, until it is sure: the places, and the probability.
export function walk(net, start, target, { length, steps, sure }) {
  let place = Float32Array.from(start);
  const places = [[...place]];
  for (let step = 0; ; step++) {
    const found = forward(net, place);
    const probability = softmax(found.at(-1), net.classes)[target];
    if (probability > sure || step === steps) return { places, probability };
    const slopes = logSoftmax(found.at(-1), net.classes);
    for (let k = 0; k < net.classes; k++) slopes[k] = (k === target) - fround(Math.exp(slopes[k]));
    const direction = unit(backward(net, found, slopes));
    place = place.map((value, k) => value + fround(fround(length) * direction[k]));
    places.push([...place]);
  }
}

// Divided by its length; zero stays zero.
function unit(vector) {
  let size = fround(Math.hypot(...vector));
  if (size > 1e-15 && size < 1e15) return vector.map((value) => value / size);
  const most = Math.max(...vector.map(Math.abs)) || 1;
  const near = vector.map((value) => value / most);
  size = fround(Math.hypot(...near)) || 1;
  return near.map((value) => value / size);
}

// The nearest place of another class along straight lines, {end, distance}; null where there is none.
// Each of `distances` is an increasing list of where to look; the last step is then halved.
export function shortest(net, place, { directions, distances, halvings = 8 }) {
  const turn = fround((2 * Math.PI) / directions);
  const lines = Array.from({ length: directions }, (_, k) => [Math.cos(fround(k * turn)), Math.sin(fround(k * turn))].map(fround));
  const units = lines.map((line) => unit(Float32Array.from(line)));
  const own = classAt(net, place);
  const crossed = (chosen, far) => {
    const there = new Float32Array(2 * chosen.length);
    chosen.forEach((k, n) => {
      for (const axis of [0, 1]) there[axis * chosen.length + n] = place[axis] + fround(far[n] * units[k][axis]);
    });
    const found = softmax(logits(net, there), net.classes);
    return chosen.map((_, n) => largest(found, net.classes, n) !== own);
  };
  const all = lines.map((_, k) => k);
  for (const list of distances) {
    let before = 0;
    for (const distance of list) {
      const reached = crossed(all, all.map(() => distance));
      const chosen = all.filter((k) => reached[k]); // what the other lines reach is farther away
      if (chosen.length) return nearest(chosen, before, distance);
      before = distance;
    }
  }
  return null;

  function nearest(chosen, before, distance) {
    const [inside, outside] = [chosen.map(() => before), chosen.map(() => distance)];
    for (let halving = 0; halving < halvings; halving++) {
      const middle = inside.map((low, n) => fround(fround(low + outside[n]) / 2));
      crossed(chosen, middle).forEach((out, n) => { (out ? outside : inside)[n] = middle[n]; });
    }
    const n = outside.indexOf(Math.min(...outside));
    const end = place.map((value, axis) => fround(value + fround(outside[n] * lines[chosen[n]][axis])));
    return { end, distance: outside[n] };
  }
}

// At most `count` random places [x, y] from -edge to edge, each at least `gap` away from those taken.
export function emptyPlaces(count, edge, taken, gap, seed) {
  const uniform = generator(seed);
  const found = [];
  const draw = () => fround(fround(edge) * fround(2 * uniform() - 1));
  for (let tried = 0; tried < 200 * count && found.length < count; tried++) {
    const [x, y] = [draw(), draw()];
    if (taken.every(([a, b]) => Math.hypot(a - x, b - y) >= gap)) found.push([x, y]);
  }
  return found;
}
