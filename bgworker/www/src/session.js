// A meeting while it lasts: what is shown, what one does, what the server tells.
import { emit, rest, socket } from './api.js';
import { Call } from './call.js';
import { Controls } from './controls.js';
import { openCamera, openMicrophone, openScreen } from './devices.js';
import { announce, ask, h, iconButton, replace, toast } from './dom.js';
import { icon } from './icons.js';
import { People, Talk } from './people.js';
import { refusal, showEnd } from './refusal.js';
import { Stage } from './stage.js';
import { state } from './state.js';

// `joined` is what join-meeting acknowledged to `request`; the tracks are ours from here on.  Result: a function that
// leaves.
export function runMeeting(view, { joined, request, tracks }) {
  const id = joined.meeting.id;
  let meeting = joined.meeting;
  let ownId = joined.participantId;
  let over = false;
  const people = new Map(joined.participants.map((who) => [who.participantId, who]));
  const stage = new Stage((entry, layer) => call.preferLayer(entry, layer));
  const me = () => people.get(ownId);
  const tileOf = (who) => ({
    name: who?.userName ?? 'Somebody',
    userId: who?.userId ?? '',
    isOwn: who?.participantId === ownId,
  });

  // Asks the server; a refusal is shown.  Result: whether it was done.
  async function act(event, payload = {}) {
    try {
      await emit(event, { meetingId: id, ...payload });
      return true;
    } catch (error) {
      toast(
        error.code === 'forbidden' || error.code === 'conflict'
          ? `Not allowed: ${error.message}.`
          : refusal(error),
      );
      return false;
    }
  }

  const panels = { people: new People(act, people, ownId), talk: new Talk(act, people, ownId) };

  const call = new Call(id, {
    stream: (entry) => stage.show(entry, tileOf(people.get(entry.participantId))),
    streamGone: (entry) => stage.drop(entry),
    own: (source, track) => {
      if (source === 'camera') showOwnCamera(track);
      tellMedia();
    },
    problem: toast,
  });

  // ---- what we show ----------------------------------------------------------------

  let ownPicture = null;
  function showOwnCamera(track) {
    const tile = stage.add(ownId, tileOf(me()));
    if (ownPicture) tile.drop(ownPicture);
    ownPicture = track;
    if (track) tile.show(track);
  }

  function draw() {
    for (const who of people.values()) {
      stage.add(who.participantId, tileOf(who));
      stage.sign(who);
    }
    panels.people.draw();
    panels.talk.draw();
    controls.draw(me(), meeting, (source) => call.sends(source));
    drawHeading();
  }

  function drawHeading() {
    heading.textContent = meeting.title;
    replace(
      notes,
      meeting.locked && h('span', {}, icon('lock'), 'locked'),
      meeting.recording && h('span', {}, '⏺ being recorded'),
    );
  }

  function tellMedia() {
    const media = {
      audio: call.sends('microphone'),
      video: call.sends('camera'),
      screenSharing: call.sends('screen'),
    };
    me().media = media;
    emit('media-status-update', { meetingId: id, ...media }).catch(() => {});
    draw();
  }

  // ---- what one can do -----------------------------------------------------------------

  async function toggle(source, open) {
    try {
      if (source === 'microphone' && call.own.has(source)) {
        await call.pause(source, call.sends(source));
        tellMedia();
      } else if (call.own.has(source)) await call.stop(source);
      else await call.send(source, await open());
    } catch (error) {
      if (!(source === 'screen' && error.name === 'NotAllowedError')) toast(error.message); // who cancels knows it
    }
  }

  function show(which) {
    for (const [key, panel] of Object.entries(panels)) {
      panel.node.hidden = key !== which || !panel.node.hidden;
      controls.press(key, !panel.node.hidden);
    }
    if (!panels.talk.node.hidden) {
      controls.showNews(false);
      panels.talk.input.focus();
    }
  }

  async function endForAll() {
    if (await ask('End the meeting for everybody?', {}, 'End it')) await act('end-meeting');
  }

  async function copyLink() {
    await navigator.clipboard.writeText(location.href).then(
      () => toast('The link is copied.'),
      () => toast(location.href),
    );
  }

  function finish(words) {
    close();
    showEnd(view, words);
    announce(words);
  }

  const controls = new Controls({
    microphone: () => toggle('microphone', openMicrophone),
    camera: () => toggle('camera', openCamera),
    screen: () => toggle('screen', openScreen),
    hand: () => act('raise-hand', { raised: !me().handRaised }),
    react: (reaction) => act('send-reaction', { reaction }),
    talk: () => show('talk'),
    people: () => show('people'),
    lock: () => act('lock-meeting', { locked: !meeting.locked }),
    end: endForAll,
    afterwards: meeting.roomId && state.rooms.has(meeting.roomId) ? `#/room/${meeting.roomId}` : '#/',
  });
  const heading = h('h1', { dir: 'auto' }, meeting.title);
  const notes = h('span', { class: 'state', role: 'status' });

  // ---- what the server tells ---------------------------------------------------------------

  // Changes one participant and shows it.
  const update = (change) => (payload) => {
    const who = people.get(payload.participantId);
    if (!who) return;
    change(who, payload);
    draw();
  };

  const handlers = {
    'participant-joined': (who) => {
      people.set(who.participantId, who);
      announce(`${who.userName} has joined`);
      draw();
    },
    'participant-left': ({ participantId, userName }) => {
      call.forgetParticipant(participantId);
      people.delete(participantId);
      stage.remove(participantId);
      announce(`${userName} has left`);
      draw();
    },
    'participant-media-updated': update((who, { video, audio, screenSharing, audioMuted, videoMuted }) => {
      Object.assign(who, { media: { video, audio, screenSharing }, audioMuted, videoMuted });
    }),
    'participant-role-updated': update((who, { role, permissions }) => {
      Object.assign(who, { role, permissions });
      if (who.participantId !== ownId) return;
      toast(`You are ${role} now.`);
      if (!permissions.includes('produce')) [...call.own.keys()].forEach((source) => call.stop(source, true));
    }),
    'hand-raised': update((who, { raised }) => {
      who.handRaised = raised;
    }),
    'participant-reaction': ({ participantId, userName, reaction }) => {
      stage.react(participantId, reaction);
      announce(`${userName}: ${reaction}`);
    },
    'muted-by-host': ({ kind, muted }) => {
      me()[kind === 'audio' ? 'audioMuted' : 'videoMuted'] = muted;
      toast(
        `The host has ${muted ? 'switched off' : 'given back'} your ${kind === 'audio' ? 'microphone' : 'camera'}.`,
      );
      draw();
    },
    'meeting-updated': (payload) => {
      meeting = payload.meeting;
      draw();
    },
    'recording-status-changed': ({ recording }) => {
      meeting.recording = recording;
      draw();
    },
    'meeting-ended': () => finish('The meeting has ended.'),
    'removed-from-meeting': ({ reason }) =>
      finish(`The host has removed you from the meeting${reason ? `: ${reason}` : '.'}`),
    'new-message': ({ message }) => {
      panels.talk.add(message);
      if (panels.talk.node.hidden) {
        controls.showNews(true);
        announce(`${message.senderName}: ${message.message}`);
      }
    },
    'user-typing': (payload) => panels.talk.showTyping(payload),
    'new-producer': (payload) => call.receive(payload),
    'producer-closed': ({ producerId }) => call.inTurn(() => call.forget(producerId)),
    'producer-paused': ({ producerId }) => setPaused(producerId, true),
    'producer-resumed': ({ producerId }) => setPaused(producerId, false),
    'active-speaker': ({ participantId }) => stage.speak(participantId),
    'consumer-score': ({ consumerId, score }) => {
      const entry = [...call.streams.values()].find(({ consumer }) => consumer.id === consumerId);
      if (entry) stage.score(entry.participantId, score);
    },
    'transport-closed': ({ transportId }) => call.transportClosed(transportId),
  };

  // Who mutes somebody sees it in the list at once: the event about it goes to all.
  function setPaused(producerId, paused) {
    const entry = call.streams.get(producerId);
    if (!entry) return;
    stage.pause(entry, paused);
  }

  const listeners = Object.entries(handlers).map(([event, handle]) => {
    const on = (payload) => {
      if (!payload.meetingId || payload.meetingId === id) handle(payload);
    };
    socket.on(event, on);
    return () => socket.off(event, on);
  });

  // After a break that Socket.IO could not bridge we ask for our place again; in the grace it is the same one.
  async function onConnect() {
    if (socket.recovered) return;
    try {
      const again = await emit('join-meeting', request);
      if (!over) await resume(again);
    } catch (error) {
      if (!over) finish(refusal(error));
    }
  }

  async function resume(again) {
    const isSame = again.participantId === ownId;
    for (const key of people.keys())
      if (!again.participants.some((who) => who.participantId === key)) stage.remove(key);
    people.clear();
    for (const who of again.participants) people.set(who.participantId, who);
    meeting = again.meeting;
    ownId = again.participantId;
    panels.people.ownId = ownId;
    panels.talk.ownId = ownId;
    call.participantId = ownId;
    draw();
    await call.inTurn(() => (isSame ? call.refresh() : call.rebuild()));
    tellMedia();
  }

  const leaveNow = () => socket.emit('leave-meeting', { meetingId: id });
  socket.on('connect', onConnect);
  addEventListener('pagehide', leaveNow);

  function close() {
    if (over) return;
    over = true;
    listeners.forEach((stop) => stop());
    socket.off('connect', onConnect);
    removeEventListener('pagehide', leaveNow);
    call.close();
    stage.close();
  }

  // ---- together ------------------------------------------------------------------------

  replace(
    view,
    h('header', { class: 'bar' }, heading, notes, iconButton('link', 'Copy the link', copyLink)),
    h('div', { class: 'meeting' }, stage.node, panels.talk.node, panels.people.node),
    controls.node,
  );
  draw();
  call.start(joined);
  for (const [source, track] of Object.entries(tracks)) if (track) call.send(source, track);
  rest('GET', `/api/meetings/${id}/messages`).then(
    ({ data }) => data.forEach((m) => panels.talk.add(m)),
    () => {},
  );

  return () => {
    if (!over) leaveNow();
    close();
  };
}
