// All words of the figures, so that a translation replaces this one file.

export const TEXTS = {
  cell: {
    incoming: "What comes in",
    x: "input",
    h: "hidden state",
    c: "cell state",
    weights: "Weights",
    gate: "of the",
    gates: { f: "forget gate", i: "input gate", g: "candidate", o: "output gate" },
    toInput: "for",
    bias: "bias",
    step: "Next step",
    restart: "Start again",
    said: ({ f, cPrev, keeps, i, g, adds, c, o, tanhC, h }) =>
      `The forget gate keeps ${f} of ${cPrev}, which is ${keeps}. ` +
      `The input gate takes ${i} of the candidate ${g}, which adds ${adds}. ` +
      `The cell state is now ${c}. ` +
      `The output gate shows ${o} of its tanh, ${tanhC}: the hidden state is ${h}.`,
  },
  trained: {
    open: "Try it yourself",
    loading: "The network is being loaded …",
    failed: "The network could not be loaded.",
  },
  characters: {
    type: "Type, and the network reads (English letters and marks, no digits)",
    next: "what it expects next",
    percent: (number) => `${number} %`,
    memory: "The memory of one unit",
    unit: "unit",
    hold: "hold its memory still",
    value: "held at",
    write: "Let it write",
    restart: "Start again",
    empty: "Nothing is read yet.",
    names: { "\n": "a line break", " ": "a space" },
    said: ({ character, percent, bits, left, unit, c }) =>
      `It expects ${character} next, with ${percent} %. ` +
      (bits ? `So far each character has cost it ${bits} bits on average. ` : "") +
      (left ? `Left out, since it does not know them: ${left}. ` : "") +
      `The memory of unit ${unit} is ${c}.`,
  },

  flow: {
    scale: "recurrent scale",
    forget: "forget gate",
    lag: "steps back",
    rnn: "RNN",
    lstm: "LSTM",
    gates: "forget gates alone",
    said: ({ lag, rnn, lstm, gates }) =>
      `What is left of the derivative ${lag} steps back: ${rnn} in the RNN, ${lstm} in the LSTM. ` +
      `Forget gates alone, at the value that their bias gives, would leave ${gates}.`,
  },
  translation: {
    number: "A number up to 999,999",
    another: "Another number",
    end: "(end)",
    outside: "The number must be a whole one from 0 to 999,999.",
    right: "That is right.",
    wrong: (right) => `That is wrong. Right is: ${right}.`,
    looked: (pairs) => `Each word, and where its largest weight was: ${pairs}.`,
  },

  carry: {
    quantity: "value",
    reads: "The loss reads",
    last: "the last output",
    every: "every output",
    bias: "forget bias",
    line: "lines done",
    restart: "From the start",
    next: "Next line",
    start: "The way forward is done. What does each step hand back to the step before?",
    lines: [
      (t, { dy, dhA, dh }) =>
        `Step ${t}: the output counts ${dy}, and the step after handed back ${dhA}: dh is ${dh}.`,
      (t, { dh, dcH }) =>
        `Step ${t}: through the output gate and the slope of tanh, dh = ${dh} becomes a share of dC, ${dcH}.`,
      (t, { dcH, dcC, dc }) =>
        `Step ${t}: that share and the carry, ${dcH} and ${dcC}, are all of dC: ${dc}.`,
      (t, { dai, daf, dag, dao }) =>
        `Step ${t}: the pre-activations of i, f, C̃ and o get ${dai}, ${daf}, ${dag} and ${dao}.`,
      (t, { dc, f }, { dcC, dhA }) =>
        `Step ${t} hands back the carry, ${dc} times f = ${f}, which is ${dcC}, and through the weights ${dhA}.`,
    ],
  },
  sentiment: {
    review: "A review of a film, in English",
    example: "or one of these",
    examples: [
      "It's never laugh out loud funny, but it is frequently amusing.",
      "Basically, it's pretty but dumb.",
      "Do not see this film.",
      "A bad film.",
      "Not a bad film.",
    ],
    hostile: "hostile",
    friendly: "friendly",
    empty: "Nothing is read yet.",
    said: ({ score, friendly, unknown, widest }) =>
      `The score at the end is ${score}: ${friendly ? "friendly" : "hostile"}. ` +
      `It changed most at “${widest}”. ` +
      (unknown ? `Words that it does not know, marked with “?”: ${unknown}.` : ""),
  },
  weather: {
    now: "now",
    came: "show what came",
    network: "the LSTM",
    yesterday: "“yesterday”",
    measured: "measured",
    hours: "hours from now",
    said: ({ date, now, network, yesterday }) =>
      `${date} UTC: ${now} °C. A day later it will be ${network} °C, says the LSTM; ${yesterday} °C, says “yesterday”. `,
    errors: ({ truth, network, yesterday }) =>
      `It was ${truth} °C. Over all 24 hours the LSTM was off by ${network} °C on average, “yesterday” by ${yesterday} °C.`,
  },
  speech: {
    private: "Say a few digits in English, one after another. Nothing leaves your browser.",
    unable: "This browser lends the page no microphone, so choose a recorded voice.",
    record: "Record",
    stop: "Stop",
    play: "Play what it heard",
    voice: "or a recorded voice",
    speak: "It records, six seconds at most: speak now.",
    reading: "It listens …",
    errors: {
      NotAllowedError: "The microphone was not allowed. Choose a recorded voice instead.",
      NotFoundError: "There is no microphone. Choose a recorded voice instead.",
    },
    failed: "That could not be read. Try again, or choose a recorded voice.",
    wave: "sound",
    bands: "mel bands, from low to high",
    chance: "probability of a digit, and of the blank (dashed)",
    seconds: "seconds",
    heard: "It hears ",
    nothing: "It hears no digit.",
    least: ({ digit, seconds, sure }) =>
      `It is least sure of the ${digit} at ${seconds} s: its probability is ${sure} at most.`,
  },

  judge: {
    open: "Write your formulas here, and Python judges them",
    code: "Your code",
    check: "Check",
    starting: "Python starts, which takes some seconds.",
    judging: "Python computes.",
    late: "It ran for ten seconds and was stopped.",
    broken: "Python did not start.",
    problem: (problem) => `It did not run: ${problem}.`,
    count: (right, all) => `${right} of ${all} are right.`,
    value: "value",
    error: "error",
    verdict: "verdict",
    right: "right",
    wrong: "WRONG",
    none: "no number",
  },
};
