// What the pages share: dark or light, and a header unless the page is embedded. It runs before the page is drawn.
(() => {
  const root = document.documentElement;
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const KEY = "theme"; // the lessons keep their choice there, too: light, dark or auto
  const PAGES = [["fool.html", "Fool it"], ["plane.html", "The plane"], ["index.html", "Lessons"]];
  const embedded = new URLSearchParams(location.search).has("embedded");
  const toggle = Object.assign(document.createElement("button"), { type: "button", className: "theme" });
  let chosen = null;
  try { chosen = localStorage.getItem(KEY); } catch { /* a private window keeps nothing */ }

  const systems = () => (prefersDark.matches ? "dark" : "light");
  const other = () => (root.dataset.theme === "dark" ? "light" : "dark");
  function show() {
    root.dataset.theme = ["dark", "light"].includes(chosen) ? chosen : systems();
    toggle.textContent = `◐ ${other()}`;
  }
  show();
  prefersDark.addEventListener("change", show);
  window.addEventListener("storage", ({ key, newValue }) => { // chosen on another page, or on the one around this one
    if (key !== KEY) return;
    chosen = newValue;
    show();
  });
  toggle.addEventListener("click", () => {
    chosen = other() === systems() ? "auto" : other();
    try { localStorage.setItem(KEY, chosen); } catch { /* it holds until the page is left */ }
    show();
  });

  const link = (href, text) => Object.assign(document.createElement("a"), { href, textContent: text });
  function header() {
    const box = document.createElement("header");
    const nav = box.appendChild(document.createElement("nav"));
    nav.setAttribute("aria-label", "pages");
    for (const [address, name] of PAGES) {
      const one = nav.appendChild(link(address, name));
      if (location.pathname.endsWith(`/${address}`)) one.setAttribute("aria-current", "page");
    }
    box.append(toggle);
    document.body.prepend(Object.assign(link("#main", "Skip to the page"), { className: "skip" }), box);
  }
  if (embedded) root.dataset.embedded = "";
  else document.addEventListener("DOMContentLoaded", header);
})();
