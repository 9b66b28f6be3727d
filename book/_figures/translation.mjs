// A translator of numbers in words, with what it looks at while it writes.
import { layer, linear, modelOf, row, softmax, step, zeros } from "./network.mjs";
import { english, french } from "./number-words.mjs";
import { button, drawing, element, number, shape, text } from "./parts.mjs";
import { TEXTS } from "./texts.mjs";
import { asleep, largest } from "./trained.mjs";

const WORDS = TEXTS.translation;
const [START, MOST] = [97084, 999999];
const [PAD, BEGIN, END, UNKNOWN] = [0, 1, 2, 3]; // the first words of both languages
const LONGEST = 30; // words are written at most
const [LEFT, TOP, SIZE] = [84, 84, 360]; // room for French and English words, and of the picture

/**
 * The translator of a file, a function of English words: the French words, and for each of them
 * and the end the weights of the English ones.
 */
export function networkOf(buffer) {
  const { header, weights } = modelOf(buffer);
  const [encoder, decoder, key, readout] = ["encoder.", "decoder.", "key.", "readout."].map(
    (name) => layer(weights, name),
  );
  const [source, target] = [header.source.split(" "), header.target.split(" ")];
  const [query, score] = ["query.weight", "score.weight"].map((name) => weights[name]);
  const none = new Float64Array(key.bias.length);
  const vector = (language, words, k) =>
    row(weights[language], weights[language].length / words.length, k);
  const read = (word) =>
    vector("source.weight", source, source.includes(word) ? source.indexOf(word) : UNKNOWN);

  return (words) => {
    let state = zeros(encoder);
    const ys = words.map((word) => {
      ({ state } = step(encoder, read(word), state));
      return state[0];
    });
    const keys = ys.map((y) => linear(key, y));
    const [written, look] = [[], []];
    for (let last = BEGIN; last !== END && look.length < LONGEST;) {
      const asked = linear({ weight: query, bias: none }, state[0]);
      const a = keys.map((own) => own.map((value, k) => Math.tanh(value + asked[k])));
      const p = softmax(a.map((value) => linear({ weight: score, bias: [0] }, value)[0]));
      const context = none.map((_, k) => ys.reduce((sum, y, s) => sum + p[s] * y[k], 0));
      ({ state } = step(decoder, [...vector("target.weight", target, last), ...context], state));
      const logits = linear(readout, state[0]);
      for (const mark of [PAD, BEGIN, UNKNOWN]) logits[mark] = -Infinity; // no word of a translation
      [last] = largest(logits, 1);
      written.push(target[last]);
      look.push(p);
    }
    return { words: written.filter((word) => word !== target[END]), look };
  };
}

/** A field for each pair of words, the darker the more it was looked at. */
function picture() {
  const fields = shape("g");
  return {
    svg: drawing(SIZE, SIZE, fields),
    set(read, { words, look }) {
      const wide = Math.min(40, (SIZE - LEFT) / read.length);
      const high = Math.min(32, (SIZE - TOP) / look.length);
      const across = (s) => LEFT + (s + 0.5) * wide;
      fields.replaceChildren(
        ...read.map((word, s) =>
          text(0, 0, word, {
            "text-anchor": "start",
            transform: `translate(${across(s) + 4} ${TOP - 8}) rotate(-60)`,
          }),
        ),
        ...look.flatMap((p, t) => [
          text(LEFT - 8, TOP + (t + 0.5) * high + 5, words[t] ?? WORDS.end, {
            "text-anchor": "end",
          }),
          ...Array.from(p, (weight, s) =>
            shape("rect", {
              x: LEFT + s * wide,
              y: TOP + t * high,
              width: wide - 1,
              height: high - 1,
              class: "field",
              "fill-opacity": weight.toFixed(3),
            }),
          ),
        ]),
      );
    },
  };
}

export function draw(root, twin) {
  asleep(root, twin, "translation.bin", awake);
}

function awake(root, buffer) {
  const translate = networkOf(buffer);
  const plot = picture();
  const said = element("output", { class: "said" });
  const asked = number(WORDS.number, { min: 0, max: MOST, value: START }, show);

  function show() {
    const n = asked.value;
    if (n === null) {
      said.textContent = WORDS.outside;
      return;
    }
    const read = english(n);
    const found = translate(read);
    plot.set(read, found);
    const right = french(n).join(" ");
    said.replaceChildren(
      element(
        "p",
        {},
        `${read.join(" ")}: `,
        element("strong", { lang: "fr" }, found.words.join(" ")),
      ),
      element("p", {}, found.words.join(" ") === right ? WORDS.right : WORDS.wrong(right)),
      element(
        "p",
        {},
        WORDS.looked(
          found.words
            .map((word, t) => `${word} (${read[largest(found.look[t], 1)[0]]})`)
            .join(", "),
        ),
      ),
    );
  }

  /** A number whose digits are often 0, as in training. */
  function another() {
    const digitsOf = Array.from({ length: 6 }, () =>
      Math.random() < 0.45 ? 0 : 1 + Math.floor(9 * Math.random()),
    );
    asked.value = Number(digitsOf.join(""));
    show();
  }

  show();
  root.append(
    element(
      "div",
      { class: "beside" },
      element(
        "div",
        {},
        asked.node,
        element("p", { class: "buttons" }, button(WORDS.another, another)),
        said,
      ),
      plot.svg,
    ),
  );
}
