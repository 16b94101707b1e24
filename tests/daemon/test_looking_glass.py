"""The looking glass of the real daemon, read as Alice-LG's source adapters read birdwatcher and bgplgd."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import CONFIG, ROUTER, ROUTER6, Network, announcement, becomes, node, node6, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

PORT = 29184
GLASS = f'\n[looking_glass]\nlisten = ["{ROUTER}", "{ROUTER6}"]\nrate = 1000\n'
STATIC = f'\n[[peers]]\nname = "w1"\naddress = "{node(1)}"\ngroup = "nodes"\n'

TYPES = {
    "neighbor_address": str, "neighbor_as": int, "state": str, "description": str, "last_error": str,
    "state_changed": str, "bird_protocol": str, "table": str, "protocol": str, "neighbor_id": str,
}  # fmt: skip
COUNTS = {"imported", "filtered", "exported", "preferred"}
ROUTE = {
    "network": str, "from_protocol": str, "gateway": str, "learnt_from": str, "interface": str, "metric": int,
    "primary": bool, "age": str, "type": list, "bgp": dict,
}  # fmt: skip
BGP = {"origin": str, "as_path": list, "next_hop": str, "local_pref": str, "communities": list}
BGP |= {"large_communities": list, "ext_communities": list}
RIB = {
    "prefix": str, "aspath": str, "exit_nexthop": str, "true_nexthop": str, "neighbor": dict, "valid": bool,
    "source": str, "origin": str, "metric": int, "localpref": int, "weight": int, "last_update": str,
    "communities": list, "large_communities": list, "extended_communities": list,
}  # fmt: skip
"""Fields that the adapters read, and their types: an assertion about another type ends the adapter."""


class Glass:
    """Asks it from a node."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def ask(self, path: str, host: str = ROUTER, source: str = node(50)) -> tuple[int, Any]:
        """Return the status and the decoded answer of a request."""
        with self._network.nodes.enter():
            connection = http.client.HTTPConnection(host, PORT, 10, (source, 0) if ":" not in host else None)
            connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, json.loads(body)

    def bird(self, path: str) -> dict[str, Any]:
        """Return birdwatcher's answer, with its head checked as `parseAPIStatus` does."""
        status, answer = self.ask(path)
        assert status == 200, answer
        api = answer["api"]
        assert (type(api["Version"]), type(api["result_from_cache"])) == (str, bool)
        assert api["cache_status"]["cached_at"]["date"] == ""
        assert datetime.fromisoformat(answer["ttl"]).tzinfo == UTC
        found: dict[str, Any] = answer
        return found

    def routes(self, path: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Return routes by network and gateway, with their fields checked as `parseRouteData` does."""
        found = self.bird(path)["routes"]
        for each in found:
            assert {key: type(value) for key, value in each.items()} == ROUTE
            said = each["bgp"]
            assert {key: type(value) for key, value in said.items() if key != "med"} == BGP
            assert type(said.get("med", "0")) is str
            assert all(isinstance(asn, str) and asn.isdecimal() for asn in said["as_path"])
            assert all(type(part) is int for row in said["large_communities"] for part in row)
            assert all(len(row) == 3 for row in said["ext_communities"])
            datetime.strptime(each["age"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        rows = {(each["network"], each["gateway"]): each for each in found}
        assert len(rows) == len(found)
        return rows


async def test_what_alice_asks_of_birdwatcher_and_of_bgplgd(
    network: Network, tmp_path: Path, clients: list[bgp.Client]
) -> None:
    with running(network.router, tmp_path, CONFIG + GLASS + STATIC) as daemon:
        glass = Glass(network)
        for number in (0, 1):
            clients.append(await network.establish(number))
        rich = bgp.attributes(next_hop=node(0), as_path=(65001, 65010), med=70)
        rich += bgp.attribute(8, struct.pack("!HH", 65001, 7), 0xC0)
        targets = struct.pack("!BBHI", 0, 2, 65001, 11000) + struct.pack("!BB4sH", 1, 3, bytes((10, 0, 0, 9)), 7)
        targets += struct.pack("!BBIH", 2, 2, 4200000001, 8) + struct.pack("!BBHI", 0x40, 4, 65001, 5)
        rich += bgp.attribute(16, targets, 0xC0)
        rich += bgp.attribute(32, struct.pack("!III", 65001, 1, 2), 0xC0)
        clients[0].send(bgp.update(rich, ["172.16.1.0/24", "192.0.2.0/24"]))
        clients[0].send(announcement(0, "fd00:ac10::1/128"))
        clients[1].send(announcement(1, "172.16.1.0/24"))
        counts = ((0, "received"), (0, "accepted"), (1, "accepted"))  # IPv6 waits for a neighbour's answer
        await becomes(lambda: [daemon.count(*each) for each in counts], [3, 2, 1])

        status = glass.bird("/status")["status"]
        assert status["router_id"] == "10.0.0.1"
        assert status["last_reboot"] <= status["current_server"]
        for path in ("/protocols", "/protocols/bgp"):
            protocols = glass.bird(path)["protocols"]
            assert protocols.keys() == {node(0), "w1"}
            for each in protocols.values():
                assert each["state"] == "up"
                assert {key: type(each[key]) for key in TYPES} == TYPES
                assert each["routes"].keys() == COUNTS
        assert protocols[node(0)]["routes"] == {"imported": 2, "filtered": 1, "exported": 1, "preferred": 1}
        assert protocols["w1"]["neighbor_address"] == node(1)
        assert glass.bird("/protocols/short?uncached=true")["protocols"]["w1"]["state"] == "up"

        received = glass.routes(f"/routes/protocol/{node(0)}")
        assert received.keys() == {("172.16.1.0/24", node(0)), ("fd00:ac10::1/128", node(0))}
        said = received["172.16.1.0/24", node(0)]["bgp"]
        assert said == {
            "origin": "IGP",
            "as_path": ["65001", "65010"],
            "next_hop": node(0),
            "local_pref": "100",
            "med": "70",
            "communities": [[65001, 7]],
            "large_communities": [[65001, 1, 2]],
            "ext_communities": [
                ["rt", "65001", "11000"],
                ["ro", "10.0.0.9", "7"],
                ["rt", "4200000001", "8"],
                ["generic", "0x4004fde9", "0x00000005"],
            ],
        }
        assert received["fd00:ac10::1/128", node(0)]["bgp"]["next_hop"] == node6(0)
        [filtered] = glass.routes(f"/routes/filtered/{node(0)}").values()
        assert (filtered["network"], filtered["from_protocol"]) == ("192.0.2.0/24", node(0))
        assert filtered["bgp"]["large_communities"] == [[65001, 1, 2], [65000, 65666, 7]]
        unsaid = glass.routes("/routes/noexport/w1")
        assert {network for network, _ in unsaid} == {"fd00:ac10::1/128"}
        assert [row["bgp"]["large_communities"][-1] for row in unsaid.values()] == [[65000, 65667, 1]]
        assert {network for network, _ in glass.routes("/routes/export/w1")} == {"10.10.1.0/24"}
        table = glass.routes("/routes/table/master")
        assert table.keys() == received.keys() | {("172.16.1.0/24", node(1)), ("10.10.1.0/24", "")}
        best = sorted(row["network"] for row in table.values() if row["primary"])
        assert best == ["10.10.1.0/24", "172.16.1.0/24", "fd00:ac10::1/128"]
        assert glass.routes("/routes/table/master6").keys() == {("fd00:ac10::1/128", node(0))}
        assert glass.routes("/routes/table/master/filtered").keys() == {("192.0.2.0/24", node(0))}
        assert glass.routes("/routes/prefix?prefix=172.16.1.0/24").keys() == {
            ("172.16.1.0/24", node(0)),
            ("172.16.1.0/24", node(1)),
        }
        assert glass.routes("/routes/prefix?prefix=172.16.1.77") == glass.routes("/route/net/172.16.1.0%2F24")
        assert glass.routes("/routes/prefix?prefix=172.16.9.0/24") == {}
        assert glass.bird(f"/routes/count/protocol/{node(0)}")["routes"] == 2
        assert glass.bird("/routes/count/table/master")["routes"] == 3
        whole = glass.bird("/routes/dump")
        assert (len(whole["imported"]), len(whole["filtered"])) == (len(table), 1)

        _, neighbors = glass.ask("/neighbors", ROUTER6)
        found = {each["remote_addr"]: each for each in neighbors["neighbors"]}
        assert found[node(0)]["stats"]["prefixes"] == {"sent": 1, "received": 3, "rejected": 1}
        assert (found[node(0)]["remote_as"], found[node(0)]["state"]) == ("65001", "Established")
        _, summary = glass.ask("/summary")
        assert {each["bgpid"] for each in summary["neighbors"]} == {node(0), node(1)}
        _, rib = glass.ask(f"/rib?neighbor={node(0)}")
        for each in rib["rib"]:
            assert {key: type(each[key]) for key in RIB} == RIB
        by_prefix = {each["prefix"]: each for each in rib["rib"]}
        assert by_prefix["172.16.1.0/24"]["large_communities"] == ["65001:1:2"]
        assert by_prefix["172.16.1.0/24"]["extended_communities"] == [
            "rt 65001:11000", "soo 10.0.0.9:7", "rt 4200000001:8", "[4] 65001:5",
        ]  # fmt: skip
        assert by_prefix["192.0.2.0/24"]["large_communities"] == ["65001:1:2", "65000:65666:7"]
        assert {prefix for prefix, each in by_prefix.items() if not each["valid"]} == {"192.0.2.0/24"}
        assert len(glass.ask("/rib")[1]["rib"]) == len(table) + 1
        assert [each["prefix"] for each in glass.ask(f"/rib/out?neighbor={node(1)}")[1]["rib"]] == ["10.10.1.0/24"]

        assert glass.ask("/routes/protocol/nobody") == (404, {"error": "no peer has the name or address nobody"})
        assert glass.ask("/routes/table/other")[0] == 404
        assert glass.ask("/routes/prefix?prefix=all")[0] == 422
        assert glass.ask("/v1/status")[0] == 404
        daemon.config.write_text(daemon.config.read_text().replace(GLASS, ""))
        assert daemon.cli("reload").returncode == 0
        with pytest.raises(ConnectionRefusedError):
            glass.ask("/status")
        assert "Traceback" not in daemon.log.read_text()


async def test_who_asks_too_much_is_told_so_and_nobody_else(network: Network, tmp_path: Path) -> None:
    glass = f'\n[looking_glass]\nlisten = ["{ROUTER}"]\nrate = 1\nconnections = 8\n'
    with running(network.router, tmp_path, CONFIG + glass) as daemon:
        eager, other = Glass(network), Glass(network)
        found = [eager.ask("/version")[0] for _ in range(12)]
        assert found[:5] == [200] * 5
        assert 429 in found
        assert other.ask("/version", source=node(51))[0] == 200
        with network.nodes.enter():
            idle = [socket.create_connection((ROUTER, PORT), 5, (node(52), 0)) for _ in range(3)]
        await asyncio.sleep(0)
        assert idle[2].recv(100).startswith(b"HTTP/1.1 503 ")
        assert other.ask("/version", source=node(53))[0] == 200
        for each in idle:
            each.close()
        await becomes(lambda: other.ask("/version", source=node(52))[0], 200)
        assert daemon.problems() == {}


async def test_what_it_has_not(network: Network, tmp_path: Path) -> None:
    """It has no description, as the API has: whoever asks for it learns so, and the log nothing."""
    with running(network.router, tmp_path, CONFIG + GLASS) as daemon:
        for path in ("/openapi.json", "/metrics", "/v1/status", "/", "//"):
            status, answer = Glass(network).ask(path)
            assert status == 404
            assert "docs/monitoring.md says what there is" in answer["error"]
        assert "Traceback" not in daemon.log.read_text()
