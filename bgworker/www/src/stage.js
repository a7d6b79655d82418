// The pictures of a meeting: a tile for each participant, and above them one for each screen that is shown.
import { h } from './dom.js';
import { Tile } from './tile.js';

const SMALL_PX = 220;
const MEDIUM_PX = 480;
const GAP_PX = 8;
const WIDEST = 16 / 9;
const NARROWEST = 1;
const LEAST_PX = 130; // tiles that would be smaller are this wide, and one scrolls

function layerFor(width) {
  const pixels = width * devicePixelRatio;
  return pixels <= SMALL_PX ? 0 : pixels <= MEDIUM_PX ? 1 : 2;
}

// The largest tile of a bearable shape of which n fit into a box.
function sizeFor(n, width, height) {
  let best = { width: LEAST_PX, height: LEAST_PX / WIDEST };
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const cell = {
      width: (width - GAP_PX * (columns - 1)) / columns,
      height: (height - GAP_PX * (rows - 1)) / rows,
    };
    const tile = {
      width: Math.min(cell.width, cell.height * WIDEST),
      height: Math.min(cell.height, cell.width / NARROWEST),
    };
    if (tile.width >= LEAST_PX && tile.width * tile.height > best.width * best.height) best = tile;
  }
  return best;
}

export class Stage {
  // preferLayer(entry, layer) is called when the size of a picture asks for another one.
  constructor(preferLayer) {
    this.preferLayer = preferLayer;
    this.screens = h('ul', { class: 'tiles screens', 'aria-label': 'Screens', hidden: true });
    this.faces = h('ul', { class: 'tiles faces', 'aria-label': 'Participants’ pictures' });
    this.node = h('div', { class: 'stage' }, this.screens, this.faces);
    this.tiles = new Map(); // participant id, or producer id of a screen -> Tile
    this.entries = new Map(); // tile's node -> entry of its picture
    this.sizes = new ResizeObserver((changes) => changes.forEach(({ target }) => this.resized(target)));
    this.sizes.observe(this.screens);
    this.sizes.observe(this.faces);
  }

  resized(node) {
    if (node === this.screens || node === this.faces) this.layOut(node);
    else this.measure(node);
  }

  measure(node) {
    const entry = this.entries.get(node);
    if (entry) this.preferLayer(entry, layerFor(node.clientWidth));
  }

  layOut(list) {
    const { width, height } = sizeFor(list.childElementCount, list.clientWidth - 1, list.clientHeight - 1);
    list.style.setProperty('--tile-width', `${Math.floor(width)}px`);
    list.style.setProperty('--tile-height', `${Math.floor(height)}px`);
  }

  layOutAll() {
    this.screens.hidden = !this.screens.childElementCount;
    this.layOut(this.screens);
    this.layOut(this.faces);
  }

  // `who` is for the tile, see there.
  add(id, who) {
    if (this.tiles.has(id)) return this.tiles.get(id);
    const tile = new Tile(who);
    this.tiles.set(id, tile);
    (who.isScreen ? this.screens : this.faces).append(tile.node);
    this.sizes.observe(tile.node);
    this.layOutAll();
    return tile;
  }

  remove(id) {
    const tile = this.tiles.get(id);
    if (!tile) return;
    this.sizes.unobserve(tile.node);
    this.entries.delete(tile.node);
    tile.node.remove();
    this.tiles.delete(id);
    this.layOutAll();
  }

  // A stream of somebody else: { producerId, participantId, source, kind, track, paused }.
  show(entry, who) {
    const isScreen = entry.source === 'screen';
    const id = isScreen ? entry.producerId : entry.participantId;
    const tile = this.add(id, { ...who, isScreen });
    tile.show(entry.track);
    if (entry.kind !== 'video') return;
    tile.hide(entry.track, Boolean(entry.paused));
    this.entries.set(tile.node, entry);
    this.measure(tile.node);
  }

  drop(entry) {
    if (entry.source === 'screen') {
      this.remove(entry.producerId);
      return;
    }
    const tile = this.tiles.get(entry.participantId);
    tile?.drop(entry.track);
    if (tile && entry.kind === 'video') this.entries.delete(tile.node);
  }

  pause(entry, paused) {
    entry.paused = paused;
    const id = entry.source === 'screen' ? entry.producerId : entry.participantId;
    if (entry.kind === 'video') this.tiles.get(id)?.hide(entry.track, paused);
  }

  sign(participant) {
    this.tiles.get(participant.participantId)?.sign(participant);
  }

  speak(participantId) {
    for (const [id, tile] of this.tiles) tile.node.classList.toggle('speaking', id === participantId);
  }

  score(participantId, score) {
    this.tiles.get(participantId)?.score(score);
  }

  react(participantId, reaction) {
    this.tiles.get(participantId)?.react(reaction);
  }

  close() {
    this.sizes.disconnect();
  }
}
