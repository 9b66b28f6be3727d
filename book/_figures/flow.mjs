// How far back a derivative reaches in a fresh RNN and a fresh LSTM of the same size.
import { CELLS, advance, retreat } from "./cells.mjs";
import { digits, drawing, element, line, magnitude, power, shape, slider, text } from "./parts.mjs";
import { TEXTS } from "./texts.mjs";

const WORDS = TEXTS.flow;
const [H, LAGS] = [16, 100];
const START = { scale: 1, forget: 0.95, lag: 50 };
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 350, 8, 196];
const [LOW, HIGH] = [-20, 5]; // powers of ten

/** Standard normal numbers, the same ones each time: mulberry32 and Box-Muller. */
function normal(seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 1) / 4294967297;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/**
 * A network of H units that reads H random inputs, and the derivative of its last output.
 * The recurrent weights have the standard deviation scale / √H, those of the input 1 / √(3H).
 */
export function network(name, scale, forget) {
  const cell = CELLS[name];
  const rows = cell.gates.length * H;
  const draw = normal(1);
  const xs = Array.from({ length: LAGS }, () => Array.from({ length: H }, draw));
  const last = Array.from({ length: H }, draw);
  const matrix = (deviation) => Array.from({ length: rows * H }, () => deviation * draw());
  const params = {
    weight_ih: matrix(1 / Math.sqrt(3 * H)),
    weight_hh: matrix(scale / Math.sqrt(H)),
    bias_ih: Array(rows).fill(0),
    bias_hh: Array(rows).fill(0),
  };
  const row = cell.gates.indexOf("f") * H;
  if (row >= 0) params.bias_ih.fill(Math.log(forget / (1 - forget)), row, row + H);
  return { cell, params, xs, last };
}

/**
 * The length of the derivative of the memory, h or C, as a share of what the last step hands back:
 * entry n is what is left n steps before.
 */
export function lengths({ cell, params, xs, last }) {
  const zeros = () => cell.states.map(() => new Float64Array(H));
  const tape = [];
  let state = zeros();
  for (const x of xs) {
    const next = advance(cell, params, x, state);
    tape.push({ ...next, before: state });
    state = next.state;
  }
  const found = [];
  let d = [last, ...zeros().slice(1)];
  for (const { state, units, before } of tape.reverse()) {
    d = retreat(cell, params, d, state, units, before);
    found.push(Math.hypot(...d.at(-1)));
  }
  return found.map((length) => length / found[0]);
}

export function draw(root) {
  const x = (lag) => LEFT + ((RIGHT - LEFT) * lag) / (LAGS - 1);
  const y = (share) => {
    const power = Math.max(LOW, Math.min(HIGH, Math.log10(share)));
    return BOTTOM - ((BOTTOM - TOP) * (power - LOW)) / (HIGH - LOW);
  };
  const grid = [-20, -15, -10, -5, 0, 5].flatMap((exponent) => {
    const at = y(10 ** exponent);
    const end = { "text-anchor": "end", class: "small" };
    return [
      line(
        [
          [LEFT, at],
          [RIGHT, at],
        ],
        { class: "grid" },
      ),
      text(LEFT - 6, at + 4, power(exponent), end),
    ];
  });
  const ticks = [0, 25, 50, 75].map((lag) => text(x(lag), BOTTOM + 18, lag, { class: "small" }));
  const styles = {
    gates: { stroke: "var(--quantity-f)", "stroke-width": 1.5, "stroke-dasharray": "2 4" },
    rnn: { stroke: "currentColor", "stroke-width": 2.5, "stroke-dasharray": "8 4" },
    lstm: { stroke: "currentColor", "stroke-width": 2.5 },
  };
  const lines = Object.fromEntries(
    Object.entries(styles).map(([name, style]) => [name, line([], style)]),
  );
  const marker = line([], { class: "grid", "stroke-width": 2 });
  const key = Object.entries(styles).map(([name, style], k) => {
    const at = LEFT + [150, 0, 66][k];
    const sample = line(
      [
        [at, 253],
        [at + 26, 253],
      ],
      style,
    );
    return shape(
      "g",
      {},
      sample,
      text(at + 31, 257, WORDS[name], { class: "small", "text-anchor": "start" }),
    );
  });
  const svg = drawing(360, 263, ...grid, ...ticks, marker, ...Object.values(lines), ...key);
  svg.append(text((LEFT + RIGHT) / 2, BOTTOM + 34, WORDS.lag, { class: "small" }));
  const said = element("output", { class: "said" });

  const scale = slider(WORDS.scale, { min: 0.1, max: 3, step: 0.05, value: START.scale }, redraw);
  // 1 - f runs from a half to a thousandth, in equal ratios
  const open = (handle) => 1 - 0.5 * 500 ** -handle;
  const first = Math.log(0.5 / (1 - START.forget)) / Math.log(500);
  const forget = slider(
    WORDS.forget,
    { min: 0, max: 1, step: 0.01, value: first, show: (handle) => digits(open(handle), 3) },
    redraw,
  );
  const lag = slider(
    WORDS.lag,
    { min: 1, max: LAGS - 1, step: 1, value: START.lag, show: String },
    say,
  );
  let shares;

  function redraw() {
    const f = open(forget.value);
    shares = Object.fromEntries(
      ["rnn", "lstm"].map((name) => [name, lengths(network(name, scale.value, f))]),
    );
    shares.gates = shares.rnn.map((_, n) => f ** n);
    for (const [name, one] of Object.entries(lines))
      one.setAttribute("points", shares[name].map((share, n) => [x(n), y(share)]).join(" "));
    say();
  }

  function say() {
    const n = lag.value;
    marker.setAttribute("points", `${x(n)},${TOP} ${x(n)},${BOTTOM}`);
    const left = Object.entries(shares).map(([name, values]) => [name, magnitude(values[n])]);
    said.textContent = WORDS.said({ lag: n, ...Object.fromEntries(left) });
  }

  redraw();
  const controls = element("div", { class: "controls" }, scale.node, forget.node, lag.node, said);
  root.append(element("div", { class: "beside" }, svg, controls));
}
