"""Nodes that dial in and get no session: `routerd status` says who, why, how often, and what helps."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from routerd.api.models import ProblemView, RefusalView
from tests.daemon.harness import Network, Routerd, becomes, network, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

CONFIG = """
[router]
asn = 65000
router_id = "10.0.0.1"

[api]
socket = "{socket}"
group = "root"

[peer_groups.nodes]
remote_as = 65001
accept = ["172.16.0.0/12"]

[peer_groups.secret]
accept = ["172.16.0.0/12"]
password = "hunter2"

[[peers]]
name = "k8s-w0"
address = "10.0.0.65"
group = "secret"

[[dynamic_peers]]
range = "10.0.0.66/31"
group = "nodes"
limit = 1
"""

SECRET, FIRST, SECOND, STRANGER = 0, 1, 2, 9


@pytest.fixture(scope="module", name="network")
def _network() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture
def daemon(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routerd]:
    with running(network.router, tmp_path_factory.mktemp("daemon"), CONFIG) as made:
        yield made


def refusal(daemon: Routerd, number: int) -> RefusalView | None:
    return next((each for each in daemon.status()["refusals"] if each["address"] == node(number)), None)


def count(daemon: Routerd, number: int) -> int:
    found = refusal(daemon, number)
    return found["count"] if found else 0


def problem(daemon: Routerd, where: str) -> ProblemView | None:
    return next((each for each in daemon.status()["problems"] if where in each["where"]), None)


async def told(daemon: Routerd, where: str) -> ProblemView:
    """Wait for a problem."""
    await becomes(lambda: problem(daemon, where) is not None, True)
    found = problem(daemon, where)
    assert found is not None
    return found


async def fail(network: Network, number: int, **options: object) -> bytes:
    """Dial in and be refused; return the NOTIFICATION."""
    client = await network.connect(number, **options)
    client.send(bgp.open_message(asn=int(str(options.get("asn", 65001)))))
    _, said = await client.expect(bgp.NOTIFICATION)
    await client.close()
    return said


async def test_the_wrong_as(daemon: Routerd, network: Network) -> None:
    for _ in range(3):
        assert (await fail(network, FIRST, asn=65002))[:2] == b"\2\2"
    await becomes(lambda: count(daemon, FIRST), 3)
    found = await told(daemon, node(FIRST))
    assert "Bad Peer AS (got AS 65002, expected AS 65001); 3 times, the last " in found["what"]
    assert found["remedy"] == "correct the AS in the node's speaker, or remote_as in [peer_groups.nodes]"
    shown = daemon.cli("status").stdout
    assert "all is well" not in shown
    assert "nobody has dialled in" not in shown
    assert daemon.log.read_text().count("got AS 65002") == 3
    client = await network.establish(FIRST)  # the operator has mended it
    await becomes(lambda: problem(daemon, node(FIRST)) is None, True)
    await client.close()


async def test_an_address_of_no_peer_and_a_full_range(daemon: Routerd, network: Network) -> None:
    assert await fail(network, STRANGER) == b"\6\3"
    found = await told(daemon, node(STRANGER))
    assert "no peer and no range has this address" in found["what"]
    assert found["remedy"].startswith(f"add {node(STRANGER)} to [[peers]]")
    client = await network.establish(FIRST)
    assert await fail(network, SECOND) == b"\6\5"
    found = await told(daemon, node(SECOND))
    assert "the limit of 1 peers of 10.0.0.66/31 is reached" in found["what"]
    assert "raise limit" in found["remedy"]
    await client.close()


@pytest.mark.parametrize(
    ("said", "name", "remedy"),
    [
        ((6, 3), "Peer De-configured", "has to have this router as its peer, as AS 65000"),
        ((2, 11), "Role Mismatch", "turn its strict mode off"),
    ],
)
async def test_what_the_node_says(
    daemon: Routerd, network: Network, said: tuple[int, int], name: str, remedy: str
) -> None:
    client = await network.connect(FIRST)
    client.introduce()
    await client.expect(bgp.OPEN)
    client.send(bgp.notification(*said))
    what = f"NOTIFICATION {said[0]}/{said[1]} received: {name}"
    (found,) = await becomes(lambda: [each for each in daemon.status()["problems"] if each["what"].startswith(what)])
    assert remedy in found["remedy"]
    await client.close()


async def test_a_flood_of_refused_connections_is_a_few_lines_of_log(daemon: Routerd, network: Network) -> None:
    for _ in range(100):
        await fail(network, STRANGER)
    await becomes(lambda: count(daemon, STRANGER), 100)
    await becomes(lambda: '"repeated"' in daemon.log.read_text(), seconds=20)
    text = daemon.log.read_text()
    lines = [line for line in text.splitlines() if f'"{node(STRANGER)}"' in line]
    assert len(lines) <= 40
    assert sum(int(times) for times in re.findall(r'"times": (\d+)', text)) + len(lines) >= 90


@pytest.mark.parametrize("password", [None, "wrong"])
async def test_a_password_that_is_missing_or_wrong(daemon: Routerd, network: Network, password: str | None) -> None:
    client = await network.establish(SECRET, password="hunter2")
    client.send(bgp.notification(6, 2, b"\x07upgrade"))
    await becomes(lambda: "upgrade" in daemon.peer(SECRET)["reason"])
    await client.close()
    with pytest.raises(TimeoutError):
        await network.connect(SECRET, password=password, seconds=0.3)
    found = await told(daemon, "tcp")
    assert ("a wrong password" if password else "without a password") in found["what"]
    assert found["what"].endswith("perhaps of k8s-w0")
    assert "nstat" in found["remedy"]
    reason = daemon.peer(SECRET)["reason"]
    assert "perhaps its own; before: NOTIFICATION 6/2 received" in reason
    assert "tcp segments dropped" in daemon.log.read_text()


async def test_a_password_that_is_not_expected(daemon: Routerd, network: Network) -> None:
    with pytest.raises(TimeoutError):
        await network.connect(FIRST, password="hunter2", seconds=0.3)
    found = await told(daemon, "tcp")
    assert "from where none is configured" in found["what"]
    assert "a node of 10.0.0.66/31" in found["what"]
