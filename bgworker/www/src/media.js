// A person's own camera, microphone and screen.  Each track has one owner, this object, from getUserMedia to stop():
// whoever is told of a track may show or send it, and only this object stops it.
import { openCamera, openMicrophone, openScreen } from './devices.js';

const OPEN = { camera: openCamera, microphone: openMicrophone, screen: openScreen };

export class OwnMedia {
  // onChange(source) is called when a track came, went, or is being waited for; the view of the moment sets it.
  constructor() {
    Object.assign(this, { onChange() {}, closed: false });
    this.tracks = new Map(); // source -> track
    this.opening = new Map(); // source -> ticket of the request that is wanted
    this.turn = Promise.resolve();
  }

  isOpening(source) {
    return this.opening.has(source);
  }

  // Browsers that ask for permission ask once at a time, so requests wait for one another.  Result: the track; null when
  // it was no longer wanted by the time it came, and then it is stopped already.
  open(source, deviceId) {
    if (this.closed) return Promise.resolve(null);
    this.stop(source);
    const ticket = Symbol(source);
    this.opening.set(source, ticket);
    this.onChange(source);
    const opened = this.turn.then(() => this.request(source, ticket, deviceId));
    this.turn = opened.catch(() => {});
    return opened;
  }

  async request(source, ticket, deviceId) {
    const isWanted = () => this.opening.get(source) === ticket;
    if (!isWanted()) return null;
    try {
      const track = await OPEN[source](deviceId);
      if (isWanted()) this.keep(source, track);
      else track.stop();
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
  }

  // Whatever is open or on its way.
  stop(source) {
    const was = this.tracks.has(source) || this.opening.has(source);
    this.opening.delete(source);
    this.tracks.get(source)?.stop();
    this.tracks.delete(source);
    if (was) this.onChange(source);
  }

  close() {
    this.closed = true;
    this.onChange = () => {};
    Object.keys(OPEN).forEach((source) => this.stop(source));
  }
}
