"""The looking glass of the real daemon as Alice-LG shows it, configured as docs/monitoring.md says."""

from __future__ import annotations

import json
import re
import struct
from configparser import ConfigParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from routerd.api.lookingglass.rows import NOT_EXPORTED, REJECTED, NotExported
from routerd.core.rib.policy import Reject
from tests.daemon.harness import CONFIG, Network, announcement, becomes, node, node6, running
from tests.daemon.test_looking_glass import GLASS, STATIC, Glass
from tests.support import bgp
from tests.support.alice import Alice, PanicError
from tests.support.netns import needs_root

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
[CONFIGURATION] = re.findall(r"```ini\n(.*?)```", PAGE, re.DOTALL)


def recently(when: datetime | None) -> bool:
    return when is not None and timedelta(seconds=-2) < datetime.now(UTC) - when < timedelta(minutes=5)


@needs_root
async def test_alice_shows_what_is_received_filtered_and_not_exported(
    network: Network, tmp_path: Path, clients: list[bgp.Client]
) -> None:
    with running(network.router, tmp_path, CONFIG + GLASS + STATIC) as daemon:
        glass = Glass(network)

        def ask(path: str) -> Any:
            return glass.ask(path)[1]

        alice = Alice(CONFIGURATION, ask)
        for number in (0, 1):
            clients.append(await network.establish(number))
        rich = bgp.attributes(next_hop=node(0), as_path=(65001, 4200000001), med=70)
        rich += bgp.attribute(8, struct.pack("!HH", 65001, 7), 0xC0)
        rich += bgp.attribute(16, struct.pack("!BBHI", 0, 2, 65001, 11000), 0xC0)
        rich += bgp.attribute(32, struct.pack("!III", 65001, 1, 2), 0xC0)
        clients[0].send(bgp.update(rich, ["172.16.1.0/24", "192.0.2.0/24"]))
        clients[0].send(announcement(0, "fd00:ac10::1/128"))
        clients[0].send(announcement(0, "172.16.3.0/24", as_path=(65001, 65000)))
        clients[1].send(announcement(1, "172.16.1.0/24"))
        counts = ((0, "received"), (0, "accepted"), (1, "accepted"))  # IPv6 waits for a neighbour's answer
        await becomes(lambda: [daemon.count(*each) for each in counts], [4, 2, 1])

        status = alice.status()
        assert recently(status["now"])
        assert recently(status["reboot"])
        assert recently(status["reconfig"])
        assert status["router_id"] == "10.0.0.1"
        assert "unknown" not in status.values()
        await becomes(lambda: alice.status()["now"] > status["reboot"])
        daemon.config.write_text(
            daemon.config.read_text().replace("rate = 1000", "rate = 1000\n\n[fib]\nidle_timer = 7")
        )
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: alice.status()["reconfig"] > status["reboot"] == alice.status()["reboot"])

        found = alice.neighbors()
        assert found.keys() == {node(0), "w1"} == alice.states().keys()
        assert set(alice.states().values()) == {"up"}
        first = found[node(0)]
        assert (first.address, first.asn, first.state, first.last_error) == (node(0), 65001, "up", "")
        assert (first.received, first.accepted, first.filtered, first.exported) == (4, 2, 2, 1)
        assert recently(first.since)
        assert found["w1"].description == "w1"

        received, filtered, untold = alice.routes(node(0))
        assert {each.network for each in received} == {"172.16.1.0/24", "fd00:ac10::1/128"}
        shown = {each.network: each.reasons for each in filtered}
        assert shown == {
            "192.0.2.0/24": ("martian prefix",),
            "172.16.3.0/24": ("the router's own AS is in AS_PATH",),
        }
        kept = ("the peer group does not advertise it",)
        assert {each.network: each.reasons for each in untold} == {"172.16.1.0/24": kept}
        [rich_one] = [each for each in received if each.network == "172.16.1.0/24"]
        assert rich_one.as_path == (65001, 4200000001)
        assert (rich_one.next_hop, rich_one.med, rich_one.local_pref, rich_one.origin) == (node(0), 70, 100, "IGP")
        assert rich_one.communities == ((65001, 7),)
        assert rich_one.large_communities == ((65001, 1, 2),)
        assert rich_one.ext_communities == (("rt", "65001", "11000"),)
        assert rich_one.kind == ("BGP", "unicast", "univ")
        assert all(recently(each.since) and each.neighbor == node(0) for each in received + filtered)
        assert {each.next_hop for each in received} == {node(0), node6(0)}
        _, _, untold = alice.routes("w1")
        assert {each.network: each.reasons for each in untold} == {"fd00:ac10::1/128": kept}

        table, without = alice.table()
        assert len(table) == 4
        assert {each.network for each in without} == shown.keys()
        assert [each.neighbor for each in table if each.primary and each.network.startswith("fd00")] == [node(0)]
        assert {each.neighbor for each in alice.look_up("172.16.1.0/24")} == {node(0), "w1"}
        await clients[1].close()
        await becomes(lambda: alice.states()["w1"] != "up")
        gone = alice.neighbors()["w1"]
        assert gone.last_error
        assert recently(gone.since)


ROUTES = {
    "api": {
        "Version": "1", "result_from_cache": False,
        "cache_status": {"orig_ttl": 0, "cached_at": {"date": "", "timezone_type": "", "timezone": ""}},
    },
    "ttl": "2026-01-31T10:22:39Z",
    "routes": [{
        "age": "2026-01-30 08:12:44", "from_protocol": "w0", "gateway": "192.0.2.4", "interface": "eth1",
        "learnt_from": "", "metric": 100, "network": "198.51.100.0/24", "primary": True, "type": ["BGP", "unicast"],
        "bgp": {"as_path": ["65001"], "communities": [[65001, 1]], "local_pref": "100", "origin": "IGP"},
    }],
}  # fmt: skip
"""An answer of the form that birdwatcher gives."""


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"ttl": "2026-01-31T10:22:39Z"', '"ttl": 12'),
        ('"ttl": "2026-01-31T10:22:39Z"', '"ttl": "2026-01-31 10:22:39"'),
        ('"result_from_cache": false', '"result_from_cache": "no"'),
        ('"age": "2026-01-30 08:12:44"', '"age": "2026-01-30T08:12:44Z"'),
        ("[[65001, 1]]", '[["65001", "1"]]'),
        ('"routes": [', '"routen": ['),
    ],
)
def test_the_reader_takes_what_birdwatcher_says_and_nothing_else(good: str, bad: str) -> None:
    told = json.dumps(ROUTES)
    [route] = Alice(CONFIGURATION, lambda _: json.loads(told)).look_up("any")
    assert (route.as_path, route.learnt_from, route.communities) == ((65001,), "192.0.2.4", ((65001, 1),))
    assert told.count(good) == 1
    with pytest.raises((PanicError, ValueError)):
        Alice(CONFIGURATION, lambda _: json.loads(told.replace(good, bad))).look_up("any")


def test_the_page_has_every_reason() -> None:
    parser = ConfigParser(delimiters=("=",))
    parser.read_string(CONFIGURATION)
    rejected = {
        f"65000:{REJECTED}:{each.value}": each.text.partition(" ")[2] for each in Reject if each is not Reject.NONE
    }
    assert dict(parser["rejection_reasons"]) == rejected
    assert parser["noexport_reasons"].keys() == {f"65000:{NOT_EXPORTED}:{each.value}" for each in NotExported}
