// What figures are made of: elements, sliders, buttons, drawings, numbers as text.

const SVG = "http://www.w3.org/2000/svg";
let count = 0;

/** An HTML element; children are nodes or text. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** A drawing that a screen reader skips: the figure says in words what it shows. */
export function drawing(width, height, ...children) {
  const view = { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", class: "drawing" };
  return shape("svg", view, ...children);
}

/** A letter with its index, such as C and t−1, as HTML. */
export function letter(name, index = "") {
  return element("span", {}, element("i", {}, name), element("sub", {}, index));
}

/** The same in a drawing, followed by more text; x, y: where it begins, ends or has its middle. */
export function label(x, y, name, index = "", anchor = "middle") {
  const sub = shape("tspan", { dy: 4, "font-size": "70%" }, index);
  const letters = shape("tspan", { "font-style": "italic" }, name);
  return shape("text", { x, y, "text-anchor": anchor }, letters, sub);
}

/** Text in a drawing. */
export function text(x, y, words = "", attributes = {}) {
  return shape("text", { x, y, "text-anchor": "middle", ...attributes }, words);
}

/** A line through points, with a head at its end if it is an arrow. */
export function line(points, attributes = {}) {
  return shape("polyline", { points: points.join(" "), fill: "none", ...attributes });
}

export function arrow(points, attributes = {}) {
  const [[ax, ay], [bx, by]] = points.slice(-2);
  const far = Math.hypot(bx - ax, by - ay);
  const [dx, dy] = [((bx - ax) / far) * 7, ((by - ay) / far) * 7];
  const tip = [
    [bx, by],
    [bx - dx - dy * 0.5, by - dy + dx * 0.5],
    [bx - dx + dy * 0.5, by - dy - dx * 0.5],
  ];
  const end = [bx - dx * 0.8, by - dy * 0.8];
  const head = shape("polygon", { points: tip.join(" "), fill: "currentColor", stroke: "none" });
  return shape("g", attributes, line([...points.slice(0, -1), end]), head);
}

/** A number as text: a true minus, and no minus before a zero. */
export function digits(value, places = 2) {
  const fixed = value.toFixed(places);
  return Number(fixed) === 0 ? fixed.replace("-", "") : fixed.replace("-", "−");
}

/** A power of ten as text, such as 10⁻⁸. */
export function power(exponent) {
  const raised = [...String(exponent)].map((sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]));
  return `10${raised.join("")}`;
}

/** A positive number of any size as text: 0.37, or 1.2·10⁻⁸. */
export function magnitude(value) {
  if (value >= 0.01 && value < 100) return digits(value);
  const [factor, exponent] = value.toExponential(1).split("e");
  return `${factor}·${power(Number(exponent))}`;
}

/**
 * A slider with its label and its value. change: called when the reader moves it.
 * Returns its node; `value` may be read and set.
 */
export function slider(name, { min, max, step, value, show = digits }, change) {
  const id = `computed-${(count += 1)}`;
  const input = element("input", { type: "range", id, min, max, step });
  const shown = element("span", { class: "value", "aria-hidden": "true" });
  const node = element(
    "div",
    { class: "slider" },
    element("label", { for: id }, name),
    input,
    shown,
  );
  // What is set stands as it is: the handle itself only goes to the nearest of its steps.
  const set = (number) => {
    value = number;
    shown.textContent = show(value);
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.value = value;
  set(value);
  input.addEventListener("input", () => {
    set(Number(input.value));
    change();
  });
  return {
    node,
    get value() {
      return value;
    },
    set value(number) {
      input.value = number;
      set(number);
    },
  };
}

/** A list to choose from. options: [value, text] pairs. Returns its node and its `value`. */
export function choice(name, options, change) {
  const id = `computed-${(count += 1)}`;
  const select = element("select", { id });
  for (const [value, words] of options) select.append(element("option", { value }, words));
  select.addEventListener("change", change);
  return {
    node: element("div", { class: "choice" }, element("label", { for: id }, name), select),
    get value() {
      return select.value;
    },
  };
}

export function button(words, press) {
  const node = element("button", { type: "button" }, words);
  node.addEventListener("click", press);
  return node;
}

/** A group of controls under a name. */
export function group(name, ...children) {
  return element("fieldset", {}, element("legend", {}, name), ...children);
}

/** A box to tick. Returns its node; `checked` may be read and set. */
export function check(words, change) {
  const id = `computed-${(count += 1)}`;
  const input = element("input", { type: "checkbox", id });
  input.addEventListener("change", change);
  return {
    node: element("div", { class: "check" }, input, element("label", { for: id }, words)),
    get checked() {
      return input.checked;
    },
    set checked(yes) {
      input.checked = yes;
    },
  };
}

/** A field to write in, of so many lines. Returns its node; `value` may be read and set. */
export function writing(words, value, rows, change) {
  const id = `computed-${(count += 1)}`;
  const input = element("textarea", { id, rows, spellcheck: "false", autocapitalize: "off" });
  input.value = value;
  input.addEventListener("input", change);
  return {
    node: element("div", { class: "writing" }, element("label", { for: id }, words), input),
    get value() {
      return input.value;
    },
    set value(words) {
      input.value = words;
      input.scrollTop = input.scrollHeight;
    },
  };
}

/** A field for a whole number. Returns its node; `value` is null for what is none. */
export function number(words, { min, max, value }, change) {
  const id = `computed-${(count += 1)}`;
  const input = element("input", { type: "number", id, min, max, step: 1 });
  input.value = value;
  input.addEventListener("input", change);
  return {
    node: element("div", { class: "choice" }, element("label", { for: id }, words), input),
    get value() {
      return input.value !== "" && input.checkValidity() ? Number(input.value) : null;
    },
    set value(whole) {
      input.value = whole;
    },
  };
}
