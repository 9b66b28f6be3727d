// Features of sound, as companion/sound.py computes them: frames, a spectrum of each, mel bands.

const WIDTH = 0.025; // seconds of a frame
export const HOP = 0.01; // seconds from one frame to the next
const FLOOR = 1e-6; // energy that silence counts as

const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
const hertz = (mels) => 700 * (10 ** (mels / 2595) - 1);

/** Triangular filters, equally spaced on the mel scale, each over so many frequencies. */
function filters(bands, size, rate) {
  const top = mel(rate / 2);
  const edges = Array.from({ length: bands + 2 }, (_, k) => hertz((top * k) / (bands + 1)));
  return Array.from({ length: bands }, (_, k) => {
    const [low, middle, high] = edges.slice(k, k + 3);
    return Float64Array.from({ length: size }, (_, n) => {
      const f = (n * rate) / 2 / (size - 1);
      return Math.max(0, Math.min((f - low) / (middle - low), (high - f) / (high - middle)));
    });
  });
}

/**
 * Log energies of a wave in mel bands, a list of bands for each frame. rate: samples a second, of
 * which 25 and 10 ms have whole numbers. The spectrum is computed by the sums that define it: a few
 * seconds need no faster transform.
 */
export function logMel(wave, rate, bands) {
  const [width, hop] = [WIDTH, HOP].map((seconds) => Math.round(seconds * rate));
  const many = Math.floor((wave.length - width) / hop) + 1;
  const n = 2 ** Math.ceil(Math.log2(width)); // frames are filled up with zeros
  const size = n / 2 + 1;
  const turns = (of) => Float64Array.from({ length: n }, (_, k) => of((2 * Math.PI * k) / n));
  const [cos, sin] = [turns(Math.cos), turns(Math.sin)];
  const hann = Array.from(
    { length: width },
    (_, k) => 0.5 - 0.5 * Math.cos((2 * Math.PI * k) / (width - 1)),
  );
  const triangles = filters(bands, size, rate);
  return Array.from({ length: many }, (_, t) => {
    const faded = hann.map((factor, k) => factor * wave[t * hop + k]);
    const power = Float64Array.from({ length: size }, (_, f) => {
      let [re, im] = [0, 0];
      for (let k = 0; k < width; k++) {
        re += faded[k] * cos[(f * k) % n];
        im += faded[k] * sin[(f * k) % n];
      }
      return re * re + im * im;
    });
    return triangles.map((triangle) => {
      const energy = triangle.reduce((sum, share, f) => sum + share * power[f], 0);
      return Math.log(Math.max(energy, FLOOR));
    });
  });
}

/** The same with mean 0 and standard deviation 1 in each band over all frames. */
export function normalised(x) {
  const scales = x[0].map((_, band) => {
    const values = x.map((frame) => frame[band]);
    const mean = values.reduce((a, b) => a + b) / x.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
    return [mean, Math.max(Math.sqrt(variance), 1e-3)];
  });
  return x.map((frame) => frame.map((value, band) => (value - scales[band][0]) / scales[band][1]));
}

/** Every n frames as one; the last is filled up with the last frame. */
export function joined(x, n) {
  return Array.from({ length: Math.ceil(x.length / n) }, (_, t) =>
    Array.from({ length: n }, (_, k) => x[Math.min(t * n + k, x.length - 1)]).flat(),
  );
}
