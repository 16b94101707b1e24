"""The endpoints that look closer: a peer, a flow, the kernel against what is wanted, packets by node.

Their views are named by text: nobody loads them before somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Protocol

from routerd.api.endpoints import Endpoint, Failure, Number, Request, admit
from routerd.api.slices import Slices
from routerd.core.message.flow import Flow
from routerd.core.route import Address

if TYPE_CHECKING:
    from routerd.api.inspection import DifferencesView, FlowAnswerView, PeerDetailView, TrafficView

PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}
_ICMPV6 = 58
_INTERFACE = re.compile(r"[^\s/]{1,15}")
LONGEST = 5_000
"""Milliseconds for which packets are counted at most."""


class Inspector(Protocol):
    """Where the answers come from; None for a peer that nobody knows."""

    def peer(self, name: str, limit: int) -> Slices[PeerDetailView | None]: ...
    async def flow(self, flow: Flow) -> FlowAnswerView: ...
    async def differences(self, limit: int) -> Slices[DifferencesView]: ...
    async def traffic(self, seconds: float, limit: int) -> Slices[TrafficView]: ...


def endpoints(inspector: Callable[[], Inspector], writers: int | None = 0) -> tuple[Endpoint, ...]:
    """Return the endpoints; `inspector` is called once somebody asks. Members of the group `writers` may do what the
    kernel notices."""
    limit, most = Number(0, 10_000, 100), Number(1, 10_000, 20)
    time = Number(200, LONGEST, 1000)
    port = Number(0, 65535, 0)

    async def peer(request: Request) -> Slices[PeerDetailView]:
        detail = inspector().peer(request.named, limit.read("limit", request.query.get("limit")))

        def known() -> Slices[PeerDetailView]:
            found = yield from detail
            if found is None:
                raise Failure(404, f"no peer has the name or address {request.named}; routerd peers lists them")
            return found

        return known()

    async def flow(request: Request) -> FlowAnswerView:
        try:
            await admit(request, writers)
        except Failure as error:
            raise Failure(
                error.status, f"to be asked counts, to the kernel, as a packet of the flow: {error}"
            ) from error
        ports = [port.read(name, request.query.get(name)) for name in ("source_port", "destination_port")]
        source, destination = (_address(request, name) for name in ("source", "destination"))
        if source.version != destination.version:
            raise Failure(422, f"{source} and {destination} are of different families")
        protocol = request.query.get("protocol", "tcp")
        if protocol not in PROTOCOLS:
            raise Failure(422, f"protocol is {', '.join(PROTOCOLS)}, not {protocol[:20]!r}")
        interface = request.query.get("interface", "")
        if interface and not _INTERFACE.fullmatch(interface):
            raise Failure(422, f"{interface[:40]!r} is no name of an interface")
        number = _ICMPV6 if protocol == "icmp" and source.version == 6 else PROTOCOLS[protocol]
        packed = Address(source.packed), Address(destination.packed)
        first, second = ports if number in (6, 17) else (0, 0)
        return await inspector().flow(Flow(*packed, first, second, number, interface))

    async def fib(request: Request) -> Slices[DifferencesView]:
        return await inspector().differences(limit.read("limit", request.query.get("limit")))

    async def traffic(request: Request) -> Slices[TrafficView]:
        milliseconds = time.read("milliseconds", request.query.get("milliseconds"))
        shown = most.read("limit", request.query.get("limit"))
        return await inspector().traffic(milliseconds / 1000, shown)

    where = {"source": None, "destination": None, "source_port": port, "destination_port": port}
    told = "All of one peer: capabilities of both sides, timers, last error, messages, rejected paths with reasons."
    asked = "Which node a flow reaches now, asked of the kernel, and by which route, group, bucket and path."
    compared = "The kernel, read now, against what is wanted: the differences."
    counted = "Packets by node and by group, counted for a while by the kernel's group statistics."
    return (
        _endpoint("/v1/peers/{peer}", "PeerDetailView", told, peer, {"limit": limit}),
        _endpoint("/v1/flow", "FlowAnswerView", asked, flow, where | {"protocol": None, "interface": None}),
        _endpoint("/v1/fib", "DifferencesView", compared, fib, {"limit": limit}),
        _endpoint("/v1/traffic", "TrafficView", counted, traffic, {"milliseconds": time, "limit": most}),
    )


def _endpoint(
    path: str,
    view: str,
    about: str,
    answer: Callable[[Request], Awaitable[Any]],
    query: dict[str, Number | None],
) -> Endpoint:
    return Endpoint("GET", path, f"routerd.api.inspection:{view}", about, answer, query)


def _address(request: Request, name: str) -> IPv4Address | IPv6Address:
    text = request.query.get(name)
    if text is None:
        raise Failure(422, f"{name} is missing: an address")
    try:
        found = ip_address(text)
    except ValueError as error:
        raise Failure(422, f"{name} is an address, not {text[:50]!r}") from error
    if isinstance(found, IPv6Address) and found.scope_id is not None:
        raise Failure(422, f"{name} is an address without an interface, not {text[:50]!r}")
    if found.is_unspecified or found.is_multicast:
        raise Failure(422, f"{name} is the address of a host, not {text[:50]!r}")
    return found
