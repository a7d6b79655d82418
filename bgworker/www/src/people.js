// Beside the pictures of a meeting: who is in it, with what a host may do to them, and the talk in writing.
import { call } from './api.js';
import { ask, avatar, guarded, h, iconButton, keepFocus, replace, whenOf } from './dom.js';
import { t, tn } from './i18n.js';
import { icon } from './icons.js';
import { nameOf } from './waiting.js';

const ROLES = ['host', 'co-host', 'participant', 'viewer'];

// act(event, payload) asks the server and shows a refusal.  `people` is the meeting's map of participants.
export class People {
  constructor(act, people, ownId) {
    Object.assign(this, { act, people, ownId });
    this.list = h('ul', { class: 'people' });
    this.doors = h('div', { class: 'doors', hidden: true });
    this.node = h(
      'section',
      { class: 'panel', 'aria-label': t('Participants'), hidden: true },
      this.doors,
      this.list,
    );
    this.draw();
  }

  may(what) {
    return this.people.get(this.ownId)?.permissions.includes(what);
  }

  async remove(who) {
    const answer = await ask(
      t('Remove {name}?', { name: who.userName }),
      { reason: { label: t('Reason (visible to them)'), maxlength: 200 } },
      t('Remove'),
    );
    if (answer)
      await this.act('remove-participant', {
        participantId: who.participantId,
        reason: answer.reason || undefined,
      });
  }

  muteButton(who, kind) {
    const { participantId } = who;
    const muted = kind === 'audio' ? who.audioMuted : who.videoMuted;
    const device = kind === 'audio' ? 'microphone' : 'camera';
    return iconButton(
      device,
      muted
        ? t('Allow {name}’s {device}', { name: who.userName, device: t(device) })
        : t('Turn off {name}’s {device}', { name: who.userName, device: t(device) }),
      () => this.act('mute-participant', { participantId, kind, mute: !muted }),
      { 'aria-pressed': String(!muted), 'data-key': `${participantId} ${kind}` },
    );
  }

  roleSelect({ participantId, userName, role }) {
    const select = h(
      'select',
      {
        'aria-label': t('Role of {name}', { name: userName }),
        onchange: () => this.setRole(participantId, select.value),
      },
      ROLES.map((one) => h('option', { value: one, selected: one === role }, t(one))),
    );
    return select;
  }

  async setRole(participantId, role) {
    if (!(await this.act('update-participant-role', { participantId, role }))) this.draw();
  }

  row(who) {
    const isOther = who.participantId !== this.ownId;
    const may = (what) => isOther && this.may(what);
    const device = (name, isOn) => {
      const words = isOn ? t('{device} on', { device: t(name) }) : t('{device} off', { device: t(name) });
      return h(
        'span',
        { class: isOn ? 'on plain' : 'off', role: 'img', 'aria-label': words, title: words },
        icon(name),
      );
    };
    const hand = () => h('span', { role: 'img', 'aria-label': t('hand raised') }, icon('hand'));
    return h(
      'li',
      {},
      avatar(who.userName, who.userId),
      h(
        'span',
        { class: 'who' },
        h('span', { dir: 'auto' }, nameOf(who)),
        !isOther && ` ${t('(you)')}`,
        !may('role') && h('small', {}, t(who.role)),
        who.handRaised && hand(),
        device('microphone', who.media.audio),
        device('camera', who.media.video),
      ),
      h(
        'span',
        { class: 'what' },
        may('role') && this.roleSelect(who),
        may('mute') && [this.muteButton(who, 'audio'), this.muteButton(who, 'video')],
        may('remove') &&
          iconButton('close', t('Remove {name}', { name: who.userName }), () => this.remove(who)),
      ),
    );
  }

  // Who gets in: the host decides.
  drawDoors(meeting) {
    this.doors.hidden = !this.may('end');
    const door = (key, words) =>
      h(
        'label',
        { class: 'check' },
        h('input', {
          type: 'checkbox',
          checked: meeting[key],
          'data-key': key,
          onchange: ({ target }) => this.setDoor(meeting, key, target),
        }),
        words,
      );
    keepFocus(this.doors, () =>
      replace(
        this.doors,
        meeting.access === 'anyone' && door('guests', t('People with the link may join without an account')),
        door('lobby', t('People wait until a host admits them')),
      ),
    );
  }

  async setDoor(meeting, key, box) {
    const wanted = box.checked;
    box.checked = meeting[key]; // until the server says so
    await guarded(() =>
      call('changeMeeting', { params: { meetingId: meeting.id }, body: { [key]: wanted } }),
    );
  }

  draw() {
    keepFocus(this.list, () =>
      replace(
        this.list,
        [...this.people.values()].sort(byHand).map((who) => this.row(who)),
      ),
    );
  }
}

// Who raised a hand first stands first.
function byHand(a, b) {
  const at = (who) => (who.handRaised ? new Date(who.handRaisedAt ?? 0).getTime() : Infinity);
  return at(a) === at(b) ? 0 : at(a) - at(b);
}

export class Talk {
  constructor(act, people, ownId) {
    Object.assign(this, { act, people, ownId, typing: new Map() });
    this.lines = h('ol', {}, h('li', { class: 'empty' }, t('No messages yet.')));
    this.scroller = h(
      'div',
      { class: 'lines', tabindex: '0', role: 'log', 'aria-label': t('Meeting messages') },
      this.lines,
    );
    this.to = h('select', { 'aria-label': t('Send to') });
    this.input = h('input', {
      'aria-label': t('Message to the meeting'),
      placeholder: t('Write a message'),
      dir: 'auto',
      maxlength: 5000,
      autocomplete: 'off',
    });
    this.typingLine = h('p', { class: 'typing', role: 'status' });
    this.node = h(
      'section',
      { class: 'panel', 'aria-label': t('Meeting chat'), hidden: true },
      this.scroller,
      this.typingLine,
      h(
        'form',
        { class: 'talk', onsubmit: (event) => this.submit(event) },
        this.to,
        h('div', { class: 'row' }, this.input, h('button', { class: 'primary', type: 'submit' }, t('Send'))),
      ),
    );
    this.input.addEventListener('input', () => this.tellTyping(this.input.value !== ''));
    this.draw();
  }

  tellTyping(typing) {
    if (typing && Date.now() - (this.told ?? 0) < 1500) return;
    if (!typing && !this.told) return;
    this.told = typing ? Date.now() : 0;
    this.act('typing', { typing });
  }

  async submit(event) {
    event.preventDefault();
    const message = this.input.value.trim();
    if (!message) return;
    const [recipientType, recipientId] = this.to.value.split(':');
    this.input.value = '';
    this.tellTyping(false);
    if (!(await this.act('send-message', { message, recipientType, recipientId })))
      this.input.value ||= message;
  }

  // The choice of recipients follows who is there.
  draw() {
    const value = this.to.value || 'all';
    replace(
      this.to,
      h('option', { value: 'all' }, t('Everyone')),
      h('option', { value: 'host' }, t('Hosts only')),
      [...this.people.values()]
        .filter((who) => who.participantId !== this.ownId)
        .map((who) =>
          h('option', { value: `private:${who.participantId}` }, t('{name} only', { name: nameOf(who) })),
        ),
    );
    this.to.value = value;
    if (!this.to.value) this.to.value = 'all';
  }

  add(m) {
    this.lines.querySelector('.empty')?.remove();
    const whom =
      m.recipientType === 'all'
        ? ''
        : m.recipientType === 'host'
          ? ` ${t('to hosts')}`
          : ` ${t('to {name} only', { name: this.people.get(m.recipientId)?.userName ?? t('one person') })}`;
    this.lines.append(
      h(
        'li',
        {},
        h(
          'strong',
          { dir: 'auto' },
          nameOf({ userName: m.senderName, guest: m.senderUserId?.startsWith('guest-') }),
        ),
        h('small', {}, `${whom} `, h('time', { datetime: m.timestamp }, whenOf(m.timestamp))),
        h('span', { class: 'said', dir: 'auto' }, m.message),
      ),
    );
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  showTyping({ userId, userName, typing }) {
    if (typing) this.typing.set(userId, userName);
    else this.typing.delete(userId);
    const names = [...this.typing.values()];
    this.typingLine.textContent = names.length
      ? tn(names.length, '{names} is typing…', '{names} are typing…', { names: names.join(', ') })
      : '';
  }
}
