"""Peers that the daemon dials, with raw ones: what the operator reads, and what it costs to start again."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, ROUTER, Network, Routerd, announcement, becomes, node, running
from tests.daemon.test_reload import heard
from tests.support import bgp
from tests.support.bgp import Client, Listener
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1/32"


def dialling(*numbers: int) -> str:
    """Return a configuration that has the router dial these nodes, which have an address each."""
    peers = "".join(
        f'[[peers]]\nname = "w{n}"\naddress = "{node(n)}"\ngroup = "nodes"\nconnect = true\n\n' for n in numbers
    )
    return CONFIG.replace(', "fd00:ac10::/32"', "").replace("[[dynamic_peers]]", f"{peers}[[dynamic_peers]]")


def listening(network: Network, number: int) -> Listener:
    """Return a node that listens."""
    graceful = bgp.Graceful(families={bgp.IPV4: True, bgp.IPV6: True})
    with network.nodes.enter():
        return Listener(node(number), 179, router_id=node(number), graceful=graceful)


async def up(listener: Listener, number: int, clients: list[Client]) -> Client:
    """Take the router's connection, and announce the address."""
    client = await listener.accept()
    clients.append(client)
    await client.establish()
    client.send(announcement(number, VIP) + bgp.end_of_rib() + bgp.end_of_rib(bgp.IPV6))
    return client


async def test_status_says_what_dialling_does(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    text = dialling(0, 1).replace(f'"{node(1)}"', '"10.0.0.200"')
    text += '[[peers]]\nname = "guarded"\naddress = "10.0.0.201"\ngroup = "guarded"\nconnect = true\n'
    text += '[peer_groups.guarded]\naccept = []\npassword = "secret"\nttl_security = true\n'
    with running(network.router, tmp_path, text) as daemon:
        refused = await becomes(lambda: daemon.problems().get("peer w0", "") if "refuses" in _all(daemon) else "")
        assert refused.startswith(f"{node(0)} port 179 refuses the connection: nobody listens there; next try in ")
        assert "connecting to 10.0.0.200 port 179" in _all(daemon) or "No route to host" in _all(daemon)
        found = {each["where"]: each["remedy"] for each in daemon.status()["problems"]}
        assert "listens on TCP port 179 and has this router as its peer" in found["peer w0"]
        alike = "has this router as its peer with the password and ttl_security of [peer_groups.guarded], and"
        assert alike in found["peer guarded"]
        assert daemon.peer(0)["reason"].startswith(f"{node(0)} port 179 refuses the connection")
        assert "refuses the connection" in daemon.cli("peers").stdout
        with listening(network, 0) as listener:
            stranger = await listener.accept()
            clients.append(stranger)
            stranger.send(bgp.open_message(asn=65000))
            what = await becomes(lambda: daemon.problems().get(f"connections with w0 {node(0)}", ""))
            assert "got AS 65000, expected any but 65000" in what
            assert "next try in" in daemon.peer(0)["reason"]
            dialled = await network.connect(0)  # whatever was refused, it may dial in at any time
            clients.append(dialled)
            await dialled.establish()
            await becomes(lambda: daemon.peer(0)["state"], "established")
            await becomes(lambda: [where for where in daemon.problems() if "w0" in where], [])


def _all(daemon: Routerd) -> str:
    return " ".join(daemon.problems().values())


async def test_a_restart_costs_no_route_of_a_node_that_is_dialled(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    """Neither that of routerd, nor that of its child: they dial again at once, and the FIB is as it was."""
    with (
        listening(network, 0) as first,
        listening(network, 1) as second,
        running(network.router, tmp_path, dialling(0, 1)) as daemon,
    ):
        for number, listener in enumerate((first, second)):
            await up(listener, number, clients)
        await network.has(VIP, 0, 1)
        await becomes(lambda: daemon.count(0, "stale") + daemon.count(1, "stale"), 0)
        await becomes(lambda: network.route(VIP).count("weight 1 "), 2)  # the group has been new
        before = network.kernel()
        with heard(network, "route", "nexthop") as told:
            for what in ("child", "kill", "stop"):
                if what == "child":
                    pid = daemon.status()["speaker"]["pid"]
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                elif what == "kill":
                    daemon.kill()
                else:
                    daemon.stop()
                if what != "child":
                    daemon.start()
                for number, listener in enumerate((first, second)):
                    await up(listener, number, clients)
                await becomes(lambda: [daemon.peer(n)["state"] for n in (0, 1)], ["established"] * 2)
                await becomes(lambda: daemon.count(0, "stale") + daemon.count(1, "stale"), 0)
                assert network.kernel() == before, what
        # No route and no nexthop object was touched, and so no flow. At its start routerd tries what the kernel can.
        assert [line for line in told if "9999999" not in line] == []


async def test_a_reload_that_switches_dialling_resets_nothing(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    with listening(network, 0) as listener, running(network.router, tmp_path, dialling(0)) as daemon:
        await up(listener, 0, clients)
        await network.has(VIP, 0)
        good = daemon.config.read_text()
        for line, keys in (
            ("", ["connect"]),
            ("connect = true\nport = 1790\n", ["port"]),
            (f'connect = true\nlocal_address = "{ROUTER}"\n', ["local_address"]),
        ):
            daemon.config.write_text(good.replace("connect = true\n", line))
            shown = daemon.cli("diff").stdout
            assert daemon.cli("reload").returncode == 0
            assert all(f"peers.{node(0)}.{key}" in shown for key in keys), shown
            daemon.config.write_text(good)
            assert daemon.cli("reload").returncode == 0
        assert daemon.peer(0)["sessions"] == 1
        assert daemon.peer(0)["state"] == "established"
        await network.has(VIP, 0)


async def test_the_orders_of_the_operator_hold_for_a_node_that_is_dialled(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    with listening(network, 0) as listener, running(network.router, tmp_path, dialling(0)) as daemon:
        client = await up(listener, 0, clients)
        await network.has(VIP, 0)
        assert daemon.cli("shutdown", "w0", "why").returncode == 0
        assert (await client.expect(bgp.NOTIFICATION))[1] == b"\6\2\3why"
        await becomes(lambda: network.route(VIP), "")
        with pytest.raises(TimeoutError):
            await listener.accept(1.2)
        assert daemon.peer(0)["state"] == "shutdown"
        assert daemon.peer(0)["reason"].startswith("NOTIFICATION 6/2 sent")
        shown = " ".join(daemon.cli("status").stdout.split())
        assert f"shutdown w0 {node(0)} by " in shown
        assert "next try" not in shown
        assert not [where for where in daemon.problems() if "w0" in where]
        assert daemon.cli("enable", "w0").returncode == 0
        client = await up(listener, 0, clients)
        await network.has(VIP, 0)
        before = network.kernel()
        assert "is reset" in daemon.cli("clear", "w0").stdout
        assert (await client.expect(bgp.NOTIFICATION))[1] == b"\6\4"
        await up(listener, 0, clients)
        await becomes(lambda: (daemon.peer(0)["state"], daemon.count(0, "stale")), ("established", 0))
        assert network.kernel() == before


async def test_clear_of_a_node_without_a_session_dials_it_at_once(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    with running(network.router, tmp_path, dialling(0)) as daemon:
        with listening(network, 0) as listener:
            stranger = await listener.accept()
            clients.append(stranger)
            stranger.send(bgp.open_message(asn=65000))  # a refusal: 10 s
            await becomes(lambda: re.search("got AS 65000.* next try", daemon.peer(0)["reason"]))
            assert daemon.cli("clear", "w0").stdout == f"w0 {node(0)} has no session: it is dialled at once\n"
            clients.append(await listener.accept(3))
            await clients[-1].establish()
            await becomes(lambda: daemon.peer(0)["state"], "established")
        assert daemon.cli("shutdown", "w0").returncode == 0
        assert "there is nothing to clear" in daemon.cli("clear", "w0").stdout
