"""The gateway that two routers share: its addresses move from one to the other, as VRRP moves them.

As a program (`python -m routerd.lab.gateway INTERFACE=IPV4,IPV6 ...`) it runs inside the namespace of the router that
has them now, and says so to everybody in these networks (RFC 5227, section 3; RFC 4861, section 7.2.6).
"""

from __future__ import annotations

import socket
import struct
import sys

from routerd.lab.network import Fabric
from routerd.lab.topology import ROUTER_HOST

_ARP, _REQUEST, _IPV4 = 0x0806, 1, 0x0800
_NEIGHBOUR_ADVERTISEMENT, _ROUTER_AND_OVERRIDE, _TARGET_LINK_LAYER = 136, 0xA0000000, 2
_ALL_NODES = "ff02::1"
_EVERYBODY = b"\xff" * 6


def hand_over(fabric: Fabric, name: str) -> None:
    """Make this router the gateway of every network; it was another one, or none, before."""
    held = {
        network.name: (network.address4(ROUTER_HOST), network.address6(ROUTER_HOST))
        for network in fabric.topology.networks
    }
    for router, namespace in fabric.routers.items():
        if router != name:
            lines = [f"address delete {address} dev {link}" for link, both in held.items() for address in both]
            namespace.attempt("ip", "-force", "-batch", "-", stdin="\n".join(lines))  # it need not have them
    gateway = fabric.routers[name]
    for link, (v4, v6) in held.items():
        gateway.ip(f"address replace {v4}/32 dev {link}", f"address replace {v6}/128 dev {link} nodad")
    gateway.run(sys.executable, "-m", __name__, *(f"{link}={v4},{v6}" for link, (v4, v6) in held.items()))


def _tell(link: str, v4: str, v6: str) -> None:
    address = socket.inet_aton(v4)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as packets:
        packets.bind((link, _ARP))
        own: bytes = packets.getsockname()[4]  # its link-layer address
        request = struct.pack("!HHBBH", 1, _IPV4, 6, 4, _REQUEST) + own + address + bytes(6) + address
        packets.send(_EVERYBODY + own + struct.pack("!H", _ARP) + request)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as messages:
        messages.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        messages.bind((v6, 0))
        said = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _ROUTER_AND_OVERRIDE)
        said += socket.inet_pton(socket.AF_INET6, v6) + bytes([_TARGET_LINK_LAYER, 1]) + own
        messages.sendto(said, (_ALL_NODES, 0, 0, socket.if_nametoindex(link)))


if __name__ == "__main__":
    for word in sys.argv[1:]:
        interface, both = word.split("=")
        _tell(interface, *both.split(","))
