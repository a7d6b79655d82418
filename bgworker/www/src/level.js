// How loud a microphone is, for whoever looks at it.
const LOOK_MS = 100;
const LOUD = 0.3; // root of the mean square of speech right in front of a microphone

// show(level) is called with 0 to 1 until the result is called.
export function watchLevel(track, show) {
  if (!globalThis.AudioContext) return () => {};
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  const samples = new Float32Array(analyser.fftSize);
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  context.resume().catch(() => {});
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const square = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    show(Math.min(1, Math.sqrt(square) / LOUD));
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    if (context.state !== 'closed') context.close().catch(() => {});
  };
}
