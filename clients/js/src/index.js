export { Client } from './client.js';
export { Connection } from './connection.js';
export { RtError } from './errors.js';
export { operations } from './operations.js';
export { sendingRed, withRed } from './red.js';
export { Session } from './session.js';
export { TabStorage } from './storage.js';
