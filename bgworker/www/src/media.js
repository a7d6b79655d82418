// A person's own camera, microphone and screen.  Each track has one owner, this object, from getUserMedia to stop():
// whoever is told of a track may show or send it, and only this object stops it.
import { openCamera, openMicrophone, openScreen } from './devices.js';

const SOUND = 'screen-audio'; // comes and goes with the screen
const OPEN = { camera: openCamera, microphone: openMicrophone, screen: openScreen };

export class OwnMedia {
  // onChange(source) is called when a track came, went, or is being waited for; the view of the moment sets it.
  constructor() {
    Object.assign(this, { onChange() {}, closed: false });
    this.tracks = new Map(); // source -> track
    this.opening = new Map(); // source -> ticket of the request that is wanted
    this.preferred = new Map(); // source -> id of the device that was chosen last
    this.turn = Promise.resolve();
  }

  isOpening(source) {
    return this.opening.has(source);
  }

  // Browsers that ask for permission ask once at a time, so requests wait for one another.  Result: the track; null when
  // it was no longer wanted by the time it came, and then it is stopped already.
  open(source, deviceId) {
    if (this.closed) return Promise.resolve(null);
    if (deviceId) this.preferred.set(source, deviceId);
    this.stop(source);
    const ticket = Symbol(source);
    this.opening.set(source, ticket);
    this.onChange(source);
    const opened = this.turn.then(() => this.request(source, ticket, this.preferred.get(source)));
    this.turn = opened.catch(() => {});
    return opened;
  }

  async request(source, ticket, deviceId) {
    const isWanted = () => this.opening.get(source) === ticket;
    if (!isWanted()) return null;
    try {
      const track = await OPEN[source](deviceId);
      if (isWanted()) this.keep(source, track);
      else {
        track.stop();
        track.sound?.stop();
      }
    } catch (error) {
      if (!isWanted()) return null;
      this.stop(source);
      throw error;
    }
    return this.tracks.get(source) ?? null;
  }

  keep(source, track) {
    this.opening.delete(source);
    this.tracks.set(source, track);
    // Unplugged, or ended by the browser's own button.
    track.addEventListener('ended', () => this.tracks.get(source) === track && this.stop(source));
    this.onChange(source);
    if (track.sound) this.keep(SOUND, track.sound);
  }

  // For the next time, or at once where the source is open.
  choose(source, deviceId) {
    if (this.tracks.has(source)) return this.open(source, deviceId);
    this.preferred.set(source, deviceId);
    return Promise.resolve(null);
  }

  // Whatever is open or on its way.
  stop(source) {
    const was = this.tracks.has(source) || this.opening.has(source);
    this.opening.delete(source);
    this.tracks.get(source)?.stop();
    this.tracks.delete(source);
    if (was) this.onChange(source);
    if (source === 'screen') this.stop(SOUND);
  }

  close() {
    this.closed = true;
    this.onChange = () => {};
    Object.keys(OPEN).forEach((source) => this.stop(source));
  }
}
