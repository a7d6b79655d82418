#!/usr/bin/python3
"""A bot: answers "!ping", "!roll 2d6" and "!help" in every room of its user.

    RT_URL=http://localhost:4501 RT_USER=bot RT_PASSWORD=… examples/bot.py

RT_POSITIONS names a file in which it keeps what it has seen: then it answers what was written while it was away, too.
"""

import asyncio
import os
import random
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../clients/python'))
from rt_client import Client  # noqa: E402  pylint: disable=wrong-import-position


def reply_to(text):
    """The answer to a message, or None."""
    if text == '!help':
        return 'I know !ping and !roll, such as !roll 2d6'
    if text == '!ping':
        return 'pong'
    roll = re.fullmatch(r'!roll (\d{1,2})d(\d{1,3})', text)
    if roll:
        dice = [random.randint(1, max(1, int(roll[2]))) for _ in range(int(roll[1]))]
        return f'{" + ".join(map(str, dice))} = {sum(dice)}' if dice else '0'
    return None


async def main():
    """Runs until a signal ends it."""
    rt = Client(os.environ.get('RT_URL', 'http://localhost:4501'), username=os.environ['RT_USER'], password=os.environ['RT_PASSWORD'],
                positions=os.environ.get('RT_POSITIONS'))

    @rt.on_message
    async def answer(message):
        text = reply_to(message['content'].strip())
        if text is not None:
            # One answer to each message, even if this program ends between sending and remembering it.
            await rt.send(message['roomId'], text, reply_to=message['id'], client_id=f'answer-{message["id"]}')

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, rt.stop)
    running = asyncio.ensure_future(rt.run())
    asyncio.ensure_future(rt.ready.wait()).add_done_callback(lambda _: print('listening', flush=True))
    await running


asyncio.run(main())
