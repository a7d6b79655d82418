import type { FunctionComponent, ReactNode } from 'react';
import type { Client, ClientState, JoinOptions, Meeting, MeetingState, Message, RoomState, RoomsState, SendOptions, UserStatus } from './index.js';

export const RtProvider: FunctionComponent<{ client: Client; children?: ReactNode }>;
export function useClient(): Client;
/** Whether the client is connected, and as whom. */
export function useConnection(): ClientState;
export function useRooms(): RoomsState;

export interface RoomActions {
  send(content: string, options?: SendOptions): Promise<Message>;
  edit(messageId: string, content: string): Promise<Message>;
  remove(messageId: string): Promise<void>;
  react(messageId: string, emoji: string, on?: boolean): Promise<void>;
  retry(clientId: string): void;
  discard(clientId: string): void;
  setTyping(isTyping?: boolean): void;
  markSeen(upTo: number | string[]): void;
  markRead(seq?: number): Promise<void>;
  loadOlder(): Promise<boolean>;
}

/** A room's state, and what one does in it. While a component shows it, the room is joined. */
export function useRoom(roomId: string): RoomState & RoomActions;

/** Who of a room is online. */
export function usePresence(roomId: string): readonly UserStatus[];
/** What is known of all users, by id. */
export function usePresence(): Record<string, UserStatus>;

/** A meeting's state, and what one does in it. It goes on when the component is gone: `leave()` ends it. */
export function useMeeting(meetingId: string): MeetingState & { join(options?: JoinOptions): Promise<void>; leave(): Promise<void>; meetingObject: Meeting };
