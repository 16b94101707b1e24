"""`routerd check --live`: what a file would mean for this host, and for the peers that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, becomes, cli, node, running
from tests.support.netns import needs_root

pytestmark = needs_root

NAMED = f'\n[[peers]]\nname = "w1"\naddress = "{node(1)}"\ngroup = "nodes"\n'
REFUSED = "would be refused"


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, CONFIG.replace(', "fd00:ac10::/32"', "") + NAMED) as made:
        yield made


HAVE = "peers that have a session"
GROUP = "peer_groups.nodes"
ALL, DYNAMIC = f"w1, {node(0)}, {node(2)}", f"{node(0)}, {node(2)}"
CASES = [
    ("10.0.0.64/26", "10.0.0.96/27", f"no peer and no range has the address of {HAVE}; they {REFUSED}: {DYNAMIC}"),
    ("multihop = 2", "remote_as = 65009\nmultihop = 2",
     f"{GROUP}.remote_as: peers of AS 65001 have a session, and {REFUSED}: {ALL}"),
    ("multihop = 2", 'remote_as = "internal"',
     f"{GROUP}.remote_as: peers of AS 65001 have a session, and {REFUSED}: {ALL}"),
    ("asn = 65000", "asn = 65010", f"router.asn: {HAVE} expect AS 65000 here: {ALL}"),
    ("multihop = 2", 'multihop = 2\npassword = "secret"',
     f"{GROUP}.password: it has to be set in the speakers of {HAVE}, or they are not heard: {ALL}"),
    ("multihop = 2", "multihop = 2\nttl_security = true",
     f"{GROUP}.ttl_security: {HAVE} are not heard unless they send with a TTL of 255, and at least 254 of it "
     f"arrives: {ALL}"),
    ("multihop = 2", 'multihop = 2\nfamilies = ["ipv4"]', f"{GROUP}.families: {HAVE} announce ipv6 in it: {ALL}"),
    ('26"\ngroup = "nodes"', '26"\ngroup = "nodes"\nlimit = 1',
     "dynamic_peers[0].limit: 2 peers of 10.0.0.64/26 have a session, and 1 may: the rest would be refused when they "
     f"dial in again: {DYNAMIC}"),
    ('router_id = "10.0.0.1"', 'router_id = "10.9.9.9"\nlisten = ["10.9.9.9", "::"]',
     "router.listen[0]: this host has no address 10.9.9.9: nobody could dial in there; ip address show"),
    ('router_id = "10.0.0.1"', 'router_id = "10.0.0.1"\nlisten = ["10.0.0.2", "::"]',
     f"router.listen: {HAVE} dial 10.0.0.1, which is not here any more: {ALL}"),
    ('router_id = "10.0.0.1"', 'router_id = "10.0.0.1"\nport = 1790', f"router.port: {HAVE} dial port 179: {ALL}"),
    ('router_id = "10.0.0.1"', 'router_id = "10.9.9.9"', ""),
    ('group = "root"', 'group = "nosuchgroup"',
     "api.group: this host has no group nosuchgroup: root alone could use the socket; groupadd --system nosuchgroup"),
]  # fmt: skip
"""What stands in the file, what takes its place, and the doubt about that."""


async def test_each_doubt_names_its_place_and_the_peers(daemon: Routerd, network: Network, tmp_path: Path) -> None:
    network.router.address("eth0", "10.0.0.2/24")
    own, file = daemon.config.read_text(), tmp_path / "new.toml"
    async with AsyncExitStack() as stack:
        for number in (0, 1, 2):
            await stack.enter_async_context(await network.establish(number))
        await becomes(lambda: [peer["state"] for peer in daemon.get("/v1/peers")], ["established"] * 3)
        for old, new, told in CASES:
            assert old in own
            file.write_text(own.replace(old, new, 1))
            done = daemon.cli("check", str(file), "--live")
            assert (done.returncode, done.stdout) == (0, f"{file}: ok\n"), done.stderr
            found = dict(reversed(line.split(": ", 2)[1:]) for line in done.stderr.splitlines())
            assert told in found if told else found == {}, (new, found)
            if told and "." in told.partition(":")[0]:
                number = int(found[told].rpartition(":")[2])
                key = told.partition(":")[0].rpartition(".")[2].partition("[")[0]
                assert file.read_text().splitlines()[number - 1].startswith((key, "["))
        more = '\n[peer_groups.far]\naccept = "any"\n'
        more += "".join(
            f'\n[[peers]]\nname = "{name}"\naddress = "{address}"\ngroup = "far"\n'
            for name, address in (("me", "fd00::1"), ("away", "10.1.1.1"), ("here", "10.0.0.9"))
        )
        file.write_text(own + more)
        done = daemon.cli("check", str(file), "--live", "--json")
        answer = json.loads(done.stdout)
        assert (done.returncode, answer["ok"], answer["problems"]) == (0, True, [])
        assert [line.partition(": ")[2] for line in answer["warnings"]] == [
            "peers[1].address: fd00::1 is this router's own address",
            "peers[2].address: no interface of this router has an address on the network of 10.1.1.1: nobody there "
            "could dial in with multihop = 1",
        ]
        file.write_text("asn = 1")
        assert daemon.cli("check", str(file), "--live").returncode == 1


def test_without_a_daemon_a_clear_line(tmp_path: Path) -> None:
    file, socket = tmp_path / "routerd.toml", tmp_path / "none.sock"
    file.write_text(CONFIG.replace("{socket}", "/run/routerd.sock"))
    done = cli("check", str(file), "--live", "--socket", str(socket))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"routerd: routerd is not running: nobody listens on {socket}")
    answer = json.loads(cli("check", str(file), "--live", "--json", "--socket", str(socket)).stdout)
    assert answer["ok"] is False
