"""BMP sessions of the real daemon, read by a reader of our own that shares nothing with it."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, node, node6, running
from tests.daemon.test_metrics import page
from tests.support import bgp
from tests.support.bmp import Collector, Reading
from tests.support.netns import needs_root
from tests.support.prometheus import value

pytestmark = needs_root

LEARNED = CONFIG.replace('advertise = ["networks"]', 'advertise = ["networks", "learned"]')
WIDE = 4200000001


@pytest.fixture
async def collectors(network: Network) -> AsyncIterator[list[Collector]]:
    """Two collectors beside the nodes."""
    made = []
    with network.nodes.enter():
        for _ in range(2):
            made.append(Collector(socket.create_server((node(60), 0))))
            made[-1].sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    for each in made:
        await each.start()
    yield made
    for each in made:
        await each.close()
        assert each.flaws == []


def section(collector: Collector, **keys: object) -> str:
    keys = {"min_retry": 0.1, "max_retry": 0.2, "statistics": 1} | keys
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f'\n[[bmp]]\nname = "c{collector.port}"\naddress = "{node(60)}"\nport = {collector.port}\n{lines}'


def loc_rib(daemon: Routerd) -> dict[str, tuple[str, str]]:
    """Return the best path of each prefix as the API has it: AS path and next hop."""
    found = {}
    for row in daemon.get("/v1/routes", limit=1000)["routes"]:
        [best] = [path for path in daemon.get(f"/v1/routes/{row['prefix']}")["paths"] if path["best"]]
        hop = ("::" if ":" in row["prefix"] else "0.0.0.0") if best["peer"] == "local" else best["next_hop"]
        found[row["prefix"]] = best["as_path"], hop
    return found


def heard(reading: Reading, peer: str, rib: str) -> dict[str, tuple[str, str]]:
    return {prefix: (path, hop) for prefix, (path, hop, *_) in reading.tables.get((peer, rib), {}).items()}


async def test_all_views_from_the_start_and_as_things_happen(
    network: Network, tmp_path: Path, clients: list[bgp.Client], collectors: list[Collector]
) -> None:
    """One collector is there before the nodes, one is configured when all has been said: both end with the same."""
    early, late = collectors
    with running(network.router, tmp_path, LEARNED + section(early)) as daemon:
        await becomes(lambda: ("loc-rib", "loc", 2) in early.last.ends)
        assert early.last.system[1].startswith("routerd ")
        for number, asn in ((0, 65001), (1, WIDE)):
            clients.append(await network.establish(number, asn=asn))
        first, second = clients
        rich = bgp.attributes(next_hop=node(0), as_path=(65001, WIDE), med=70)
        rich += bgp.attribute(8, struct.pack("!HH", 65001, 7), 0xC0)
        rich += bgp.attribute(32, struct.pack("!III", WIDE, 1, 2), 0xC0)
        first.send(bgp.update(rich, ["172.16.1.0/24", "192.0.2.0/24"]))
        first.send(announcement(0, "fd00:ac10::1/128"))
        first.send(bgp.end_of_rib())
        second.send(announcement(1, "172.16.1.0/24", "172.16.2.0/24", as_path=(WIDE,)))
        await network.has("172.16.1.0/24", 1)
        await becomes(lambda: len(heard(early.last, node(1), "post")), 2)
        daemon.config.write_text(daemon.config.read_text() + section(late))
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: (node(1), "out", 2) in late.last.ends)
        await becomes(lambda: len(late.last.statistics.get(node(0), {})), 5)
        second.send(bgp.update(withdrawn=["172.16.2.0/24"]))
        await becomes(lambda: all(len(heard(each.last, node(1), "post")) == 1 for each in collectors))
        for each in collectors:
            reading = each.last
            await becomes(lambda reading=reading: heard(reading, "loc-rib", "loc"), loc_rib(daemon))
            own = ("65001 " + str(WIDE), node(0), 70, ("65001:7",), (f"{WIDE}:1:2",))
            assert reading.tables[node(0), "pre"] == {
                "172.16.1.0/24": own,
                "192.0.2.0/24": own,
                "fd00:ac10::1/128": ("65001", node6(0), None, (), ()),
            }
            assert heard(reading, node(0), "post").keys() == {"172.16.1.0/24", "fd00:ac10::1/128"}
            assert heard(reading, node(1), "post") == {"172.16.1.0/24": (str(WIDE), node(1))}
            told = {prefix: path for prefix, (path, _) in heard(reading, node(0), "out").items()}
            assert told == {"10.10.1.0/24": "65000", "172.16.1.0/24": f"65000 {WIDE}"}
            assert heard(reading, node(1), "out").keys() == {"10.10.1.0/24", "fd00:ac10::1/128"}
            assert reading.peers[node(1)] == (WIDE, node(1))
            sent, received = reading.opens[node(1)]
            assert received == second.hello[19:]
            assert sent[1:3] == struct.pack("!H", 65000)
            assert reading.ports[node(1)] == second.sock.getpeername()[1:] + second.sock.getsockname()[1:]
        assert (node(0), "pre", 1) in early.last.ends
        await becomes(lambda: early.last.statistics.get(node(0), {}).get((7, 0)), 3)
        await becomes(lambda: early.last.statistics[node(0)][17, 1], 2)
        await becomes(lambda: early.last.statistics["loc-rib"], {(8, 0): 3})
        second.send(bgp.notification(6, 4, b""))
        await becomes(lambda: [each.last.downs for each in collectors], [[(node(1), 3, b"\6\4")]] * 2)
        await clients[0].close()
        await becomes(lambda: early.last.downs[1:] and early.last.downs[1][:2], (node(0), 4))
        assert (node(0), "post") not in early.last.tables
        assert daemon.stop() == 0
        await becomes(lambda: [each.last.terminated for each in collectors], [0, 0])
        assert "Traceback" not in daemon.log.read_text()


async def test_what_policy_says_after_a_change_of_it(
    network: Network, tmp_path: Path, clients: list[bgp.Client], collectors: list[Collector]
) -> None:
    collector = collectors[0]
    with running(network.router, tmp_path, CONFIG + section(collector)) as daemon:
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, "172.16.1.0/24", "172.20.1.0/24"))
        await becomes(lambda: len(heard(collector.last, node(0), "post")), 2)
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("172.16.0.0/12", "172.16.0.0/16"))
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: heard(collector.last, node(0), "post").keys(), {"172.16.1.0/24"})
        await becomes(lambda: heard(collector.last, "loc-rib", "loc").keys(), {"10.10.1.0/24", "172.16.1.0/24"})
        assert heard(collector.last, node(0), "pre").keys() == {"172.16.1.0/24", "172.20.1.0/24"}
        daemon.config.write_text(text)
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: len(heard(collector.last, node(0), "post")), 2)
        assert len(collector.sessions) == 1
        daemon.config.write_text(text.replace(section(collector), ""))
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: collector.last.terminated, 0)


async def test_a_collector_that_is_told_nothing_is_asked_whether_it_is_there(
    network: Network, tmp_path: Path, collectors: list[Collector]
) -> None:
    """A host that is gone says nothing, and without reports nobody would miss it."""
    collector = collectors[0]
    with running(network.router, tmp_path, LEARNED + section(collector, statistics=0)) as daemon:
        await becomes(lambda: value(page(daemon), "routerd_bmp_connected", collector=f"c{collector.port}"), 1)
        timer = re.compile(rf":{collector.port} .*timer:\(keepalive,(\d+)")
        found = await becomes(lambda: timer.findall(network.router.run("ss", "-tnoH")))
        assert 0 < int(found[0]) <= 30


async def test_a_collector_that_is_away_dies_and_does_not_read(
    network: Network, tmp_path: Path, clients: list[bgp.Client], collectors: list[Collector]
) -> None:
    """Each loses its own session, comes back to all of it, and routing goes on."""
    slow, other = collectors
    nobody = f'\n[[bmp]]\nname = "nobody"\naddress = "{node(61)}"\n'
    config = LEARNED + section(slow, buffer=1 << 20) + section(other, views='["post-policy"]') + nobody
    network.router.sysctl(net__ipv4__tcp_wmem="4096 16384 65536")  # else a socket takes megabytes
    with running(network.router, tmp_path, config) as daemon:
        await becomes(lambda: "connection refused" in daemon.problems().get("bmp nobody", ""))
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, "172.16.1.0/24"))
        await becomes(lambda: all(len(heard(each.last, node(0), "post")) == 1 for each in collectors))
        slow.reading.clear()
        cut_off = "it takes too little: more than 1048576 octets waited for it"
        blocks = [[f"172.17.{number}.{host}/32" for host in range(256)] for number in range(40)]
        last = f"/v1/routes/{blocks[-1][-1]}"
        for round in range(1, 60):
            for block in blocks:
                clients[0].send(announcement(0, *block, med=round))
            await becomes(lambda: daemon.count(0, "accepted"), 1 + 40 * 256)
            await becomes(lambda round=round: daemon.get(last)["paths"][0]["med"], round)
            if cut_off in daemon.log.read_text():
                break
        assert cut_off in daemon.log.read_text()
        clients[0].send(announcement(0, "172.16.2.0/24"))
        await network.has("172.16.2.0/24", 0)
        slow.reading.set()
        whole = 2 + 40 * 256
        await becomes(lambda: [len(heard(each.last, node(0), "post")) for each in collectors], [whole, whole])
        await becomes(lambda: f"bmp c{slow.port}" not in daemon.problems())
        assert (len(slow.sessions) > 1, len(other.sessions)) == (True, 1)

        def is_(name: str, collector: str) -> float:
            return value(page(daemon), f"routerd_bmp_{name}", collector=collector)

        names = ("nobody", f"c{slow.port}", f"c{other.port}")
        assert [is_("connected", each) for each in names] == [0, 1, 1]
        assert [is_("dropped_sessions_total", each) for each in names] == [0, len(slow.sessions) - 1, 0]
        assert [is_("sessions_total", each) for each in names] == [0, len(slow.sessions), 1]
        await becomes(lambda: is_("waiting_bytes", names[1]), 0)
        other.hang_up()
        await becomes(lambda: len(other.sessions) > 1 and len(heard(other.last, node(0), "post")) == whole)
        assert daemon.peer(0)["state"] == "established"
        await asyncio.sleep(0)
        assert "Traceback" not in daemon.log.read_text()
