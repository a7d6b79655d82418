// A meeting while it lasts: what is shown, what one does, what the server tells.
import { call } from './api.js';
import { Call } from './call.js';
import { Controls } from './controls.js';
import { announce, ask, backLink, h, iconButton, replace, toast } from './dom.js';
import { chooseDevices } from './choose.js';
import { t, tn } from './i18n.js';
import { icon } from './icons.js';
import { People, Talk } from './people.js';
import { know } from './meetings.js';
import { refusal } from './refusal.js';
import { connection, emit, socket } from './socket.js';
import { Stage } from './stage.js';
import { state } from './state.js';
import { nameOf, Waiting } from './waiting.js';

const DEVICE = { audio: 'microphone', video: 'camera' };

export class Session {
  // `joined` is what join-meeting acknowledged to `request`.  `media` is ours from here on: what is still being opened is
  // sent when it comes.
  // onEnd(words) is called once when it is over; without words where we have left.
  constructor(view, { joined, request, media, onEnd }) {
    Object.assign(this, {
      view,
      request,
      media,
      onEnd,
      meeting: joined.meeting,
      ownId: joined.participantId,
    });
    this.id = joined.meeting.id;
    this.over = false;
    this.ownPicture = undefined;
    this.people = new Map(joined.participants.map((who) => [who.participantId, who]));
    this.makeParts(joined);
    this.listenToServer();
    this.show();
    this.start(joined);
  }

  makeParts(joined) {
    const act = (event, payload) => this.act(event, payload);
    this.stage = new Stage({
      preferLayer: (entry, layer, priority) => this.call.preferLayer(entry, layer, priority),
      onSeen: (participantId, isSeen) => this.call.see(participantId, isSeen),
    });
    this.panels = {
      people: new People(act, this.people, this.ownId),
      talk: new Talk(act, this.people, this.ownId),
    };
    this.call = new Call(this.id, {
      isSeen: (participantId) => this.stage.isSeen(participantId),
      stream: (entry) => this.stage.show(entry, this.tileOf(this.people.get(entry.participantId))),
      streamGone: (entry) => this.stage.drop(entry),
      own: () => this.tellMedia(),
      failed: (source, error) => this.onFailed(source, error),
      problem: toast,
    });
    this.controls = new Controls(this.commands());
    this.heading = h('h1', { dir: 'auto' }, this.meeting.title);
    this.waiting = new Waiting(act, joined.waiting);
    this.notes = h('span', { class: 'state', role: 'status' });
  }

  show() {
    const { stage, panels, controls, heading, notes, waiting } = this;
    replace(
      this.view,
      h('header', { class: 'bar' }, backLink(), heading, notes, iconButton('link', t('Copy link'), copyLink)),
      waiting.node,
      h('div', { class: 'meeting' }, stage.node, panels.talk.node, panels.people.node),
      controls.node,
    );
    this.draw();
  }

  start(joined) {
    this.call.start(joined);
    this.media.onChange = (source) => this.onMedia(source);
    for (const source of this.media.tracks.keys()) this.onMedia(source);
    call('listMeetingMessages', { params: { meetingId: this.id } }).then(
      ({ data }) => data.forEach((m) => this.panels.talk.add(m)),
      () => {},
    );
  }

  // ---- what we show ----------------------------------------------------------------

  get me() {
    return this.people.get(this.ownId);
  }

  tileOf(who) {
    return {
      name: who ? nameOf(who) : t('Unknown user'),
      userId: who?.userId ?? '',
      isOwn: who?.participantId === this.ownId,
    };
  }

  // A track of ours came or went: what is shown and what is sent follow it.
  onMedia(source) {
    const track = this.media.tracks.get(source);
    if (track && !this.me.permissions.includes('produce')) {
      this.media.stop(source);
      return;
    }
    if (source === 'camera') this.showOwnCamera(track);
    if (track) this.call.send(source, track);
    else this.call.stop(source);
    this.draw();
  }

  // What cannot be sent is not captured either.
  onFailed(source, error) {
    this.media.stop(source);
    toast(refusal(error));
  }

  showOwnCamera(track) {
    if (track === this.ownPicture) return;
    const tile = this.stage.add(this.ownId, this.tileOf(this.me));
    if (this.ownPicture) tile.drop(this.ownPicture);
    this.ownPicture = track;
    if (track) tile.show(track);
  }

  draw() {
    for (const who of this.people.values()) {
      this.stage.add(who.participantId, this.tileOf(who));
      this.stage.sign(who);
    }
    this.panels.people.draw();
    this.panels.people.drawDoors(this.meeting);
    this.panels.talk.draw();
    this.controls.draw(this.me, this.meeting, {
      sends: (source) => this.call.sends(source),
      isOpening: (source) => this.media.isOpening(source),
    });
    this.drawHeading();
  }

  drawHeading() {
    this.heading.textContent = this.meeting.title;
    const { size } = this.people;
    replace(
      this.notes,
      h('span', {}, icon('people'), tn(size, '1 person', '{n} people')),
      this.meeting.locked && h('span', {}, icon('lock'), t('Locked')),
      this.meeting.recording && h('span', {}, '⏺ Recording'),
    );
  }

  tellMedia() {
    const media = {
      audio: this.call.sends('microphone'),
      video: this.call.sends('camera'),
      screenSharing: this.call.sends('screen'),
    };
    this.me.media = media;
    emit('media-status-update', { meetingId: this.id, ...media }).catch(() => {});
    this.draw();
  }

  // ---- what one can do -----------------------------------------------------------------

  commands() {
    return {
      microphone: () => this.toggle('microphone'),
      camera: () => this.toggle('camera'),
      screen: () => this.toggle('screen'),
      hand: () => this.act('raise-hand', { raised: !this.me.handRaised }),
      react: (reaction) => this.act('send-reaction', { reaction }),
      view: () => this.controls.press('view', this.stage.toggleSpeakerView()),
      devices: () => chooseDevices(this.media, (source) => this.call.own.get(source)?.paused),
      talk: () => this.togglePanel('talk'),
      people: () => this.togglePanel('people'),
      lock: () => this.act('lock-meeting', { locked: !this.meeting.locked }),
      end: () => this.endForAll(),
      leave: () => this.leave(),
      enlarge: () => {
        location.hash = `#/meeting/${this.id}`;
      },
    };
  }

  // Asks the server; a refusal is shown.  Result: whether it was done.
  async act(event, payload = {}) {
    try {
      await emit(event, { meetingId: this.id, ...payload });
      return true;
    } catch (error) {
      const isNotAllowed = error.code === 'forbidden' || error.code === 'conflict';
      toast(isNotAllowed ? t("You can't do that: {reason}.", { reason: error.message }) : refusal(error));
      return false;
    }
  }

  async toggle(source) {
    const { call, media } = this;
    try {
      if (source === 'microphone' && call.own.has(source)) {
        await call.pause(source, call.sends(source));
        this.tellMedia();
      } else if (media.tracks.has(source) || media.isOpening(source)) media.stop(source);
      else await media.open(source);
    } catch (error) {
      // Whoever cancels the choice of a screen need not be told.
      if (!(source === 'screen' && error.name === 'NotAllowedError')) toast(error.message);
    }
  }

  togglePanel(which) {
    for (const [key, panel] of Object.entries(this.panels)) {
      panel.node.hidden = key !== which || !panel.node.hidden;
      this.controls.press(key, !panel.node.hidden);
    }
    const { talk } = this.panels;
    if (talk.node.hidden) return;
    this.controls.showNews(false);
    talk.input.focus();
  }

  async endForAll() {
    if (await ask(t('End the meeting for everyone?'), {}, t('End meeting'))) await this.act('end-meeting');
  }

  // ---- what the server tells ---------------------------------------------------------------

  listenToServer() {
    this.stops = [];
    for (const [event, handle] of Object.entries(HANDLERS))
      this.on(event, (payload) => {
        if (!payload.meetingId || payload.meetingId === this.id) handle(this, payload);
      });
    this.on('connect', () => this.onConnect());
    this.stops.push(connection.on('network', () => this.call.restartAll()));
    this.leaveNow = () => socket.emit('leave-meeting', { meetingId: this.id });
    addEventListener('pagehide', this.leaveNow);
  }

  on(event, handle) {
    socket.on(event, handle);
    this.stops.push(() => socket.off(event, handle));
  }

  addPerson(who) {
    this.people.set(who.participantId, who);
    announce(t('{name} joined', { name: nameOf(who) }));
    this.draw();
  }

  removePerson({ participantId, userName }) {
    this.call.forgetParticipant(participantId);
    this.people.delete(participantId);
    this.stage.remove(participantId);
    announce(t('{name} left', { name: userName }));
    this.draw();
  }

  // Changes one participant and shows it.
  update(participantId, changes) {
    const who = this.people.get(participantId);
    if (!who) return;
    Object.assign(who, changes);
    this.draw();
  }

  onRole({ participantId, role, permissions }) {
    this.update(participantId, { role, permissions });
    if (participantId !== this.ownId) return;
    if (!permissions.includes('remove')) this.waiting.replaceAll(null);
    toast(
      role === 'host' || role === 'co-host'
        ? t("You're now {role}.", { role: t(role) })
        : t("You're now a {role}.", { role: t(role) }),
    );
    if (permissions.includes('produce')) return;
    [...this.call.own.keys()].forEach((source) => this.call.stop(source, true));
    ['camera', 'microphone', 'screen'].forEach((source) => this.media.stop(source));
  }

  onMuted({ kind, muted }) {
    this.me[kind === 'audio' ? 'audioMuted' : 'videoMuted'] = muted;
    toast(
      muted
        ? t('The host turned off your {device}.', { device: t(DEVICE[kind]) })
        : t('The host turned on your {device}.', { device: t(DEVICE[kind]) }),
    );
    this.draw();
  }

  onWaiting(who) {
    this.waiting.add(who);
    if (this.view.classList.contains('corner')) toast(t('{name} is waiting to join', { name: nameOf(who) }));
  }

  onTalk({ message }) {
    const { talk } = this.panels;
    talk.add(message);
    if (!talk.node.hidden) return;
    this.controls.showNews(true);
    announce(`${message.senderName}: ${message.message}`);
  }

  // Only the tile: whether somebody's microphone is muted comes with another event, which goes to everyone.
  setPaused(producerId, paused) {
    const entry = this.call.streams.get(producerId);
    if (entry) this.stage.pause(entry, paused);
  }

  onScore({ consumerId, score }) {
    const entry = [...this.call.streams.values()].find(({ consumer }) => consumer.id === consumerId);
    if (entry) this.stage.score(entry.participantId, score);
  }

  // ---- breaks, and the end --------------------------------------------------------------

  // After a break we ask for our place again; in the grace it is the same one.  A connection that was recovered has what is
  // stored, but neither who came and left meanwhile nor who waits.
  async onConnect() {
    try {
      const again = await emit('join-meeting', this.request);
      if (!this.over) await this.resume(again);
    } catch (error) {
      if (!this.over) this.finish(refusal(error));
    }
  }

  async resume(again) {
    const isSame = again.participantId === this.ownId;
    for (const key of this.people.keys())
      if (!again.participants.some((who) => who.participantId === key)) this.stage.remove(key);
    this.people.clear();
    for (const who of again.participants) this.people.set(who.participantId, who);
    this.meeting = again.meeting;
    this.waiting.replaceAll(again.waiting);
    this.ownId = again.participantId;
    for (const part of [this.panels.people, this.panels.talk]) part.ownId = this.ownId;
    this.call.participantId = this.ownId;
    if (!isSame) this.ownPicture = undefined; // its tile went with the former place
    this.showOwnCamera(this.media.tracks.get('camera'));
    this.draw();
    await this.call.inTurn(() => (isSame ? this.call.refresh() : this.call.rebuild()));
    this.tellMedia();
  }

  finish(words) {
    if (this.over) return;
    this.stop();
    announce(words);
    this.onEnd(words);
  }

  leave() {
    if (this.over) return;
    this.leaveNow();
    this.stop();
    this.onEnd('');
  }

  // Where one goes by leaving.
  get afterwards() {
    const { roomId } = this.meeting;
    return roomId && state.rooms.has(roomId) ? `#/room/${roomId}` : '#/';
  }

  stop() {
    this.over = true;
    this.stops.forEach((stop) => stop());
    removeEventListener('pagehide', this.leaveNow);
    this.media.close();
    this.call.close();
    this.stage.close();
  }
}

const HANDLERS = {
  'participant-joined': (session, who) => session.addPerson(who),
  'participant-waiting': (session, who) => session.onWaiting(who),
  'participant-waiting-left': ({ waiting }, { waitingId }) => waiting.remove(waitingId),
  'participant-left': (session, who) => session.removePerson(who),
  'participant-media-updated': (session, payload) => {
    const { participantId, video, audio, screenSharing, audioMuted, videoMuted } = payload;
    session.update(participantId, { media: { video, audio, screenSharing }, audioMuted, videoMuted });
  },
  'participant-role-updated': (session, payload) => session.onRole(payload),
  'hand-raised': (session, { participantId, raised, timestamp }) =>
    session.update(participantId, { handRaised: raised, handRaisedAt: timestamp }),
  'participant-reaction': (session, { participantId, userName, reaction }) => {
    session.stage.react(participantId, reaction);
    announce(`${userName}: ${reaction}`);
  },
  'muted-by-host': (session, payload) => session.onMuted(payload),
  'meeting-updated': (session, { meeting }) => {
    session.meeting = meeting;
    session.draw();
  },
  'recording-status-changed': (session, { recording }) => {
    session.meeting.recording = recording;
    session.draw();
  },
  'meeting-ended': (session, { meeting }) => {
    know(meeting);
    session.finish(t('The meeting has ended.'));
  },
  'removed-from-meeting': (session, { reason }) =>
    session.finish(
      reason
        ? t('The host removed you from the meeting: {reason}', { reason })
        : t('The host removed you from the meeting.'),
    ),
  'new-message': (session, payload) => session.onTalk(payload),
  'user-typing': (session, payload) => session.panels.talk.showTyping(payload),
  'new-producer': ({ call }, payload) => call.receive(payload),
  'producer-closed': ({ call }, { producerId }) => call.producerClosed(producerId),
  'producer-paused': (session, { producerId }) => session.setPaused(producerId, true),
  'producer-resumed': (session, { producerId }) => session.setPaused(producerId, false),
  'active-speaker': ({ stage }, { participantId }) => stage.speak(participantId),
  'consumer-score': (session, payload) => session.onScore(payload),
  'transport-closed': ({ call }, payload) => call.transportClosed(payload),
};

async function copyLink() {
  await navigator.clipboard.writeText(location.href).then(
    () => toast(t('Link copied.')),
    () => toast(location.href),
  );
}
