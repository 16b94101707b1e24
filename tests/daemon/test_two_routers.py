"""Two daemons before the same nodes, one pair: the same seed, and each bucket leads to the same node on both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import Namespace, namespace, needs_root, veth

pytestmark = needs_root

VIP = "172.16.1.1/32"
ADDRESSES = ("10.0.0.1", "10.0.0.2")
FIB = '[fib]\nhash_policy = "five-tuple"\nidle_timer = 1.0\nbuckets = 64\n'


class Two:
    """Both routers, and the nodes' namespace."""

    def __init__(self, routers: list[Namespace], nodes: Namespace, daemons: list[Routerd]) -> None:
        self.routers = routers
        self.daemons = daemons
        self.nodes = nodes
        self.networks = [Network(router, nodes) for router in routers]

    async def establish(self, number: int, clients: list[Client], addresses: Sequence[str] = ADDRESSES) -> None:
        """Have a node announce the VIP to both."""
        for address in addresses:
            with self.nodes.enter():
                client = await bgp.connect(address, source=node(number), router_id=node(number), asn=65001)
            clients.append(client)
            await client.establish()
            client.send(announcement(number, VIP) + bgp.end_of_rib())

    def layout(self, which: int) -> list[str | None]:
        """Return the gateway of each bucket of the VIP's group."""
        router = self.routers[which]
        gateways = {each["id"]: each.get("gateway") for each in router.ip_json("nexthop", "show")}
        found = router.ip_json("nexthop", "bucket", "show", "id", str(self.networks[which].nhid(VIP)))
        return [gateways.get(each["bucket"]["nhid"]) for each in found]  # None: a stand-in, for a moment

    def agree(self, *numbers: int) -> bool:
        """Whether both have these nodes, and the same layout of them."""
        one, other = self.layout(0), self.layout(1)
        return one == other and {*one} == {node(number) for number in numbers}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    key_file = tmp_path / "pair.key"
    key_file.touch(0o600)
    key_file.write_text("0123456789abcdef0123456789abcdef\n")
    with ExitStack() as stack:
        nodes = stack.enter_context(namespace("nodes"))
        routers = [stack.enter_context(namespace(f"gw{number}")) for number in (1, 2)]
        nodes.bridge("br0", *(f"{node(number)}/24" for number in range(4)))
        daemons = []
        for number, (router, address) in enumerate(zip(routers, ADDRESSES, strict=True), start=1):
            veth(router, "eth0", nodes, f"gw{number}")
            nodes.ip("link", "set", f"gw{number}", "master", "br0")
            router.address("eth0", f"{address}/24")
            directory = tmp_path / f"gw{number}"
            directory.mkdir()
            pair = f'[pair]\nrouter = "gw{number}"\npartner = "gw{3 - number}"\nkey_file = "{key_file}"\n'
            config = CONFIG.replace('"10.0.0.1"', f'"{address}"').replace("[api]", f"{FIB}[api]")
            text = f'{config}\n{pair}address = "{ADDRESSES[2 - number]}"\nlisten = "{address}"\n'
            daemons.append(stack.enter_context(running(router, directory, text)))
        yield Two(routers, nodes, daemons)


async def test_both_come_to_the_same_whatever_happens(two: Two, clients: list[Client]) -> None:
    seeds = [router.run("sysctl", "-n", "net.ipv4.fib_multipath_hash_seed").strip() for router in two.routers]
    assert seeds[0] == seeds[1] != "0"
    for number in (2, 0):
        await two.establish(number, clients)
    await becomes(lambda: all(network.nhid(VIP) for network in two.networks) and two.agree(0, 2))
    await two.establish(1, clients)
    await becomes(lambda: two.agree(0, 1, 2))
    for client in clients[:2]:  # of node 2
        await client.close()
    await becomes(lambda: two.agree(0, 1))
    two.daemons[1].kill()
    two.daemons[1].start()
    for number in (0, 1):
        await two.establish(number, clients, ADDRESSES[1:])
    await two.establish(3, clients)
    await becomes(lambda: two.agree(0, 1, 3))
