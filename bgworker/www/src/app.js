// Starts the page: whoever is signed in gets the application, whoever is not the form to do that.
import { currentToken, guestAgain, resume, takeNotice } from './api.js';
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

async function goOn() {
  loadChat(); // while the server is asked
  const { finish } = returned ? await import('./oidc.js') : {};
  return finish ? finish(returned) : resume();
}

await load();
if (returned || currentToken())
  goOn().then(start, (error) => login(error.code === 'unauthorized' ? '' : error.message));
else login(takeNotice());
