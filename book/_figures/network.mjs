// Trained networks: the arrays of a file of data/, and what they are used for beside the cell.
import { CELLS, advance } from "./cells.mjs";

/**
 * A file of data/, as its bytes: its header, and its arrays by name, matrices row after row.
 * scripts/figure_models.py says how they are stored.
 */
export function modelOf(buffer) {
  const bytes = new Uint8Array(buffer);
  let at = bytes.indexOf(10) + 1; // the header is the first line
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, at)));
  const floats = (n) => new Float32Array(buffer.slice(at, (at += 4 * n)));
  const weights = {};
  for (const [name, [rows, columns]] of Object.entries(header.shapes)) {
    weights[name] = floats(rows); // a vector, or what each row of a matrix is to be multiplied by
    if (columns === undefined) continue;
    const whole = new Int8Array(buffer, at, rows * columns);
    at += whole.length;
    const matrix = new Float64Array(whole.length);
    for (let k = 0; k < whole.length; k++)
      matrix[k] = whole[k] * weights[name][Math.floor(k / columns)];
    weights[name] = matrix;
  }
  return { header, weights };
}

/** The weights whose names begin with a prefix, without it: one layer of several. */
export function layer(weights, prefix) {
  const own = Object.entries(weights).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, array]) => [name.slice(prefix.length), array]));
}

/** The state that an LSTM starts from, and one step of it, as `advance` gives it. */
export function zeros({ weight_hh: { length } }) {
  const H = Math.sqrt(length / 4);
  return [new Float64Array(H), new Float64Array(H)];
}

export function step(params, x, state) {
  return advance(CELLS.lstm, params, x, state);
}

/** Row k of a matrix with so many columns, such as the vector of word k. */
export function row(matrix, columns, k) {
  return matrix.subarray(k * columns, (k + 1) * columns);
}

/** W·x + b. */
export function linear({ weight, bias }, x) {
  return Float64Array.from(bias, (sum, k) => {
    for (let j = 0; j < x.length; j++) sum += weight[k * x.length + j] * x[j];
    return sum;
  });
}

/** Probabilities of scores. */
export function softmax(scores) {
  const top = Math.max(...scores);
  const powers = scores.map((a) => Math.exp(a - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
