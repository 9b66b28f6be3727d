// A network that reads a review, and its score after each word.
import { layer, linear, modelOf, row, step, zeros } from "./network.mjs";
import { choice, digits, drawing, element, line, shape, text, writing } from "./parts.mjs";
import { TEXTS } from "./texts.mjs";
import { asleep, between } from "./trained.mjs";

const WORDS = TEXTS.sentiment;
const UNKNOWN = 1; // the number of every word that the network does not know
const [SHOWN, HIGH, MOST] = [16, 17, 4]; // words in the picture, pixels for one, the largest score drawn
const LETTER = "[\\p{L}\\p{N}_]";
const END = `(?!${LETTER})`;
const TOKEN = new RegExp(
  `n't${END}|'(?:s|re|ve|ll|d|m)${END}|${LETTER}+?(?=n't${END})|${LETTER}+|\\.{3}|[^\\p{L}\\p{N}_\\s]`,
  "gu",
);

/** Words and marks of a text, cut as companion.data.tokens does. */
export function tokens(text) {
  const plain = text.toLowerCase().replaceAll("<br />", " ").replaceAll("’", "'");
  return plain.replaceAll("''", '"').match(TOKEN) ?? [];
}

/** The reader of a file: the words that it knows, and the score after each word of a list. */
export function networkOf(buffer) {
  const { header, weights } = modelOf(buffer);
  const [lstm, readout] = [layer(weights, "lstm."), layer(weights, "readout.")];
  const numbers = new Map(header.words.split(" ").map((word, k) => [word, k + 2]));
  const D = lstm.weight_ih.length / lstm.bias_ih.length;
  return {
    knows: (word) => numbers.has(word),
    scores(words) {
      let state = zeros(lstm);
      return words.map((word) => {
        const vector = row(weights["embedding.weight"], D, numbers.get(word) ?? UNKNOWN);
        ({ state } = step(lstm, vector, state));
        return linear(readout, state[0])[0];
      });
    },
  };
}

/** A bar for the score after each of the last words, to the right where it is friendly. */
function picture() {
  const [middle, place] = [240, between(-MOST, MOST, 360, 120)];
  const bars = shape("g");
  const bottom = 20 + SHOWN * HIGH;
  const name = (x, words) => text(x, 12, words, { class: "small" });
  const axis = line(
    [
      [middle, 18],
      [middle, bottom],
    ],
    { class: "axis" },
  );
  return {
    svg: drawing(360, bottom + 4, name(180, WORDS.hostile), name(300, WORDS.friendly), bars, axis),
    set(words) {
      bars.replaceChildren(
        ...words.slice(-SHOWN).flatMap(({ word, score, known }, k) => {
          const y = 20 + k * HIGH;
          const end = place(Math.max(-MOST, Math.min(MOST, score)));
          const size = {
            x: Math.min(middle, end),
            width: Math.abs(end - middle),
            y: y + 2,
            height: HIGH - 4,
          };
          const shown = word.length > 12 ? `${word.slice(0, 11)}…` : word;
          return [
            text(112, y + 13, known ? shown : `${shown} ?`, {
              "text-anchor": "end",
              class: known ? "" : "unknown",
            }),
            shape("rect", { ...size, class: score > 0 ? "bar" : "bar hollow" }),
          ];
        }),
      );
    },
  };
}

export function draw(root, twin) {
  asleep(root, twin, "sentiment.bin", awake);
}

function awake(root, buffer) {
  const network = networkOf(buffer);
  const plot = picture();
  const said = element("output", { class: "said" });
  const review = writing(WORDS.review, WORDS.examples[0], 5, show);
  const examples = choice(
    WORDS.example,
    WORDS.examples.map((words) => [words, words]),
    () => {
      review.value = examples.value;
      show();
    },
  );

  function show() {
    const found = tokens(review.value);
    const scores = network.scores(found);
    const words = found.map((word, k) => ({ word, score: scores[k], known: network.knows(word) }));
    plot.set(words);
    const jumps = words.map(({ score }, k) => Math.abs(score - (scores[k - 1] ?? 0)));
    const widest = words[jumps.indexOf(Math.max(...jumps))];
    said.textContent = words.length
      ? WORDS.said({
          score: digits(scores.at(-1), 1),
          friendly: scores.at(-1) > 0,
          unknown: words.filter(({ known }) => !known).length,
          widest: widest.word,
        })
      : WORDS.empty;
  }

  show();
  root.append(
    element(
      "div",
      { class: "beside" },
      element("div", {}, review.node, examples.node, said),
      plot.svg,
    ),
  );
}
