// The pictures of a meeting: a tile for each participant, and one for each screen that is shown.
import { h, initials } from './dom.js';
import { icon } from './icons.js';

const SMALL_PX = 220;
const MEDIUM_PX = 480;
const REACTION_MS = 4000;

function layerFor(width) {
  const pixels = width * devicePixelRatio;
  return pixels <= SMALL_PX ? 0 : pixels <= MEDIUM_PX ? 1 : 2;
}

function qualityOf(score) {
  return score >= 7 ? 'good' : score >= 4 ? 'fair' : 'poor';
}

class Tile {
  constructor(name, { mirror = false, screen = false } = {}) {
    this.label = h('span', { dir: 'auto' }, name);
    this.signs = h('span', { class: 'signs' });
    this.quality = h('span', { class: 'quality', role: 'img' });
    this.avatar = h('span', { class: 'avatar', 'aria-hidden': 'true' }, initials(name));
    this.node = h('li', { class: `tile ${mirror ? 'mirror' : ''} ${screen ? 'screen' : ''}` }, this.avatar,
      h('div', { class: 'name' }, this.signs, this.label, this.quality));
    this.media = new Map(); // track -> element
  }

  show(track) {
    const element = h(track.kind, { autoplay: true, playsinline: true, muted: track.kind === 'video', srcObject: new MediaStream([track]) });
    this.media.set(track, element);
    this.node.prepend(element);
    element.play().catch(() => {}); // a browser that wants a click first got one: "Join"
    this.avatar.hidden = this.hasPicture();
  }

  drop(track) {
    this.media.get(track)?.remove();
    this.media.delete(track);
    this.avatar.hidden = this.hasPicture();
  }

  hasPicture() {
    return [...this.media.keys()].some((track) => track.kind === 'video' && !this.media.get(track).hidden);
  }

  hide(track, hidden) {
    const element = this.media.get(track);
    if (element) element.hidden = hidden;
    this.avatar.hidden = this.hasPicture();
  }
}

export class Stage {
  // preferLayer(entry, layer) is called when the size of a picture asks for another one.
  constructor(preferLayer) {
    this.preferLayer = preferLayer;
    this.node = h('ul', { class: 'grid', 'aria-label': 'Pictures' });
    this.tiles = new Map(); // participant id, or producer id of a screen -> Tile
    this.entries = new Map(); // tile's node -> entry of its picture
    this.sizes = new ResizeObserver((changes) => changes.forEach(({ target }) => this.measure(target)));
  }

  measure(node) {
    const entry = this.entries.get(node);
    if (entry) this.preferLayer(entry, layerFor(node.clientWidth));
  }

  add(id, name, options) {
    if (this.tiles.has(id)) return this.tiles.get(id);
    const tile = new Tile(name, options);
    this.tiles.set(id, tile);
    if (options?.screen) this.node.prepend(tile.node); else this.node.append(tile.node);
    this.sizes.observe(tile.node);
    this.count();
    return tile;
  }

  remove(id) {
    const tile = this.tiles.get(id);
    if (!tile) return;
    this.sizes.unobserve(tile.node);
    this.entries.delete(tile.node);
    tile.node.remove();
    this.tiles.delete(id);
    this.count();
  }

  // Few tiles are large, many are small: the grid's columns follow from their number.
  count() {
    const n = this.tiles.size;
    this.node.dataset.size = n <= 1 ? 'one' : n === 2 ? 'two' : n <= 4 ? 'few' : n <= 9 ? 'some' : 'many';
  }

  // A stream of somebody else.
  show(entry, name) {
    const screen = entry.source === 'screen';
    const tile = screen ? this.add(entry.producerId, `${name} shows`, { screen }) : this.add(entry.participantId, name);
    tile.show(entry.track);
    if (entry.kind === 'video') {
      tile.hide(entry.track, Boolean(entry.paused));
      this.entries.set(tile.node, entry);
      this.measure(tile.node);
    }
  }

  drop(entry) {
    if (entry.source === 'screen') return this.remove(entry.producerId);
    const tile = this.tiles.get(entry.participantId);
    tile?.drop(entry.track);
    if (tile && entry.kind === 'video') this.entries.delete(tile.node);
    return undefined;
  }

  pause(entry, paused) {
    entry.paused = paused;
    const id = entry.source === 'screen' ? entry.producerId : entry.participantId;
    if (entry.kind === 'video') this.tiles.get(id)?.hide(entry.track, paused);
  }

  // What a tile says besides the name: a raised hand, a microphone that is off.
  sign(participant) {
    const tile = this.tiles.get(participant.participantId);
    if (!tile) return;
    const signs = [participant.handRaised && ['hand', 'hand raised'], !participant.media.audio && ['microphone', 'muted']].filter(Boolean);
    tile.signs.replaceChildren(...signs.map(([name, words]) => h('span', { role: 'img', 'aria-label': words }, icon(name))));
  }

  speak(participantId) {
    for (const [id, tile] of this.tiles) tile.node.classList.toggle('speaking', id === participantId);
  }

  score(participantId, score) {
    const quality = this.tiles.get(participantId)?.quality;
    if (!quality) return;
    quality.className = `quality ${qualityOf(score)}`;
    quality.setAttribute('aria-label', `connection ${qualityOf(score)}`);
    quality.title = `connection ${qualityOf(score)}`;
  }

  react(participantId, reaction) {
    const tile = this.tiles.get(participantId);
    if (!tile) return;
    const node = h('span', { class: 'reaction', 'aria-hidden': 'true' }, reaction);
    tile.node.append(node);
    setTimeout(() => node.remove(), REACTION_MS);
  }

  close() {
    this.sizes.disconnect();
  }
}
