"""The nodes' cable is pulled and put back under 2,000 groups: from the carrier until the kernel is right."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks import tables
from benchmarks.contenders import Contender
from benchmarks.contenders.contender import BenchError
from benchmarks.figures import Figure, Target
from benchmarks.flows import Flows
from benchmarks.net import inside
from benchmarks.packets import stream
from benchmarks.stage import Values, stage
from benchmarks.subsets import placed, wanted
from benchmarks.works.subsets import PATIENCE
from benchmarks.works.work import Scale, Work
from routerd.kernel import wire
from routerd.lab.namespaces import Namespace

_DOWN = 1.0
"""Seconds without a carrier: sessions outlive that."""
_FLOWS, _ONCE = 2, 1.0
"""Flows of every VIP, and how often each sends a packet, in seconds."""
_RTMGRP_LINK = 1
_IFF_RUNNING = 0x40
_IFLA_IFNAME = 3


def _flap(kind: type[Contender], scale: Scale) -> Values:
    nodes, vips = scale.of(50), scale.of(2_000)
    placement = placed(nodes, vips, 3)
    with stage(kind) as on:
        on.ready(nodes, "--redial")
        on.place(placement, PATIENCE)
        on.quiet(PATIENCE)
        with stream(on.site, range(vips), _FLOWS, vips * _FLOWS) as _, _carrier(on.site.router) as seen:
            time.sleep(2 * _ONCE)
            flows = Flows(on.site, range(vips), _FLOWS)
            on.stack.callback(flows.close)
            on.site.nodes.ip("link set eth0 down")
            seen(False)
            time.sleep(_DOWN)
            on.site.nodes.ip("link set eth0 up")
            begun = seen(True)
            right = tables.right(on.fib, wanted(placement), on.contender.check, patience=PATIENCE)
            on.quiet(PATIENCE)
            return {"flap": [right - begun], "flap-moved": [float(flows.look())]}


@contextmanager
def _carrier(router: Namespace) -> Iterator[Callable[[bool], float]]:
    """Listen to the router's links. What is yielded waits until `eth0` is up, or down, and returns when it was."""
    with inside(router):
        sock = wire.open_socket(groups=_RTMGRP_LINK)
    sock.settimeout(10.0)

    def seen(wanted: bool) -> float:
        while True:
            try:
                data = sock.recv(1 << 16)
            except TimeoutError as error:
                raise BenchError("the kernel does not tell of the carrier") from error
            now = time.monotonic()
            length, kind, _, _, _ = wire.HEADER.unpack_from(data)
            _, _, _, flags, _ = struct.unpack_from("=BxHiII", data, wire.HEADER.size)
            name = wire.attributes(data, wire.HEADER.size + 16, length).get(_IFLA_IFNAME)
            if kind == wire.RTM_NEWLINK and name == b"eth0\0" and bool(flags & _IFF_RUNNING) is wanted:
                return now

    with sock:
        yield seen


WORKS = (
    Work(
        "flap",
        (
            Figure("flap", "link down and up under 2,000 VIPs", target=Target(absolute=0.5)),
            Figure("flap-moved", "flows that a link flap moved, of 4,000", "n", Target(absolute=0)),
        ),
        _flap,
    ),
)
