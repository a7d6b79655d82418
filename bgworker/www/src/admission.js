// Getting into a meeting, where somebody may have to let us in first.
import { emit, socket } from './socket.js';

const failed = (code) => Object.assign(new Error(code), { code });

export class Admission {
  constructor(meetingId) {
    Object.assign(this, { meetingId, cancelled: false });
    const ours = (outcome) => (event) => event.meetingId === meetingId && this.decided(outcome);
    this.handlers = {
      'meeting-admitted': ours('admitted'),
      'meeting-refused': ours('refused'),
      'meeting-ended': ours('gone'),
      connect: () => this.decided('again'), // with the former connection our place in the lobby has gone
    };
  }

  decided() {} // until somebody waits

  // Resolves to what join-meeting acknowledged, or to null once cancel() was called.  onWait() is called when we wait.
  async enter(request, onWait) {
    this.cancelled = false;
    for (const [event, handle] of Object.entries(this.handlers)) socket.on(event, handle);
    try {
      while (!this.cancelled) {
        // Before asking, so that no decision is missed.
        const decision = new Promise((resolve) => {
          this.decided = resolve;
        });
        const joined = await this.ask(request);
        if (joined) return joined;
        if (this.cancelled) break;
        onWait();
        const outcome = await decision;
        if (outcome === 'refused' || outcome === 'gone') throw failed(outcome);
      }
      return null;
    } finally {
      for (const [event, handle] of Object.entries(this.handlers)) socket.off(event, handle);
    }
  }

  async ask(request) {
    try {
      return await emit('join-meeting', request);
    } catch (error) {
      if (error.code !== 'waiting') throw error;
      return null;
    }
  }

  cancel() {
    if (this.cancelled) return;
    this.cancelled = true;
    socket.emit('leave-meeting', { meetingId: this.meetingId });
    this.decided('cancelled');
  }
}
