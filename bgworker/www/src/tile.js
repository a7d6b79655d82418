// One picture of a meeting, with the name of whom it shows and what there is to say about them.
import { t } from './i18n.js';
import { avatar, h, iconButton } from './dom.js';
import { icon } from './icons.js';

const REACTION_MS = 4000;

function qualityOf(score) {
  return score >= 7 ? 'good' : score >= 4 ? 'fair' : 'poor';
}

export class Tile {
  // who: { name, userId, isOwn?, isScreen? }; one sees oneself as in a mirror.
  constructor({ name, userId, isOwn = false, isScreen = false }) {
    Object.assign(this, { isScreen, isOwn, name, hasHand: false, onPin() {} });
    this.pin = iconButton('pin', t('Pin {name}', { name }), () => this.onPin(), {
      class: 'icon pin',
      'aria-pressed': 'false',
      hidden: isScreen,
    });
    this.signs = h('span', { class: 'signs' });
    this.quality = h('span', { class: 'quality', role: 'img', hidden: true });
    this.avatar = avatar(name, userId);
    this.media = new Map(); // track -> element
    this.picture = h('div', { class: 'picture' }, this.avatar, this.pin);
    this.node = h(
      'li',
      { class: `tile ${isOwn ? 'mirror' : ''} ${isScreen ? 'screen' : ''}` },
      this.picture,
      h(
        'div',
        { class: 'name' },
        this.signs,
        h(
          'span',
          { class: 'label', dir: 'auto' },
          isOwn ? t('{name} (you)', { name }) : isScreen ? t('{name}’s screen', { name }) : name,
        ),
        this.quality,
      ),
    );
  }

  // A picture that takes the place of another one is below it until that is dropped.  Result: when the first one is there.
  show(track) {
    const element = h(track.kind, {
      autoplay: true,
      playsinline: true,
      muted: track.kind === 'video',
      srcObject: new MediaStream([track]),
    });
    const shown = new Promise((resolve) => {
      element.addEventListener('loadeddata', resolve, { once: true });
    });
    this.media.set(track, element);
    this.picture.prepend(element);
    element.play().catch(() => {}); // a browser that wants a click first got one, to join
    this.avatar.hidden = this.hasPicture();
    return shown;
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

  // What it says besides the name: a raised hand, a microphone that is off.
  sign({ handRaised, media }) {
    this.hasHand = Boolean(handRaised);
    this.node.classList.toggle('hand', this.hasHand); // stands first
    const signs = [handRaised && ['hand', t('hand raised')], !media.audio && ['microphone', t('muted')]];
    this.signs.replaceChildren(
      ...signs
        .filter(Boolean)
        .map(([name, words]) => h('span', { role: 'img', 'aria-label': words, title: words }, icon(name))),
    );
  }

  showPinned(isPinned) {
    this.pin.setAttribute('aria-pressed', String(isPinned));
    this.pin.title = isPinned ? t('Unpin {name}', { name: this.name }) : t('Pin {name}', { name: this.name });
  }

  score(score) {
    const words = t(`${qualityOf(score)} connection`);
    this.quality.hidden = false;
    this.quality.className = `quality ${qualityOf(score)}`;
    this.quality.setAttribute('aria-label', words);
    this.quality.title = words;
  }

  react(reaction) {
    const node = h('span', { class: 'reaction', 'aria-hidden': 'true' }, reaction);
    this.picture.append(node);
    setTimeout(() => node.remove(), REACTION_MS);
  }
}
