// A month of forecasts: where the reader puts "now", what a network says and what came.
import { layer, linear, modelOf, step, zeros } from "./network.mjs";
import { check, digits, drawing, element, line, shape, slider, text } from "./parts.mjs";
import { TEXTS } from "./texts.mjs";
import { asleep, between } from "./trained.mjs";

const WORDS = TEXTS.weather;
const [WINDOW, AHEAD] = [48, 24]; // hours that are read, and hours that are forecast
const HOUR = 3_600_000; // milliseconds
const [LEFT, RIGHT, TOP, BOTTOM] = [36, 352, 60, 232]; // of the plot

/** Time of day and of year as sine and cosine, of an hour of the table, which begins at 6:00. */
function clock(hour) {
  const [day, year] = [24, 8760].map((turn) => (2 * Math.PI * (hour + 6)) / turn);
  return [Math.sin(day), Math.cos(day), Math.sin(year), Math.cos(year)];
}

/** The network of a file: what was measured, and forecasts of 24 temperatures from an hour on. */
export function networkOf(buffer) {
  const { header, weights } = modelOf(buffer);
  const [lstm, head] = [layer(weights, "lstm."), layer(weights, "head.")];
  const { mean, sd } = weights;
  const columns = header.columns.map((_, k) => weights[`series.${k}`]);
  return {
    ...header,
    temperature: columns[0],
    forecast(now) {
      let state = zeros(lstm);
      for (let t = now - WINDOW + 1; t <= now; t++) {
        const measured = columns.map((column, k) => (column[t] - mean[k]) / sd[k]);
        ({ state } = step(lstm, [...measured, ...clock(header.first + t)], state));
      }
      return linear(head, state[0]).map((change) => columns[0][now] + sd[0] * change);
    },
  };
}

/** A day of what was measured, and the day that is to be forecast. */
function picture(temperature) {
  const [low, high] = [Math.min, Math.max].map((of) => 5 * Math.round(of(...temperature) / 5));
  const [x, y] = [
    (hour) => LEFT + ((hour + AHEAD) / (2 * AHEAD)) * (RIGHT - LEFT),
    between(low, high, TOP, BOTTOM),
  ];
  const level = (value) => [
    line(
      [
        [LEFT, y(value)],
        [RIGHT, y(value)],
      ],
      { class: "grid" },
    ),
    text(LEFT - 6, y(value) + 4, digits(value, 0), { class: "small", "text-anchor": "end" }),
  ];
  const levels = Array.from({ length: (high - low) / 10 + 1 }, (_, k) => low + 10 * k).flatMap(
    level,
  );
  const names = ["network", "yesterday", "measured"].map((name, n) => {
    const [at, under] = [LEFT + 170 * (n % 2), n < 2 ? 14 : 34];
    return shape(
      "g",
      {},
      line(
        [
          [at, under],
          [at + 28, under],
        ],
        { class: `curve ${name}` },
      ),
      text(at + 34, under + 5, WORDS[name], { "text-anchor": "start" }),
    );
  });
  const curves = shape("g");
  const now = line(
    [
      [x(0), TOP - 6],
      [x(0), BOTTOM],
    ],
    { class: "axis" },
  );
  const hours = [-24, -12, 0, 12, 24].map((hour) =>
    text(x(hour), BOTTOM + 18, hour ? digits(hour, 0) : WORDS.now, { class: "small" }),
  );
  return {
    svg: drawing(
      360,
      BOTTOM + 42,
      ...names,
      ...levels,
      now,
      ...hours,
      text(x(0), BOTTOM + 38, WORDS.hours),
      text(LEFT - 6, TOP - 10, "°C", { class: "small" }),
      curves,
    ),
    /** Each a list of [hour, temperature] pairs, hours counted from now. */
    set(found) {
      curves.replaceChildren(
        ...Object.entries(found).map(([name, pairs]) =>
          line(
            pairs.map(([hour, value]) => [x(hour), y(value)]),
            { class: `curve ${name}` },
          ),
        ),
      );
    },
  };
}

export function draw(root, twin) {
  asleep(root, twin, "weather.bin", awake);
}

function awake(root, buffer) {
  const network = networkOf(buffer);
  const { temperature } = network;
  const plot = picture(temperature);
  const said = element("output", { class: "said" });
  const first = Date.parse(`${network.start}:00Z`);
  const format = new Intl.DateTimeFormat(document.documentElement.lang, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    timeZone: "UTC",
  });
  const date = (hour) => format.format(first + hour * HOUR);
  const last = temperature.length - AHEAD - 1;
  const now = slider(
    WORDS.now,
    { min: WINDOW - 1, max: last, step: 1, value: network.shown, show: date },
    show,
  );
  const came = check(WORDS.came, show);

  function show() {
    const hour = now.value;
    const ahead = Array.from({ length: AHEAD }, (_, k) => k + 1);
    const forecast = network.forecast(hour);
    const yesterday = ahead.map((k) => temperature[hour + k - AHEAD]);
    const truth = ahead.map((k) => temperature[hour + k]);
    const pairs = (values, from) => Array.from(values, (value, k) => [from + k, value]);
    const past = pairs(temperature.subarray(hour - AHEAD, hour + 1), -AHEAD);
    plot.set({
      measured: came.checked ? [...past, ...pairs(truth, 1)] : past,
      network: [[0, temperature[hour]], ...pairs(forecast, 1)],
      yesterday: pairs(yesterday, 1),
    });
    const error = (values) =>
      digits(values.reduce((sum, value, k) => sum + Math.abs(value - truth[k]), 0) / AHEAD, 1);
    const words = {
      date: date(hour),
      now: digits(temperature[hour], 1),
      network: digits(forecast[AHEAD - 1], 1),
      yesterday: digits(yesterday[AHEAD - 1], 1),
    };
    said.textContent =
      WORDS.said(words) +
      (came.checked
        ? WORDS.errors({
            truth: digits(truth[AHEAD - 1], 1),
            network: error(forecast),
            yesterday: error(yesterday),
          })
        : "");
  }

  show();
  root.append(
    element("div", { class: "beside" }, plot.svg, element("div", {}, now.node, came.node, said)),
  );
}
