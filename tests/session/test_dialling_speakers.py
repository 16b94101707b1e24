"""The router dials real speakers, which listen alone or dial at the same time."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from routerd.config.model import Config
from routerd.core.message import SessionDown, SessionUp, SpeakerDown
from routerd.session.frames import RawUpdate
from tests.session.harness import Running, configuration, speaking
from tests.session.test_speaker_daemons import CONFIGS, daemon, installed, namespaces, over
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


def listening(name: str, text: str, *, passive: bool) -> str:
    """Return a speaker's configuration with which it listens, and does not dial if it is passive."""
    if name == "gobgpd":
        text = text.replace("port = -1", "port = 179")
        return (
            text.replace(
                "[neighbors.graceful",
                "[neighbors.transport.config]\n    passive-mode = true\n  [neighbors.graceful",
                1,
            )
            if passive
            else text
        )
    if name == "bird":
        return text.replace("connect delay", "passive on;\n  connect delay") if passive else text
    return text.replace(" address-family", " neighbor 10.9.0.1 passive\n address-family", 1) if passive else text


def command(name: str, directory: Path, text: str) -> list[str]:
    """Return a speaker's command; it listens."""
    words = daemon(name, directory, text)
    return [*words[:-1], "179"] if name == "bgpd" else words


def dialling(group: dict[str, Any], address: str = "10.9.0.2", **peer: Any) -> Config:
    """Return a configuration that has the node dialled."""
    found = {"name": "node", "address": address, "group": "nodes", "connect": True} | peer
    config = configuration(179, group, peers=[found])
    return config.model_copy(update={"router": config.router.model_copy(update={"listen": ("0.0.0.0", "::")})})


def started(name: str, directory: Path, text: str, node: Namespace, stack: ExitStack) -> None:
    """Start a speaker that listens, until the stack is unwound."""
    with (directory / "output").open("w") as output:
        process = node.spawn(*command(name, directory, text), stdout=output, stderr=output)
    stack.callback(process.wait)
    stack.callback(process.terminate)


@pytest.mark.parametrize("passive", [True, False], ids=["passive", "both dial"])
@pytest.mark.parametrize("name", ["gobgpd", "bgpd", "bird"])
async def test_a_real_speaker_is_dialled(name: str, passive: bool, tmp_path: Path) -> None:
    """Also when the router's child has died, and both sides dial at once: every time one session, and none is lost.

    GoBGP takes no connection for five seconds after a session, so that there is no collision with it.
    """
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    with namespaces() as (router, node), router.enter(), ExitStack() as stack:
        started(name, tmp_path, listening(name, CONFIGS[name], passive=passive), node, stack)
        async with speaking(dialling({"graceful_restart": True})) as running:
            for again in (False,) if passive or name == "gobgpd" else (False, True):
                if again:
                    pid = running.speaker.state.pid
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                    await running.expect(SpeakerDown)
                up = await running.expect(SessionUp, 30)
                assert (up.peer, up.local, up.received.asn) == ("10.9.0.2", "10.9.0.1", 65001)
                assert running.speaker.state.dialled == {}
            if name == "gobgpd":
                node.run("gobgp", "global", "rib", "add", "172.16.0.1/32")
            await running.until(lambda: any(b"\x20\xac\x10\0\1" in each.body for each in running.all(RawUpdate)))
            assert running.all(SessionDown) == []


@pytest.mark.parametrize("address", ["10.9.0.1", "fd00:9::1"])
@pytest.mark.parametrize(
    ("name", "options", "group"),
    [
        ("bgpd", ("ttl-security hops 1", "password secret"), {"ttl_security": True, "password": "secret"}),
        ("bird", ("ttl security on;", 'password "secret";'), {"ttl_security": True, "password": "secret"}),
    ],
)
async def test_a_guarded_speaker_is_dialled(
    name: str, options: tuple[str, ...], group: dict[str, Any], address: str, tmp_path: Path
) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    with namespaces() as (router, node), router.enter(), ExitStack() as stack:
        text = over(CONFIGS[name], address, *options)
        started(
            name,
            tmp_path,
            listening(name, text, passive=True).replace("10.9.0.1 passive", f"{address} passive"),
            node,
            stack,
        )
        async with speaking(dialling(group, address.removesuffix("1") + "2")) as running:
            up = await running.expect(SessionUp, 20)
            assert up.local == address


@pytest.mark.parametrize(("name", "identifier"), [("bgpd", "10.0.0.100"), ("bird", "10.255.0.1")])
async def test_both_sides_clear_at_once(name: str, identifier: str, tmp_path: Path) -> None:
    """And both dial at once then: soon there is one session again, over which the node announces.

    sonic-buildimage#11268, FRR#1053 and #16573: it never comes, or ends again and again.
    """
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    with namespaces() as (router, node), router.enter(), ExitStack() as stack:
        started(name, tmp_path, listening(name, CONFIGS[name], passive=False), node, stack)
        config = dialling({"graceful_restart": True})
        config = config.model_copy(update={"router": config.router.model_copy(update={"router_id": identifier})})
        clear = {
            "bgpd": ("vtysh", "--vty_socket", str(tmp_path), "-c", "clear bgp *"),
            "bird": ("birdc", "-s", str(tmp_path / "bird.ctl"), "restart", "upstream"),
        }
        async with speaking(config) as running:
            up = await running.expect(SessionUp, 30)
            for _ in range(2):
                before = len(running.all(SessionUp))
                cleared = node.spawn(*clear[name])
                running.speaker.reset(up.peer, up.generation, dynamic=False)
                cleared.wait()
                running.speaker.dial(up.peer)
                await running.until(
                    lambda before=before: len(running.all(SessionUp)) > before and _announces(running), 15
                )
                up = running.all(SessionUp)[-1]


def _announces(running: Running) -> bool:
    """Tell whether the node has announced its address over the last session that came up, which has not ended."""
    last = running.all(SessionUp)[-1].generation
    said = [each.generation for each in running.all(RawUpdate) if b"\x20\xac\x10\0\1" in each.body]
    return last in said and last not in [each.generation for each in running.all(SessionDown)]
