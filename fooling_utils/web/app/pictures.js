// Pictures of every kind that the browser reads, as fooling_utils.load_image has them: the middle square, upright, on
// white. Levels are a Uint8Array with three bytes per pixel, row by row.
const LEAST = 16; // pixels: in less there is nothing to see
const ROWS = 64; // at a time, so that a large photograph is in memory only once

const PNG = [0x89, 0x50, 0x4e, 0x47];
const KNOWN = [PNG, [0xff, 0xd8], [0x47, 0x49, 0x46, 0x38], [0x42, 0x4d], [0x52, 0x49, 0x46, 0x46]];

// name: how a sentence calls the file. content: its bytes.
export async function levelsOf(name, content, size) {
  const bytes = new Uint8Array(content);
  if (!bytes.length) throw new Error(`${name} is empty: choose another file`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), {
      imageOrientation: "from-image", premultiplyAlpha: "none",
      colorSpaceConversion: isSaved(bytes, size) ? "none" : "default",
    });
  } catch {
    throw new Error(whatItIs(name, bytes));
  }
  try {
    const { width, height } = bitmap;
    if (Math.min(width, height) < LEAST) {
      throw new Error(`${name} has only ${width} x ${height} pixels: choose one with at least ${LEAST} x ${LEAST}`);
    }
    return square(bitmap, size);
  } finally {
    bitmap.close();
  }
}

// Levels as a PNG file: a Blob.
export function png(levels, size) {
  const { canvas, context } = canvasOf(size, size);
  const pixels = context.createImageData(size, size);
  for (let k = 0; k < size * size; k++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * k + c] = levels[3 * k + c];
    pixels.data[4 * k + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

function canvasOf(width, height) {
  if (!self.OffscreenCanvas) throw new Error("This browser is too old to read pictures: update it, or use another");
  const canvas = new OffscreenCanvas(width, height);
  return { canvas, context: canvas.getContext("2d", { willReadFrequently: true, alpha: false }) };
}

// Whether a file can be one of ours, whose every value counts: a PNG with `size` x `size` pixels.
function isSaved(bytes, size) {
  if (!starts(bytes, PNG) || bytes.length < 24) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint32(16) === size && view.getUint32(20) === size;
}

const starts = (bytes, head) => head.every((one, k) => bytes[k] === one);

function whatItIs(name, bytes) {
  const head = String.fromCharCode(...bytes.subarray(0, 64));
  if (head.slice(4, 8) === "ftyp") {
    return `${name} is a HEIC photograph or a film, which this browser cannot read: save it as JPEG or PNG first`;
  }
  if (KNOWN.some((one) => starts(bytes, one))) {
    return `${name} cannot be opened: it is damaged, or too large for this browser. Save a smaller copy as JPEG or PNG`;
  }
  if (/^\s*<(svg|\?xml)/i.test(head)) return `${name} is a drawing (SVG), not pixels: save it as PNG first`;
  if (/^\s*<(!doctype|html)/i.test(head)) return `${name} is a web page, not a picture: save the picture itself`;
  return `${name} is not a picture that this browser can read: save it as JPEG or PNG first`;
}

// The middle square of a picture on white, scaled by bicubic interpolation over all pixels that a new one covers, also
// those beside the square, as Pillow does it.
function square(bitmap, size) {
  const side = Math.min(bitmap.width, bitmap.height);
  const [across, down] = [bitmap.width, bitmap.height].map((length) => weightsOf(length, side, size));
  const [left, right] = reach(across);
  const [top, bottom] = reach(down);
  const narrow = new Uint8ClampedArray(3 * (bottom - top) * size); // scaled to its width, not yet to its height
  const { context } = canvasOf(right - left, ROWS);
  for (let first = top; first < bottom; first += ROWS) {
    const rows = Math.min(ROWS, bottom - first);
    const place = [left, first, right - left, rows];
    context.fillStyle = "#fff";
    context.fillRect(0, 0, right - left, rows);
    context.drawImage(bitmap, ...place, 0, 0, right - left, rows);
    const { data } = context.getImageData(0, 0, right - left, rows);
    for (let row = 0; row < rows; row++) {
      scaled(data, 4 * (row * (right - left) - left), 4, narrow, 3 * (first - top + row) * size, 3, across);
    }
  }
  const levels = new Uint8ClampedArray(3 * size * size);
  for (let k = 0; k < size; k++) scaled(narrow, 3 * (k - top * size), 3 * size, levels, 3 * k, 3 * size, down);
  return new Uint8Array(levels.buffer);
}

function scaled(from, start, step, into, place, stride, weights) {
  for (const { first, values } of weights) {
    let [red, green, blue] = [0, 0, 0];
    for (let k = 0, at = start + first * step; k < values.length; k++, at += step) {
      red += values[k] * from[at];
      green += values[k] * from[at + 1];
      blue += values[k] * from[at + 2];
    }
    into[place] = Math.floor(red + 0.5);
    into[place + 1] = Math.floor(green + 0.5);
    into[place + 2] = Math.floor(blue + 0.5);
    place += stride;
  }
}

// For each new pixel along one side of a picture, the first old one that it covers and the weights from there.
// Source: Keys 1981, with a = -0.5.
function weightsOf(length, side, size) {
  const scale = side / size;
  const width = Math.max(1, scale);
  const cubic = (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0);
  return Array.from({ length: size }, (_, place) => {
    const centre = Math.floor((length - side) / 2) + (place + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - 2 * width + 0.5));
    const end = Math.min(length, Math.floor(centre + 2 * width + 0.5));
    const values = Array.from({ length: end - first }, (_, k) => cubic(Math.abs(first + k + 0.5 - centre) / width));
    const sum = values.reduce((a, b) => a + b);
    return { first, values: Float64Array.from(values, (one) => one / sum) };
  });
}

const reach = (weights) => [weights[0].first, Math.max(...weights.map(({ first, values }) => first + values.length))];
