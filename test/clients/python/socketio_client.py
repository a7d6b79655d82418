#!/usr/bin/env python3
"""An unmodified python-socketio client, driven by lines of JSON.

    socketio_client.py URL TOKEN polling|websocket|both [--async]

Reads commands: {"emit": [event, payload], "id": n}, {"send": [event, payload]}, {"drop": true}, {"end": true}.
Writes what happens: {"connected": true}, {"disconnected": true}, {"refused": ...}, {"event": [name, ...arguments]},
{"ack": n, "args": [...]}, {"raised": text} where a handler does not take the arguments that it gets.
"""
import asyncio
import json
import logging
import sys
import threading

import socketio

EVENTS = ['new-chat-message', 'chat-message-edited', 'chat-message-deleted', 'chat-message-reaction', 'chat-message-pinned', 'chat-read-state',
          'chat-room-members', 'chat-notification', 'chat-user-typing', 'chat-user-status-update', 'chat-rooms-joined', 'messages-seen', 'error']
lock = threading.Lock()


def tell(**what):
    with lock:
        print(json.dumps(what), flush=True)


class Told(logging.Handler):
    """What the library logs of a handler that raised."""

    def emit(self, record):
        if record.exc_info:
            tell(raised=str(record.exc_info[1]))


def on_thread_exception(args):
    tell(raised=str(args.exc_value))


def handler(event):
    return lambda payload: tell(event=[event, payload])


def transports(name):
    return None if name == 'both' else [name]


def run_threads(url, token, name):
    client = socketio.Client(reconnection_delay=0.2, reconnection_delay_max=1, handle_sigint=False, request_timeout=60)
    client.on('connect', lambda: tell(connected=True))
    client.on('disconnect', lambda: tell(disconnected=True))
    client.on('connect_error', lambda data: tell(refused=data))
    for event in EVENTS:
        # One argument, as handlers in python are written.
        client.on(event, handler(event))
    try:
        client.connect(url, auth={'token': token}, transports=transports(name), wait_timeout=60)
    except socketio.exceptions.ConnectionError as error:
        tell(failed=str(error))
        return
    for line in sys.stdin:
        command = json.loads(line)
        if 'emit' in command:
            client.emit(*command['emit'], callback=lambda *args, n=command['id']: tell(ack=n, args=args))
        elif 'send' in command:
            client.emit(*command['send'])
        elif 'drop' in command:
            # As a network does it: the transport goes, nobody has asked for that.
            if client.eio.current_transport == 'websocket':
                client.eio.ws.sock.shutdown(2)
            else:
                client.eio.http.close()
                client.eio.base_url = client.eio.base_url.replace('sid=', 'sid=gone')
        elif 'end' in command:
            client.disconnect()
            return


async def run_async(url, token, name):
    client = socketio.AsyncClient(reconnection_delay=0.2, reconnection_delay_max=1, handle_sigint=False, request_timeout=60)

    def async_handler(event):
        async def handle(payload):
            tell(event=[event, payload])
        return handle

    client.on('connect', lambda: tell(connected=True))
    client.on('disconnect', lambda: tell(disconnected=True))
    for event in EVENTS:
        client.on(event, async_handler(event))
    await client.connect(url, auth={'token': token}, transports=transports(name), wait_timeout=60)
    loop = asyncio.get_running_loop()
    while True:
        command = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
        if 'emit' in command:
            answer = await client.call(*command['emit'], timeout=60)
            tell(ack=command['id'], args=[answer])
        elif 'send' in command:
            await client.emit(*command['send'])
        elif 'end' in command:
            await client.disconnect()
            return


def main():
    url, token, name = sys.argv[1:4]
    threading.excepthook = on_thread_exception
    logging.getLogger().addHandler(Told())
    if '--async' in sys.argv:
        asyncio.run(run_async(url, token, name))
    else:
        run_threads(url, token, name)


main()
