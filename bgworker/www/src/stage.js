// The pictures of a meeting: a tile for each participant, and above them one for each screen that is shown.
import { t } from './i18n.js';
import { h, iconButton } from './dom.js';
import { setText } from './frame.js';
import { Tile } from './tile.js';

// What comes first where the way to us does not carry all pictures.
const FRONT = 200;
const SCREEN = 100;
const EQUAL = 10;
const ASIDE = 1;

const SMALL_PX = 220;
const MEDIUM_PX = 480;
const GAP_PX = 8;
const WIDEST = 16 / 9;
const NARROWEST = 1;
const NAME_PX = 28; // below each picture
const LEAST_PX = 130; // tiles that would be smaller are this wide, and one scrolls

const FEWEST_ON_PAGE = 9; // in a smaller box one scrolls
const MOST_ON_PAGE = 25;
const LEAST_IN_CORNER_PX = 80; // where one does not scroll
const PAGER_PX = 52; // below the tiles, where there are several pages

// How many tiles of the least size fit into a box.
function fitting(width, height, least) {
  const columns = Math.floor((width + GAP_PX) / (least + GAP_PX));
  const rows = Math.floor((height + GAP_PX) / (least / WIDEST + NAME_PX + GAP_PX));
  return columns * rows;
}

const within = (least, n, most) => Math.min(most, Math.max(least, n));

function layerFor(width) {
  const pixels = width * devicePixelRatio;
  return pixels <= SMALL_PX ? 0 : pixels <= MEDIUM_PX ? 1 : 2;
}

// The largest tile of a bearable shape of which n fit into a box.
function sizeFor(n, width, height, least) {
  let best = { width: least, height: least / WIDEST };
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const cell = {
      width: (width - GAP_PX * (columns - 1)) / columns,
      height: (height - GAP_PX * (rows - 1)) / rows - NAME_PX,
    };
    const tile = {
      width: Math.min(cell.width, cell.height * WIDEST),
      height: Math.min(cell.height, cell.width / NARROWEST),
    };
    if (tile.width >= least && tile.width * tile.height > best.width * best.height) best = tile;
  }
  return { width: best.width, height: best.height + NAME_PX };
}

export class Stage {
  // preferLayer(entry, layer, priority) is called when the size or the place of a picture asks for another one; onSeen(participantId, isSeen)
  // when a tile comes into view or leaves it.
  constructor({ preferLayer, onSeen }) {
    Object.assign(this, { preferLayer, onSeen, isSpeakerView: false, pinned: null, speaker: null });
    this.inView = new Set(); // participants whose tiles are in view
    this.views = new IntersectionObserver((entries) => this.onViews(entries));
    this.onVisible = () => this.tellSeen([...this.tiles.keys()]);
    document.addEventListener('visibilitychange', this.onVisible);
    this.onKey = (event) => this.turnByKey(event);
    addEventListener('keydown', this.onKey);
    this.screens = h('ul', { class: 'tiles screens', 'aria-label': t('Screens'), hidden: true });
    this.faces = h('ul', { class: 'tiles faces', 'aria-label': t('Participants’ pictures') });
    this.page = 0;
    this.pages = 1;
    this.where = h('span', { role: 'status' });
    this.pager = h(
      'div',
      { class: 'pager row', role: 'group', 'aria-label': t('Pages of pictures'), hidden: true },
      iconButton('‹', t('Previous page'), () => this.turn(-1)),
      this.where,
      iconButton('›', t('Next page'), () => this.turn(1)),
    );
    this.node = h('div', { class: 'stage' }, this.screens, this.faces, this.pager);
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
    if (!entry) return;
    const { front } = this;
    const priority =
      front?.node === node ? FRONT : front || !this.isSeen(entry.participantId) ? ASIDE : EQUAL;
    this.preferLayer(entry, layerFor(node.clientWidth), entry.source === 'screen' ? SCREEN : priority);
  }

  // With one tile in front the others stand small below it.
  layOut(list) {
    const isRow = list === this.faces && this.front;
    const { width, height } = isRow
      ? { width: LEAST_PX, height: LEAST_PX / WIDEST + NAME_PX }
      : sizeFor(
          list === this.faces ? this.paginate() : list.childElementCount,
          list.clientWidth - 1,
          list.clientHeight - 1,
          this.least,
        );
    if (isRow) this.showAll();
    list.style.setProperty('--tile-width', `${Math.floor(width)}px`);
    list.style.setProperty('--tile-height', `${Math.floor(height)}px`);
  }

  layOutAll() {
    this.screens.hidden = !this.screens.childElementCount;
    this.layOut(this.screens);
    this.layOut(this.faces);
  }

  // ---- pages ---------------------------------------------------------------------------

  // Raised hands come first, the others in the order in which they joined.
  inOrder() {
    const faces = [...this.tiles.values()].filter((tile) => !tile.isScreen);
    return [...faces.filter((tile) => tile.hasHand), ...faces.filter((tile) => !tile.hasHand)];
  }

  get isInCorner() {
    return Boolean(this.node.closest('.corner'));
  }

  get least() {
    return this.isInCorner ? LEAST_IN_CORNER_PX : LEAST_PX;
  }

  // The corner has no pages: it shows whoever speaks, and as many others as have room.
  showFitting() {
    const speaker = this.tiles.get(this.speaker);
    const rank = (tile) => (tile === speaker ? 0 : tile.isOwn ? 2 : 1);
    const faces = this.inOrder().sort((a, b) => rank(a) - rank(b));
    const { clientWidth, clientHeight } = this.faces;
    const most = within(1, fitting(clientWidth, clientHeight, LEAST_IN_CORNER_PX), MOST_ON_PAGE);
    faces.forEach((tile, i) => {
      tile.node.hidden = i >= most;
    });
    this.pager.hidden = true;
    return Math.min(most, faces.length);
  }

  // Shows the tiles of the current page and hides the others; hidden tiles are out of view, so their cameras are paused.
  // Result: how many are shown.  The room for the pager is always subtracted: its own appearance must not change the result.
  paginate() {
    if (this.isInCorner) return this.showFitting();
    const faces = this.inOrder();
    const { clientWidth, clientHeight } = this.faces;
    const room = fitting(clientWidth, clientHeight - (this.pager.hidden ? PAGER_PX : 0), LEAST_PX);
    const most = within(FEWEST_ON_PAGE, room, MOST_ON_PAGE);
    this.pages = Math.max(1, Math.ceil(faces.length / most));
    this.page = Math.min(this.page, this.pages - 1);
    const from = this.page * most;
    faces.forEach((tile, i) => {
      tile.node.hidden = i < from || i >= from + most;
    });
    this.pager.hidden = this.pages === 1;
    setText(this.where, t('Page {n} of {all}', { n: this.page + 1, all: this.pages }));
    return Math.min(most, faces.length - from);
  }

  // The row below a tile in front scrolls and has no pages.
  showAll() {
    for (const { node } of this.inOrder()) node.hidden = false;
    this.pager.hidden = true;
  }

  // The first page follows the last one.
  turn(step) {
    this.page = (this.page + step + this.pages) % this.pages;
    this.layOut(this.faces);
  }

  // Wherever the focus is, unless something else scrolls or takes input there.
  turnByKey(event) {
    const step = { PageDown: 1, PageUp: -1 }[event.key];
    if (!step || this.pager.hidden || !this.node.offsetParent || this.isInCorner) return;
    if (document.querySelector('dialog[open]') || event.target.closest?.('input, textarea, select, .panel'))
      return;
    event.preventDefault();
    this.turn(step);
  }

  // `who` is for the tile, see there.
  add(id, who) {
    if (this.tiles.has(id)) return this.tiles.get(id);
    const tile = new Tile(who);
    this.tiles.set(id, tile);
    (who.isScreen ? this.screens : this.faces).append(tile.node);
    this.sizes.observe(tile.node);
    if (!who.isScreen) this.views.observe(tile.node);
    tile.onPin = () => this.pin(id);
    this.layOutAll();
    return tile;
  }

  remove(id) {
    const tile = this.tiles.get(id);
    if (!tile) return;
    this.sizes.unobserve(tile.node);
    this.views.unobserve(tile.node);
    this.inView.delete(id);
    if (this.pinned === id) this.pinned = null;
    this.entries.delete(tile.node);
    tile.node.remove();
    this.tiles.delete(id);
    this.putInFront();
    this.layOutAll();
  }

  // A stream of somebody else: { producerId, participantId, source, kind, track, paused, tileId? }, with tileId if it takes
  // the place of another one.  Result: when its first picture is there.
  async show(entry, who) {
    const isScreen = entry.source === 'screen';
    entry.tileId ??= isScreen ? entry.producerId : entry.participantId;
    const tile = this.add(entry.tileId, { ...who, isScreen });
    const shown = tile.show(entry.track);
    if (entry.kind !== 'video') return;
    tile.hide(entry.track, Boolean(entry.paused));
    this.entries.set(tile.node, entry);
    this.measure(tile.node);
    if (!entry.paused) await shown;
  }

  drop(entry) {
    const tile = this.tiles.get(entry.tileId);
    if (!tile) return;
    const isCurrent = this.entries.get(tile.node) === entry;
    tile.drop(entry.track);
    if (isCurrent) this.entries.delete(tile.node);
    if (isCurrent && entry.source === 'screen') this.remove(entry.tileId);
  }

  pause(entry, paused) {
    entry.paused = paused;
    if (entry.kind === 'video') this.tiles.get(entry.tileId)?.hide(entry.track, paused);
  }

  sign(participant) {
    const tile = this.tiles.get(participant.participantId);
    const hadHand = tile?.hasHand;
    tile?.sign(participant);
    if (tile?.hasHand !== hadHand) this.layOut(this.faces);
  }

  // ---- what is in view, and what is in front ---------------------------------------

  isSeen(participantId) {
    return this.inView.has(participantId) && !document.hidden;
  }

  onViews(entries) {
    const idOf = (node) => [...this.tiles].find(([, tile]) => tile.node === node)?.[0];
    for (const { target, isIntersecting } of entries) {
      const id = idOf(target);
      if (isIntersecting && id) this.inView.add(id);
      else this.inView.delete(id);
      this.tellSeen([id]);
    }
  }

  tellSeen(ids) {
    for (const id of ids) {
      if (!this.tiles.has(id)) continue;
      this.onSeen(id, this.isSeen(id));
      this.measure(this.tiles.get(id).node);
    }
  }

  // Result: whether it is on now.
  toggleSpeakerView() {
    this.isSpeakerView = !this.isSpeakerView;
    this.putInFront();
    return this.isSpeakerView;
  }

  // Again takes it off.
  pin(id) {
    this.pinned = this.pinned === id ? null : id;
    this.putInFront();
  }

  // Who is pinned, or in speaker view who speaks or spoke last.
  get front() {
    const id = this.pinned ?? (this.isSpeakerView ? this.speaker : null);
    return this.tiles.get(id) ?? (this.isSpeakerView ? this.tiles.values().next().value : null);
  }

  putInFront() {
    const { front } = this;
    this.faces.classList.toggle('with-front', Boolean(front));
    for (const [id, tile] of this.tiles) {
      tile.node.classList.toggle('front', tile === front);
      tile.showPinned(id === this.pinned);
    }
    this.layOutAll();
    for (const node of this.entries.keys()) this.measure(node);
  }

  speak(participantId) {
    if (participantId && !this.tiles.get(participantId)?.isOwn) {
      this.speaker = participantId;
      if (this.isSpeakerView) this.putInFront();
      else if (this.isInCorner) this.layOut(this.faces);
    }
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
    this.views.disconnect();
    document.removeEventListener('visibilitychange', this.onVisible);
    removeEventListener('keydown', this.onKey);
  }
}
