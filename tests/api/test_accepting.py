"""Who connects is taken once that can be done, and nobody tries it all the time."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from routerd import accepting as module
from routerd.accepting import accepting
from tests.daemon.harness import becomes


class Short(socket.socket):
    """A listener of a process that has no descriptor free while `short`."""

    short = True
    tried = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tried += 1
        if self.short:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def test_it_is_tried_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[socket.socket] = []
    monkeypatch.setattr(module, "PAUSE", 0.05)
    with Short() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        with accepting(listener, lambda connection, _: taken.append(connection)):
            client.connect(listener.getsockname())
            begun = asyncio.get_running_loop().time()
            await becomes(lambda: listener.tried >= 3)
            assert asyncio.get_running_loop().time() - begun >= 0.1
            listener.short = False
            await becomes(lambda: len(taken), 1)
        with socket.socket() as later:
            later.connect(listener.getsockname())
            await asyncio.sleep(0)
            assert len(taken) == 1, "nobody takes it any more"
    taken[0].close()
