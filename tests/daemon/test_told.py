"""What `diff` says that peers would be told is what a peer then receives."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from tests.daemon.harness import CONFIG, Network, announcement, becomes, node, running
from tests.daemon.test_reload import written
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

VIPS = [f"172.16.1.{number}/32" for number in range(3)]
GROUP = "peer_groups.nodes"
CHANGES: list[tuple[list[tuple[str, str]], dict[str, set[str]]]] = [
    ([(f"{GROUP}.advertise", '["networks", "learned"]')], {"announced": {*VIPS}}),
    ([(f"{GROUP}.stale_time", "300")], {}),
    ([(f"{GROUP}.accept", '["172.16.1.0/31"]')], {"withdrawn": {VIPS[2]}}),
    ([("router.networks", '["10.10.2.0/24"]')], {"announced": {"10.10.2.0/24"}, "withdrawn": {"10.10.1.0/24"}}),
    ([(f"{GROUP}.advertise", '["default", "networks"]')], {"announced": {"0.0.0.0/0"}, "withdrawn": {*VIPS[:2]}}),
    ([(f"{GROUP}.advertise", "[]")], {"withdrawn": {"0.0.0.0/0", "10.10.2.0/24"}}),
    ([(f"{GROUP}.advertise", '["learned"]'), (f"{GROUP}.accept", '["172.16.0.0/12"]')], {"announced": {*VIPS}}),
    ([("router.asn", "65010")], {"changed": {*VIPS}}),
]


def _prefixes(data: bytes) -> set[str]:
    found = set[str]()
    while data:
        octets = (data[0] + 7) // 8
        found.add(f"{ipaddress.IPv4Address(data[1 : 1 + octets].ljust(4, bytes(1)))}/{data[0]}")
        data = data[1 + octets :]
    return found


def heard(client: Client, since: int = 0) -> tuple[set[str], set[str]]:
    """Return the IPv4 prefixes that a peer was told of, and those that were withdrawn."""
    announced, withdrawn = set[str](), set[str]()
    for kind, body in client.heard[since:]:
        if kind == bgp.UPDATE:
            cut = 2 + int.from_bytes(body[:2], "big")
            after = cut + 2 + int.from_bytes(body[cut : cut + 2], "big")
            withdrawn |= _prefixes(body[2:cut])
            announced |= _prefixes(body[after:])
    return announced, withdrawn


async def test_what_diff_says_is_received(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    """One peer announces, and another one only hears: it has no other source of what it is told."""
    text = CONFIG.replace(', "fd00:ac10::/32"', "")
    with running(network.router, tmp_path, text) as daemon:
        clients += [await network.establish(number, families=(bgp.IPV4,)) for number in (0, 1)]
        clients[0].send(announcement(0, *VIPS) + bgp.end_of_rib())
        await network.has(VIPS[2], 0)
        await becomes(lambda: heard(clients[1])[0], {"10.10.1.0/24"})
        for keys, wanted in CHANGES:
            changed = daemon.config.read_text()
            for key, value in keys:
                changed = written(changed, key, value)
            daemon.config.write_text(changed)
            told = json.loads(daemon.cli("diff", "--json").stdout)["forecast"]["told"]
            assert {each["what"]: {*each["first"]} for each in told} == wanted, keys
            assert all((each["peer_group"], each["peers"]) == ("nodes", 2) for each in told)
            assert {each["what"]: each["count"] for each in told} == {
                what: len(some) for what, some in wanted.items()
            }
            shown = daemon.cli("diff").stdout
            assert ("peers are told nothing" in shown) == (not wanted)
            since = len(clients[1].heard)
            assert daemon.cli("reload").returncode == 0
            if keys[0][0] == "router.asn":
                continue
            announced, withdrawn = wanted.get("announced", set()), wanted.get("withdrawn", set())
            await becomes(lambda since=since: heard(clients[1], since), (announced, withdrawn))
        for number in (0, 1):
            await clients[number].closed()
        clients += [await network.establish(number, families=(bgp.IPV4,)) for number in (0, 1)]
        clients[2].send(announcement(0, *VIPS) + bgp.end_of_rib())
        await becomes(lambda: heard(clients[3]), ({*VIPS}, set()))
        assert {peer["address"] for peer in daemon.get("/v1/peers")} == {node(0), node(1)}
