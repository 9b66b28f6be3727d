// Sound of a page: from the microphone, out of a file, to the loudspeaker. Nothing is sent anywhere.

const LONGEST = 6000; // milliseconds
const FINER = 6; // times as many samples as are wanted are decoded
const CROSSINGS = 24; // of zero, on each side of the filter

/** Whether this browser lends a microphone to this page, if the reader allows it. */
export function listens() {
  return Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);
}

/**
 * Begin to record; rejects where there is no microphone or the reader does not allow it.
 * Returns `stop`, and `file`, a promise of the bytes of what was recorded, six seconds at most.
 */
export async function record() {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, ...plain },
  });
  const recorder = new MediaRecorder(stream);
  const parts = [];
  const file = new Promise((resolve) => {
    recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    recorder.addEventListener("stop", () => {
      stream.getTracks().forEach((track) => track.stop());
      resolve(new Blob(parts).arrayBuffer());
    });
  });
  const stop = () => recorder.state === "recording" && recorder.stop();
  recorder.start();
  setTimeout(stop, LONGEST);
  return { stop, file };
}

/**
 * The wave of a sound file, the mean of its channels, full scale being -1 … 1, with so many samples
 * a second. The browser decodes it at six times the rate: what it would do beyond lets through much
 * of the sound that the rate cannot hold.
 */
export async function waveOf(file, rate) {
  const audio = await new OfflineAudioContext(1, 1, FINER * rate).decodeAudioData(file);
  const channels = Array.from({ length: audio.numberOfChannels }, (_, k) =>
    audio.getChannelData(k),
  );
  const sum = (n) => channels.reduce((all, channel) => all + channel[n], 0);
  return everyNth(
    channels[0].map((_, n) => sum(n) / channels.length),
    FINER,
  );
}

/** Every n-th sample, of what is left below nine tenths of half the new rate: a sinc, faded out. */
function everyNth(wave, n) {
  const reach = CROSSINGS * n;
  const kernel = Float64Array.from({ length: 2 * reach + 1 }, (_, k) => {
    const t = (k - reach) / n;
    const sinc = t ? Math.sin(0.9 * Math.PI * t) / (Math.PI * t) : 0.9;
    return (sinc * (0.5 + 0.5 * Math.cos((Math.PI * t) / CROSSINGS))) / n;
  });
  return Float32Array.from({ length: Math.floor(wave.length / n) }, (_, at) =>
    kernel.reduce((sum, factor, k) => sum + factor * (wave[at * n + k - reach] ?? 0), 0),
  );
}

/** Let the reader hear a wave. */
export function play(wave, rate) {
  const context = new AudioContext();
  const source = new AudioBufferSourceNode(context, {
    buffer: new AudioBuffer({ length: wave.length, sampleRate: rate }),
  });
  source.buffer.copyToChannel(wave, 0);
  source.connect(context.destination);
  source.addEventListener("ended", () => context.close());
  source.start();
}
