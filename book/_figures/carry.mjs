// Back-propagation through three steps of one unit, line by line.
import { CELLS, advance, retreat } from "./cells.mjs";
import {
  arrow,
  button,
  choice,
  digits,
  drawing,
  element,
  label,
  letter,
  line,
  shape,
  slider,
  text,
} from "./parts.mjs";
import { TEXTS } from "./texts.mjs";

const WORDS = TEXTS.carry;
const { lstm } = CELLS;
const STEPS = 3;
const LINES = 5; // that each step takes on the way back
const INPUTS = [1, -0.6, 0.8];
const WEIGHTS = {
  weight_ih: [0.8, 0.3, 1.2, 0.5],
  weight_hh: [0.4, 0.3, 0.7, 0.4],
  bias_hh: [0, 0, 0, 0],
};

/** All values of the way forward and back, a column for each of the steps 0 to 3. */
export function walk(forgetBias, everyOutput) {
  const params = { ...WEIGHTS, bias_ih: [0.2, forgetBias, 0, 0.3] };
  const tape = [];
  let state = [[0], [0]];
  for (const x of INPUTS) {
    const next = advance(lstm, params, [x], state);
    tape.push({ ...next, before: state });
    state = next.state;
  }
  const columns = Array.from({ length: STEPS + 1 }, () => ({}));
  columns[0].c = 0;
  Object.assign(columns[STEPS], { dhA: 0, dcC: 0 }); // the loss reads outputs only
  for (let t = STEPS; t > 0; t--) {
    const { state, units, before } = tape[t - 1];
    const [i, f, g, o, tanhC] = units[0].kept;
    const column = columns[t];
    const dy = everyOutput || t === STEPS ? 1 : 0;
    const dh = dy + column.dhA;
    const dcH = dh * o * (1 - tanhC * tanhC);
    const [[dai, daf, dag, dao]] = lstm.derivative([dh, column.dcC], null, units[0].kept, [
      before[1][0],
    ]);
    Object.assign(column, {
      f,
      c: state[1][0],
      dy,
      dh,
      dcH,
      dc: dcH + column.dcC,
      dai,
      daf,
      dag,
      dao,
    });
    const [[dhA], [dcC]] = retreat(lstm, params, [[dh], [column.dcC]], state, units, before);
    Object.assign(columns[t - 1], { dhA, dcC });
  }
  return { params, columns };
}

// The rows of the table: letter, index, way of a share, key, and after which line of its step a
// value is known: 0 on the way forward, -1 what the step after hands back in its last line.
const ROWS = [
  ["f", "t", "", "f", 0],
  ["C", "t", "", "c", 0],
  ["dh", "t", "a", "dhA", -1],
  ["dh", "t", "", "dh", 1],
  ["dC", "t", "h", "dcH", 2],
  ["dC", "t", "C", "dcC", -1],
  ["dC", "t", "", "dc", 3],
  ["da", "i,t", "", "dai", 4],
  ["da", "f,t", "", "daf", 4],
  ["da", "C,t", "", "dag", 4],
  ["da", "o,t", "", "dao", 4],
];

/** The number of the line, counted from step 3 back, at which a value of step t becomes known. */
function known(t, after) {
  if (after === 0) return 0;
  return after > 0 ? (STEPS - t) * LINES + after : Math.max(0, (STEPS - t) * LINES);
}

function table() {
  const head = element("tr", {}, element("th", { scope: "col" }, WORDS.quantity));
  for (let t = 0; t <= STEPS; t++)
    head.append(element("th", { scope: "col" }, letter("t"), ` = ${t}`));
  const cells = [];
  const rows = ROWS.map(([name, index, way, key, after]) => {
    const share = way && element("span", {}, "|", element("sub", {}, way));
    const row = element("tr", {}, element("th", { scope: "row" }, letter(name, index), share));
    for (let t = 0; t <= STEPS; t++) {
      const node = element("td");
      row.append(node);
      cells.push({ node, t, key, line: known(t, after) });
    }
    return row;
  });
  const node = element(
    "table",
    { class: "numbers" },
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
  return {
    node,
    set(columns, done) {
      for (const { node, t, key, line } of cells) {
        const value = columns[t][key];
        node.textContent = value !== undefined && line <= done ? digits(value) : "";
        node.classList.toggle("now", value !== undefined && line === done && done > 0);
      }
    },
  };
}

/** Three boxes; what a step hands back runs to the left, the broader the larger it is. */
function picture() {
  const [ABOVE, BELOW] = [34, 78];
  const middle = (t) => 12 + 100 * t;
  const shares = [];
  const parts = [];
  for (let t = 0; t <= STEPS; t++) {
    if (t > 0) {
      const box = { x: middle(t) - 26, y: 16, width: 52, height: 80, rx: 8, class: "operator" };
      parts.push(shape("rect", box), text(middle(t), 60, `t = ${t}`));
    }
    if (t < STEPS) {
      for (const [key, name, way, y] of [
        ["dcC", "c", "C", ABOVE],
        ["dhA", "h", "a", BELOW],
      ]) {
        const color = `var(--quantity-${name})`;
        const body = line(
          [
            [middle(t + 1) - 27, y],
            [middle(t) + 36, y],
          ],
          { stroke: color },
        );
        const [tip, wing] = [middle(t) + 27, middle(t) + 38];
        const head = shape("polygon", {
          points: `${tip},${y} ${wing},${y - 7} ${wing},${y + 7}`,
          fill: color,
        });
        const value = text(middle(t) + 51, y - 10, "", { class: "small" });
        const node = shape("g", {}, body, head, value);
        shares.push({ node, body, value, t, key });
        parts.push(node);
      }
    }
  }
  const names = [
    ["dC", ABOVE],
    ["dh", BELOW],
  ].map(([name, y]) => label(14, y + 5, name));
  const outputs = [];
  for (let t = 1; t <= STEPS; t++) {
    const node = shape(
      "g",
      {},
      arrow(
        [
          [middle(t), 122],
          [middle(t), 98],
        ],
        { stroke: "currentColor", "stroke-width": 2 },
      ),
    );
    node.append(label(middle(t) + 16, 118, "dy", String(t)));
    outputs.push({ node, t });
    parts.push(node);
  }
  return {
    svg: drawing(360, 128, ...names, ...parts),
    set(columns, done) {
      for (const { node, body, value, t, key } of shares) {
        node.style.visibility = known(t, -1) <= done ? "visible" : "hidden";
        value.textContent = digits(columns[t][key]);
        body.setAttribute("stroke-width", Math.min(12, 1 + 8 * Math.abs(columns[t][key])));
      }
      for (const { node, t } of outputs)
        node.style.visibility = columns[t].dy ? "visible" : "hidden";
    },
  };
}

export function draw(root) {
  const numbers = table();
  const cells = picture();
  const said = element("output", { class: "said" });
  const reads = choice(
    WORDS.reads,
    [
      ["last", WORDS.last],
      ["every", WORDS.every],
    ],
    show,
  );
  const bias = slider(
    element("span", {}, letter("b", "f"), ` ${WORDS.bias}`),
    { min: -4, max: 4, step: 0.1, value: 2, show: (value) => digits(value, 1) },
    show,
  );
  const last = STEPS * LINES;
  const done = slider(WORDS.line, { min: 0, max: last, step: 1, value: last, show: String }, show);
  const go = (number) => {
    done.value = Math.min(last, number);
    show();
  };

  function show() {
    const { columns } = walk(bias.value, reads.value === "every");
    numbers.set(columns, done.value);
    cells.set(columns, done.value);
    if (done.value === 0) {
      said.textContent = WORDS.start;
      return;
    }
    const t = STEPS - Math.floor((done.value - 1) / LINES);
    const text = (column) =>
      Object.fromEntries(Object.entries(column).map(([k, v]) => [k, digits(v)]));
    said.textContent = WORDS.lines[(done.value - 1) % LINES](
      t,
      text(columns[t]),
      text(columns[t - 1]),
    );
  }

  show();
  root.append(
    cells.svg,
    element(
      "div",
      { class: "buttons" },
      button(WORDS.restart, () => go(0)),
      button(WORDS.next, () => go(done.value + 1)),
    ),
    said,
    element(
      "div",
      { class: "beside" },
      numbers.node,
      element("div", {}, done.node, bias.node, reads.node),
    ),
  );
}
