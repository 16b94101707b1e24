"""What the child that reads what peers send may still do, while it serves old sessions and new ones."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from routerd.config.model import Config
from routerd.core.message import SessionUp
from routerd.session import privileges
from tests.session.harness import configuration, speaking
from tests.session.test_speaker_daemons import namespaces
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

BIND = 1 << 10  # CAP_NET_BIND_SERVICE


def sets(pid: int) -> dict[str, int]:
    """Return the capability sets of a process, and whether an exec may give it more."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(value, 16) for name, value in fields.items() if name.startswith(("Cap", "NoNewPrivs"))}


def listening(*places: str, group: dict[str, Any]) -> Config:
    """Return a configuration for port 179, which is privileged."""
    config = configuration(179, group, peers=[{"name": "node", "address": "10.9.0.2", "group": "nodes"}])
    return config.model_copy(update={"router": config.router.model_copy(update={"listen": places})})


async def test_the_child_of_root_keeps_the_right_to_bind_alone() -> None:
    with namespaces() as (router, node), router.enter():
        router.ip("address", "add", "10.9.0.7/24", "dev", "eth0")
        async with speaking(listening("10.9.0.1", group={})) as running:
            pid = running.speaker.state.pid
            assert pid is not None
            wanted = {"CapInh": 0, "CapPrm": BIND, "CapEff": BIND, "CapBnd": 0, "CapAmb": 0, "NoNewPrivs": 1}
            assert sets(pid) == wanted
            with node.enter():
                client = await bgp.connect("10.9.0.1")
            await client.establish()
            await running.expect(SessionUp)
            # A password, TTL security and another privileged socket, all without any other capability.
            running.speaker.reconfigure(
                listening("10.9.0.1", "10.9.0.7", group={"password": "hello", "ttl_security": True})
            )
            await client.closed()
            await client.close()
            await running.until(lambda: len(running.speaker.state.listening) == 2)
            for address in ("10.9.0.1", "10.9.0.7"):
                with node.enter():
                    client = await bgp.connect(address, password="hello", ttl=255)
                await client.establish()
                assert (await running.expect(SessionUp)).local == address
                await client.close()
            assert sets(pid) == wanted
            assert running.speaker.state.pid == pid


def test_what_cannot_be_given_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "_libc", SimpleNamespace(prctl=lambda *_: -1))
    with pytest.raises(OSError, match="PR_SET_NO_NEW_PRIVS"):
        privileges.drop()
