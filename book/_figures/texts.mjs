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
};
