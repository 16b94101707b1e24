"""The daemon and its partner: a link, what goes over it, and what a reload does to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from routerd.config.pairing import TLS
from tests.daemon.harness import CONFIG, ROUTER, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.certificates import authority, signed
from tests.support.mosquitto import mosquitto, needs_mosquitto
from tests.support.netns import needs_root
from tests.telemetry.pair.ends import End, end

pytestmark = needs_root

VIP = "172.16.1.1/32"
KEY, OTHER = "0123456789abcdef0123456789abcdef\n", "fedcba9876543210fedcba9876543210\n"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "pair.key"
    path.touch(0o600)
    path.write_text(KEY)
    return path


@pytest.fixture
def daemon(network: Network, tmp_path: Path, key_file: Path) -> Iterator[Routerd]:
    section = f'[pair]\nrouter = "gw1"\npartner = "gw2"\naddress = "{node(9)}"\nkey_file = "{key_file}"\n'
    with running(network.router, tmp_path, f"{CONFIG}\n{section}") as made:
        yield made


@pytest.fixture
def partner(network: Network, tmp_path: Path) -> Iterator[End]:
    """gw2, with the key as it was at first."""
    own = tmp_path / "partner.key"
    own.touch(0o600)
    own.write_text(KEY)
    options = {"names": ("gw2", "gw1"), "address": ROUTER, "listen": node(9), "key_file": str(own)}
    with end("link", options, network.nodes) as made:
        yield made


async def test_the_partner_hears_who_this_router_is_and_where_its_groups_lead(
    daemon: Routerd, partner: End, network: Network, clients: list[Client]
) -> None:
    await becomes(lambda: partner.up)
    await becomes(lambda: "Hello(router='gw1'" in "".join(partner.heard) and "AllSaid()" in partner.heard)
    for number in (0, 1):
        clients.append(await network.establish(number))
        clients[number].send(announcement(number, VIP) + bgp.end_of_rib())
    await network.has(VIP, 0, 1)
    await becomes(lambda: VIP in partner.heard)
    assert partner.ups == 1
    daemon.kill()
    await becomes(lambda: partner.up, False)


@needs_mosquitto
async def test_the_broker_carries_the_same(network: Network, tmp_path: Path, key_file: Path) -> None:
    """And a broker that dies costs the channel, and nothing else."""
    with mosquitto(tmp_path, network.router) as broker:
        section = f'[pair]\npartner = "gw2"\nchannel = "mqtt"\nkey_file = "{key_file}"\n'
        config = f'{CONFIG}\n[mqtt]\nbroker = "{broker.url}"\nrouter = "gw1"\n{section}'
        options = {"names": ("gw2", "gw1"), "url": broker.url, "key_file": str(key_file)}
        with running(network.router, tmp_path, config) as daemon, end("mqtt", options, network.router) as partner:
            await becomes(lambda: "Hello(router='gw1'" in "".join(partner.heard) and "AllSaid()" in partner.heard)
            broker.kill()
            await becomes(lambda: partner.up, False)
            broker.start()
            await becomes(lambda: partner.heard.count("AllSaid()"), 2)
            assert daemon.running


async def test_another_key_is_taken_as_it_is_written(daemon: Routerd, partner: End, key_file: Path) -> None:
    """The channel is down until both have it, which it says."""
    await becomes(lambda: partner.up)
    key_file.write_text(OTHER)
    await becomes(lambda: partner.up, False)
    await becomes(lambda: "it has another key" in partner.reasons[-1])
    assert "no channel to the partner" in daemon.log.read_text()
    key_file.write_text(KEY)
    await becomes(lambda: partner.up)


async def test_a_reload_refuses_a_key_that_is_of_no_use(daemon: Routerd, partner: End, tmp_path: Path) -> None:
    await becomes(lambda: partner.up)
    other = tmp_path / "other.key"
    good = daemon.config.read_text()
    daemon.config.write_text(good.replace("pair.key", "other.key"))
    refused = daemon.cli("reload")
    assert refused.returncode
    assert f"pair.key_file: {other}: No such file or directory" in refused.stderr
    other.touch(0o644)
    other.write_text(OTHER)
    assert f"{other} is open to everybody on this machine: chmod o= {other}" in daemon.cli("reload").stderr
    assert (partner.ups, partner.up) == (1, True)
    other.chmod(0o600)
    taken = daemon.cli("reload")
    assert not taken.returncode
    assert "gw2 has to get the same key: until then there is no channel" in " ".join(taken.stdout.split())
    await becomes(lambda: "it has another key" in "".join(partner.reasons[-1:]))


async def test_a_dry_run_says_what_the_partner_has_to_get(daemon: Routerd) -> None:
    """And that there will be none to agree with: a change that a reload refuses, as it takes a restart."""
    good = daemon.config.read_text()
    daemon.config.write_text(good + "\n[fib]\nbuckets = 64\n")
    said = " ".join(daemon.cli("diff").stdout.split())
    assert "gw2 has to get the same: until then new groups have another number of buckets there" in said
    daemon.config.write_text(good.replace('partner = "gw2"\n', ""))
    for command in ("diff", "reload"):
        done = daemon.cli(command)
        assert "with gw2 nothing is agreed on any more" in " ".join((done.stdout + done.stderr).split())
    assert done.returncode


async def test_tls_comes_with_a_reload_that_refuses_what_is_of_no_use(
    network: Network, daemon: Routerd, partner: End, tmp_path: Path, key_file: Path
) -> None:
    await becomes(lambda: partner.up)
    files = signed(authority(tmp_path), "gw1", days=-1)
    keys = "".join(f'{key} = "{path}"\n' for key, path in zip(TLS, files, strict=True))
    daemon.config.write_text(daemon.config.read_text().replace("[pair]\n", f"[pair]\n{keys}"))
    refused = daemon.cli("reload")
    assert refused.returncode
    assert f"pair.certificate_file: {files.certificate} is not valid by ca_file {files.ca}" in refused.stderr
    assert (partner.ups, partner.up) == (1, True)
    signed(Path(files.ca), "gw1")
    assert not daemon.cli("reload").returncode
    await becomes(lambda: "it talks over TLS, and this router does not" in "".join(partner.reasons[-1:]))
    await becomes(lambda: "it does not talk over TLS, and this router does" in str(daemon.status()["problems"]))
    partner.close()
    options = {"names": ("gw2", "gw1"), "address": ROUTER, "listen": node(9), "key_file": str(key_file)}
    with end("link", options | {"files": signed(Path(files.ca), "gw2")}, network.nodes) as other:
        await becomes(lambda: other.up)
        await becomes(lambda: "Hello(router='gw1'" in "".join(other.heard))
