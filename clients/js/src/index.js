export { Client } from './client.js';
export { Connection } from './connection.js';
export { RtError } from './errors.js';
export { changes, Messages } from './messages.js';
export { operations } from './operations.js';
export { sendingRed, withRed } from './red.js';
export { Session } from './session.js';
export { TabStorage } from './storage.js';
export { Typing } from './typing.js';
