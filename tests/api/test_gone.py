"""Addresses that something listens at, and that are not the router's: which are said to be gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routerd.api.models import ProblemView
from routerd.api.views.problems.gone import gone
from routerd.core.route import parse_address
from tests.support.core import CONFIG, LINKS, Simulation

OWN = LINKS[0]
KNOWN = [
    ProblemView(where="metrics", what="the certificate /a.pem is not valid now", remedy=""),
    ProblemView(where="speaker", what="nodes cannot dial in at 192.168.10.8 179, fd00:10::8 179", remedy=""),
]


def named(*listen: str, more: str = "") -> list[str]:
    """Return where it is said that an address is gone."""
    wanted = CONFIG.replace("asn = 65000", f"asn = 65000\nlisten = {['192.168.10.200', *listen]}")
    made = Simulation(wanted + more)
    made.kernel.interfaces[OWN.index] = replace(OWN, addresses=(*OWN.addresses, parse_address("fe80::1")))
    made.dump()
    return [problem["where"] for problem in gone(made.router, KNOWN)]


@pytest.mark.parametrize("address", ["::", "127.0.0.2", "fd00:10::200", "192.168.10.8", "fd00:10::8"])
def test_what_is_there_or_named_already(address: str) -> None:
    assert named(address) == []


@pytest.mark.parametrize(
    "address", ["192.168.10.9", "2001:db8::1", "192.168.10.88", "2.168.10.8", "192.168.10.1", "d00:10::8"]
)
def test_what_is_gone(address: str) -> None:
    assert named(address) == ["speaker"]


@pytest.mark.parametrize(("address", "where"), [("fe80::1%nodes10", []), ("fe80::2%nodes10", ["looking glass"])])
def test_an_address_of_the_link_alone(address: str, where: list[str]) -> None:
    assert named(more=f"[looking_glass]\nlisten = ['{address}']\n") == where


@pytest.mark.parametrize(("address", "where"), [("192.168.10.200", []), ("192.168.10.9", ["pair"])])
def test_where_the_partner_dials(address: str, where: list[str]) -> None:
    pair = 'partner = "gw2"\nrouter = "gw1"\naddress = "192.168.10.201"\nkey_file = "/a.key"\n'
    assert named(more=f'[fib]\nhash_policy = "five-tuple"\n[pair]\n{pair}listen = "{address}"\n') == where


@pytest.mark.parametrize(("address", "where"), [("192.168.10.200", []), ("192.168.10.9", ["metrics"])])
def test_an_ipv4_address_in_ipv6(address: str, where: list[str]) -> None:
    assert named(more=f"[metrics]\nlisten = '[::ffff:{address}]:9179'\n") == where
