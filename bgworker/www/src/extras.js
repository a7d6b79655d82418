// What is loaded together, once somebody opens a menu, a dialog, a thread, or the account.
export { openAccount } from './account.js';
export { changeStatus, newDirect, newMeeting, newRoom, showHits } from './begin.js';
export { showMembers } from './members.js';
export { messageMenu, roomMenu } from './more.js';
export { PinsPanel, ThreadPanel } from './panel.js';
