// Socket.IO.  As with REST, what is refused is an Error that has the contract's `code`.
import { io } from 'socket.io-client';
import { BASE, failure, session } from './api.js';
import { watchNetwork } from './network.js';

export const socket = io(BASE.origin, {
  path: `${BASE.pathname}socket.io/`,
  autoConnect: false,
  auth: (give) => give({ token: session.token }),
  transports: ['websocket', 'polling'],
});
watchNetwork(socket);

// Emits and waits for the acknowledgement.
export async function emit(event, payload) {
  let answer;
  try {
    answer = await socket.timeout(10_000).emitWithAck(event, payload);
  } catch {
    throw failure();
  }
  if (!answer.success) throw failure(answer.error);
  return answer;
}
