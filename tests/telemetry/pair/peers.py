"""One end of a channel in a process of its own: `python -m tests.telemetry.pair.peers {link|mqtt} JSON`.

It writes a line for all that its channel reports. A line on standard input is sent to the partner: a number has it
send so many layouts, `large` a very large one, any other word a GroupGone of that key; `bye` ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import threading
from typing import Any

from routerd.core.message import GroupGone, GroupLayout, PartnerMessage
from routerd.core.route import Address
from routerd.telemetry.pair.channel import Channel, Home, Names


def group(number: int) -> GroupLayout:
    """Return a layout of 1,024 buckets."""
    members = tuple(Address(bytes((10, 0, 0, each))) for each in range(3))
    owners = tuple((bucket * (number + 7) // 5) % 3 for bucket in range(1024))
    return GroupLayout(f"172.16.{number >> 8}.{number & 255}/32", members, owners, number)


def large() -> GroupLayout:
    """Return the layout of a group of as many buckets and members as the configuration allows."""
    chance = random.Random(1)
    members = tuple(Address(bytes((192, 168, 100 + each // 100, 100 + each % 100))) for each in range(4094))
    owners = tuple(chance.randrange(len(members)) for _ in range(16384))
    return GroupLayout("large", members, owners, chance.getrandbits(16384))


def _tell(what: str, said: Any = None) -> None:
    print(json.dumps([what, said]), flush=True)


def _said(message: PartnerMessage) -> None:
    _tell("said", message.key if isinstance(message, GroupGone | GroupLayout) else repr(message))


async def _main(kind: str, options: dict[str, Any]) -> None:
    home = Home(
        lambda: _tell("up"),
        _said,
        lambda reason: _tell("down", reason),
        lambda level, event, **fields: _tell("log", f"{level}: {event}: {fields}"),
    )
    channel = await _made(kind, options, home)
    loop = asyncio.get_running_loop()
    running = loop.create_task(channel.run())
    threading.Thread(target=_obey, args=(channel, loop, running), daemon=True).start()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _made(kind: str, options: dict[str, Any], home: Home) -> Channel:
    names = Names(*options["names"])
    if kind == "mqtt":
        from routerd.telemetry.mqtt.access import Access
        from routerd.telemetry.pair import broker
        from routerd.telemetry.pair.broker import Broker

        broker.SILENCE = options.get("silence", broker.SILENCE)
        broker.SIGN = broker.SILENCE / 4
        return Broker(Access(options["url"]), "default", names, options["key_file"], home)
    from routerd.config.pair import Files
    from routerd.telemetry.pair.link import Ends, Link

    files = Files(*options["files"]) if options.get("files") else None
    ends = Ends(options["address"], options.get("listen", ""), options.get("port", 7179), files)
    return Link(ends, names, options["key_file"], options.get("hold_time", 1.0), home)


def _obey(channel: Channel, loop: asyncio.AbstractEventLoop, running: asyncio.Task[None]) -> None:
    for line in sys.stdin:
        word = line.strip()
        if word == "bye":
            loop.call_soon_threadsafe(running.cancel)
            return
        if word == "large":
            loop.call_soon_threadsafe(channel.send, large())
        elif word.isdigit():
            for number in range(int(word)):
                loop.call_soon_threadsafe(channel.send, group(number))
        else:
            loop.call_soon_threadsafe(channel.send, GroupGone(word))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], json.loads(sys.argv[2])))
