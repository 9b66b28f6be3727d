// The reader's derivative of the LSTM step, judged by the complex step in real Python.
import { button, element, magnitude } from "./parts.mjs";
import { TEXTS } from "./texts.mjs";

const WORDS = TEXTS.judge;
const NAMES = ["a_i", "a_f", "a_g", "a_o", "c_prev"];
const RIGHT = 1e-11; // as in companion.gradcheck
const LIMIT = 10_000; // milliseconds that a derivative may take
const START = `def derivative(dstate, state, kept, carry, p):
    dh, dc = dstate
    i, f, g, o, tanh_c = kept
    (c_prev,) = carry
    dai = 0
    daf = 0
    dag = 0
    dao = 0
    dc_prev = 0
    return (dai, daf, dag, dao), (dc_prev,), ()
`;

function table(errors) {
  const column = (words) => element("th", { scope: "col" }, words);
  const rows = NAMES.map((name) => {
    const right = errors[name] < RIGHT;
    const size = errors[name] < 1e100 ? magnitude(errors[name]) : WORDS.none;
    const head = element("th", { scope: "row" }, name);
    const row = element(
      "tr",
      {},
      head,
      element("td", {}, right ? "< 10⁻¹¹" : size),
      element("td", {}, right ? WORDS.right : WORDS.wrong),
    );
    if (right) row.classList.add("right");
    return row;
  });
  const head = element("tr", {}, column(WORDS.value), column(WORDS.error), column(WORDS.verdict));
  return element(
    "table",
    { class: "numbers" },
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
}

export function draw(root) {
  // Python is asked for by fetch, which a page that was opened from a folder does not have.
  if (!window.computed.python || location.protocol === "file:") return false;
  const code = element("textarea", {
    rows: 11,
    spellcheck: "false",
    autocapitalize: "off",
    id: "computed-derivative",
  });
  code.value = START;
  const said = element("output", { class: "said" });
  const shown = element("div");
  let worker, late;

  const answer = (words, ...nodes) => {
    said.textContent = words;
    shown.replaceChildren(...nodes);
    check.disabled = false;
  };

  function start() {
    worker = new Worker(`${window.computed.folder}judge-worker.js`);
    worker.onmessage = ({ data }) => {
      if (data.ready) return wait();
      clearTimeout(late);
      if (data.problem) return answer(WORDS.problem(data.problem));
      const right = NAMES.filter((name) => data.errors[name] < RIGHT).length;
      answer(WORDS.count(right, NAMES.length), table(data.errors));
    };
    worker.onerror = () => stop(WORDS.broken);
  }

  function stop(words) {
    worker.terminate();
    worker = undefined;
    clearTimeout(late);
    answer(words);
  }

  function wait() {
    late = setTimeout(() => stop(WORDS.late), LIMIT);
  }

  const check = button(WORDS.check, () => {
    check.disabled = true;
    said.textContent = worker ? WORDS.judging : WORDS.starting;
    if (worker) wait();
    else start();
    worker.postMessage(code.value);
  });
  root.append(
    element(
      "details",
      {},
      element("summary", {}, WORDS.open),
      element("label", { for: "computed-derivative" }, WORDS.code),
      code,
      element("p", { class: "buttons" }, check),
      said,
      shown,
    ),
  );
}
