// Words for what is refused in meetings, and for their end.
import { h, replace } from './dom.js';
import { t } from './i18n.js';

// What a refusal means to the person who reads it.
export function refusal({ code, message }) {
  if (code === 'forbidden' && /locked/.test(message))
    return t('The host locked this meeting. No one else can join.');
  if (code === 'refused' || (code === 'forbidden' && /refused/i.test(message)))
    return t('The host did not let you in. You can ask again in half a minute.');
  return (
    {
      not_found: t('Meeting not found. Check the link.'),
      gone: t('This meeting has ended.'),
      forbidden: t("You aren't invited to this meeting. Ask the host to invite you."),
      wrong_password: t('Wrong meeting password.'),
      full: t('This meeting is full. Try again later.'),
      unavailable: t("Can't reach the server. Try again in a moment."),
      rate_limited: t('Too many attempts. Wait a moment and try again.'),
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
      h('p', {}, h('a', { class: 'button', href: '#/' }, t('Back to rooms'))),
    ),
  );
}
