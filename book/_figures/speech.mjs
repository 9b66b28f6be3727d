// Digits that the reader says, or a recorded voice, and what a network hears in them.
import { bytes } from "./data.mjs";
import { HOP, joined, logMel, normalised } from "./mel.mjs";
import { layer, linear, modelOf, softmax, step, zeros } from "./network.mjs";
import { button, choice, digits, drawing, element, line, shape, text } from "./parts.mjs";
import { listens, play, record, waveOf } from "./sound.mjs";
import { TEXTS } from "./texts.mjs";
import { asleep, between, largest } from "./trained.mjs";

const WORDS = TEXTS.speech;
const BLANK = 0; // class k is the digit k - 1
const [LEFT, RIGHT] = [30, 352]; // of all three plots
const [WAVE, BANDS, CHANCE] = [
  [18, 62],
  [84, 162],
  [202, 266],
]; // top and bottom of each
const SVG_IMAGE = { preserveAspectRatio: "none", class: "bands" };

/** The recogniser of a file: features of a wave, and probabilities of the classes at each step. */
export function networkOf(buffer) {
  const { header, weights } = modelOf(buffer);
  const [ahead, back, readout] = ["ahead.", "back.", "readout."].map((name) =>
    layer(weights, name),
  );
  const read = (params, xs) => {
    let state = zeros(params);
    return xs.map((x) => {
      ({ state } = step(params, x, state));
      return state[0];
    });
  };
  return {
    ...header,
    /** The middle of a step. */
    seconds: (t) => (t + 0.5) * header.frames * HOP,
    features: (wave) => normalised(logMel(wave, header.rate, header.bands)),
    probabilities(x) {
      const xs = joined(x, header.frames);
      const [there, here] = [read(ahead, xs), read(back, xs.toReversed()).reverse()];
      return there.map((h, t) => softmax(linear(readout, [...h, ...here[t]])));
    },
  };
}

/** The digits of the best path, each with the step at which it is surest and how sure it is. */
export function bestPath(p) {
  const found = [];
  let last = BLANK;
  p.forEach((row, t) => {
    const [k] = largest(row, 1);
    if (k !== BLANK && k !== last) found.push({ digit: k - 1, step: t, sure: row[k] });
    else if (k !== BLANK && row[k] > found.at(-1).sure)
      Object.assign(found.at(-1), { step: t, sure: row[k] });
    last = k;
  });
  return found;
}

/** The wave, its mel bands, and what the network says of each step. */
function picture(network) {
  const shown = shape("g");
  const level = (y) =>
    line(
      [
        [LEFT, y],
        [RIGHT, y],
      ],
      { class: "grid" },
    );
  const name = (y, words) => text(LEFT, y, words, { "text-anchor": "start", class: "small" });
  const left = (y, words) => text(LEFT - 6, y + 4, words, { "text-anchor": "end", class: "small" });
  const mask = shape("mask", { id: "computed-bands" });
  const [top, bottom] = BANDS;
  const box = { x: LEFT, y: top, width: RIGHT - LEFT, height: bottom - top };
  const svg = drawing(
    360,
    302,
    name(12, WORDS.wave),
    name(78, WORDS.bands),
    name(180, WORDS.chance),
    ...CHANCE.map(level),
    left(CHANCE[0], "1"),
    left(CHANCE[1], "0"),
    mask,
    shape("rect", { ...box, fill: "currentColor", mask: "url(#computed-bands)" }),
    text((LEFT + RIGHT) / 2, 298, WORDS.seconds),
    shown,
  );

  /** One line down and up through the loudest and the lowest sample of each column. */
  function outline(wave) {
    const columns = RIGHT - LEFT;
    const most = wave.reduce((loud, value) => Math.max(loud, Math.abs(value)), 1e-9);
    const y = between(-most, most, ...WAVE);
    return Array.from({ length: columns }, (_, n) => {
      const [from, to] = [n, n + 1].map((k) => Math.floor((k * wave.length) / columns));
      const part = wave.subarray(from, Math.max(to, from + 1));
      return [Math.min, Math.max].map((of) => [LEFT + n, y(part.reduce((a, b) => of(a, b)))]);
    }).flat();
  }

  /** A mask: the louder a band is, the more it lets through of the text's color. */
  function bands(x) {
    const canvas = element("canvas", { width: x.length, height: x[0].length });
    const pixels = new ImageData(x.length, x[0].length);
    x.forEach((frame, t) =>
      frame.forEach((value, band) => {
        const at = 4 * ((x[0].length - 1 - band) * x.length + t);
        pixels.data.set([255, 255, 255, (255 * (value + 1)) / 3], at);
      }),
    );
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return shape("image", { ...box, ...SVG_IMAGE, href: canvas.toDataURL() });
  }

  return {
    svg,
    set(wave, x, p, path) {
      const all = wave.length / network.rate;
      const at = (seconds) => LEFT + (seconds / all) * (RIGHT - LEFT);
      const [middle, y] = [(t) => at(network.seconds(t)), between(0, 1, ...CHANCE)];
      const curve = (k, more) =>
        line(
          p.map((row, t) => [middle(t), y(row[k])]),
          { class: "curve", ...more },
        );
      mask.replaceChildren(bands(x));
      shown.replaceChildren(
        line(outline(wave), { stroke: "currentColor", "stroke-width": 0.7 }),
        curve(BLANK, { class: "curve blank" }),
        ...[...p[0].keys()].slice(1).map((k) => curve(k, { stroke: "currentColor" })),
        ...path.map(({ digit, step: t }) => text(middle(t), CHANCE[0] - 6, digit)),
        ...Array.from({ length: Math.floor(all) + 1 }, (_, n) =>
          text(at(n), CHANCE[1] + 16, n, { class: "small" }),
        ),
      );
    },
  };
}

export function draw(root, twin) {
  asleep(root, twin, "speech.bin", awake);
}

function awake(root, buffer) {
  const network = networkOf(buffer);
  const { rate } = network;
  const plot = picture(network);
  const said = element("output", { class: "said", "aria-busy": "true" }, WORDS.reading);
  const voice = choice(
    WORDS.voice,
    network.samples.map((name) => [name, [...name].join(" ")]),
    listen,
  );
  const recorder = button(WORDS.record, press);
  let [wave, stop] = [null, null];

  function listen() {
    hear(bytes(`speech-${voice.value}.wav`));
  }

  async function press() {
    if (stop) return stop();
    stop = () => {}; // until the reader has allowed it
    await hear(
      record().then((started) => {
        stop = started.stop;
        [recorder.textContent, said.textContent] = [WORDS.stop, WORDS.speak];
        return started.file;
      }),
    );
    stop = null;
    recorder.textContent = WORDS.record;
  }

  /** Show what the network hears in a sound file, once its bytes are there. */
  async function hear(file) {
    try {
      const found = await waveOf(await file, rate);
      const x = network.features(found);
      const p = network.probabilities(x);
      wave = found;
      tell(x, p, bestPath(p));
    } catch ({ name }) {
      said.textContent = WORDS.errors[name] ?? WORDS.failed;
    }
    said.removeAttribute("aria-busy");
  }

  function tell(x, p, path) {
    plot.set(wave, x, p, path);
    const least = path.toSorted((one, other) => one.sure - other.sure)[0];
    said.replaceChildren(
      ...(least
        ? [
            element(
              "p",
              {},
              WORDS.heard,
              element("strong", {}, path.map(({ digit }) => digit).join(" ")),
            ),
            element(
              "p",
              {},
              WORDS.least({
                digit: least.digit,
                seconds: digits(network.seconds(least.step), 1),
                sure: digits(least.sure),
              }),
            ),
          ]
        : [WORDS.nothing]),
    );
  }

  listen();
  root.append(
    element(
      "div",
      { class: "beside" },
      element(
        "div",
        {},
        element("p", {}, listens() ? WORDS.private : WORDS.unable),
        element(
          "p",
          { class: "buttons" },
          ...(listens() ? [recorder] : []),
          button(WORDS.play, () => wave && play(wave, rate)),
        ),
        voice.node,
        said,
      ),
      plot.svg,
    ),
  );
}
