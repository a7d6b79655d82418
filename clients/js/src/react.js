// react.js: hooks over the client's stores.
import { createContext, createElement, useCallback, useContext, useEffect, useMemo, useSyncExternalStore } from 'react';

const Context = createContext(undefined);
const NOBODY = Object.freeze([]);

export function RtProvider({ client, children }) {
  return createElement(Context.Provider, { value: client }, children);
}

export function useClient() {
  const client = useContext(Context);
  if (!client) throw new Error('there is no <RtProvider client={…}> around this component');
  return client;
}

function useStore(store) {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}

// Whether the client is connected, and as whom.
export function useConnection() {
  return useStore(useClient());
}

export function useRooms() {
  return useStore(useClient().rooms);
}

// The state of a room, and what one does in it.  While a component shows it, the room is joined.
export function useRoom(roomId) {
  const client = useClient();
  const room = client.room(roomId);
  const state = useStore(room);
  const actions = useMemo(() => ({
    send: (content, options) => room.send(content, options),
    edit: (messageId, content) => room.edit(messageId, content),
    remove: (messageId) => room.delete(messageId),
    react: (messageId, emoji, on) => room.react(messageId, emoji, on),
    retry: (clientId) => room.retry(clientId),
    discard: (clientId) => room.discard(clientId),
    setTyping: (isTyping) => room.setTyping(isTyping),
    markSeen: (upTo) => room.markSeen(upTo),
    markRead: (seq) => room.markRead(seq),
    loadOlder: () => room.loadOlder(),
  }), [room]);
  return useMemo(() => ({ ...state, ...actions }), [state, actions]);
}

// Who of a room is online; without a room, what is known of all users, by id.
export function usePresence(roomId) {
  const { presence } = useClient();
  const state = useStore(presence);
  useEffect(() => (roomId === undefined ? undefined : presence.watch(roomId)), [presence, roomId]);
  return roomId === undefined ? state.users : (state.rooms[roomId] ?? NOBODY);
}

// The state of a meeting, and what one does in it.  It goes on when the component is gone: leave() ends it.
export function useMeeting(meetingId) {
  const client = useClient();
  const meeting = client.meeting(meetingId);
  const state = useStore(meeting);
  const join = useCallback((options) => meeting.join(options), [meeting]);
  const leave = useCallback(() => meeting.leave(), [meeting]);
  return useMemo(() => ({ ...state, join, leave, meetingObject: meeting }), [state, join, leave, meeting]);
}
