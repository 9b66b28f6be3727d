/* What is wider than its column scrolls in a box of its own: let the keyboard reach it. */
(() => {
  const BOXES = { "div.math": "Formula", ".pst-scrollable-table-container": "Table" };
  const reach = () => {
    for (const [selector, name] of Object.entries(BOXES)) {
      for (const box of document.querySelectorAll(selector)) {
        if (box.scrollWidth > box.clientWidth) {
          box.tabIndex = 0;
          box.setAttribute("role", "group");
          box.setAttribute("aria-label", `${name}, scrolls sideways`);
        } else {
          box.removeAttribute("tabindex");
          box.removeAttribute("role");
          box.removeAttribute("aria-label");
        }
      }
    }
  };
  window.addEventListener("resize", reach);
  window.addEventListener("load", reach);
  // Elsewhere the arrow keys lead to the next page and the one before; in a box they scroll it.
  document.addEventListener("keydown", event => {
    if (event.target.matches(Object.keys(BOXES).join(", "))) event.stopPropagation();
  }, true);
})();
