"""`routerd fleet` and the real mosquitto: fifty routers in one table, and a node drained on all of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from routerd.reference.schema import document
from routerd.telemetry.bus import Bus
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.broker import connection
from routerd.telemetry.mqtt.link import Link
from routerd.telemetry.mqtt.topics import Own, Topic
from tests.daemon.harness import CLI, announcement, becomes, network, node, running
from tests.daemon.test_mqtt import GW1, SITE, VIP, Place, configuration, nodes_up
from tests.support.bgp import Client
from tests.support.mosquitto import Mosquitto, mosquitto, needs_mosquitto, reading
from tests.support.netns import needs_root
from tests.support.schema import wrong

pytestmark = [needs_root, needs_mosquitto]

SCHEMAS = document()
ANOTHER = "172.16.1.3/32"
"""One that was not there before: where flows may be that have gone with their VIP, a drain waits for them."""

EMPTY = {
    "name": node(0), "drain": "operator", "buckets": 0, "groups": 1, "sole": 0, "empty": True, "changed": True,
    "unstored": "",
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Path]]:
    directory = tmp_path_factory.mktemp("place")
    key = directory / "fleet.key"
    key.write_text("0123456789abcdef0123456789abcdef\n")
    key.chmod(0o640)
    with (
        network() as made,
        mosquitto(directory, made.router) as broker,
        running(made.router, directory, configuration(broker.url, f'fleet_key_file = "{key}"')) as daemon,
    ):
        yield Place(made, broker, daemon), key


async def fleet(place: Place, *words: str) -> tuple[int, Any]:
    """Run `routerd fleet WORDS --json` where the broker is; return its exit code and answer, which has its schema."""
    command = (*CLI, "fleet", *words, "--broker", place.broker.url, "--site", "ams", "--json")
    running = place.network.router.spawn(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        said, errors = await asyncio.to_thread(running.communicate, timeout=30)
    finally:
        running.kill()  # if it waits still
        running.communicate()
    assert said, errors
    answer = json.loads(said)
    assert list(wrong(answer, SCHEMAS["$defs"]["fleet"], SCHEMAS)) == []
    return running.returncode, answer


class Other:
    """Another router of the site: it tells that it is there, and does what it is asked."""

    def __init__(self, broker: Mosquitto, key: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.said: list[str] = []
        own = Own("ams", "gw2", "b" * 16)
        self.link = Link(
            Access(broker.url), own, Bus(), expiry=60, key_file=key, heed=self._heed,
            say=lambda level, event, **fields: self.said.append(f"{level} {event} {fields}"),
        )  # fmt: skip
        birth = {"boot": own.boot, "drains": bool(key)}
        self.link.states.tell(own.topic(topics.BIRTH), topics.encode(birth))
        self.link.start()

    async def _heed(self, said: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(said)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def test_a_node_is_drained_on_all_routers(place: tuple[Place, Path], clients: list[Client]) -> None:
    """It waits for the slower one; what is asked is logged with who asked."""
    (network, broker, daemon), key = place
    await nodes_up(network, clients, VIP)
    with network.router.enter():
        other = Other(broker, str(key))
    other.answers = [{"drain": {**EMPTY, "buckets": 7, "empty": False}}] * 2 + [{"drain": EMPTY}]
    try:
        with reading(broker) as reader:
            await becomes(lambda: {f"{GW1}/birth", f"{SITE}/gw2/birth"} <= reader.states.keys())
        code, answer = await fleet(place[0], "drain", node(0), "--fleet-key-file", str(key))
        assert (code, answer["ok"]) == (0, True), answer
        assert [(each["name"], each["state"], each["empty"]) for each in answer["routers"]] == [
            ("gw1", "drained", True), ("gw2", "drained", True),
        ]  # fmt: skip
        assert [each["action"] for each in other.asked] == ["drain", "look", "look"]
        assert daemon.peer(0)["drain"] == "operator"
        told = [json.loads(line) for line in daemon.cli("events", "--json").stdout.splitlines()]
        assert [each["by"].partition(", ")[2] for each in told if each["event"] == "drain"][-1] == "by the broker"
        other.answers = [{"drain": {**EMPTY, "drain": ""}}]
        code, answer = await fleet(place[0], "undrain", node(0), "--fleet-key-file", str(key))
        assert code == 0, answer
        assert daemon.peer(0)["drain"] == ""
        other.answers = [{"drain": None}]
        code, answer = await fleet(place[0], "drain", "nobody", "--fleet-key-file", str(key))
        assert code == 1
        assert answer["verdict"] == "no router of site ams has a peer nobody"
    finally:
        await other.link.close(clear=False)
    code, answer = await fleet(place[0], "drain", node(0), "--fleet-key-file", str(key))
    assert code == 1
    assert "gw2 cannot be asked (down): nothing was done" in answer["error"]
    for kind in ("birth", "availability"):
        broker.publish(f"{SITE}/gw2/{kind}", "", "-r")  # it is no more
    assert daemon.peer(0)["drain"] == ""


async def test_who_has_no_key_has_nothing_done(
    place: tuple[Place, Path], clients: list[Client], tmp_path: Path
) -> None:
    """Nor who says what somebody with a key has said, again; and garbage costs a line in the log."""
    (network, broker, daemon), key = place
    await nodes_up(network, clients, ANOTHER)
    code, answer = await fleet(place[0], "drain", node(0))
    assert code == 1
    assert "--fleet-key-file" in answer["error"]
    wrong = tmp_path / "wrong.key"
    wrong.write_text("fedcba9876543210fedcba9876543210\n")
    wrong.chmod(0o640)
    with reading(broker, f"{GW1}/request") as reader:
        assert (await fleet(place[0], "drain", node(0), "--fleet-key-file", str(key)))[0] == 0
        heard = next(said for _, said in reader.heard if "hmac" in said)
    assert (await fleet(place[0], "undrain", node(0), "--fleet-key-file", str(key)))[0] == 0
    broker.publish(f"{GW1}/request", json.dumps(heard, separators=(",", ":")))
    for garbage in ("", "{", "[]", '{"text": 1}', '{"text": "{}", "hmac": "00"}', "[" * 5000, "\xff\x00"):
        broker.publish(f"{GW1}/request", garbage.replace("\x00", ""))
    code, answer = await fleet(place[0], "drain", node(0), "--fleet-key-file", str(wrong))
    assert code == 1
    assert "no answer" in answer["routers"][0]["error"]
    assert daemon.peer(0)["drain"] == ""
    lines = [line for line in daemon.log.read_text().splitlines() if "a request by the broker is refused" in line]
    assert len(lines) in (1, 2)
    assert "it was heeded before" in lines[0]
    key.chmod(0o644)
    code, answer = await fleet(place[0], "drain", node(0), "--fleet-key-file", str(key))
    assert "is open to everybody on this machine" in answer["error"]
    key.chmod(0o640)
    clients[0].send(announcement(0, "172.16.1.9/32"))
    await network.has("172.16.1.9/32", 0)


async def test_who_is_unknown_to_a_router_may_get_flows_from_it(place: tuple[Place, Path]) -> None:
    """As one that was just restarted, whose groups still lead to the node: an address tells."""
    (network, broker, _), key = place
    with network.router.enter():
        other = Other(broker, str(key))
    other.answers = [{"drain": EMPTY}]
    try:
        with reading(broker) as reader:
            await becomes(lambda: {f"{GW1}/birth", f"{SITE}/gw2/birth"} <= reader.states.keys())
        for who, options, ok in (("nobody", (), False), ("nobody", ("--reachable",), True), ("10.9.9.9", (), True)):
            code, answer = await fleet(place[0], "drain", who, *options, "--fleet-key-file", str(key))
            assert (code, answer["ok"], answer["routers"][0]["state"]) == (1 - ok, ok, "absent"), answer
            assert ("flows may reach it by gw1 still" in answer["verdict"]) is not ok
    finally:
        await other.link.close(clear=True)


async def test_fifty_routers(place: tuple[Place, Path], tmp_path: Path) -> None:
    """One is down, one has said so, one has fewer next hops, another version, a node less; one talks nonsense."""
    network = place[0].network
    with mosquitto(tmp_path, network.router) as broker:
        await look_at_fifty(place[0]._replace(broker=broker))


async def look_at_fifty(place: Place) -> None:
    network, broker, _ = place
    with network.router.enter():
        async with connection(Access(broker.url), None) as writer:
            everything = [each for number in range(50) for each in told(number).items()]
            await asyncio.gather(*(writer.publish(str(t), p, retain=True) for t, p in everything))
            await writer.publish(str(Topic("ams", "r07", topics.SUMMARY)), b"\xff{", retain=True)
    began = time.monotonic()
    code, view = await fleet(place)
    assert time.monotonic() - began < 15
    assert code == 1
    assert len(view["routers"]) == 50
    states = {each["name"]: each["state"] for each in view["routers"]}
    assert [name for name, state in states.items() if state == "down"] == ["r03", "r04"]
    by_name = {each["name"]: each for each in view["routers"]}
    assert (by_name["r03"]["said_goodbye"], by_name["r04"]["said_goodbye"]) == (False, True)
    assert by_name["r03"]["since"] == by_name["r04"]["since"] - 60
    kinds = {each["kind"]: each["what"] for each in view["differences"]}
    assert kinds["vip"] == "172.16.1.1/32: 3 next hops in all, 2 on r10 (without w2)"
    assert kinds["node"] == "w2 does not speak to r10"
    assert "9.9 on r11" in kinds["version"]
    assert "c2 on r12" in kinds["configuration"]
    assert "r13" in kinds["hash"]
    assert kinds["drain"].startswith("w1 is drained on r14, and not on ")
    assert "r07 has said what cannot be read: summary" in kinds["message"]
    assert kinds["problem"] == "r15: fib: a problem"
    text = network.router.run(*CLI, "fleet", "--broker", broker.url, "--site", "ams", check=False)
    assert "site ams  48 of 50 routers up" in text
    assert "r03" in text
    again = network.router.spawn(
        *CLI, "fleet", "--broker", broker.url, "--site", "ams", "--watch", "--json", stdout=subprocess.PIPE
    )
    with again, again.stdout as lines:  # type: ignore[union-attr]
        for _ in range(2):
            assert len(json.loads(await asyncio.to_thread(lines.readline))["routers"]) == 50
        again.kill()
    elsewhere = network.router.run(*CLI, "fleet", "--broker", broker.url, "--site", "fra", "--json", check=False)
    assert "there is something of ams" in json.loads(elsewhere)["error"]


def told(number: int) -> dict[Topic, bytes]:
    """Return what a router of fifty has told."""
    own = Own("ams", f"r{number:02}", f"{number:016x}")
    now = int(time.time())
    ending: dict[int, dict[str, Any]] = {3: {"state": "offline"}, 4: {"state": "offline", "time": now}}
    peers = [name for name in ("w0", "w1", "w2") if (number, name) != (10, "w2")]
    problem = [{"where": "fib", "what": "a problem", "remedy": "none"}] if number == 15 else []
    said: dict[Topic, dict[str, Any]] = {
        own.topic(topics.BIRTH): {
            "version": "9.9" if number == 11 else "1.0",
            "configuration": "c2" if number == 12 else "c1",
            "hash_policy": "l4",
            "hash_seed": "beef" if number == 13 else "cafe",
        },
        own.topic(topics.AVAILABILITY): ending.get(number, {"state": "online", "time": now - 3600}),
        own.topic(topics.SUMMARY): {
            "time": now - 60 if number == 3 else now,
            "peers": {"up": len(peers), "all": len(peers)},
            "vips": {"told": 1, "left_out": 0},
            "problems": {"count": len(problem), "first": problem},
        },
        own.topic(topics.VIP, "172.16.1.1_32"): {
            "prefix": "172.16.1.1/32",
            "next_hops": [{"gateway": name, "peers": [name]} for name in peers],
        },
    }
    for name in peers:
        drained = "operator" if (number, name) == (14, "w1") else ""
        said[own.topic(topics.PEER, name)] = {"name": name, "state": "established", "drain": drained}
    return {topic: topics.encode({"boot": own.boot, **payload}) for topic, payload in said.items()}
