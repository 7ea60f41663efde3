// Numbers as Python rounds and writes them, and its checks of arguments with their sentences.

// To the nearest whole number; from the middle between two, to the even one.
export function nearest(number) {
  const low = Math.floor(number);
  if (number - low === 0.5) return low + (low % 2 ? 1 : 0);
  return Math.floor(number + 0.5);
}

export const rounded = (number, digits) => nearest(number * 10 ** digits) / 10 ** digits; // exact for a float32

// f"{number:.2f}"
export function fixed(number, digits) {
  const middle = Math.abs(number) * 2 ** (digits + 1) % 2 === 1; // no other number is in the middle between two
  if (!middle) return number.toFixed(digits);
  return (Math.sign(number) * rounded(Math.abs(number), digits)).toFixed(digits);
}

// f"{number:g}"
export const short = (number) => String(Number(number.toPrecision(6)));

function shown(value, float) {
  if (typeof value === "string") return `'${value}'`;
  return float && Number.isInteger(value) ? value.toFixed(1) : String(value);
}

// An error as the page shows it.
export const fault = (sentence) => new Error(sentence[0].toUpperCase() + sentence.slice(1));

export function whole(least, most, values) {
  for (const [name, value] of Object.entries(values)) {
    if (Number.isInteger(value) && least <= value && value <= most) continue;
    throw fault(`${name} must be a whole number from ${least} to ${most}, got ${shown(value)}`);
  }
}

export function within(low, high, values) {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === "number" && low <= value && value <= high) continue;
    throw fault(`${name} must be a number from ${short(low)} to ${short(high)}, got ${shown(value, true)}`);
  }
}

export function oneOf(choices, values) {
  for (const [name, value] of Object.entries(values)) {
    if (!choices.includes(value)) throw fault(`${name} must be one of ${choices.join(", ")}, got ${shown(value)}`);
  }
}
