// Words for what is refused in meetings, and for their end.
import { h, replace } from './dom.js';

// What a refusal means to the person who reads it.
export function refusal({ code, message }) {
  if (code === 'forbidden' && /locked/.test(message))
    return 'The host has locked this meeting: nobody new can come in now.';
  return (
    {
      not_found: 'There is no such meeting. Is the link complete?',
      gone: 'This meeting has ended.',
      forbidden: 'You are not invited to this meeting. Ask its host for an invitation.',
      wrong_password: 'That is not the password of this meeting.',
      full: 'This meeting is full. Try again when somebody has left.',
      unavailable: 'The server cannot be reached now. Try again in a moment.',
      rate_limited: 'That was too often. Wait a moment, then try again.',
    }[code] ?? message
  );
}

export function showEnd(view, words) {
  replace(
    view,
    h(
      'div',
      { class: 'empty end' },
      h('h1', {}, words),
      h('p', {}, h('a', { class: 'button', href: '#/' }, 'Back to the rooms')),
    ),
  );
}
