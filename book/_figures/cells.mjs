// The cells of companion/cells, in the same letters, for one unit: numbers instead of arrays.
// tests/site/test_figures.py compares each with the package.

const { tanh } = Math;
const memory = { states: ["h", "c"], carries: ["c"], peepholes: [], split: 0 };
const plain = { states: ["h"], carries: [], peepholes: [], split: 0 };

export function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

export const CELLS = {
  rnn: {
    ...plain,
    gates: ["h"],
    step([ah]) {
      return [[tanh(ah)], []];
    },
    derivative([dh], [h]) {
      return [[dh * (1 - h * h)], []];
    },
  },

  lstm: {
    ...memory,
    gates: ["i", "f", "g", "o"],
    step([ai, af, ag, ao], [cPrev]) {
      const [i, f, g, o] = [sigmoid(ai), sigmoid(af), tanh(ag), sigmoid(ao)];
      const c = f * cPrev + i * g;
      const tanhC = tanh(c);
      return [
        [o * tanhC, c],
        [i, f, g, o, tanhC],
      ];
    },
    derivative([dh, dcIn], state, [i, f, g, o, tanhC], [cPrev]) {
      const dc = dcIn + dh * o * (1 - tanhC * tanhC);
      const dai = dc * g * i * (1 - i);
      const daf = dc * cPrev * f * (1 - f);
      const dag = dc * i * (1 - g * g);
      const dao = dh * tanhC * o * (1 - o);
      return [[dai, daf, dag, dao], [dc * f]];
    },
  },

  peephole: {
    ...memory,
    gates: ["i", "f", "g", "o"],
    peepholes: ["p_i", "p_f", "p_o"],
    step([ai, af, ag, ao], [cPrev], [pi, pf, po]) {
      const [i, f, g] = [sigmoid(ai + pi * cPrev), sigmoid(af + pf * cPrev), tanh(ag)];
      const c = f * cPrev + i * g;
      const o = sigmoid(ao + po * c);
      const tanhC = tanh(c);
      return [
        [o * tanhC, c],
        [i, f, g, o, tanhC],
      ];
    },
  },

  coupled: {
    ...memory,
    gates: ["i", "g", "o"],
    step([ai, ag, ao], [cPrev]) {
      const [i, g, o] = [sigmoid(ai), tanh(ag), sigmoid(ao)];
      const f = 1 - i;
      const c = f * cPrev + i * g;
      const tanhC = tanh(c);
      return [
        [o * tanhC, c],
        [i, f, g, o, tanhC],
      ];
    },
  },

  gru: {
    ...plain,
    gates: ["r", "z", "n"],
    carries: ["h"],
    split: 1, // the recurrent part of n comes apart from its input part, after all gates
    step([ar, az, anx, anh], [hPrev]) {
      const [r, z] = [sigmoid(ar), sigmoid(az)];
      const n = tanh(anx + r * anh);
      return [[(1 - z) * n + z * hPrev], [r, z, n, anh]];
    },
  },

  lstm1997: {
    ...memory,
    gates: ["i", "g", "o"],
    step([ai, ag, ao], [cPrev]) {
      const [i, g, o] = [sigmoid(ai), tanh(ag), sigmoid(ao)];
      const c = cPrev + i * g; // no forget gate
      const tanhC = tanh(c);
      return [
        [o * tanhC, c],
        [i, 1, g, o, tanhC],
      ];
    },
  },
};

/**
 * One step of a layer of H units, as companion.forward takes it for one sequence.
 * params: flat arrays under the names of the package, row after row. x: D numbers.
 * state: an array of H numbers for each of cell.states.
 * Returns the new state, and of each unit the pre-activations `a` and what the cell `kept`.
 */
export function advance(cell, params, x, state) {
  const H = state[0].length;
  const joint = cell.gates.length - cell.split;
  const next = state.map(() => new Float64Array(H));
  const units = [];
  for (let k = 0; k < H; k++) {
    const rows = cell.gates.map((_, g) => g * H + k);
    const fromX = rows.map((row) => params.bias_ih[row] + dot(params.weight_ih, row, x));
    const fromH = rows.map((row) => params.bias_hh[row] + dot(params.weight_hh, row, state[0]));
    const sums = fromX.map((value, g) => (g < joint ? value + fromH[g] : value));
    const a = [...sums, ...fromH.slice(joint)];
    const peepholes = cell.peepholes.map((name) => params[name][k]);
    const [values, kept] = cell.step(a, carried(cell, state, k), peepholes);
    values.forEach((value, s) => (next[s][k] = value));
    units.push({ a, kept });
  }
  return { state: next, units };
}

/**
 * The step back, for a cell with a derivative: what the derivatives of the new state make of those
 * of the state `before`. state, units: as `advance` returned them.
 */
export function retreat(cell, params, dstate, state, units, before) {
  const H = before[0].length;
  const dbefore = before.map(() => new Float64Array(H));
  units.forEach(({ kept }, k) => {
    const of = (arrays) => arrays.map((array) => array[k]);
    const [da, dcarry] = cell.derivative(of(dstate), of(state), kept, carried(cell, before, k));
    cell.carries.forEach((name, n) => (dbefore[cell.states.indexOf(name)][k] = dcarry[n]));
    da.forEach((value, g) => {
      for (let j = 0; j < H; j++) dbefore[0][j] += value * params.weight_hh[(g * H + k) * H + j];
    });
  });
  return dbefore;
}

function carried(cell, state, k) {
  return cell.carries.map((name) => state[cell.states.indexOf(name)][k]);
}

function dot(matrix, row, vector) {
  let sum = 0;
  for (let j = 0; j < vector.length; j++) sum += matrix[row * vector.length + j] * vector[j];
  return sum;
}
