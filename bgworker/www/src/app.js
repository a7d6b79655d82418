// Starts the page: whoever is signed in gets the application, whoever is not the form to do that.
import { guestAgain, knownMe, resume, session, takeNotice } from './api.js';
import { load } from './i18n.js';
import { showLogin } from './login.js';
import { returned } from './returned.js';

const root = document.getElementById('app');
const loadChat = () => import('./chat.js');

async function start(me) {
  const { start: startChat } = await loadChat();
  startChat(root, me);
}

const meetingHere = () => /^#\/meeting\/(\d+)$/.exec(location.hash)?.[1];

async function startGuest(me) {
  const { startGuest: begin } = await import('./guest.js');
  begin(root, me, meetingHere());
}

async function login(problem) {
  const guest = await guestAgain(meetingHere());
  if (guest) startGuest(guest);
  else showLogin(root, { done: start, problem, meetingId: meetingHere(), doneAsGuest: startGuest });
}

// The parts of the chat, which the build has listed in the page, and what it will ask for: all at once.
function hurry() {
  const parts = document.querySelector('[data-later]')?.dataset.later ?? '';
  for (const href of parts.split(' ').filter(Boolean))
    document.head.append(Object.assign(document.createElement('link'), { rel: 'modulepreload', href }));
  if (returned || !session.token) return;
  const room = /^#\/room\/(\d+)$/.exec(location.hash)?.[1];
  session.ahead('listRooms', { query: { limit: 200 } });
  if (room) session.ahead('listMessages', { params: { roomId: room }, query: { limit: 50 } });
}

// Who was signed in before need not wait for the answer; a session that has ended says so then.
async function goOn() {
  hurry();
  loadChat();
  const { finish } = returned ? await import('./oidc.js') : {};
  if (finish) return finish(returned);
  const known = knownMe();
  const answer = resume();
  answer.catch(() => {});
  return known ?? answer;
}

if (returned || session.token) {
  // The words first: a browser asks for six things at once, and needs all that hurry() asks for before the rest.
  const words = load();
  const going = goOn();
  going.catch(() => {});
  await words;
  going.then(start, (error) => login(error.code === 'unauthorized' ? '' : error.message));
} else {
  await load();
  login(takeNotice());
}
