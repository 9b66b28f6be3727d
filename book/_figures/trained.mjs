// Figures with a trained network, whose numbers are loaded when the reader asks for them.
import { bytes } from "./data.mjs";
import { button, element } from "./parts.mjs";
import { TEXTS } from "./texts.mjs";

/** The twin's picture, and a button that loads a file of data/ and then draws the figure with it. */
export function asleep(root, twin, file, draw) {
  const said = element("output");
  const open = button(TEXTS.trained.open, async () => {
    said.textContent = TEXTS.trained.loading;
    let loaded;
    try {
      loaded = await bytes(file);
    } catch {
      said.textContent = TEXTS.trained.failed;
      return;
    }
    root.replaceChildren();
    twin.classList.add("computed-open");
    draw(root, loaded);
    root.querySelector("textarea, input, button").focus({ preventScroll: true });
  });
  open.className = "open";
  root.append(
    twin.querySelector("img").cloneNode(),
    element("p", { class: "buttons" }, open, said),
  );
}

/** From values between low and high to places between bottom and top, y pointing down. */
export function between(low, high, top, bottom) {
  return (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
}

/** The indices of the largest values, the largest first. */
export function largest(values, many) {
  return [...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, many);
}
