"""Client of rt, chat and meetings in PostgreSQL, for bots and services.

It needs python3-socketio and python3-aiohttp, as Debian has them::

    from rt_client import Client

    rt = Client('http://localhost:4501', username='bot', password='secret')

    @rt.on_message
    async def answer(message):
        if message['content'] == '!ping':
            await rt.send(message['roomId'], 'pong', reply_to=message['id'])

    asyncio.run(rt.run())

Each message of the user's rooms is handed over once, in the order of its room, through dropped connections and restarts of the
server.  With ``positions``, the name of a file, that holds for restarts of the program too: what was written while it was away is
handed over when it is back.
"""

import asyncio
import json
import logging
import os
import uuid
from typing import Any, Awaitable, Callable, Dict, List, Optional, Set
from urllib.parse import quote, urlsplit

import aiohttp
import socketio

__all__ = ['Client', 'RtError']

log = logging.getLogger('rt')

Message = Dict[str, Any]
Handler = Callable[[Any], Awaitable[None]]

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
ACK_S = 20
JOIN_AT_ONCE = 100
TRANSIENT = ('unavailable', 'rate_limited', 'internal')


class RtError(Exception):
    """What the server refuses.  ``code`` is stable, the message is for people."""

    def __init__(self, code: str, message: str, status: Optional[int] = None, retry_after: Optional[float] = None):
        super().__init__(f'{code}: {message}')
        self.code = code
        self.message = message
        self.status = status
        self.retry_after = retry_after


class _Room:
    """Where in a room we are.  Messages are handled by one task, which asks for those that are missing."""

    def __init__(self, last_seq: int):
        self.last_seq = last_seq  # handed over
        self.newest = last_seq  # heard of
        self.wake = asyncio.Event()
        self.task: Optional[asyncio.Task] = None


class Client:
    """One user's connection.

    :param url: of the gateway; behind a proxy with the path, such as ``https://example.org/chat``
    :param token: of ``rt.issue_token()`` or POST /auth, or an async function that gives one
    :param username: with ``password``, in place of a token
    :param positions: the name of a file that keeps what was handed over
    :param own: whether the user's own messages are handed over, too
    """

    def __init__(self, url: str, *, token=None, username: Optional[str] = None, password: Optional[str] = None,
                 positions: Optional[str] = None, own: bool = False):
        parts = urlsplit(url.rstrip('/'))
        self.url = url.rstrip('/')
        self.user: Optional[Dict[str, Any]] = None
        self._origin = f'{parts.scheme}://{parts.netloc}'
        self._path = f'{parts.path}/socket.io'
        self._token_source = token
        self._credentials = None if username is None else {'username': username, 'password': password}
        self._token: Optional[str] = None
        self._own = own
        self._positions_file = positions
        self._positions: Dict[str, int] = self._load_positions()
        self._rooms: Dict[str, _Room] = {}
        self._entering: Set[asyncio.Task] = set()  # the loop does not keep its tasks
        self._was_here = False  # whether the rooms of the first connection have been entered
        self._on_message: List[Handler] = []
        self._on_event: Dict[str, List[Handler]] = {}
        self._http: Optional[aiohttp.ClientSession] = None
        self._socket: Optional[socketio.AsyncClient] = None
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()

    # ---- handlers --------------------------------------------------------------------------

    def on_message(self, handler: Handler) -> Handler:
        """Decorator: called with each message of the user's rooms."""
        self._on_message.append(handler)
        return handler

    def on(self, event: str) -> Callable[[Handler], Handler]:
        """Decorator: called with each payload of an event, such as ``chat-user-typing``.  These can be missed."""
        def add(handler: Handler) -> Handler:
            self._on_event.setdefault(event, []).append(handler)
            return handler
        return add

    # ---- life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connects, and stays connected until stop().  Raises RtError if the user may not sign in."""
        wait = FIRST_WAIT_S
        try:
            while not self._stopping.is_set():
                try:
                    await self._connect()
                    wait = FIRST_WAIT_S
                    await self._until_disconnected()
                except (aiohttp.ClientError, socketio.exceptions.SocketIOError, asyncio.TimeoutError, OSError) as error:
                    log.warning('not connected: %s', error)
                except RtError as error:
                    if error.code not in TRANSIENT:
                        raise
                    log.warning('not connected: %s', error)
                self.ready.clear()
                await self._hang_up()
                await self._sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)
        finally:
            await self._close()

    def stop(self) -> None:
        """Ends run()."""
        self._stopping.set()

    async def __aenter__(self) -> 'Client':
        self._running = asyncio.ensure_future(self.run())
        ready = asyncio.ensure_future(self.ready.wait())
        await asyncio.wait({self._running, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._running.done():
            await self._running
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.stop()
        await self._running

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    async def _close(self) -> None:
        for room in self._rooms.values():
            if room.task:
                room.task.cancel()
        await self._hang_up()
        if self._http:
            await self._http.close()
            self._http = None

    # A connection whose rooms could not be entered is still open.
    async def _hang_up(self) -> None:
        if self._socket:
            await self._socket.disconnect()

    # ---- REST ----------------------------------------------------------------------------------------

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """A request, such as ``await rt.call('GET', '/api/chat/rooms', limit=10)``.  The result is the whole answer."""
        for attempt in (1, 2):
            token = await self._get_token()
            try:
                return await self._request(method, path, body, query, token)
            except RtError as error:
                if error.code != 'unauthorized' or attempt == 2 or not self._can_renew():
                    raise
                self._token = None

    async def _request(self, method: str, path: str, body: Any, query: Dict[str, Any], token: Optional[str]) -> Any:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        headers = {'Authorization': f'Bearer {token}'} if token else {}
        params = {key: str(value) for key, value in query.items() if value is not None}
        async with self._http.request(method, self.url + path, json=body, params=params, headers=headers) as response:
            try:
                reply = await response.json(content_type=None)
            except ValueError:
                raise RtError('unavailable' if response.status >= 500 else 'internal', f'HTTP {response.status}', response.status) from None
            if reply.get('success') is False:
                error = reply['error']
                after = error.get('retryAfter') or response.headers.get('Retry-After')
                raise RtError(error['code'], error['message'], response.status, float(after) if after else None)
            return reply

    def _can_renew(self) -> bool:
        return self._credentials is not None or callable(self._token_source)

    async def _get_token(self) -> str:
        if self._token is None:
            if callable(self._token_source):
                self._token = await self._token_source()
            elif self._token_source is not None:
                self._token = self._token_source
            elif self._credentials:
                self._token = (await self._request('POST', '/auth', self._credentials, {}, None))['token']
            else:
                raise RtError('unauthorized', 'There is neither a token nor a password')
        return self._token

    async def send(self, room_id: Any, content: str, *, reply_to: Optional[str] = None, metadata: Optional[Dict[str, Any]] = None,
                   message_type: Optional[str] = None, client_id: Optional[str] = None) -> Message:
        """Sends a message, as often as it takes; it is stored once.  With a ``client_id`` of yours, once for each of these."""
        body = {'content': content, 'clientId': client_id or str(uuid.uuid4())}
        body.update({key: value for key, value in (('replyTo', reply_to), ('metadata', metadata), ('messageType', message_type)) if value is not None})
        wait = FIRST_WAIT_S
        while True:
            try:
                return (await self.call('POST', f'/api/chat/rooms/{quote(str(room_id), safe="")}/msgs', body))['data']
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                log.info('message waits: %s', error)
            except RtError as error:
                if error.code not in TRANSIENT:
                    raise
                wait = max(wait, error.retry_after or 0)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    # ---- the socket --------------------------------------------------------------------------------------

    async def ask(self, event: str, payload: Dict[str, Any]) -> Dict[str, Any]:
        """An event with its acknowledgement."""
        if self._socket is None or not self._socket.connected:
            raise RtError('unavailable', 'Not connected')
        reply = await self._socket.call(event, payload, timeout=ACK_S)
        if not reply.get('success') and 'error' in reply and 'rooms' not in reply:
            raise RtError(reply['error']['code'], reply['error']['message'], retry_after=reply['error'].get('retryAfter'))
        return reply

    async def typing(self, room_id: Any, is_typing: bool = True) -> None:
        """Tells a room that the user is typing."""
        await self.ask('chat-typing', {'roomId': str(room_id), 'isTyping': is_typing})

    async def _connect(self) -> None:
        token = await self._get_token()
        self.user = (await self.call('GET', '/api/users/me'))['data']
        self._socket = socketio.AsyncClient(reconnection=False, logger=False)
        self._socket.on('new-chat-message', self._hear_message)
        self._socket.on('chat-notification', self._hear_notification)
        for event in self._on_event:
            if event not in ('new-chat-message', 'chat-notification'):
                self._socket.on(event, self._tell(event))
        # Without recovery events have one argument; what is missed is asked for.
        await self._socket.connect(self._origin, socketio_path=self._path, transports=['websocket'],
                                   auth={'token': self._token or token, 'recovery': False}, wait_timeout=ACK_S)
        await self._enter_rooms()
        self.ready.set()

    async def _until_disconnected(self) -> None:
        waits = [asyncio.ensure_future(self._socket.wait()), asyncio.ensure_future(self._stopping.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    def _tell(self, event: str) -> Handler:
        async def tell(payload: Any) -> None:
            for handler in self._on_event.get(event, []):
                await self._guard(handler, payload)
        return tell

    async def _guard(self, handler: Handler, payload: Any) -> None:
        try:
            await handler(payload)
        except Exception:  # pylint: disable=broad-except
            log.exception('a handler failed')

    # ---- rooms ---------------------------------------------------------------------------------------------

    async def _enter_rooms(self) -> None:
        rooms: List[Dict[str, Any]] = []
        cursor = None
        while True:
            page = await self.call('GET', '/api/chat/rooms', limit=200, cursor=cursor)
            rooms += page['data']
            cursor = page.get('nextCursor')
            if not cursor:
                break
        await self._enter(rooms, 'lastReadSeq' if self._was_here else 'lastSeq')
        self._was_here = True

    async def _enter(self, rooms: List[Dict[str, Any]], begin: str) -> None:
        """``begin``: the field of a room that has the position where a room that is new to us begins."""
        # Known before they are joined: events come as soon as the server has joined them.
        for room in rooms:
            if room['id'] not in self._rooms:
                self._rooms[room['id']] = _Room(self._positions.get(room['id'], room[begin]))
                self._keep_position(room['id'])
        for i in range(0, len(rooms), JOIN_AT_ONCE):
            await self._join([room['id'] for room in rooms[i:i + JOIN_AT_ONCE]])

    async def _join(self, room_ids: List[str]) -> None:
        reply = await self.ask('join-chat-rooms', {'roomIds': room_ids})
        for failed in reply['failed']:
            if failed['error']['code'] in TRANSIENT:
                raise RtError(failed['error']['code'], failed['error']['message'], retry_after=failed['error'].get('retryAfter'))
        # What was written before we were joined has no event for us.
        joined = [room_id for room_id in reply['rooms'] if room_id in self._rooms]
        if not joined:
            return
        asked = [{'roomId': room_id, 'afterSeq': self._rooms[room_id].last_seq} for room_id in joined]
        for room in (await self.ask('sync-rooms', {'rooms': asked, 'limit': 1}))['rooms']:
            self._note(room['roomId'], room.get('lastSeq', 0))

    async def _hear_message(self, event: Dict[str, Any]) -> None:
        self._note(event['roomId'], event['data']['seq'])
        await self._tell('new-chat-message')(event)

    async def _hear_notification(self, event: Dict[str, Any]) -> None:
        room_id = event['data']['roomId']
        if event['type'] == 'room-added':
            entering = asyncio.ensure_future(self._enter_later(room_id))
            self._entering.add(entering)
            entering.add_done_callback(self._entering.discard)
        elif event['type'] in ('room-removed', 'room-deleted'):
            room = self._rooms.pop(room_id, None)
            if room and room.task:
                room.task.cancel()
        await self._tell('chat-notification')(event)

    async def _enter_later(self, room_id: str) -> None:
        wait = FIRST_WAIT_S
        while not self._stopping.is_set():
            try:
                room = (await self.call('GET', f'/api/chat/rooms/{room_id}'))['data']
                # What was written before we came counts as read, what was written since does not.
                await self._enter([room], 'lastReadSeq')
                return
            except (aiohttp.ClientError, socketio.exceptions.SocketIOError, asyncio.TimeoutError, OSError) as error:
                log.info('room %s waits: %s', room_id, error)
            except RtError as error:
                if error.code not in TRANSIENT:
                    log.warning('room %s: %s', room_id, error)
                    return
                wait = max(wait, error.retry_after or 0)
            await self._sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    def _note(self, room_id: str, seq: int) -> None:
        room = self._rooms.get(room_id)
        if room is None:
            return
        room.newest = max(room.newest, seq)
        if room.newest > room.last_seq:
            room.wake.set()
            if room.task is None or room.task.done():
                room.task = asyncio.ensure_future(self._hand_over(room_id, room))

    async def _hand_over(self, room_id: str, room: _Room) -> None:
        while room.newest > room.last_seq:
            room.wake.clear()
            try:
                page = await self.call('GET', f'/api/chat/rooms/{room_id}/msgs', afterSeq=room.last_seq, limit=200)
            except (RtError, aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                if isinstance(error, RtError) and error.code not in TRANSIENT:
                    log.warning('room %s: %s', room_id, error)
                    return
                await asyncio.sleep(FIRST_WAIT_S)
                continue
            if not page['data'] and not room.wake.is_set():
                return  # another server, with fewer messages: what comes next is heard of
            for message in page['data']:
                if not message['deletedAt'] and (self._own or message['senderId'] != self.user['id']):
                    for handler in self._on_message:
                        await self._guard(handler, message)
                room.last_seq = message['seq']
                self._keep_position(room_id)

    # ---- positions ---------------------------------------------------------------------------------------------

    def _load_positions(self) -> Dict[str, int]:
        if self._positions_file is None or not os.path.exists(self._positions_file):
            return {}
        with open(self._positions_file, encoding='utf-8') as file:
            return json.load(file)

    def _keep_position(self, room_id: str) -> None:
        self._positions[room_id] = self._rooms[room_id].last_seq
        if self._positions_file is None:
            return
        temporary = f'{self._positions_file}.new'
        with open(temporary, 'w', encoding='utf-8') as file:
            json.dump(self._positions, file)
        os.replace(temporary, self._positions_file)
