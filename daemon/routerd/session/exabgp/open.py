"""An OPEN as ExaBGP's classes, made of routerd's view of it.

ExaBGP's own decoder resets the session for capabilities that routerd does not use, and takes the peer's AS from My-AS
whatever the four-octet capability says. With one decoder there is one view of a peer.
"""

from __future__ import annotations

from exabgp.bgp.message import Open as ExaOpen
from exabgp.bgp.message.open import Version
from exabgp.bgp.message.open.asn import ASN
from exabgp.bgp.message.open.capability import Capabilities, Capability
from exabgp.bgp.message.open.capability.asn4 import ASN4
from exabgp.bgp.message.open.capability.extended import ExtendedMessage
from exabgp.bgp.message.open.capability.mp import MultiProtocol
from exabgp.bgp.message.open.capability.refresh import RouteRefresh
from exabgp.bgp.message.open.holdtime import HoldTime
from exabgp.bgp.message.open.routerid import RouterID
from exabgp.protocol.family import AFI, SAFI

from routerd.core.message import Open
from routerd.core.route import Family, format_address

_AFIS = {Family.IPV4: AFI.ipv4, Family.IPV6: AFI.ipv6}


def exabgp_open(opened: Open) -> ExaOpen:
    """Return the OPEN that ExaBGP negotiates with: hold time, AS, and the capabilities that change its own doing."""
    capabilities = Capabilities()
    families = MultiProtocol()
    families.extend((_AFIS[family], SAFI.unicast) for family in sorted(opened.families))
    capabilities[Capability.CODE.MULTIPROTOCOL] = families
    if opened.four_octet_as:
        capabilities[Capability.CODE.FOUR_BYTES_ASN] = ASN4(opened.asn)
    if opened.route_refresh:
        capabilities[Capability.CODE.ROUTE_REFRESH] = RouteRefresh()
    if opened.extended_message:
        capabilities[Capability.CODE.EXTENDED_MESSAGE] = ExtendedMessage()
    identifier = RouterID(format_address(opened.router_id))
    return ExaOpen(Version(4), ASN(opened.asn), HoldTime(opened.hold_time), identifier, capabilities)
