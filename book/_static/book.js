/* A formula that is wider than its column scrolls: let the keyboard reach it. */
(() => {
  const reach = () => {
    for (const box of document.querySelectorAll("div.math")) {
      if (box.scrollWidth > box.clientWidth) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", "Formula, scrolls sideways");
      } else {
        box.removeAttribute("tabindex");
        box.removeAttribute("role");
        box.removeAttribute("aria-label");
      }
    }
  };
  window.addEventListener("resize", reach);
  window.addEventListener("load", () => window.MathJax?.startup?.promise?.then(reach));
})();
