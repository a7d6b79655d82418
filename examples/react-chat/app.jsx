// A chat and a meeting with React: rooms, history, typing, reactions, receipts, presence, and what waits to be sent.
//
//   npm install && npm run build, and serve this folder; rt.cors_origins must name its origin.
//   index.html?url=http://localhost:4501 says where the gateway is.
import { useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Client } from '@pg-rt/client';
import { RtProvider, useClient, useConnection, useMeeting, usePresence, useRoom, useRooms } from '@pg-rt/client/react';

function SignIn() {
  const client = useClient();
  const [problem, setProblem] = useState('');

  async function submit(event) {
    event.preventDefault();
    try {
      await client.login(Object.fromEntries(new FormData(event.target)));
    } catch (error) {
      setProblem(error.message);
    }
  }

  return (
    <form onSubmit={submit} aria-label="Sign in">
      <input name="username" aria-label="Username" required />
      <input name="password" type="password" aria-label="Password" required />
      <button>Sign in</button>
      <p role="alert">{problem}</p>
    </form>
  );
}

function RoomList({ current, onOpen }) {
  const { rooms } = useRooms();
  return (
    <nav aria-label="Rooms">
      {rooms.map((room) => (
        <button key={room.id} aria-current={room.id === current} onClick={() => onOpen(room.id)}>
          {room.name ?? room.peer?.name} {room.unreadCount > 0 && <b>{room.unreadCount}</b>}
        </button>
      ))}
    </nav>
  );
}

function Message({ message, isOwn, readers, onReact, onDelete }) {
  if (message.deletedAt) return <li>This message was deleted</li>;
  return (
    <li>
      <b>{message.userName}</b>: <span>{message.content}</span> {message.editedAt && <i>edited</i>}
      {message.reactions?.map(({ emoji, count }) => <span key={emoji}> {emoji} {count}</span>)}
      <button onClick={() => onReact('👍')} aria-label={`Like ${message.content}`}>👍</button>
      {isOwn && <button onClick={onDelete} aria-label={`Delete ${message.content}`}>Delete</button>}
      {isOwn && readers > 0 && <small> seen by {readers}</small>}
    </li>
  );
}

function Room({ id }) {
  const { user } = useConnection();
  const { status, error, messages, pending, typing, hasMore, lastSeq, readBy, ...room } = useRoom(id);
  const online = usePresence(id);
  const [text, setText] = useState('');

  // What is on the screen of a focused page was seen.
  useEffect(() => {
    const see = () => { if (document.hasFocus()) room.markSeen(lastSeq); };
    see();
    window.addEventListener('focus', see);
    return () => window.removeEventListener('focus', see);
  }, [lastSeq, room.markSeen]);

  function submit(event) {
    event.preventDefault();
    room.send(text).catch(() => {}); // it stays in `pending`, with the error
    setText('');
  }

  if (status === 'error') return <p role="alert">{error.message}</p>;
  const others = typing.filter(({ userId }) => userId !== user.id);
  return (
    <main aria-label="Room">
      <p>Online: {online.map(({ userName }) => userName).join(', ')}</p>
      {hasMore && <button onClick={() => room.loadOlder()}>Earlier messages</button>}
      <ol aria-label="Messages">
        {messages.map((message) => (
          <Message
            key={message.id} message={message} isOwn={message.senderId === user.id}
            readers={Object.entries(readBy).filter(([userId, seq]) => userId !== user.id && seq >= message.seq).length}
            onReact={(emoji) => room.react(message.id, emoji)} onDelete={() => room.remove(message.id)}
          />
        ))}
        {pending.map((item) => (
          <li key={item.clientId}>
            <i>{item.content}</i> {item.error ? item.error.message : 'sending'}
            {item.error && <button onClick={() => room.retry(item.clientId)}>Try again</button>}
            {item.error && <button onClick={() => room.discard(item.clientId)}>Discard</button>}
          </li>
        ))}
      </ol>
      <p aria-live="polite">{others.length > 0 && `${others.map(({ userName }) => userName).join(', ')} typing`}</p>
      <form onSubmit={submit}>
        <input aria-label="Message" value={text} onChange={(event) => { setText(event.target.value); room.setTyping(); }} required />
        <button>Send</button>
      </form>
      <Meetings roomId={id} />
    </main>
  );
}

function Video({ track }) {
  const element = useRef(null);
  useEffect(() => { element.current.srcObject = new MediaStream([track]); }, [track]);
  return <video ref={element} autoPlay playsInline muted={track.kind === 'video'} />;
}

function Meeting({ id, onClose }) {
  const { status, error, participants, tracks, join, leave, meetingObject } = useMeeting(id);
  const own = useRef([]);

  // The page opened the devices, so the page closes them.
  function stopDevices() {
    for (const track of own.current) track.stop();
    own.current = [];
  }
  useEffect(() => () => { stopDevices(); }, []);

  async function start() {
    await join();
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    own.current = stream.getTracks();
    for (const track of own.current) await meetingObject.produce(track);
  }

  async function hangUp() {
    stopDevices();
    await leave();
    onClose();
  }

  return (
    <section aria-label="Meeting">
      <p>{status} {error?.message} {participants.map(({ userName }) => userName).join(', ')}</p>
      {status !== 'joined' && <button onClick={() => { start().catch(() => {}); }}>Join</button>}
      <button onClick={hangUp}>Leave</button>
      {tracks.map(({ producerId, track }) => <Video key={producerId} track={track} />)}
    </section>
  );
}

function Meetings({ roomId }) {
  const client = useClient();
  const [meetingId, setMeetingId] = useState();

  // The one that runs in the room, or a new one.
  async function meet() {
    const { data } = await client.call('listMeetings', { query: { status: 'live' } });
    const running = data.find((meeting) => meeting.roomId === roomId);
    setMeetingId((running ?? (await client.call('createMeeting', { body: { title: 'Meeting', roomId, access: 'room' } })).data).id);
  }

  return meetingId ? <Meeting id={meetingId} onClose={() => setMeetingId(undefined)} /> : <button onClick={meet}>Meet</button>;
}

function App() {
  const { status, user, error } = useConnection();
  const [roomId, setRoomId] = useState();
  if (!user) return <><SignIn /><p>{error?.message}</p></>;
  return (
    <>
      <header>{user.name} {status !== 'connected' && <em>You're offline. Messages will be sent when you reconnect.</em>}</header>
      <RoomList current={roomId} onOpen={setRoomId} />
      {roomId && <Room key={roomId} id={roomId} />}
    </>
  );
}

const url = new URLSearchParams(location.search).get('url') ?? 'http://localhost:4501';
createRoot(document.getElementById('root')).render(<RtProvider client={new Client({ url })}><App /></RtProvider>);
