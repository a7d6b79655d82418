// The buttons below a meeting.
import { h, iconButton } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';

const REACTIONS = ['👍', '👏', '❤️', '😂', '🎉'];

export class Controls {
  // `on` has a handler for each button.
  constructor(on) {
    const button = (name, label) => iconButton(name, label, on[name], { class: 'control' });
    this.buttons = {
      microphone: button('microphone', t('Microphone')),
      camera: button('camera', t('Camera')),
      screen: button('screen', t('Share screen')),
      hand: button('hand', t('Raise hand')),
      view: button('view', t('Speaker view')),
      talk: button('talk', t('Chat')),
      people: button('people', t('Participants')),
      devices: button('devices', t('Camera and microphone')),
      lock: button('lock', t('Lock meeting')),
    };
    const { microphone, camera, screen, hand, view, talk, people, devices, lock } = this.buttons;
    this.press('view', false);
    microphone.classList.add('both');
    camera.classList.add('both');
    screen.hidden = !navigator.mediaDevices?.getDisplayMedia; // phones cannot
    this.end = h('button', { type: 'button', class: 'danger', onclick: on.end }, t('End for everyone'));
    const enlarge = iconButton('enlarge', t('Return to the meeting'), on.enlarge, {
      class: 'control in-corner',
    });
    const leave = h(
      'button',
      {
        type: 'button',
        class: 'danger hang-up',
        onclick: on.leave,
        'aria-label': t('Leave'),
        title: t('Leave'),
      },
      icon('leave'),
      h('span', { class: 'words' }, t('Leave')),
    );
    this.node = h('div', { class: 'controls', role: 'group', 'aria-label': t('Meeting') }, [
      microphone,
      camera,
      screen,
      hand,
      this.reactions(on.react),
      view,
      talk,
      people,
      devices,
      lock,
      enlarge,
      leave,
      this.end,
    ]);
  }

  reactions(react) {
    const menu = h('div', { class: 'menu' });
    const node = h(
      'details',
      { class: 'reactions-menu' },
      h('summary', { class: 'control', 'aria-label': t('Reactions'), title: t('Reactions') }, icon('smile')),
      menu,
    );
    const choose = (reaction) => {
      node.open = false;
      react(reaction);
    };
    menu.append(
      ...REACTIONS.map((reaction) =>
        iconButton(reaction, t('React with {sign}', { sign: reaction }), () => choose(reaction)),
      ),
    );
    return node;
  }

  press(name, pressed) {
    this.buttons[name].setAttribute('aria-pressed', String(Boolean(pressed)));
  }

  // Something was said that is not in sight.
  showNews(isNew) {
    this.buttons.talk.dataset.news = isNew ? 'new' : '';
    this.buttons.talk.title = isNew ? t('Chat: new messages') : t('Chat');
  }

  // me: the own participant; sends(source): whether that is sent now; isOpening(source): whether it is waited for.
  draw(me, meeting, { sends, isOpening }) {
    const may = (what) => me.permissions.includes(what);
    for (const source of ['microphone', 'camera', 'screen']) {
      this.press(source, sends(source));
      this.buttons[source].setAttribute('aria-busy', String(isOpening(source)));
      this.buttons[source].disabled = !may('produce');
    }
    if (me.audioMuted) this.buttons.microphone.disabled = true;
    if (me.videoMuted) this.buttons.camera.disabled = true;
    this.press('hand', me.handRaised);
    this.press('lock', meeting.locked);
    this.buttons.lock.hidden = !may('lock');
    this.end.hidden = !may('end');
  }
}
