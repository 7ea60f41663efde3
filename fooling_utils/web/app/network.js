// The network in a worker: the runtime and the file are loaded once, and again after an error.
const RUNTIME = "runtime/ort.wasm.min.mjs";
const GLUE = "runtime/ort-wasm-simd-threaded.mjs";
const BINARY = "runtime/ort-wasm-simd-threaded.wasm";
const NETWORK = "network.onnx";
const here = (name) => new URL(name, import.meta.url);

// A function with one vector instruction, which old browsers refuse.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98,
  11];
const NO_MEMORY = "There is no memory left for the network, which needs about 400 MB: close other tabs, and try again";

export async function fetched(name) {
  let answer;
  try {
    answer = await fetch(here(name));
  } catch {
    throw new Error(`${name} did not arrive: are you offline? Connect, and try again`);
  }
  if (answer.ok) return answer;
  throw new Error(`${name} is missing on this server (${answer.status}): tell whoever put the page there`);
}

// The bytes of a file, which has `total`; tell({part, loaded, total}) hears how it goes.
async function bytesOf(name, total, part, tell) {
  const { body } = await fetched(name);
  const found = new Uint8Array(total);
  let loaded = 0;
  try {
    for (const reader = body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (loaded + value.length <= total) found.set(value, loaded);
      loaded += value.length;
      tell({ part, loaded, total });
    }
  } catch {
    throw new Error(`${name} stopped in the middle: are you offline? Connect, and try again`);
  }
  if (loaded !== total) throw new Error(`${name} is not complete (${loaded} of ${total} bytes): reload the page`);
  return found;
}

let tries = 0;

// An object with run(image, target): {logits, gradient} of a Float32Array (3, size, size) and the index of a class.
export async function load({ sizes, classes, size }, tell) {
  if (!WebAssembly.validate(new Uint8Array(SIMD))) {
    throw new Error("This browser is too old for the network (it lacks WebAssembly SIMD): update it, or use another");
  }
  const again = tries++ ? `?${tries}` : ""; // what failed once is not asked for again under the same address
  const ort = await import(here(RUNTIME + again)).catch(() => {
    throw new Error(`${RUNTIME} did not arrive: are you offline? Connect, and try again`);
  });
  const wasm = await bytesOf(BINARY, sizes[BINARY], "runtime", tell);
  let content = await bytesOf(NETWORK, sizes[NETWORK], "network", tell);
  Object.assign(ort.env.wasm, {
    wasmPaths: { mjs: here(GLUE + again).href }, wasmBinary: wasm, proxy: false,
    numThreads: self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1,
  });
  ort.env.logLevel = "error";
  let session;
  try {
    session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
  } catch (error) {
    throw failure(error);
  } finally {
    ort.env.wasm.wasmBinary = content = undefined;
  }
  const target = new Float32Array(classes);
  const feeds = {
    target: new ort.Tensor("float32", target, [1, classes]),
    of_logit: new ort.Tensor("float32", new Float32Array(1), [1]),
  };
  return {
    async run(image, index) {
      target.fill(0);
      target[index] = 1;
      let found;
      try {
        found = await session.run({ ...feeds, image: new ort.Tensor("float32", image, [1, 3, size, size]) });
      } catch (error) {
        throw failure(error);
      }
      const { logits: { data: logits }, gradient: { data: gradient } } = found;
      if (!logits.every(Number.isFinite)) throw new Error("The network's answer is not a number: reload the page");
      return { logits, gradient };
    },
    end: () => session.release().catch(() => {}),
  };
}

// What the runtime throws, as a sentence. Where memory ends it is an abort, a range, or only a number.
function failure(error) {
  const text = String(error?.message ?? error);
  const noMemory = error instanceof RangeError || /memory|abort|alloc|range|^\d+$|unreachable/i.test(text);
  if (noMemory) return new Error(NO_MEMORY);
  const offline = /fetch|import|backend/i.test(text);
  if (offline) return new Error(`The runtime did not arrive (${text}): are you offline? Connect, and try again`);
  return new Error(`The network does not run in this browser: ${text}. Reload the page, or use another browser`);
}
