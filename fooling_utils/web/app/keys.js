// The keys of a widget, on a page that has nothing else: they work wherever nobody types, and a list of them unfolds.
const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

export function keysOf(root, after) {
  const box = document.createElement("details");
  const add = (tag, parent, textContent) => Object.assign(parent.appendChild(document.createElement(tag)), { textContent });
  box.className = "keys";
  add("summary", box, "Keys");
  const list = add("dl", box, "");
  for (const [key, what] of JSON.parse(root.dataset.keys)) {
    add("dt", list, SIGNS[key] || key);
    add("dd", list, what);
  }
  after.after(box);
  document.addEventListener("keydown", (event) => {
    const { key, shiftKey } = event;
    if (event.target !== document.body || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!root.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey, cancelable: true }))) event.preventDefault();
  });
}
