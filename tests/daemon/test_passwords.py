"""TCP MD5 keys of a static peer and of ranges, end to end: the right key, a wrong one, none, and one too many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon.harness import Network, Routerd, announcement, network, running
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

CONFIG = """
[router]
asn = 65000
router_id = "10.0.0.1"

[api]
socket = "{socket}"
group = "root"

[peer_groups.static]
accept = ["172.16.0.0/12"]
password = "of the static peer"

[peer_groups.first]
remote_as = 65002
accept = ["172.16.0.0/12"]
password = "hello1"

[peer_groups.second]
remote_as = 65003
accept = ["172.16.0.0/12"]
password = "hello2"

[peer_groups.open]
accept = ["172.16.0.0/12"]

[[peers]]
name = "k8s-w0"
address = "10.0.0.65"
group = "static"

[[dynamic_peers]]
range = "10.0.0.64/28"
group = "first"

[[dynamic_peers]]
range = "10.0.0.80/28"
group = "second"

[[dynamic_peers]]
range = "10.0.0.96/28"
group = "open"
"""

STATIC, FIRST, SECOND, OPEN = 0, 5, 20, 35
"""Nodes of each kind."""


@pytest.fixture(scope="module", name="network")
def _network() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def daemon(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routerd]:
    with running(network.router, tmp_path_factory.mktemp("daemon"), CONFIG) as made:
        yield made


@pytest.mark.parametrize(
    ("number", "options"),
    [
        (STATIC, {"password": "of the static peer"}),
        (FIRST, {"password": "hello1", "asn": 65002}),
        (SECOND, {"password": "hello2", "asn": 65003}),
        (OPEN, {}),
    ],
    ids=["static", "first range", "second range", "open range"],
)
async def test_the_right_key(
    daemon: Routerd, network: Network, clients: list[Client], number: int, options: dict[str, Any]
) -> None:
    client = await network.establish(number, **options)
    clients.append(client)
    vip = f"172.16.1.{number}"
    client.send(announcement(number, vip, as_path=[options.get("asn", 65001)]))
    await network.has(vip, number)
    assert daemon.peer(number)["state"] == "established"


@pytest.mark.parametrize(
    ("number", "password"),
    [
        (STATIC, "wrong"),
        (STATIC, "hello1"),
        (STATIC, None),
        (FIRST, "hello2"),
        (FIRST, None),
        (SECOND, "hello1"),
        (OPEN, "hello1"),
    ],
)
async def test_a_wrong_key_gets_no_connection(
    daemon: Routerd, network: Network, number: int, password: str | None
) -> None:
    sessions = {peer["address"]: peer["sessions"] for peer in daemon.get("/v1/peers")}
    with pytest.raises(TimeoutError):
        await network.connect(number, password=password, seconds=0.5)
    assert {peer["address"]: peer["sessions"] for peer in daemon.get("/v1/peers")} == sessions


def test_no_password_is_shown(daemon: Routerd) -> None:
    said = daemon.log.read_text() + daemon.cli("status", "--json").stdout + daemon.cli("peers", "--json").stdout
    for password in ("of the static peer", "hello1", "hello2"):
        assert password not in said
