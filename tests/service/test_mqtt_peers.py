"""Which peers are told anew to a broker, and which topics are cleared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from routerd.service.mqtt.peers import Peers
from routerd.telemetry.mqtt.topics import Own

OWN = Own("ams", "gw1", "1")


def known(**names: str) -> dict[str, Any]:
    return {address: SimpleNamespace(name=name, address=address) for address, name in names.items()}


def told(peers: Peers) -> tuple[list[str], list[str]]:
    gone, changed = peers.collect()
    return [topic.what for topic in gone], [topic.what for topic, _ in changed]


def test_peers_are_told_when_something_is_said_of_them() -> None:
    there = known(a="w1", b="w2")
    peers = Peers(there, OWN)
    assert told(peers) == ([], ["w1", "w2"])
    assert told(peers) == ([], [])
    peers.note(["w2", "nobody"])
    assert told(peers) == ([], ["w2"])
    peers.note(["a"])
    assert told(peers) == ([], ["w1"])


def test_who_is_gone_or_renamed_is_cleared() -> None:
    there = known(a="w1", b="w2", c="w3")
    peers = Peers(there, OWN)
    told(peers)
    del there["a"]
    there["b"].name = "w9"
    peers.touch()
    assert told(peers) == (["w1", "w2"], ["w9", "w3"])


def test_a_name_that_another_has_now_stays() -> None:
    there = known(a="w1", b="w2")
    peers = Peers(there, OWN)
    told(peers)
    there["a"].name, there["b"].name = "w2", "w1"
    peers.touch()
    assert told(peers) == ([], ["w2", "w1"])
