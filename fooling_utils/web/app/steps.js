// The loop's arithmetic on images as Float32Array (3, 224, 224), in float32 as in fooling_utils/steps.py.
import { generator } from "./random.js";

const { fround } = Math;
const LEVEL = 1 / 255;

export function norm(values) {
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += values[k] * values[k];
  return Math.sqrt(sum);
}

function unitStep(length) {
  return (gradient, change) => {
    const size = norm(gradient) || 1;
    for (let k = 0; k < gradient.length; k++) change[k] = length * fround(gradient[k] / size);
  };
}

function signStep(size) {
  return (gradient, change) => {
    for (let k = 0; k < gradient.length; k++) change[k] = size * Math.sign(gradient[k]);
  };
}

function adamStep(rate, beta1 = 0.9, beta2 = 0.999) {
  let [count, mean, square] = [0, null, null];
  return (gradient, change) => {
    mean ||= new Float32Array(gradient.length);
    square ||= new Float32Array(gradient.length);
    count++;
    const [first, second] = [1 - beta1 ** count, 1 - beta2 ** count];
    for (let k = 0; k < gradient.length; k++) {
      const g = gradient[k];
      mean[k] += (g - mean[k]) * (1 - beta1);
      square[k] += (fround(g * g) - square[k]) * (1 - beta2);
      change[k] = (rate * (mean[k] / first)) / (Math.sqrt(square[k] / second) + 1e-12);
    }
  };
}

// For each method: the step rule for a size, which may remember, and how far from the start each value may be.
const RULES = {
  "unit step": { rule: unitStep, radius: Infinity },
  "sign step": { rule: (size) => signStep(size * LEVEL), radius: Infinity },
  "PGD within 8 grey levels": { rule: (size) => signStep(size * LEVEL), radius: fround(8 * LEVEL) },
  Adam: { rule: (size) => adamStep(size * LEVEL), radius: Infinity },
};

// A function from (image, gradient, moved): it writes the next image into `moved`.
export function mover(method, size, original) {
  const { rule, radius } = RULES[method];
  const move = rule(size);
  return (image, gradient, moved) => {
    move(gradient, moved);
    for (let k = 0; k < moved.length; k++) {
      const low = Math.max(0, fround(original[k] - radius));
      const high = Math.min(1, fround(original[k] + radius));
      moved[k] = Math.min(high, Math.max(low, fround(image[k] + moved[k])));
    }
  };
}

// The size of a change: L2 in pixel units, RMS and largest value in grey levels.
export function changeSizes(image, original) {
  let [sum, largest] = [0, 0];
  for (let k = 0; k < image.length; k++) {
    const change = fround(image[k] - original[k]);
    sum += change * change;
    largest = Math.max(largest, Math.abs(change));
  }
  return { l2: Math.sqrt(sum), rms: 255 * Math.sqrt(sum / image.length), largest: 255 * largest };
}

// The original with Gaussian noise of this L2, always the same: as large as a change that fools, but aimed at nothing.
export function withNoise(original, l2) {
  const [noise, random] = [new Float32Array(original.length), generator(0)];
  for (let k = 0; k < noise.length; k++) { // Box and Muller 1958
    noise[k] = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  }
  const by = l2 / norm(noise);
  for (let k = 0; k < noise.length; k++) noise[k] = Math.min(1, Math.max(0, original[k] + by * noise[k]));
  return noise;
}

export function softmax(logits) {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const found = Float64Array.from(logits, (one) => Math.exp(one - top));
  const sum = found.reduce((a, b) => a + b);
  return found.map((one) => one / sum);
}

// The indices of the `count` largest values, the largest first.
export function largest(values, count) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  return order.slice(0, count);
}

const HALF_TO_EVEN = 1.5 * 2 ** 23; // adding it to a float32 leaves no place for a fraction

// An image as the page draws it, and as a file keeps it: three bytes per pixel, row by row; and back.
export function toLevels(image) {
  const [size, levels] = [image.length / 3, new Uint8Array(image.length)];
  for (let k = 0; k < size; k++) {
    for (let c = 0; c < 3; c++) {
      levels[3 * k + c] = fround(fround(255 * image[c * size + k]) + HALF_TO_EVEN) - HALF_TO_EVEN;
    }
  }
  return levels;
}

export function fromLevels(levels) {
  const [size, image] = [levels.length / 3, new Float32Array(levels.length)];
  for (let k = 0; k < size; k++) for (let c = 0; c < 3; c++) image[c * size + k] = levels[3 * k + c] / 255;
  return image;
}
