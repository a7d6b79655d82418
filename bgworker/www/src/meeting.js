// A meeting, from its address to the end of it: is it there, the lobby, and in.
//
// The call one is in has a place of its own beside the view.  It fills the view's place at its address, and goes on in a
// corner everywhere else, until somebody leaves by the button or the meeting ends.
import { t } from './i18n.js';
import { call as ask } from './api.js';
import { Admission } from './admission.js';
import { clearToast, h, replace, toast } from './dom.js';
import { openLobby } from './lobby.js';
import { OwnMedia } from './media.js';
import { know } from './meetings.js';
import { refusal, showEnd } from './refusal.js';
import { Session } from './session.js';
import { socket } from './socket.js';
import { state } from './state.js';

let callPlace = null;
let call = null; // the Session one is in

const isHere = (id) => location.hash === `#/meeting/${id}`;

function enlarge(view) {
  view.hidden = true;
  callPlace.hidden = false;
  callPlace.classList.remove('corner');
}

function shrink(view) {
  view.hidden = false;
  callPlace.hidden = !call;
  callPlace.classList.add('corner');
}

function enter(view, joined, request, media) {
  const session = new Session(callPlace, { joined, request, media, onEnd });

  // With words the meeting has ended for us, without we have left.
  function onEnd(words) {
    call = null;
    callPlace.hidden = true;
    replace(callPlace);
    view.hidden = false;
    if (!isHere(session.id)) {
      if (words) toast(words);
    } else if (words) showEnd(view, words);
    else location.hash = session.afterwards;
  }

  call = session;
  replace(view);
  if (isHere(session.id)) enlarge(view);
  else shrink(view);
}

export function openMeeting(view, place, id) {
  callPlace = place;
  if (call?.id === id) {
    enlarge(view);
    return { close: () => shrink(view) };
  }
  const media = new OwnMedia();
  const admission = new Admission(id);
  let isLeft = false;
  let isIn = false;
  let isWaiting = false;

  async function start() {
    const { data: meeting } = await ask('getMeeting', { params: { meetingId: id } });
    know(meeting);
    if (isLeft) return;
    if (meeting.status === 'ended') throw Object.assign(new Error(), { code: 'gone' });
    openLobby(view, meeting, {
      media,
      asksPassword: meeting.hasPassword && meeting.hostId !== state.me.id && !state.me.guest, // who gave it already
      other: call?.meeting.title,
      join,
      cancel: () => admission.cancel(),
    });
  }

  // wait() shows that somebody else has to let us in.
  async function join({ password }, wait) {
    const request = { meetingId: id, password };
    let joined;
    try {
      joined = await admission.enter(request, () => {
        isWaiting = true;
        wait();
      });
      isWaiting = false;
    } catch (error) {
      throw Object.assign(new Error(refusal(error)), { code: error.code });
    }
    if (!joined) return; // cancelled
    if (isLeft) {
      socket.emit('leave-meeting', { meetingId: id });
      return;
    }
    isIn = true;
    call?.leave();
    enter(view, joined, request, media);
  }

  replace(view, h('p', { class: 'empty' }, t('Loading…')));
  start().catch((error) => {
    if (!isLeft) showEnd(view, refusal(error));
  });
  return {
    close() {
      isLeft = true;
      if (!isIn) {
        media.close();
        if (isWaiting) admission.cancel();
      }
      if (!call) clearToast(); // what it says is of this meeting
      shrink(view);
    },
  };
}
