// How present somebody is, in words.
import { t } from './i18n.js';
import { whenOf } from './dom.js';
import { state } from './state.js';

export function lastSeen(userId) {
  const { status, statusMessage, lastSeen: since } = state.presence.get(userId) ?? {};
  if (status && status !== 'offline') return [t(status), statusMessage].filter(Boolean).join(': ');
  return since ? t('last seen {when}', { when: whenOf(since) }) : t('offline');
}
