"""Whether nodes will be able to dial in where another configuration says: tried before it is in force."""

from __future__ import annotations

import socket

from routerd.config.model import RouterSection


def bindable(before: RouterSection, after: RouterSection) -> None:
    """Make sure that nodes will be able to dial in where they could not before; OSError if not."""
    for address in after.listen:
        if address in before.listen and before.port == after.port:
            continue
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # What listens now may have the port: an address by the wildcard of its family, and the other way round.
        own = [each for each in before.listen if (":" in each) == (":" in address)]
        port = 0 if before.port == after.port and {"0.0.0.0", "::"} & {address, *own} and own else after.port
        try:
            with socket.socket(family) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            where = f"{address} port {after.port}"
            raise OSError(f"router.listen: nodes cannot dial in at {where}: {error.strerror}") from error
