"""`[mqtt]` on the real daemon, with the real mosquitto: what is told, and what becomes of it when the broker dies."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, network, node, running
from tests.daemon.test_metrics import page
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.mosquitto import Mosquitto, mosquitto, needs_mosquitto, reading
from tests.support.netns import needs_root
from tests.support.prometheus import value

pytestmark = [needs_root, needs_mosquitto]

VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
SITE = "routerd/v1/ams"
PAGE = Path(__file__).parents[2] / "docs" / "mqtt.md"
GW1 = f"{SITE}/gw1"


def configuration(broker: str, more: str = "") -> str:
    return f'{CONFIG}\n[mqtt]\nbroker = "{broker}"\nsite = "ams"\nrouter = "gw1"\n{more}\n'


class Place(NamedTuple):
    """A router, its nodes, and its broker."""

    network: Network
    broker: Mosquitto
    daemon: Routerd

    def use(self, broker: str, more: str = "") -> None:
        """Have the router reload another `[mqtt]`."""
        text = configuration(broker, more).replace("{socket}", str(self.daemon.socket))
        self.daemon.config.write_text(text + '\n[drain]\nstate_file = ""\n')
        done = self.daemon.cli("reload")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("place")
    with (
        network() as made,
        mosquitto(directory, made.router) as broker,
        running(made.router, directory, configuration(broker.url)) as daemon,
    ):
        # 192.0.2.1 takes packets, and says nothing.
        made.router.ip("neigh", "replace", node(5), "lladdr", "02:00:00:00:00:05", "dev", "eth0", "nud", "permanent")
        made.router.ip("route", "replace", "192.0.2.0/24", "via", node(5))
        yield Place(made, broker, daemon)


@pytest.fixture
def place(built: Place) -> Place:
    built.use(built.broker.url)
    return built


async def nodes_up(network: Network, clients: list[Client], *prefixes: str) -> None:
    for number in (0, 1):
        client = await network.establish(number)
        clients.append(client)
        client.send(announcement(number, *prefixes) + bgp.end_of_rib())
    await network.has(prefixes[0], 0, 1)


async def test_a_router_tells_how_it_is(place: Place, clients: list[Client]) -> None:
    network, broker, _ = place
    place.use(broker.url, "metrics_interval = 1")
    with reading(broker) as reader:
        await nodes_up(network, clients, VIP, "172.17.0.0/16")
        vip = f"{GW1}/vip/172.16.1.1_32"
        await becomes(lambda: len(reader.states.get(vip, {}).get("next_hops", ())), 2)
        states = reader.states
        boot = states[f"{GW1}/birth"]["boot"]
        assert states[f"{GW1}/availability"]["state"] == "online"
        assert {states[f"{GW1}/{what}"]["boot"] for what in ("availability", "summary")} == {boot}
        assert [hop["gateway"] for hop in states[vip]["next_hops"]] == [node(0), node(1)]
        assert [hop["peers"] for hop in states[vip]["next_hops"]] == [[node(0)], [node(1)]]
        await becomes(lambda: states[f"{GW1}/summary"]["peers"], {"up": 2, "all": 2})
        shown = [set(example) for example in examples()]
        for topic in ("birth", "availability", "summary", f"peer/{node(0)}", "vip/172.16.1.1_32", "metrics"):
            assert set(await becomes(lambda topic=topic: states.get(f"{GW1}/{topic}"))) in shown, topic
        assert states[f"{GW1}/peer/{node(0)}"]["state"] == "established"
        assert not [topic for topic in states if "172.17" in topic], "only host routes have topics"
        assert f"{GW1}/event/peer-up" in states
        clients[0].send(bgp.update(withdrawn=[VIP, "172.17.0.0/16"]))
        await becomes(lambda: len(states[vip]["next_hops"]), 1)
        clients[1].send(bgp.update(withdrawn=[VIP]))
        await becomes(lambda: vip not in states)
        await clients[0].close()
        await becomes(lambda: states[f"{GW1}/peer/{node(0)}"]["state"] != "established")


async def test_a_scrape_says_what_the_broker_hears(place: Place, clients: list[Client]) -> None:
    """It is told apart from a broker that nobody has configured, and what was lost is counted."""
    network, broker, daemon = place

    def is_(name: str, **labels: str) -> float:
        return value(page(daemon), f"routerd_mqtt_{name}", **labels)

    place.use(broker.url, "vip_limit = 1\nevent_expiry = 1")
    await nodes_up(network, clients, VIP, OTHER)
    await becomes(lambda: is_("vips", state="left_out"), 1)
    assert is_("vips", state="told") == is_("connected") == is_("connections_total") == 1
    await becomes(lambda: is_("states_waiting"), 0)
    await becomes(lambda: is_("states") >= 5)  # birth, summary, peers, a VIP
    await becomes(lambda: is_("events_told_total") >= 2)
    assert abs(time.time() - is_("last_message_timestamp_seconds")) < 10
    broker.kill()
    await becomes(lambda: is_("connected"), 0)
    clients[0].send(bgp.update(withdrawn=[VIP, OTHER]))
    await clients[0].close()
    await becomes(lambda: is_("states_waiting") > 0)
    await becomes(lambda: b"peer down" in daemon.log.read_bytes())
    told = time.monotonic()
    await becomes(lambda: time.monotonic() - told > 1.1)  # the event is too old by now
    broker.start()
    await becomes(lambda: is_("events_lost_total") >= 1)
    assert (is_("connected"), is_("connections_total")) == (1, 2)
    found = [json.loads(line) for line in daemon.cli("events", "--json").stdout.splitlines()]
    fleet = [each["event"] for each in found if "the broker" in each["event"]]
    assert fleet[-2:] == ["the broker does not hear the router", "the broker hears the router"]
    daemon.config.write_text(daemon.config.read_text().replace("broker =", "#broker ="))
    assert daemon.cli("reload").returncode == 0
    await becomes(lambda: "routerd_mqtt_connected 1" not in page(daemon))


async def test_a_broker_that_lost_all_is_whole_again(place: Place, clients: list[Client]) -> None:
    """What is gone meanwhile is gone there, too, and a broker that kept what is out of date is told so."""
    network, broker, daemon = place
    await nodes_up(network, clients, VIP, OTHER)
    with reading(broker) as reader:
        await becomes(lambda: f"{GW1}/vip/172.16.1.2_32" in reader.states)
        before = set(reader.states)
    broker.kill()
    await becomes(lambda: "mqtt" in daemon.problems())
    assert "routing is as it was" in daemon.problems()["mqtt"]
    for client in clients:
        client.send(bgp.update(withdrawn=[OTHER]))
    await becomes(lambda: network.nhid(OTHER), 0)
    broker.start()
    for gone in ("vip/172.16.1.2_32", "peer/left-long-ago"):
        broker.publish(f"{GW1}/{gone}", '{"boot": "old"}', "-r", "-q", "1")
    with reading(broker) as reader:
        wanted = {topic for topic in before if "/event/" not in topic} - {f"{GW1}/vip/172.16.1.2_32"}
        await becomes(lambda: {each for each in reader.states if "/event/" not in each}, wanted)
        assert "mqtt" not in daemon.problems()


async def test_a_password_that_is_wrong(place: Place, tmp_path: Path) -> None:
    """It is a problem with a remedy, and is taken without a restart once it is right."""
    network, _, daemon = place
    (tmp_path / "users").write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(tmp_path / "users"), "gw1", "right"], check=True)
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    with mosquitto(tmp_path, network.router, f"allow_anonymous false\npassword_file {tmp_path}/users") as broker:
        place.use(broker.url, f'user = "gw1"\npassword_file = "{secret}"')
        found = await becomes(lambda: [each for each in daemon.status()["problems"] if each["where"] == "mqtt"])
        assert "refuses user 'gw1'" in found[0]["what"]
        assert "password_file" in found[0]["remedy"]
        secret.write_text("right\n")
        await becomes(lambda: "mqtt" not in daemon.problems())
        assert "wrong" not in daemon.log.read_text()


async def test_a_key_that_is_not_there(place: Place, tmp_path: Path) -> None:
    """States are told all the same, and it is seen when it is there."""
    key = tmp_path / "fleet.key"
    place.use(place.broker.url, f'fleet_key_file = "{key}"')
    with reading(place.broker) as reader:
        await becomes(lambda: "no node can be drained by the broker" in place.daemon.problems().get("mqtt", ""))
        await becomes(lambda: reader.states.get(f"{GW1}/birth", {}).get("drains"))
        key.write_text("0123456789abcdef\n")
        key.chmod(0o600)
        place.daemon.cli("clear", node(0))  # whatever is told
        await becomes(lambda: "mqtt" not in place.daemon.problems(), seconds=40)


async def test_tls(place: Place, tmp_path: Path) -> None:
    """The broker's certificate is verified, and the router shows its own."""
    network, _, daemon = place
    ca, own, its = certificates(tmp_path)
    lines = f"cafile {ca}\ncertfile {its}.pem\nkeyfile {its}.key\nrequire_certificate true\nallow_anonymous true"
    files = f'certificate_file = "{own}.pem"\nkey_file = "{own}.key"'
    with mosquitto(tmp_path, network.router, lines) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        place.use(url, files)
        await becomes(lambda: "do not trust each other" in daemon.problems().get("mqtt", ""))
        before = len(daemon.log.read_text())
        place.use(url, f'{files}\nca_file = "{ca}"')
        await becomes(lambda: "the broker hears the router" in daemon.log.read_text()[before:])
        assert "mqtt" not in daemon.problems()


async def test_another_name_leaves_nothing_behind(place: Place, clients: list[Client]) -> None:
    """A reload takes effect: the old name is cleared, the new one is whole; without a broker it is offline."""
    network, broker, daemon = place
    await nodes_up(network, clients, VIP)
    sessions = daemon.peer(0)["sessions"]
    with reading(broker) as reader:
        await becomes(lambda: f"{GW1}/vip/172.16.1.1_32" in reader.states)
        text = daemon.config.read_text().replace('router = "gw1"', 'router = "gw2"')
        daemon.config.write_text(text)
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: f"{SITE}/gw2/vip/172.16.1.1_32" in reader.states)
        await becomes(lambda: [t for t in reader.states if t.startswith(f"{GW1}/") and "/event/" not in t], [])
        daemon.config.write_text(text.replace(broker.url, ""))
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: reader.states[f"{SITE}/gw2/availability"]["state"], "offline")
    await network.has(VIP, 0, 1)
    assert daemon.peer(0)["sessions"] == sessions


async def test_a_broker_that_does_not_answer_holds_up_nothing(place: Place) -> None:
    """Neither when what speaks MQTT is loaded, nor while the broker's name is looked up and it is dialled."""
    network, _, daemon = place

    async def tried(host: str, probe: Callable[[], object]) -> int:
        """Return how often the event loop was held up while the broker was tried."""
        place.use("")
        before = held_up(daemon, 0.02), held_up(daemon, 0.5)
        place.use(f"mqtt://{host}")
        await becomes(probe)
        assert held_up(daemon, 0.5) == before[1]
        return held_up(daemon, 0.02) - before[0]

    for host, probe in (
        ("broker.invalid", lambda: "broker.invalid" in daemon.problems().get("mqtt", "")),
        ("192.0.2.1", lambda: "192.0.2.1" in network.router.run("ss", "-tn", "state", "syn-sent")),
    ):
        # What else the machine does may hold up anybody, now and then: a call that blocks does it each time.
        assert 0 in [await tried(host, probe)] or 0 in [await tried(host, probe) for _ in range(4)]


def held_up(daemon: Routerd, seconds: float) -> int:
    """Return how often the event loop has not looked around for longer."""
    found = daemon.status()["event_loop"]
    return sum(found["counts"][found["bounds"].index(seconds) + 1 :])


async def test_a_line_to_the_broker_that_is_slow_slows_nothing_else(place: Place, clients: list[Client]) -> None:
    """2 kB/s, and a minute's worth of states: what changes meanwhile is told once, as it is in the end."""
    network, broker, daemon = place
    vips = [f"172.18.0.{number}/32" for number in range(250)]
    slow = ("dev", "lo", "root", "tbf", "rate", "16kbit", "burst", "1600", "latency", "60s")
    network.router.run("tc", "qdisc", "add", *slow)
    try:
        await nodes_up(network, clients, *vips)
        for _ in range(5):
            clients[1].send(bgp.update(withdrawn=vips))
            await becomes(lambda: network.legs(vips[-1]), {node(0)}, 5.0)
            clients[1].send(announcement(1, *vips))
            await becomes(lambda: network.legs(vips[-1]), {node(0), node(1)}, 5.0)
        assert value(page(daemon), "routerd_mqtt_states_waiting") > 100
    finally:
        network.router.run("tc", "qdisc", "del", "dev", "lo", "root")
    with reading(broker) as reader:

        def told() -> int:
            states = [state for topic, state in reader.states.items() if topic.startswith(f"{GW1}/vip/172.18.0.")]
            return sum(len(state["next_hops"]) == 2 for state in states)

        await becomes(told, len(vips), 60)


async def test_the_end_is_said(place: Place) -> None:
    """The last test of this router: it says goodbye, and ends at once even while it is dialling."""
    _, broker, daemon = place
    with reading(broker) as reader:
        await becomes(lambda: reader.states.get(f"{GW1}/availability", {}).get("state"), "online")
        assert daemon.stop() == 0
        await becomes(lambda: reader.states[f"{GW1}/availability"]["state"], "offline")
        assert reader.states[f"{GW1}/availability"]["boot"] == reader.states[f"{GW1}/birth"]["boot"]
        assert "time" in reader.states[f"{GW1}/availability"], "it said so itself"
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace(broker.url, "mqtt://192.0.2.1"))
    daemon.start()
    await becomes(lambda: "192.0.2.1" in place.network.router.run("ss", "-tn", "state", "syn-sent"))
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 4


def examples() -> list[dict[str, Any]]:
    """Return the payloads that the page shows."""
    return [
        json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    ]


def certificates(directory: Path) -> tuple[Path, Path, Path]:
    """Make a CA, and certificates of the router and the broker; return their files, without the ending."""
    ca = directory / "ca"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", "/CN=ca")
    for name in ("router", "broker"):
        path = directory / name
        openssl("req", *key[:-2], "-keyout", f"{path}.key", "-out", f"{path}.csr", "-subj", f"/CN={name}")
        (directory / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        signed = ["-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2"]
        openssl("x509", "-req", "-in", f"{path}.csr", *signed, "-extfile", f"{directory}/ext", "-out", f"{path}.pem")
    return Path(f"{ca}.pem"), directory / "router", directory / "broker"


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
