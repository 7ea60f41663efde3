// A widget's other half in this tab: what Python is in a notebook, a worker is here. A widget gets this as its `model`.
const ANSWER = "msg:custom"; // a worker has no connection that could break, of which a widget hears otherwise

// traits: what the widget's `get` knows. worker: answers each question with {facts, buffers}, and may tell {progress}.
export function answered(worker, traits, { progress = () => {} } = {}) {
  const handlers = new Set();
  const tell = (facts, buffers = []) => handlers.forEach((act) => act(facts, buffers));
  let last = {}; // the question under way
  worker.addEventListener("message", ({ data }) => {
    if (data.progress) return progress(data.progress);
    return tell(data.facts, data.buffers);
  });
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    const error = event.message ? `Something went wrong in this tab: ${event.message}. Reload the page.`
      : "A part of this page did not arrive. Are you offline?"; // the worker's own script
    tell({ id: last.id, ask: last.ask, error });
  });
  return {
    get: (name) => traits[name],
    on: (event, act) => event === ANSWER && handlers.add(act),
    off: (event, act) => event === ANSWER && handlers.delete(act),
    send: (question, _, buffers = []) => {
      last = question;
      worker.postMessage({ question, buffers }, buffers);
    },
  };
}
