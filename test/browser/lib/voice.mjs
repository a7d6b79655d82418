// In a page: the track of a steady voice.  Chromium's fake microphone only beeps now and then, which is no speech.
export async function steadyVoice() {
  const context = new AudioContext();
  const source = context.createOscillator();
  const sink = context.createMediaStreamDestination();
  source.connect(sink);
  source.start();
  await context.resume();
  return sink.stream.getAudioTracks()[0];
}
