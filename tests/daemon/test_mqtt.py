"""`[mqtt]` on the real daemon, with the real mosquitto: what is told, and what becomes of it when the broker dies."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.mosquitto import Mosquitto, mosquitto, needs_mosquitto, reading
from tests.support.netns import needs_root

pytestmark = [needs_root, needs_mosquitto]

VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
SITE = "routerd/v1/ams"
GW1 = f"{SITE}/gw1"


def configuration(broker: str, more: str = "") -> str:
    return f'{CONFIG}\n[mqtt]\nbroker = "{broker}"\nsite = "ams"\nrouter = "gw1"\n{more}\n'


@pytest.fixture
def broker(network: Network, tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path, network.router) as made:
        yield made


@pytest.fixture
def daemon(network: Network, broker: Mosquitto, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, configuration(broker.url)) as made:
        yield made


async def nodes_up(network: Network, clients: list[Client], *prefixes: str) -> None:
    for number in (0, 1):
        client = await network.establish(number)
        clients.append(client)
        client.send(announcement(number, *prefixes) + bgp.end_of_rib())
    await network.has(prefixes[0], 0, 1)


async def test_a_router_tells_how_it_is(
    daemon: Routerd, broker: Mosquitto, network: Network, clients: list[Client]
) -> None:
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
        assert states[f"{GW1}/peer/{node(0)}"]["state"] == "established"
        assert not [topic for topic in states if "172.17" in topic], "only host routes have topics"
        assert f"{GW1}/event/peer-up" in states
        clients[0].send(bgp.update(withdrawn=[VIP, "172.17.0.0/16"]))
        await becomes(lambda: len(states[vip]["next_hops"]), 1)
        clients[1].send(bgp.update(withdrawn=[VIP]))
        await becomes(lambda: vip not in states)
        await clients[0].close()
        await becomes(lambda: states[f"{GW1}/peer/{node(0)}"]["state"] != "established")
        assert daemon.stop() == 0
        await becomes(lambda: states[f"{GW1}/availability"]["state"], "offline")
        assert states[f"{GW1}/availability"]["boot"] == boot
        assert "time" in states[f"{GW1}/availability"], "it said so itself"


async def test_a_broker_that_lost_all_is_whole_again(
    daemon: Routerd, broker: Mosquitto, network: Network, clients: list[Client]
) -> None:
    """What is gone meanwhile is gone there, too, and a broker that kept what is out of date is told so."""
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


async def test_a_password_that_is_wrong(network: Network, tmp_path: Path) -> None:
    """It is a problem with a remedy, and is taken without a restart once it is right."""
    (tmp_path / "users").write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(tmp_path / "users"), "gw1", "right"], check=True)
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    more = f"allow_anonymous false\npassword_file {tmp_path}/users"
    text = f'user = "gw1"\npassword_file = "{secret}"'
    with (
        mosquitto(tmp_path, network.router, more) as broker,
        running(network.router, tmp_path, configuration(broker.url, text)) as daemon,
    ):
        found = await becomes(lambda: [each for each in daemon.status()["problems"] if each["where"] == "mqtt"])
        assert "refuses user 'gw1'" in found[0]["what"]
        assert "password_file" in found[0]["remedy"]
        assert "wrong" not in daemon.log.read_text()
        secret.write_text("right\n")
        await becomes(lambda: "mqtt" not in daemon.problems())


async def test_tls(network: Network, tmp_path: Path) -> None:
    """The broker's certificate is verified, and the router shows its own."""
    ca, own, broker_s = certificates(tmp_path)
    more = f"cafile {ca}\ncertfile {broker_s}.pem\nkeyfile {broker_s}.key\nrequire_certificate true"
    broker = Mosquitto(tmp_path, network.router, f"allow_anonymous true\n{more}")
    url = f"mqtts://127.0.0.1:{broker.port}"
    files = f'certificate_file = "{own}.pem"\nkey_file = "{own}.key"'
    with running(network.router, tmp_path, configuration(url, files)) as daemon:
        broker.start()
        try:
            await becomes(lambda: "do not trust each other" in daemon.problems().get("mqtt", ""))
            daemon.config.write_text(daemon.config.read_text().replace(files, f'{files}\nca_file = "{ca}"'))
            assert daemon.cli("reload").returncode == 0
            await becomes(lambda: "mqtt" not in daemon.problems())
            await becomes(lambda: "the broker hears the router" in daemon.log.read_text())
        finally:
            broker.kill()


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


async def test_another_name_leaves_nothing_behind(
    daemon: Routerd, broker: Mosquitto, network: Network, clients: list[Client]
) -> None:
    """A reload takes effect: the old name is cleared, the new one is whole; without a broker it is offline."""
    await nodes_up(network, clients, VIP)
    with reading(broker) as reader:
        await becomes(lambda: f"{GW1}/vip/172.16.1.1_32" in reader.states)
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace('router = "gw1"', 'router = "gw2"'))
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: f"{SITE}/gw2/vip/172.16.1.1_32" in reader.states)
        await becomes(lambda: [t for t in reader.states if t.startswith(f"{GW1}/") and "/event/" not in t], [])
        daemon.config.write_text(daemon.config.read_text().replace(broker.url, ""))
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: reader.states[f"{SITE}/gw2/availability"]["state"], "offline")
    await network.has(VIP, 0, 1)
    assert daemon.peer(0)["sessions"] == 1


@pytest.mark.parametrize("broker", ["192.0.2.1", "broker.invalid"])
async def test_a_broker_that_does_not_answer_holds_up_nothing(network: Network, tmp_path: Path, broker: str) -> None:
    """Neither at its start, when what speaks MQTT is loaded, nor while it is looked up and dialled."""
    network.router.ip("neigh", "add", node(5), "lladdr", "02:00:00:00:00:05", "dev", "eth0", "nud", "permanent")
    network.router.ip("route", "add", "192.0.2.0/24", "via", node(5))
    with running(network.router, tmp_path, configuration("")) as daemon:

        async def stretches() -> int:
            """Return how many new ones there are over 20 ms, from where it begins until it is tried in vain."""
            before = too_long(daemon)
            off = daemon.config.read_text()
            daemon.config.write_text(off.replace('broker = ""', f'broker = "mqtt://{broker}"'))
            assert daemon.cli("reload").returncode == 0
            await becomes(lambda: broker in daemon.problems().get("mqtt", ""))
            daemon.config.write_text(off)
            assert daemon.cli("reload").returncode == 0
            return too_long(daemon) - before

        # What else the machine does may hold up anybody, now and then: a call that blocks does it each time.
        assert 0 in [await stretches() for _ in range(1)] or 0 in [await stretches() for _ in range(3)]
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 3


def too_long(daemon: Routerd) -> int:
    """Return how often the event loop has not looked around for more than 20 ms."""
    found = daemon.status()["event_loop"]
    return sum(found["counts"][found["bounds"].index(0.02) + 1 :])
