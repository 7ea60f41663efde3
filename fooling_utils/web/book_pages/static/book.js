// A reader with a keyboard can scroll what is wider than the page.
const wide = document.querySelectorAll("pre, .wide, .table-wrapper, .formula");
const mark = (entries) => entries.forEach(({ target }) => {
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
});
const sizes = new ResizeObserver(mark);
wide.forEach((one) => sizes.observe(one));
