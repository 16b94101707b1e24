"""What a node may say though it is odd, as FRR and BIRD let it, and what ends its session, with which code."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from tests.daemon.harness import Network, Routerd, announcement, becomes, network, node, running
from tests.support import bgp
from tests.support.bgp import KEEPALIVE, NOTIFICATION, OPEN, ROUTE_REFRESH, Client, message
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1"
IDENTIFIER = "10.9.9.9"
ROUTER_ID = "10.0.0.1"

IPV4 = bytes([1, 4, 0, 1, 0, 1])
AS4 = bytes([65, 4]) + struct.pack("!I", 65001)


def said(
    parameters: bytes, *, version: int = 4, my_as: int = 65001, hold: int = 90, identifier: str = IDENTIFIER
) -> bytes:
    """Return an OPEN; `parameters` begin with their length."""
    packed = bytes(map(int, identifier.split(".")))
    return message(OPEN, struct.pack("!BHH", version, my_as, hold) + packed + parameters)


def capable(*capabilities: bytes, **fields: int | str) -> bytes:
    """Return an OPEN with capabilities in one parameter."""
    value = b"".join(capabilities)
    return said(bytes([len(value) + 2, 2, len(value)]) + value, **fields)  # type: ignore[arg-type]


def four(asn: int) -> bytes:
    """Return the four-octet AS capability."""
    return bytes([65, 4]) + struct.pack("!I", asn)


EACH = b"".join(bytes([2, len(one)]) + one for one in (IPV4, AS4, bytes([2, 0])))
LONG = b"\2" + struct.pack("!H", len(IPV4 + AS4)) + IPV4 + AS4

WELCOME = {
    "no parameters": said(b"\0"),
    "no capabilities": said(b"\2\2\0"),
    "a parameter for each capability": said(bytes([len(EACH)]) + EACH),
    "extended parameters (RFC 9072)": said(b"\xff\xff" + struct.pack("!H", len(LONG)) + LONG),
    "extended parameters, another first length": said(b"\x04\xff" + struct.pack("!H", len(LONG)) + LONG),
    "capability 0": capable(IPV4, AS4, b"\0\0"),
    "unknown capability": capable(IPV4, AS4, b"\xc8\3abc"),
    "name: overrun": capable(IPV4, AS4, b"\x49\3\x40ab"),
    "name: not UTF-8": capable(IPV4, AS4, b"\x49\4\2\xff\xfe\0"),
    "name: empty": capable(IPV4, AS4, b"\x49\0"),
    "software version: overrun": capable(IPV4, AS4, b"\x4b\2\x40a"),
    "software version: not UTF-8": capable(IPV4, AS4, b"\x4b\3\2\xff\xfe"),
    "software version: empty": capable(IPV4, AS4, b"\x4b\0"),
    "ADD-PATH of 3": capable(IPV4, AS4, b"\x45\3\0\1\1"),
    "ADD-PATH with a mode of 9": capable(IPV4, AS4, b"\x45\4\0\1\1\x09"),
    "extended next hop of 5": capable(IPV4, AS4, b"\5\5\0\1\0\1\0"),
    "route filters of 1": capable(IPV4, AS4, b"\3\1\0"),
    "long-lived graceful restart of 6": capable(IPV4, AS4, b"\x47\6\0\1\1\x80\0\0"),
    "role 9": capable(IPV4, AS4, b"\x09\1\x09"),
    "multisession, twice": capable(IPV4, AS4, b"\x44\1\0\x83\1\0"),
    "dynamic capabilities": capable(IPV4, AS4, b"\x43\2\1\2"),
    "route refresh of 1": capable(IPV4, AS4, b"\2\1\0"),
    "extended message of 1": capable(IPV4, AS4, b"\6\1\0"),
    "unknown families": capable(IPV4, b"\1\4\x40\4\0\x47", b"\1\4\0\x19\0\x46", AS4),
    "reserved octet of a family": capable(b"\1\4\0\1\xff\1", AS4),
    "all twice": capable(IPV4, AS4, b"\2\0", b"\6\0", IPV4, AS4, b"\2\0", b"\6\0"),
    "graceful restart, twice": capable(IPV4, AS4, b"\x40\2\0\x78", b"\x40\6\0\x1e\0\1\1\x80"),
    "graceful restart, reserved bits": capable(IPV4, AS4, b"\x40\6\x30\x78\0\1\1\x7f"),
    "hold time 0": capable(IPV4, AS4, hold=0),
    "hold time 65535": capable(IPV4, AS4, hold=65535),
    "the router's identifier": capable(IPV4, AS4, identifier=ROUTER_ID),
    "identifier 255.255.255.255": capable(IPV4, AS4, identifier="255.255.255.255"),
    "AS_TRANS and its AS": capable(IPV4, four(4200000001), my_as=23456),
}
"""OPENs with which a session comes up."""

UNWELCOME = {
    "version 3": (capable(IPV4, AS4, version=3), b"\2\1\0\4"),
    "version 5": (capable(IPV4, AS4, version=5), b"\2\1\0\4"),
    "AS 0": (said(b"\0", my_as=0), b"\2\2"),
    "AS_TRANS alone": (said(b"\0", my_as=23456), b"\2\2"),
    "our AS": (said(b"\0", my_as=65000), b"\2\2"),
    "our AS, four octets": (capable(IPV4, four(65000)), b"\2\2"),
    "our AS behind AS_TRANS": (capable(IPV4, four(65000), my_as=23456), b"\2\2"),
    "another AS in four octets": (capable(IPV4, four(65002)), b"\2\2"),
    "a long AS and another": (capable(IPV4, four(4200000001)), b"\2\2"),
    "its low octets": (capable(IPV4, four(65001 | 1 << 16)), b"\2\2"),
    "AS 0 in four octets": (capable(IPV4, four(0)), b"\2\2"),
    "AS 0 twice": (capable(IPV4, four(0), my_as=0), b"\2\2"),
    "AS_TRANS in four octets": (capable(IPV4, four(23456)), b"\2\2"),
    "AS_TRANS twice": (capable(IPV4, four(23456), my_as=23456), b"\2\2"),
    "AS_TRANS for an AS of two octets": (capable(IPV4, AS4, my_as=23456), b"\2\2"),
    "two ASes in four octets": (capable(IPV4, four(4200000001), four(4200000002), my_as=23456), b"\2\2"),
    "identifier 0": (capable(IPV4, AS4, identifier="0.0.0.0"), b"\2\3"),
    "authentication": (said(b"\3\1\1\0"), b"\2\4"),
    "unknown parameter": (said(b"\3\x0a\1\0"), b"\2\4"),
    "hold time 1": (capable(IPV4, AS4, hold=1), b"\2\6"),
    "hold time 2": (capable(IPV4, AS4, hold=2), b"\2\6"),
    "parameters overrun": (said(b"\x09\2\2\2\0"), b"\2\0"),
    "parameter overruns": (said(b"\4\2\x09\2\0"), b"\2\0"),
    "capability overruns": (said(b"\4\2\2\2\x09"), b"\2\0"),
    "half a parameter": (said(b"\1\2"), b"\2\0"),
    "half a capability": (said(b"\3\2\1\2"), b"\2\0"),
    "family of 3": (capable(b"\1\3\0\1\0", AS4), b"\2\0"),
    "AS of 2": (capable(IPV4, b"\x41\2\xfd\xe9"), b"\2\0"),
    "graceful restart of 1": (capable(IPV4, AS4, b"\x40\1\0"), b"\2\0"),
    "graceful restart of 5": (capable(IPV4, AS4, b"\x40\5\0\x78\0\1\1"), b"\2\0"),
    "28 octets": (message(OPEN, bytes([4]) + bytes(8)), b"\1\2\0\x1c"),
}
"""OPENs that are answered with a NOTIFICATION."""

IGNORED = {
    "KEEPALIVEs": message(KEEPALIVE) * 100,
    "refresh: reserved octet 3": message(ROUTE_REFRESH, b"\0\1\3\1"),
    "refresh: reserved octet 255": message(ROUTE_REFRESH, b"\0\1\xff\1"),
    "refresh: its begin and end": message(ROUTE_REFRESH, b"\0\1\1\1") + message(ROUTE_REFRESH, b"\0\1\2\1"),
    "refresh: unknown family": message(ROUTE_REFRESH, b"\x40\4\0\x47"),
    "refresh: a family that was not negotiated": message(ROUTE_REFRESH, b"\0\2\0\1"),
    "refresh: with filters": message(ROUTE_REFRESH, b"\0\1\0\1\1\x80\0\0"),
    "End-of-RIB of an unknown family": bgp.update(bgp.attribute(15, b"\0\x19\x46", 0x80)),
    "withdrawal of what was never announced": bgp.update(withdrawn=["172.16.99.0/24"]),
}
"""Messages that an established session survives."""

FATAL = {
    "second OPEN": (capable(IPV4, AS4), b"\5\3\1"),
    "marker": (b"\xff" * 15 + b"\xfe" + message(KEEPALIVE)[16:], b"\1\1"),
    "18 octets": (bgp.MARKER + b"\0\x12\4", b"\1\2\0\x12"),
    "KEEPALIVE of 20": (message(KEEPALIVE, b"\0"), b"\1\2\0\x14"),
    "UPDATE of 22": (message(bgp.UPDATE, bytes(3)), b"\1\2\0\x16"),
    "NOTIFICATION of 20": (message(NOTIFICATION, b"\6"), b"\1\2\0\x14"),
    "refresh of 22": (message(ROUTE_REFRESH, b"\0\1\0"), b"\1\2\0\x16"),
    "4097 octets": (message(bgp.UPDATE, bytes(4078)), b"\1\2\x10\1"),
    "message type 0": (message(0), b"\1\3\0"),
    "message type 6": (message(6), b"\1\3\6"),
    "message type 255": (message(255), b"\1\3\xff"),
}
"""Messages that end an established session, and the NOTIFICATIONs."""


TOO_EARLY = {
    "second OPEN": (capable(IPV4, AS4), b"\5\2\1"),
    "UPDATE": (announcement(0, VIP), b"\5\2\2"),
    "refresh": (message(ROUTE_REFRESH, b"\0\1\0\1"), b"\5\2\5"),
}
"""Messages that have no place between the OPEN and the first KEEPALIVE: the data are their type (RFC 6608)."""


@pytest.fixture(scope="module", name="network")
def _network() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def daemon(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routerd]:
    with running(network.router, tmp_path_factory.mktemp("daemon")) as made:
        yield made


def state(daemon: Routerd) -> str:
    """Return the node's state; empty before it ever had a session."""
    return next((peer["state"] for peer in daemon.get("/v1/peers") if peer["address"] == node(0)), "")


async def establish(daemon: Routerd, client: Client, opened: bytes) -> None:
    """Bring a session up with this OPEN."""
    client.send(opened)
    await client.expect(OPEN)
    client.send(message(KEEPALIVE))
    await client.expect(KEEPALIVE)
    await becomes(lambda: state(daemon), "established")


async def leave(daemon: Routerd, client: Client) -> None:
    """End the session, so that the next one is not taken for its restart."""
    client.send(bgp.notification(6, 3))
    await client.closed()
    await becomes(lambda: state(daemon) != "established")


@pytest.mark.parametrize("opened", WELCOME.values(), ids=WELCOME.keys())
async def test_an_odd_open_is_welcome(daemon: Routerd, network: Network, opened: bytes) -> None:
    async with await network.connect(0) as client:
        await establish(daemon, client, opened)
        await leave(daemon, client)


@pytest.mark.parametrize(("opened", "answer"), UNWELCOME.values(), ids=UNWELCOME.keys())
async def test_a_bad_open_is_answered(daemon: Routerd, network: Network, opened: bytes, answer: bytes) -> None:
    async with await network.connect(0) as client:
        client.send(opened)
        assert (await client.expect(NOTIFICATION))[1] == answer
        await client.closed()


@pytest.mark.parametrize("hold", [90, 0])
@pytest.mark.parametrize("sent", IGNORED.values(), ids=IGNORED.keys())
async def test_an_odd_message_is_ignored(daemon: Routerd, network: Network, sent: bytes, hold: int) -> None:
    async with await network.connect(0) as client:
        await establish(daemon, client, capable(IPV4, AS4, bytes([2, 0]), hold=hold))
        sessions = daemon.peer(0)["sessions"]
        client.send(sent + announcement(0, VIP))
        await network.has(VIP, 0)
        client.send(sent + bgp.update(withdrawn=[VIP]))
        await network.has(VIP)
        assert (daemon.peer(0)["state"], daemon.peer(0)["sessions"]) == ("established", sessions)
        await leave(daemon, client)


@pytest.mark.parametrize(("sent", "answer"), FATAL.values(), ids=FATAL.keys())
async def test_a_bad_message_is_answered(daemon: Routerd, network: Network, sent: bytes, answer: bytes) -> None:
    async with await network.connect(0) as client:
        await establish(daemon, client, capable(IPV4, AS4))
        client.send(sent)
        assert (await client.expect(NOTIFICATION))[1] == answer
        await client.closed()
        await becomes(lambda: state(daemon) != "established")


@pytest.mark.parametrize(("sent", "answer"), TOO_EARLY.values(), ids=TOO_EARLY.keys())
async def test_a_message_ahead_of_the_keepalive_is_answered(
    daemon: Routerd, network: Network, sent: bytes, answer: bytes
) -> None:
    async with await network.connect(0) as client:
        client.send(capable(IPV4, AS4))
        await client.expect(OPEN)
        client.send(sent)
        assert (await client.expect(NOTIFICATION))[1] == answer
        await client.closed()
    shown = f"OpenConfirm State (message of type {answer[2]})"
    await becomes(lambda: any(shown in problem["what"] for problem in daemon.status()["problems"]))


async def test_the_rib_knows_the_as_behind_as_trans(daemon: Routerd, network: Network) -> None:
    async with await network.connect(0) as client:
        await establish(daemon, client, WELCOME["AS_TRANS and its AS"])
        assert daemon.peer(0)["asn"] == 4200000001
        client.send(announcement(0, VIP, as_path=[4200000001]))
        await network.has(VIP, 0)
        await leave(daemon, client)
