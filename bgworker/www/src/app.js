// Starts the page: whoever is signed in gets the application, whoever is not the form to do that.
import { currentToken, resume, takeNotice } from './api.js';
import { showLogin } from './login.js';

const root = document.getElementById('app');
const loadChat = () => import('./chat.js');

async function start(me) {
  const { start: startChat } = await loadChat();
  startChat(root, me);
}

const login = (problem) => showLogin(root, start, problem);
if (currentToken()) {
  loadChat(); // while the server is asked
  resume().then(start, (error) => login(error.code === 'unavailable' ? error.message : ''));
} else login(takeNotice());
