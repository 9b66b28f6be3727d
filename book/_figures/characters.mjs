// A language model that reads what the reader types, character by character.
import { linear, modelOf, softmax, step, zeros } from "./network.mjs";
import {
  button,
  check,
  digits,
  drawing,
  element,
  group,
  label,
  line,
  shape,
  slider,
  text,
  writing,
} from "./parts.mjs";
import { TEXTS } from "./texts.mjs";
import { asleep, between, largest } from "./trained.mjs";

const WORDS = TEXTS.characters;
const START = "If we shadows have offended,\nThink but th";
const [SHOWN, LIKELY, WRITTEN] = [22, 8, 100]; // characters in the plot, bars, characters written
const [LEFT, WIDE] = [40, 14]; // where the plot begins, and how much of it a character takes
const RIGHT = LEFT + SHOWN * WIDE;
const DASHES = { i: "", f: "7 4", o: "7 3 2 3", c: "12 3" };
const MARKS = { "\n": "↵", " ": "␣" };

/** The character model of a file: `start` gives a first state, `read` goes on by one character. */
export function networkOf(buffer) {
  const { header, weights } = modelOf(buffer);
  const { alphabet } = header;
  return {
    ...header,
    units: zeros(weights)[0].length,
    /** held: {unit, value}, the memory that is to stay as it is, or null. */
    start(held) {
      const [h, c] = zeros(weights);
      if (held) c[held.unit] = held.value;
      return [h, c];
    },
    /** The new state, each unit's gates, and p: the probabilities of the next character. */
    read(character, before, held) {
      const x = new Float64Array(alphabet.length);
      x[alphabet.indexOf(character)] = 1;
      const { state, units } = step(weights, x, before);
      const gates = units.map(({ kept: [i, f, , o] }) => ({ i, f, o }));
      if (held) {
        // the input gate shut, the forget gate open, the output gate as it was
        const { unit, value } = held;
        const { o } = gates[unit];
        gates[unit] = { i: 0, f: 1, o };
        state[1][unit] = value;
        state[0][unit] = o * Math.tanh(value);
      }
      return { state, gates, p: softmax(linear(weights, state[0])) };
    },
  };
}

const visible = (character) => MARKS[character] ?? character;

/** The gates and the memory of one unit while the last characters were read. */
function traces() {
  const curves = shape("g");
  const small = (y, words = "") =>
    text(LEFT - 6, y + 4, words, { class: "small", "text-anchor": "end" });
  const [top, bottom] = [small(132), small(202)];
  const level = (y) =>
    line(
      [
        [LEFT, y],
        [RIGHT, y],
      ],
      { class: "grid" },
    );
  const color = (name) => `var(--quantity-${name})`;
  const names = ["i", "f", "o"].map((name, n) => {
    const at = LEFT + 100 * n;
    const sample = line(
      [
        [at, 12],
        [at + 30, 12],
      ],
      { stroke: color(name), "stroke-dasharray": DASHES[name], class: "curve" },
    );
    return shape("g", { color: color(name) }, sample, label(at + 36, 17, name, "t", "start"));
  });
  const memory = shape("g", { color: color("c") }, label(LEFT, 122, "C", "t", "start"));
  const svg = drawing(
    360,
    232,
    ...[28, 98, 132, 202].map(level),
    small(28, "1"),
    small(98, "0"),
    top,
    bottom,
    ...names,
    memory,
    curves,
  );
  return {
    svg,
    /** steps: what `read` returned, with the `character`; the last ones are drawn. */
    set(steps, unit) {
      const x = (k) => LEFT + (k + 0.5) * WIDE;
      const values = steps.map(({ state }) => state[1][unit]);
      const most = Math.ceil(Math.max(1, ...values.map(Math.abs)));
      const [gate, c] = [between(0, 1, 28, 98), between(-most, most, 132, 202)];
      [top.textContent, bottom.textContent] = [digits(most, 0), digits(-most, 0)];
      const curve = (name, points) =>
        line(points, { stroke: color(name), "stroke-dasharray": DASHES[name], class: "curve" });
      curves.replaceChildren(
        level(c(0)),
        ...["i", "f", "o"].map((name) =>
          curve(
            name,
            steps.map(({ gates }, k) => [x(k), gate(gates[unit][name])]),
          ),
        ),
        curve(
          "c",
          values.map((value, k) => [x(k), c(value)]),
        ),
        ...steps.map(({ character }, k) => text(x(k), 224, visible(character), { class: "code" })),
      );
    },
  };
}

/** The likeliest next characters, as bars. */
function bars() {
  const shown = shape("g");
  return {
    svg: drawing(360, 232, text(0, 17, WORDS.next, { "text-anchor": "start" }), shown),
    set(p, alphabet) {
      shown.replaceChildren(
        ...largest(p, LIKELY).flatMap((k, n) => [
          text(16, 46 + 24 * n, visible(alphabet[k]), { class: "code" }),
          shape("rect", { x: 34, y: 32 + 24 * n, width: 240 * p[k], height: 18, class: "bar" }),
          text(
            40 + 240 * p[k],
            46 + 24 * n,
            WORDS.percent(digits(100 * p[k], p[k] < 0.095 ? 1 : 0)),
            { "text-anchor": "start", class: "small" },
          ),
        ]),
      );
    },
  };
}

export function draw(root, twin) {
  asleep(root, twin, "characters.bin", awake);
}

function awake(root, buffer) {
  const network = networkOf(buffer);
  const plot = traces();
  const next = bars();
  const said = element("output", { class: "said" });
  const typed = writing(WORDS.type, START, 4, show);
  const unit = slider(
    WORDS.unit,
    { min: 0, max: network.units - 1, step: 1, value: network.held.unit, show: String },
    again,
  );
  const hold = check(WORDS.hold, again);
  const value = slider(
    WORDS.value,
    { min: -2, max: 3, step: 0.05, value: network.held.low },
    again,
  );
  let steps = []; // what was read so far: only what comes after a change is read anew

  const held = () => (hold.checked ? { unit: unit.value, value: value.value } : null);

  function read() {
    const known = [...typed.value].filter((character) => network.alphabet.includes(character));
    const same = known.findIndex((character, k) => character !== steps[k]?.character);
    steps.length = same < 0 ? known.length : same;
    for (const character of known.slice(steps.length)) {
      const { state, p } = steps.at(-1) ?? { state: network.start(held()) };
      const bits = p && -Math.log2(p[network.alphabet.indexOf(character)]);
      steps.push({ character, bits, ...network.read(character, state, held()) });
    }
  }

  function show() {
    read();
    const last = steps.at(-1);
    next.set(last?.p ?? [], network.alphabet);
    plot.set(steps.slice(-SHOWN), unit.value);
    said.textContent = last ? WORDS.said(summary(last)) : WORDS.empty;
  }

  function summary({ p, state }) {
    const [k] = largest(p, 1);
    const paid = steps.slice(1).map(({ bits }) => bits);
    return {
      character: WORDS.names[network.alphabet[k]] ?? network.alphabet[k],
      percent: digits(100 * p[k], 0),
      bits: paid.length && digits(paid.reduce((a, b) => a + b) / paid.length),
      left: [...typed.value].length - steps.length,
      unit: unit.value,
      c: digits(state[1][unit.value]),
    };
  }

  function again() {
    steps = [];
    show();
  }

  /** Characters drawn from the network's own probabilities, each read before the next is drawn. */
  function write() {
    for (let n = 0; n < WRITTEN; n++) {
      const p = steps.at(-1)?.p ?? softmax(new Float64Array(network.alphabet.length));
      let [k, left] = [0, Math.random()];
      while ((left -= p[k]) > 0 && k < p.length - 1) k++;
      typed.value += network.alphabet[k];
      read();
    }
    show();
  }

  function restart() {
    typed.value = START;
    unit.value = network.held.unit;
    value.value = network.held.low;
    hold.checked = false;
    again();
  }

  again();
  root.append(
    typed.node,
    element("div", { class: "beside picture" }, next.svg, plot.svg),
    group(WORDS.memory, unit.node, hold.node, value.node),
    element("p", { class: "buttons" }, button(WORDS.write, write), button(WORDS.restart, restart)),
    said,
  );
}
