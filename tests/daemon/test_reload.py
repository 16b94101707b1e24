"""`routerd reload` on the real daemon: what takes effect, what is reset, what nobody confirmed."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from routerd.config.impact import Impact, costs
from routerd.config.model import FibSection, PeerGroup, RouterSection
from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, cli, node, running
from tests.support import bgp
from tests.support.bgp import Client, ClosedError
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1/32"
STATIC = CONFIG.replace(', "fd00:ac10::/32"', "").replace(
    "[[dynamic_peers]]", f'[[peers]]\nname = "w1"\naddress = "{node(1)}"\ngroup = "nodes"\n\n[[dynamic_peers]]'
)
VALUES: dict[str, str] = {
    "router.asn": "65010", "router.router_id": '"10.0.0.9"', "router.listen": '["10.0.0.1", "::"]',
    "router.port": "1790",
    "router.networks": '["10.10.9.0/24"]',
    "fib.max_paths": "8", "fib.hash_policy": '"l3"', "fib.groups": '"hash-threshold"', "fib.buckets": "512",
    "fib.bucket_budget": "4096", "fib.idle_timer": "5.0",
    "fib.unbalanced_timer": "60.0", "fib.multipath_relax": "false",
    "fib.ignore_origin": "true", "fib.always_compare_med": "true", "fib.nexthop_compat_mode": "false",
    "fib.link_bandwidth": '"skip-missing"',
    "fib.manage_sysctls": "false", "fib.audit_interval": "5.0",
    "liveness.method": '"off"', "liveness.interval": "0.5", "liveness.retransmit": "0.2", "liveness.retries": "3",
    "metrics.listen": '"127.0.0.1:9179"', "metrics.token_file": '"/etc/hostname"',
    "metrics.certificate": '"/etc/hostname"', "metrics.key": '"/etc/hostname"',
    "metrics.compatibility": '["gobgp"]',
    "drain.state_file": '"{directory}/drains.json"',
    "mqtt.broker": '"mqtt://127.0.0.1:1"', "mqtt.site": '"ams"', "mqtt.router": '"gw1"', "mqtt.user": '"routerd"',
    "mqtt.password_file": '"{directory}/password"', "mqtt.ca_file": '"{directory}/ca.pem"',
    "mqtt.certificate_file": '"{directory}/cert.pem"', "mqtt.key_file": '"{directory}/key.pem"',
    "mqtt.fleet_key_file": '"{directory}/fleet.key"', "mqtt.vip_limit": "5", "mqtt.event_expiry": "60",
    "mqtt.metrics_interval": "10",
    "pair.router": '"gw1"', "pair.channel": '"mqtt"', "pair.address": '"10.0.0.9"', "pair.listen": '"10.0.0.1"',
    "pair.port": "7180", "pair.key_file": '"{directory}/pair.key"', "pair.hash_seed": "7", "pair.hold_time": "1.0",
    "pair.certificate_file": '"{directory}/gw1.pem"', "pair.private_key_file": '"{directory}/gw1.key"',
    "pair.ca_file": '"{directory}/pair-ca.pem"',
    "mrt.directory": '"{directory}/mrt"', "mrt.interval": "60", "mrt.updates": "true", "mrt.rotate": "60",
    "mrt.keep": "2",
    "looking_glass.listen": '["10.0.0.1"]', "looking_glass.port": "8080", "looking_glass.rate": "5",
    "looking_glass.connections": "5",
    "peer_groups.nodes.remote_as": "65001", "peer_groups.nodes.hold_time": "30", "peer_groups.nodes.multihop": "3",
    "peer_groups.nodes.ttl_security": "true", "peer_groups.nodes.graceful_restart": "false",
    "peer_groups.nodes.restart_time": "30", "peer_groups.nodes.stale_time": "300",
    "peer_groups.nodes.families": '["ipv4"]', "peer_groups.nodes.password": '"secret"',
    "peer_groups.nodes.accept": '"any"', "peer_groups.nodes.advertise": '["default"]',
    "peer_groups.nodes.next_hop": '"any"',
}  # fmt: skip
"""Another value of each key that does not take a restart."""
RESTART = {
    "fib.metric": "30", "fib.nexthop_id_base": "800_000_000", "fib.nexthop_id_count": "2_000_000",
    "api.socket": '"/tmp/other.sock"', "api.group": '"daemon"',
    "api.readers": '"daemon"', "api.readers_socket": '"/tmp/others.sock"',
    "pair.partner": '"gw2"\naddress = "10.0.0.9"\nkey_file = "/etc/routerd/pair.key"',
}  # fmt: skip


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, STATIC, ("--journal", str(tmp_path / "journal.json"))) as made:
        yield made


def written(text: str, key: str, value: str) -> str:
    """Return the configuration with a key set."""
    section, _, name = key.rpartition(".")
    header = f"[{section}]\n"
    text = re.sub(rf"(?ms)^(\[{re.escape(section)}\]\n(?:(?!^\[).)*?)^{name} = [^\n]*\n", r"\1", text)
    return (
        text.replace(header, f"{header}{name} = {value}\n")
        if header in text
        else f"{text}\n{header}{name} = {value}\n"
    )


def reload(daemon: Routerd, text: str, *options: str) -> dict[str, Any]:
    """Write the file and have it taken; return the answer."""
    daemon.config.write_text(text)
    done = daemon.cli("reload", "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


async def nodes_up(network: Network, clients: list[Client]) -> None:
    """Have two nodes announce an address; the second one is a static peer."""
    for number in (0, 1):
        client = await network.establish(number)
        clients.append(client)
        client.send(announcement(number, VIP) + bgp.end_of_rib())
    await network.has(VIP, 0, 1)


def generations(daemon: Routerd) -> list[int]:
    """Return how many sessions each node has had."""
    return [daemon.peer(number)["sessions"] for number in (0, 1)]


@contextmanager
def heard(network: Network, *objects: str) -> Iterator[list[str]]:
    """Listen to what the kernel tells of its objects; the lines are there once the block has ended."""
    told: list[str] = []
    with TemporaryFile("w+") as file:
        monitor = network.router.spawn("ip", "-o", "monitor", *objects, stdout=file)
        try:
            yield told
        finally:
            monitor.kill()
            monitor.wait()
            file.seek(0)
            told.extend(file)


def marked() -> set[str]:
    """Return the keys whose change resets sessions, as the models say."""
    sections: dict[str, Any] = {"router": RouterSection, "fib": FibSection, "peer_groups.nodes": PeerGroup}
    return {f"{s}.{key}" for s, model in sections.items() for key, c in costs(model) if c.impact is Impact.SESSION}


async def test_a_live_key_resets_nothing(daemon: Routerd, network: Network, clients: list[Client]) -> None:
    """Each takes effect, and back: the daemon says that it runs with it, and routes and sessions are as they were."""
    await nodes_up(network, clients)
    good = daemon.config.read_text()
    for number, key in enumerate(sorted(VALUES.keys() - marked())):
        value = VALUES[key].replace("{directory}", str(daemon.config.parent))
        answer = reload(daemon, written(good, key, value))
        assert [each["key"] for each in answer["changes"]] == [key]
        assert [each["impact"] for each in answer["changes"]] == ["live"]
        assert answer["resets"] == []
        assert reload(daemon, daemon.config.read_text())["changes"] == []
        later = f"172.16.2.{number}/32"
        clients[0].send(announcement(0, later))
        await becomes(lambda later=later: network.nhid(later))
        assert network.nhid(VIP), key
        assert [each["key"] for each in reload(daemon, good)["changes"]] == [key]
        assert generations(daemon) == [1, 1], key
    await network.has(VIP, 0, 1)


@pytest.mark.parametrize("key", sorted(marked()))
async def test_a_key_of_the_session_resets_it_and_costs_no_route(
    daemon: Routerd, network: Network, clients: list[Client], key: str
) -> None:
    """The routes stay until the nodes are back, and they are back with the new parameters."""
    await nodes_up(network, clients)
    with heard(network, "route") as told:
        answer = reload(daemon, written(daemon.config.read_text(), key, VALUES[key]))
        assert [each["impact"] for each in answer["changes"]] == ["session reset"]
        assert {each["peer"] for each in answer["resets"]} == {"w1", node(0)}
        for client in clients:
            await client.closed()
            await client.close()
        clients.clear()
        await network.has(VIP, 0, 1)
        options: dict[str, Any] = {}
        if key.endswith("password"):
            options["password"] = "secret"
        if key.endswith("ttl_security"):
            options["ttl"] = 255
        for number in (0, 1):
            client = await network.establish(number, **options)
            clients.append(client)
            client.send(announcement(number, VIP) + bgp.end_of_rib())
        await becomes(lambda: [daemon.peer(n)["state"] for n in (0, 1)], ["established"] * 2)
        await becomes(lambda: daemon.count(0, "stale") + daemon.count(1, "stale"), 0)
        await network.has(VIP, 0, 1)
    assert not [line for line in told if VIP.removesuffix("/32") in line]


@pytest.mark.parametrize("key", ["router.asn", "peer_groups.nodes.remote_as", "peer_groups.nodes.hold_time"])
async def test_who_was_reset_is_as_before(daemon: Routerd, network: Network, clients: list[Client], key: str) -> None:
    """Nodes hear why, those of a range are of that range again, and the next change leaves them alone."""
    await nodes_up(network, clients)
    good = daemon.config.read_text()
    reload(daemon, written(good, key, VALUES[key]))
    for client in clients:
        assert (await client.expect(bgp.NOTIFICATION))[1][:2] in (b"\6\6", b"\6\x09")
        await client.closed()
        await client.close()
    clients.clear()
    for number in (0, 1):
        clients.append(await network.establish(number))
        clients[number].send(announcement(number, VIP) + bgp.end_of_rib())
    await becomes(lambda: generations(daemon), [2, 2])
    answer = reload(daemon, written(daemon.config.read_text(), "peer_groups.nodes.stale_time", "300"))
    assert answer["resets"] == []
    with pytest.raises(TimeoutError):
        await clients[0].closed(0.5)
    limited = daemon.config.read_text().replace("[[dynamic_peers]]", "[[dynamic_peers]]\nlimit = 1", 1)
    assert reload(daemon, limited)["resets"] == []
    clients.append(await network.connect(2))
    with pytest.raises(ClosedError):
        await clients[2].establish()
    assert generations(daemon) == [2, 2]


@pytest.mark.parametrize("key", sorted(RESTART))
async def test_a_key_that_takes_a_restart_changes_nothing(daemon: Routerd, key: str) -> None:
    """Nor does any other key of that file."""
    good = daemon.config.read_text()
    daemon.config.write_text(written(written(good, key, RESTART[key]), "peer_groups.nodes.hold_time", "30"))
    done = daemon.cli("reload")
    assert done.returncode == 1
    assert f"{key}: takes a restart: " in done.stderr
    assert daemon.cli("diff").returncode == 1
    daemon.config.write_text(good)
    assert daemon.cli("diff").stdout == "nothing changes\n"


async def test_a_file_with_an_error_changes_nothing(
    daemon: Routerd, network: Network, clients: list[Client], tmp_path: Path
) -> None:
    await nodes_up(network, clients)
    good = daemon.config.read_text()
    for bad in (good.replace("[router]", "[router"), written(good, "fib.max_paths", "0"), "", "\xff"):
        daemon.config.write_bytes(bad.encode("latin-1"))
        done = daemon.cli("reload")
        assert done.returncode == 1
        assert str(daemon.config) in done.stderr
    other = written(good, "router.listen", '["192.0.2.1"]')
    daemon.config.write_text(other)
    done = daemon.cli("reload")
    assert done.returncode == 1
    assert "router.listen: nodes cannot dial in at 192.0.2.1" in done.stderr
    assert daemon.cli("reload", str(tmp_path / "nowhere.toml")).returncode == 1
    daemon.config.write_text(good)
    assert daemon.cli("diff").returncode == 0
    assert generations(daemon) == [1, 1]
    await network.has(VIP, 0, 1)


async def test_the_same_file_again_says_nothing_to_anybody(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    await nodes_up(network, clients)
    for _ in ("the network", "the end of IPv4", "the end of IPv6"):
        await clients[0].expect(2)
    with heard(network, "route", "nexthop") as told:
        explicit = written(daemon.config.read_text(), "peer_groups.nodes.next_hop", '"peer"')
        for text in (daemon.config.read_text(), explicit, explicit):
            assert reload(daemon, text)["changes"] == []
        clients[1].send(announcement(1, "172.16.3.3/32"))
        await network.has("172.16.3.3/32", 1)
    assert not [line for line in told if VIP.removesuffix("/32") in line]
    with pytest.raises(TimeoutError):
        await clients[0].expect(2, 0.5)


async def test_a_peer_that_is_removed_is_gone(daemon: Routerd, network: Network, clients: list[Client]) -> None:
    await nodes_up(network, clients)
    text = re.sub(r'\[\[dynamic_peers\]\]\nrange = "[^"]*"', f'[[dynamic_peers]]\nrange = "{node(5)}/32"', STATIC)
    answer = reload(daemon, text.replace("{socket}", str(daemon.socket)) + '\n[drain]\nstate_file = ""\n')
    assert answer["resets"] == [{"peer": node(0), "keys": ["peers"]}]
    await clients[0].closed()
    await network.has(VIP, 1)
    assert generations(daemon)[1] == 1


async def test_what_is_not_confirmed_is_taken_back(daemon: Routerd, network: Network, clients: list[Client]) -> None:
    await nodes_up(network, clients)
    good = daemon.config.read_text()
    answer = reload(daemon, written(good, "peer_groups.nodes.accept", '["172.20.0.0/16"]'), "--confirm", "1")
    assert 0 < answer["confirm_seconds"] <= 1
    await network.has(VIP, 0, 1)
    assert daemon.cli("diff").returncode == 1, "the file is not what runs"
    assert daemon.cli("confirm").returncode == 1, "too late"
    reload(daemon, written(good, "peer_groups.nodes.accept", '["172.20.0.0/16"]'), "--confirm", "60")
    await network.has(VIP)
    assert "configuration" in daemon.problems()
    assert daemon.cli("reload").returncode == 1, "one change at a time"
    assert daemon.cli("rollback").returncode == 0
    await network.has(VIP, 0, 1)
    reload(daemon, written(good, "peer_groups.nodes.accept", '["172.20.0.0/16"]'), "--confirm", "60")
    assert daemon.cli("confirm").returncode == 0
    assert "configuration" not in daemon.problems()
    assert daemon.cli("rollback").returncode == 0
    await network.has(VIP, 0, 1)
    assert generations(daemon) == [1, 1]


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_crash_begins_with_what_was_confirmed(daemon: Routerd, network: Network, confirmed: bool) -> None:
    """Even though the file says what was not."""
    good = daemon.config.read_text()
    reload(daemon, written(good, "router.router_id", '"10.0.0.77"'), "--confirm", "3600")
    if confirmed:
        assert daemon.cli("confirm").returncode == 0
    daemon.kill()
    daemon.start("--journal", str(daemon.config.parent / "journal.json"))
    status = daemon.status()
    assert status["router_id"] == ("10.0.0.77" if confirmed else "10.0.0.1")
    assert ("configuration" in daemon.problems()) is not confirmed
    if not confirmed:
        daemon.config.write_text(written(good, "router.router_id", '"10.0.0.78"'))
        daemon.kill()
        daemon.start("--journal", str(daemon.config.parent / "journal.json"))
        assert daemon.status()["router_id"] == "10.0.0.78", "the operator has written another file since"


async def test_a_crash_beside_a_broken_file_begins_with_what_was_confirmed(daemon: Routerd) -> None:
    good = daemon.config.read_text()
    reload(daemon, written(good, "router.router_id", '"10.0.0.77"'))
    daemon.config.write_text("[router")
    daemon.kill()
    daemon.start("--journal", str(daemon.config.parent / "journal.json"))
    assert daemon.status()["router_id"] == "10.0.0.77"
    assert "cannot be used" in daemon.problems()["configuration"]
    reload(daemon, good)
    assert "configuration" not in daemon.problems()


async def test_sighup_takes_the_file(daemon: Routerd) -> None:
    good = daemon.config.read_text()
    daemon.config.write_text(written(good, "router.router_id", '"10.0.0.77"'))
    daemon.signal(signal.SIGHUP)
    await becomes(lambda: daemon.status()["router_id"], "10.0.0.77")
    daemon.config.write_text("[router")
    daemon.signal(signal.SIGHUP)
    await becomes(lambda: "the configuration stays as it is" in daemon.log.read_text())
    assert daemon.status()["router_id"] == "10.0.0.77"


async def test_history_says_who_changed_what(daemon: Routerd) -> None:
    good = daemon.config.read_text()
    reload(daemon, written(good, "peer_groups.nodes.password", '"secret1"'))
    reload(daemon, written(good, "peer_groups.nodes.password", '"secret2"'))
    assert daemon.cli("rollback", "1").returncode == 0
    shown = json.loads(daemon.cli("config", "history", "--json").stdout)
    assert [entry["number"] for entry in shown] == [4, 3, 2, 1]
    assert [[change["key"] for change in entry["changes"]] for entry in shown] == [
        ["peer_groups.nodes.password"]
    ] * 3 + [[]]
    assert shown[1]["by"].startswith("root (uid 0, pid ")
    assert "back to 1" in shown[0]["by"]
    text = (
        daemon.cli("config", "history").stdout
        + daemon.cli("config", "history", "--json").stdout
        + daemon.log.read_text()
    )
    assert "secret" not in text
    assert (daemon.config.parent / "journal.json").stat().st_mode & 0o777 == 0o600
    assert daemon.cli("rollback", "99").returncode == 1


async def test_a_journal_that_cannot_be_written_changes_nothing(network: Network, tmp_path: Path) -> None:
    """What could come back after a crash must not be in force."""
    with running(network.router, tmp_path, STATIC, ("--journal", "/proc/journal.json")) as daemon:
        daemon.config.write_text(written(daemon.config.read_text(), "router.router_id", '"10.0.0.77"'))
        done = daemon.cli("reload")
        assert done.returncode == 1
        assert "/proc/journal.json cannot be written" in done.stderr
        assert daemon.status()["router_id"] == "10.0.0.1"


def test_without_a_daemon_there_is_a_remedy(tmp_path: Path) -> None:
    done = cli("reload", "--socket", str(tmp_path / "none.sock"))
    assert done.returncode == 1
    assert "routerd is not running" in done.stderr


async def test_a_port_that_somebody_else_has_is_refused(daemon: Routerd, network: Network) -> None:
    """At an address that is new, and at all with a port that is new."""
    good = daemon.config.read_text()
    network.router.ip("address", "add", "10.0.0.2/24", "dev", "eth0")
    reload(daemon, written(good, "router.listen", '["10.0.0.1"]'))
    for port, text in (
        (179, written(good, "router.listen", '["10.0.0.1", "10.0.0.2"]')),
        (1790, written(good, "router.port", "1790")),
    ):
        with network.router.enter(), socket.create_server(("10.0.0.2", port)):
            daemon.config.write_text(text)
            done = daemon.cli("reload")
            assert done.returncode == 1
            assert "Address already in use" in done.stderr
    for listen in ('["10.0.0.1", "10.0.0.2"]', '["0.0.0.0"]', '["10.0.0.2"]'):
        assert reload(daemon, written(good, "router.listen", listen))["changes"]
        await becomes(lambda: "speaker" not in daemon.problems())


async def test_an_address_that_is_gone_costs_no_other_part(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    """A change is taken back to an address that the router has no more: the peers are as before all the same, status
    says what is missing, and the address is listened on once it is back."""
    network.router.ip("address", "add", "10.0.0.2/32", "dev", "lo")
    good = written(daemon.config.read_text(), "router.listen", '["10.0.0.1", "10.0.0.2"]')
    reload(daemon, good)
    reload(
        daemon,
        written(written(good, "router.listen", '["10.0.0.1"]'), "peer_groups.nodes.password", '"secret"'),
        "--confirm",
        "60",
    )
    network.router.ip("address", "del", "10.0.0.2/32", "dev", "lo")
    assert daemon.cli("rollback").returncode == 0
    await nodes_up(network, clients)
    assert "nodes cannot dial in at 10.0.0.2 179" in daemon.problems()["speaker"]
    network.router.ip("address", "add", "10.0.0.2/32", "dev", "lo")
    await becomes(lambda: "speaker" not in daemon.problems())


async def test_who_moves_keeps_the_session(daemon: Routerd, network: Network, clients: list[Client]) -> None:
    """From a range to a name of its own and back, to another name, another group of the same parameters, another
    range, or beyond a limit: whoever is there stays, and the kernel hears nothing."""
    await nodes_up(network, clients)
    good = daemon.config.read_text()
    first = f'[[peers]]\nname = "w0"\naddress = "{node(0)}"\ngroup = "nodes"\n\n'
    second = f'[[peers]]\nname = "w1"\naddress = "{node(1)}"\ngroup = "nodes"\n\n'
    group = good[good.index("[peer_groups.nodes]") : good.index("[[peers]]")].replace("nodes", "new")
    assert good.count(second) == 1
    with heard(network, "route", "nexthop") as told:
        for text in (
            good.replace(second, ""),
            good.replace(second, first + second),
            good.replace(second, first.replace("w0", "w1")),
            good.replace(second, second.replace("w1", "other")),
            good + group.replace("[[dynamic_peers]]", ""),
            good.replace('group = "nodes"', 'group = "new"') + group,
            good.replace("10.0.0.64/26", "10.0.0.0/16"),
            good.replace("10.0.0.64/26", f"{node(0)}/32"),
            good + f'\n[[dynamic_peers]]\nrange = "{node(0)}/32"\ngroup = "nodes"\n',
            good.replace(second, "").replace("[[dynamic_peers]]", "[[dynamic_peers]]\nlimit = 1"),
            good,
        ):
            answer = reload(daemon, text)
            assert answer["changes"]
            assert answer["resets"] == []
            later = f"172.16.4.{len(text) % 250}/32"
            for number, client in enumerate(clients):  # it is still there once this is heard
                client.send(announcement(number, later))
            await network.has(later, 0, 1)
            assert generations(daemon) == [1, 1], text
    assert not [line for line in told if VIP.removesuffix("/32") in line]
    assert daemon.peer(0)["state"] == daemon.peer(1)["state"] == "established"
