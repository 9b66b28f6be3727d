// One unit of an LSTM for one step, with every number on the way.
import { CELLS, advance } from "./cells.mjs";
import {
  arrow,
  button,
  choice,
  digits,
  drawing,
  element,
  group,
  label,
  letter,
  line,
  shape,
  slider,
  text,
} from "./parts.mjs";
import { TEXTS } from "./texts.mjs";

const WORDS = TEXTS.cell;
const NAMES = CELLS.lstm.gates;
const SYMBOLS = { i: "i", f: "f", g: "C̃", o: "o" };
const START = {
  states: { x: 1, h: 0.2, c: 1.5 },
  // V, for the input, U, for the hidden state, and the bias b of each gate
  weights: { i: [2, 0, -1], f: [0, 0, 2], g: [1, 0.5, 0], o: [0, 1, 1] },
};
const PLACES = { f: 84, i: 142, g: 200, o: 258 }; // the middle of each gate in the drawing
const [LANE, MIX, TOP, HEIGHT, FEED] = [56, 104, 134, 48, 216];
const [ADD, END] = [171, 308];

/** Everything that the step computes. */
function compute({ x, h, c }, weights) {
  const column = (n) => NAMES.map((name) => weights[name][n]);
  const params = {
    weight_ih: column(0),
    weight_hh: column(1),
    bias_ih: column(2),
    bias_hh: [0, 0, 0, 0],
  };
  const { state, units } = advance(CELLS.lstm, params, [x], [[h], [c]]);
  const [i, f, g, o, tanhC] = units[0].kept;
  const [ai, af, ag, ao] = units[0].a;
  return {
    i,
    f,
    g,
    o,
    tanhC,
    ai,
    af,
    ag,
    ao,
    keeps: f * c,
    adds: i * g,
    h: state[0][0],
    c: state[1][0],
  };
}

/** A gate: a box that is filled as far as the gate is open; from the middle for the candidate. */
function gate(name) {
  const x = PLACES[name];
  const fill = shape("rect", {
    x: x - 23,
    width: 46,
    fill: `var(--quantity-${name})`,
    opacity: 0.3,
  });
  const value = text(x, TOP + HEIGHT - 9);
  const before = text(x, TOP + HEIGHT + 17, "", { class: "small" });
  const frame = { x: x - 23, y: TOP, width: 46, height: HEIGHT, rx: 6, fill: "none" };
  const node = shape(
    "g",
    {},
    fill,
    shape("rect", { ...frame, stroke: `var(--quantity-${name})`, "stroke-width": 2 }),
  );
  node.append(label(x, TOP + 18, SYMBOLS[name], "t"), value, before);
  return {
    node,
    set(open, a) {
      const [low, high] =
        name === "g" ? [Math.min(open, 0), Math.max(open, 0)] : [-1, 2 * open - 1];
      const y = TOP + (1 - (high + 1) / 2) * HEIGHT;
      fill.setAttribute("y", y);
      fill.setAttribute("height", ((high - low) / 2) * HEIGHT);
      value.textContent = digits(open);
      before.textContent = digits(a);
    },
  };
}

function operator(x, y, sign) {
  return shape(
    "g",
    {},
    shape("circle", { cx: x, cy: y, r: 9, class: "operator" }),
    text(x, y + 5, sign),
  );
}

/** The cell as in the static figure: the cell state above, the gates below, h to the right. */
function picture() {
  const cell = { stroke: "var(--quantity-c)", color: "var(--quantity-c)" };
  const hidden = { stroke: "var(--quantity-h)", color: "var(--quantity-h)", "stroke-width": 3 };
  const of = (name) => ({
    stroke: `var(--quantity-${name})`,
    color: `var(--quantity-${name})`,
    "stroke-width": 2,
  });
  const lanes = [
    line(
      [
        [2, LANE],
        [PLACES.f - 9, LANE],
      ],
      cell,
    ),
    line(
      [
        [PLACES.f + 9, LANE],
        [ADD - 9, LANE],
      ],
      cell,
    ),
    line(
      [
        [ADD + 9, LANE],
        [352, LANE],
      ],
      cell,
    ),
  ];
  const gates = Object.fromEntries(NAMES.map((name) => [name, gate(name)]));
  const numbers = {};
  const number = (name, x, y, attributes) => (numbers[name] = text(x, y, "", attributes));
  const end = { "text-anchor": "end" };
  const svg = drawing(
    360,
    272,
    ...lanes,
    shape("polygon", { points: "360,56 350,50 350,62", fill: "var(--quantity-c)" }),
    line(
      [
        [2, FEED],
        [PLACES.o, FEED],
      ],
      hidden,
    ),
    arrow(
      [
        [ADD, 262],
        [ADD, FEED + 3],
      ],
      { stroke: "currentColor", "stroke-width": 2 },
    ),
    ...NAMES.map((name) =>
      line(
        [
          [PLACES[name], FEED],
          [PLACES[name], TOP + HEIGHT + 22],
        ],
        hidden,
      ),
    ),
    arrow(
      [
        [PLACES.f, TOP],
        [PLACES.f, LANE + 10],
      ],
      of("f"),
    ),
    arrow(
      [
        [PLACES.i, TOP],
        [PLACES.i, MIX],
        [ADD - 10, MIX],
      ],
      of("i"),
    ),
    arrow(
      [
        [PLACES.g, TOP],
        [PLACES.g, MIX],
        [ADD + 10, MIX],
      ],
      of("g"),
    ),
    arrow(
      [
        [ADD, MIX - 9],
        [ADD, LANE + 10],
      ],
      { stroke: "currentColor", "stroke-width": 2 },
    ),
    arrow(
      [
        [END, LANE],
        [END, MIX + 8],
      ],
      { ...cell, "stroke-width": 2 },
    ),
    arrow(
      [
        [PLACES.o, TOP],
        [PLACES.o, MIX + 18],
        [END - 10, MIX + 18],
      ],
      of("o"),
    ),
    arrow(
      [
        [END, MIX + 28],
        [END, 240],
        [358, 240],
      ],
      hidden,
    ),
    shape("rect", { x: END - 22, y: LANE + 14, width: 44, height: 20, rx: 10, class: "operator" }),
    text(END, LANE + 28, "tanh", { class: "small" }),
    operator(PLACES.f, LANE, "×"),
    operator(ADD, LANE, "+"),
    operator(ADD, MIX, "×"),
    operator(END, MIX + 18, "×"),
    ...NAMES.map((name) => gates[name].node),
    label(4, LANE - 31, "C", "t−1", "start"),
    number("cPrev", 4, LANE - 11, { "text-anchor": "start" }),
    number("keeps", (PLACES.f + ADD) / 2, LANE - 9),
    number("adds", ADD + 4, LANE + 29, { "text-anchor": "start" }),
    label(356, LANE - 31, "C", "t", "end"),
    number("c", 356, LANE - 11, end),
    number("tanhC", END + 4, MIX - 2, { "text-anchor": "start" }),
    label(4, FEED - 27, "h", "t−1", "start"),
    number("hPrev", 4, FEED - 7, { "text-anchor": "start" }),
    label(ADD - 8, 258, "x", "t", "end"),
    number("x", ADD + 8, 256, { "text-anchor": "start" }),
    label(356, 212, "h", "t", "end"),
    number("h", 356, 232, end),
  );
  return {
    svg,
    set(now) {
      for (const [name, node] of Object.entries(numbers)) node.textContent = digits(now[name]);
      for (const name of NAMES) gates[name].set(now[name], now[`a${name}`]);
      // the lane is the broader the more it carries
      [now.cPrev, now.keeps, now.c].forEach((value, k) =>
        lanes[k].setAttribute("stroke-width", 1.5 + 7 * Math.tanh(Math.abs(value) / 2)),
      );
    },
  };
}

export function draw(root) {
  const weights = structuredClone(START.weights);
  const cell = picture();
  const said = element("output", { class: "said" });
  const formula = element("p", { class: "formula" });

  const state = (name, symbol, index, range) =>
    slider(
      element("span", {}, letter(symbol, index), ` ${WORDS[name]}`),
      { ...range, step: 0.05, value: START.states[name] },
      show,
    );
  const states = {
    x: state("x", "x", "t", { min: -2, max: 2 }),
    h: state("h", "h", "t−1", { min: -1, max: 1 }),
    c: state("c", "C", "t−1", { min: -4, max: 4 }),
  };
  const gateChoice = choice(
    WORDS.gate,
    ["f", "i", "g", "o"].map((name) => [name, WORDS.gates[name]]),
    choose,
  );
  const parts = [
    [letter("V"), letter("x", "t")],
    [letter("U"), letter("h", "t−1")],
    [letter("b")],
  ].map(([own, times], n) => {
    const name = element(
      "span",
      {},
      own,
      ...(times ? [` ${WORDS.toInput} `, times] : [` ${WORDS.bias}`]),
    );
    return slider(name, { min: -6, max: 6, step: 0.1, value: 0 }, () => {
      weights[gateChoice.value][n] = parts[n].value;
      show();
    });
  });

  const values = () =>
    Object.fromEntries(Object.entries(states).map(([name, one]) => [name, one.value]));

  function choose() {
    weights[gateChoice.value].forEach((value, n) => (parts[n].value = value));
    show();
  }

  function show() {
    const now = values();
    const next = compute(now, weights);
    const all = { ...next, x: now.x, hPrev: now.h, cPrev: now.c };
    cell.set(all);
    const words = Object.fromEntries(
      Object.entries(all).map(([name, value]) => [name, digits(value)]),
    );
    said.textContent = WORDS.said(words);
    const name = gateChoice.value;
    const [V, U, b] = weights[name].map((value) => digits(value, 1));
    const squash = name === "g" ? "tanh" : "σ";
    formula.textContent = `${SYMBOLS[name]} = ${squash}(${V} · ${words.x} + ${U} · ${words.hPrev} + ${b}) = ${squash}(${words[`a${name}`]}) = ${words[name]}`;
  }

  function step() {
    const { h, c } = compute(values(), weights);
    states.h.value = h;
    states.c.value = c;
    show();
  }

  function restart() {
    Object.assign(weights, structuredClone(START.weights));
    for (const [name, value] of Object.entries(START.states)) states[name].value = value;
    choose();
  }

  choose();
  root.append(
    element(
      "div",
      { class: "beside" },
      cell.svg,
      element(
        "div",
        { class: "controls" },
        group(WORDS.incoming, states.x.node, states.h.node, states.c.node),
        group(WORDS.weights, gateChoice.node, ...parts.map((part) => part.node), formula),
        element(
          "p",
          { class: "buttons" },
          button(WORDS.step, step),
          button(WORDS.restart, restart),
        ),
      ),
    ),
    said,
  );
}
