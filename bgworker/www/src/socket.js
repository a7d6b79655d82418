// Socket.IO, as the kit keeps it.  As with REST, what is refused is an RtError that has the contract's `code`.
import { Connection } from '../../../clients/js/src/connection.js';
import { RtError } from '../../../clients/js/src/errors.js';
import { failure, session } from './api.js';

export const connection = new Connection(session, { ackTimeout: 10_000, liveness: true });
export const { socket } = connection;

// Emits and waits for the acknowledgement.
export async function emit(event, payload) {
  try {
    return await connection.ask(event, payload);
  } catch (error) {
    throw error instanceof RtError ? error : failure();
  }
}
