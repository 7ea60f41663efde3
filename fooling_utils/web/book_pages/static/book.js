// A reader with a keyboard can scroll what is wider than the page.
const wide = document.querySelectorAll("pre, .wide, .table-wrapper, .formula");
const mark = (entries) => entries.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
});
const sizes = new ResizeObserver(mark);
wide.forEach((one) => sizes.observe(one));

// An experiment is as tall as what is in it.
for (const frame of document.querySelectorAll(".experiment iframe")) {
  const follow = () => {
    const inside = frame.contentDocument?.querySelector("main") && frame.contentDocument.body;
    if (!inside) return;
    const fit = () => { frame.style.height = `${Math.ceil(inside.getBoundingClientRect().height) + 4}px`; };
    new ResizeObserver(fit).observe(inside);
    fit();
  };
  frame.addEventListener("load", follow);
  follow(); // it may have loaded before this script
}
