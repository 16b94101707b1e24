"""A router of a pair that comes up empty, before the real FRR and BIRD: they send all to the other one until both
agree, and to both again after that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.daemon.gateways import CONFIG, NODES, ROUTERS, UPLINK, VIP, VIP6, addresses, announce, gateways
from tests.daemon.harness import CLI, Routerd, becomes, running
from tests.daemon.test_upstream import RATE, UPSTREAM, Counted, bird, forwarding, frr, shared, ways
from tests.failover.stream import stream
from tests.support.bgp import Client
from tests.support.netns import Namespace, namespace, needs_root

pytestmark = needs_root

OTHERS = dict(zip(ROUTERS, reversed(ROUTERS), strict=True))
PAIR = """
[pair]
router = "{name}"
partner = "{other}"
address = "{there}"
listen = "{here}"
key_file = "{key}"
"""
FIB = '[fib]\nhash_policy = "five-tuple"\nbuckets = 64\n'


def paired(name: str, key: Path) -> str:
    """Return a router's configuration."""
    other = OTHERS[name]
    here, there = (addresses(NODES, ROUTERS[each])[0] for each in (name, other))
    section = PAIR.format(name=name, other=other, here=here, there=there, key=key)
    return CONFIG.format(host=ROUTERS[name]) + UPSTREAM.replace("[fib]\n", FIB) + section


@pytest.mark.parametrize("speaker", [frr, bird])
async def test_a_router_that_comes_back_empty_gets_no_traffic_until_both_agree(
    speaker: Callable[[Namespace], AbstractContextManager[None]], tmp_path: Path, clients: list[Client]
) -> None:
    key = tmp_path / "pair.key"
    key.touch(0o600)
    key.write_text("0123456789abcdef0123456789abcdef\n")
    with ExitStack() as stack:
        made = stack.enter_context(gateways())
        client = stack.enter_context(namespace("client"))
        forwarding(made.upstream, client)
        stack.enter_context(speaker(made.upstream))
        daemons: dict[str, Routerd] = {}
        for name in ROUTERS:
            (tmp_path / name).mkdir()
            daemons[name] = stack.enter_context(running(made.routers[name], tmp_path / name, paired(name, key)))
        for name in ROUTERS:
            clients += [await announce(made.node, name, number) for number in (101, 102)]
        both = [{addresses(UPLINK, host)[family] for host in ROUTERS.values()} for family in (0, 1)]
        second = [{addresses(UPLINK, ROUTERS["gw2"])[family]} for family in (0, 1)]

        def found() -> list[set[str]]:
            return [ways(made.upstream, vip) for vip in (VIP, VIP6)]

        await becomes(found, both)
        for daemon in daemons.values():
            await becomes(lambda daemon=daemon: "joined its pair" in daemon.cli("events").stdout)  # type: ignore[misc]
        finish = stack.enter_context(stream(client, made.node, (VIP, VIP6), RATE))
        first = daemons["gw1"]
        first.kill()
        await becomes(found, second)
        made.routers["gw1"].run(*CLI, "flush", "--config", str(first.config))

        first.start()
        clients.append(await announce(made.node, "gw1", 101))
        await becomes(lambda: told(first), 2)
        await becomes(lambda: "this router came up empty" in str(first.status()["problems"]))
        share = await shared(Counted(made.routers))
        assert share["gw1"] <= 0.1 * share["gw2"], share  # the BGP session is all that comes
        assert found() == second
        clients.append(await announce(made.node, "gw1", 102))
        await becomes(found, both, 10)
        assert "joined its pair" in first.cli("events").stdout
        report = await asyncio.to_thread(finish)
        assert (report.lost, report.unsent, report.duplicates) == (0, 0, 0), report


def told(daemon: Routerd) -> int:
    """Return how many prefixes the upstream router has been told."""
    peer = next(each for each in daemon.get("/v1/peers") if each["name"] == "upstream")
    return int(peer["totals"]["advertised"]) if peer["state"] == "established" else 0
