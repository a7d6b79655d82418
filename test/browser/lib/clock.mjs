// In a page: clocks that are sent as pictures and as sound, and read where they arrive.  All tabs of a machine have one
// Date.now(), so what is read is the age of what is seen or heard.

// ---- pictures: eight by three cells, black or white, in the upper half; the lower half changes all the time ----
//
//   | time, 16 bits, in 10 ms | sum, 8 bits |
const COLUMNS = 8;
const ROWS = 3;
const TICK_MS = 10;
const WRAP = 65_536;

const sumOf = (ticks) => (ticks * 37 + (ticks >> 8) * 11 + 0x5a) & 0xff;

function drawCells(context, width, height) {
  const ticks = Math.floor(Date.now() / TICK_MS) % WRAP;
  const bits = ticks * 256 + sumOf(ticks);
  for (let i = 0; i < COLUMNS * ROWS; i++) {
    context.fillStyle = (bits >> (COLUMNS * ROWS - 1 - i)) & 1 ? '#fff' : '#000';
    context.fillRect((i % COLUMNS) * (width / COLUMNS), Math.floor(i / COLUMNS) * (height / 2 / ROWS), width / COLUMNS, height / 2 / ROWS);
  }
}

// The track of a clock; as restless as it is, an encoder gives it all bits that it may.
export function clockTrack({ width, height, frameRate }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  const noise = Object.assign(document.createElement('canvas'), { width: width * 2, height });
  const dots = noise.getContext('2d');
  const image = dots.createImageData(noise.width, noise.height);
  for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : 96 + Math.random() * 64;
  dots.putImageData(image, 0, 0);
  setInterval(() => {
    const [x, y] = [Math.random() * width, (Math.random() * height) / 2];
    context.drawImage(noise, x, y, width, height / 2, 0, height / 2, width, height / 2);
    drawCells(context, width, height);
  }, 1000 / frameRate);
  return canvas.captureStream(frameRate).getVideoTracks()[0];
}

const SIDE = 8; // pixels of a cell, as it is read
const reader = new OffscreenCanvas(COLUMNS * SIDE, ROWS * SIDE);
const readerContext = reader.getContext('2d', { willReadFrequently: true });

// When the picture that an element shows was drawn, in Date.now()'s milliseconds; undefined: no clock, or not to be read.
export function readClock(video) {
  readerContext.drawImage(video, 0, 0, video.videoWidth, video.videoHeight / 2, 0, 0, reader.width, reader.height);
  const { data } = readerContext.getImageData(0, 0, reader.width, reader.height);
  let bits = 0;
  for (let row = 0; row < ROWS; row++)
    for (let column = 0; column < COLUMNS; column++) {
      const at = (row * SIDE + SIDE / 2) * reader.width + column * SIDE + SIDE / 2;
      bits = bits * 2 + (data[at * 4 + 1] > 127 ? 1 : 0);
    }
  const ticks = bits >> 8;
  if ((bits & 0xff) !== sumOf(ticks)) return undefined;
  const now = Date.now();
  return now - ((Math.floor(now / TICK_MS) - ticks + WRAP) % WRAP) * TICK_MS;
}

// ---- sound: a pitch for each tenth of a second, 32 of them ----
const STEP_MS = 100;
const STEPS = 32;
const LOWEST_HZ = 400;
const APART_HZ = 75;

export async function soundClockTrack() {
  const context = new AudioContext();
  const source = context.createOscillator();
  const sink = context.createMediaStreamDestination();
  source.connect(sink);
  setInterval(() => source.frequency.setValueAtTime(LOWEST_HZ + APART_HZ * (Math.floor(Date.now() / STEP_MS) % STEPS), context.currentTime), 20);
  source.start();
  await context.resume();
  return sink.stream.getAudioTracks()[0];
}

// Calls onHeard(age in ms), ten times a second, with the age of what is heard of a track then, where a pitch is clear.
export async function listen(track, onHeard) {
  const context = new AudioContext({ sampleRate: 48_000 });
  const analyser = Object.assign(context.createAnalyser(), { fftSize: 2048, smoothingTimeConstant: 0 });
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  await context.resume();
  const levels = new Float32Array(analyser.frequencyBinCount);
  const binHz = context.sampleRate / analyser.fftSize;
  setInterval(() => {
    analyser.getFloatFrequencyData(levels);
    const loudest = levels.indexOf(Math.max(...levels));
    const step = Math.round((loudest * binHz - LOWEST_HZ) / APART_HZ);
    if (!(levels[loudest] > -60) || step < 0 || step >= STEPS) return;
    const now = Date.now();
    onHeard(((Math.floor(now / STEP_MS) - step + STEPS) % STEPS) * STEP_MS);
  }, 100);
}

// ---- talk: a voice of -40 dBov, and a cough of 200 ms at -15 dBov every four seconds ----
const amplitude = (dbov) => Math.SQRT2 * 10 ** (dbov / 20); // of a sine

export async function quietTalk() {
  const context = new AudioContext();
  const gain = context.createGain();
  gain.gain.value = amplitude(-40);
  const source = context.createOscillator();
  const sink = context.createMediaStreamDestination();
  source.connect(gain).connect(sink);
  source.start();
  await context.resume();
  return sink.stream.getAudioTracks()[0];
}

export async function coughs() {
  const context = new AudioContext();
  const gain = context.createGain();
  const source = context.createOscillator();
  const sink = context.createMediaStreamDestination();
  gain.gain.value = 0;
  for (let second = 4; second < 600; second += 4) {
    gain.gain.setValueAtTime(amplitude(-15), context.currentTime + second);
    gain.gain.setValueAtTime(0, context.currentTime + second + 0.2);
  }
  source.connect(gain).connect(sink);
  source.start();
  await context.resume();
  return sink.stream.getAudioTracks()[0];
}
