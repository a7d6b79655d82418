// A meeting, from its address to the end of it: is it there, the lobby, and in.
import { emit, rest, socket } from './api.js';
import { clearToast, h, replace } from './dom.js';
import { openLobby } from './lobby.js';
import { OwnMedia } from './media.js';
import { refusal, showEnd } from './refusal.js';
import { Session } from './session.js';
import { state } from './state.js';

export function openMeeting(view, id) {
  const media = new OwnMedia();
  let end = () => media.close();
  let over = false;

  async function start() {
    const { data: meeting } = await rest('GET', `/api/meetings/${id}`);
    if (over) return;
    if (meeting.status === 'ended') throw Object.assign(new Error(), { code: 'gone' });
    openLobby(view, meeting, {
      media,
      asksPassword: meeting.hasPassword && meeting.hostId !== state.me.id,
      join,
    });
  }

  async function join({ password }) {
    const request = { meetingId: id, password };
    let joined;
    try {
      joined = await emit('join-meeting', request);
    } catch (error) {
      throw Object.assign(new Error(refusal(error)), { code: error.code });
    }
    if (over) {
      socket.emit('leave-meeting', { meetingId: id });
      return;
    }
    const session = new Session(view, { joined, request, media });
    end = () => session.close();
  }

  replace(view, h('p', { class: 'empty' }, 'Loading…'));
  start().catch((error) => {
    if (!over) showEnd(view, refusal(error));
  });
  return {
    close() {
      over = true;
      end();
      clearToast(); // what it says is of this meeting
    },
  };
}
