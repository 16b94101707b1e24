"""How long the kernel alone holds up a failover while it takes in routes: python -m benchmarks.stalls [ROUTES].

One process adds host routes one at a time, the most patient way there is, and deletes them again; another deletes
a nexthop object every few milliseconds and takes the time. Nothing here is routerd's but the netlink messages. Needs
root.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from tests.support.netns import namespace, veth

from routerd.core.message import Gateway
from routerd.core.route import Prefix, parse_address
from routerd.kernel import batch, messages, wire

PAUSE = 0.005
CREATE = wire.NLM_F_CREATE | wire.NLM_F_EXCL
METRIC = 20
FIRST = 0x14000000
HOP, VICTIM = 1, 2


def fail_over(gateway: Gateway, over: Event, results: Connection) -> None:
    """Make a nexthop object and delete it, again and again; send the seconds that each deletion took."""
    took: list[float] = []
    with wire.open_socket() as socket:
        while not over.wait(PAUSE):
            socket.send(messages.set_nexthop(VICTIM, gateway, CREATE))
            started = time.monotonic()
            socket.send(messages.delete_nexthop(VICTIM))
            took.append(time.monotonic() - started)
    results.send(took)


def write(requests: list[bytes], gateway: Gateway) -> str:
    """Send requests one by one while another process fails over; return the figures as text."""
    context = multiprocessing.get_context("fork")
    over = context.Event()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=fail_over, args=(gateway, over, sender))
    process.start()
    single: list[float] = []
    with wire.open_socket(send_buffer=1 << 20, receive_buffer=1 << 20) as socket:
        begun = time.monotonic()
        for request in requests:
            started = time.monotonic()
            socket.send(request)
            single.append(time.monotonic() - started)
    seconds = time.monotonic() - begun
    over.set()
    took = sorted(receiver.recv())
    process.join()
    slowest = ", ".join(f"{1000 * value:.0f}" for value in sorted(single, reverse=True)[:6])
    p50, p95, worst = (1000 * value for value in (statistics.median(took), took[int(0.95 * len(took))], took[-1]))
    return (
        f"{seconds:.1f} s; slowest single messages {slowest} ms; "
        f"{len(took)} nexthops deleted meanwhile: median {p50:.1f}, p95 {p95:.0f}, max {worst:.0f} ms"
    )


def main(routes: int) -> None:
    """Print what the kernel does with so many routes."""
    with namespace() as router, namespace() as node:
        veth(router, "eth0", node, "eth0")
        router.address("eth0", "10.0.0.1/24")
        node.address("eth0", "10.0.0.2/24")
        with router.enter():
            gateway = Gateway(parse_address("10.0.0.2"), int(router.ip_json("link", "show", "eth0")[0]["ifindex"]))
            prefixes = [Prefix(b"\x20" + (FIRST + index).to_bytes(4, "big")) for index in range(routes)]
            with wire.open_socket() as socket:
                socket.send(messages.set_nexthop(HOP, gateway, CREATE))
            added = [batch.set_routes([prefix], [HOP], METRIC, set()) for prefix in prefixes]
            print(f"{routes} routes added: {write(added, gateway)}")
            deleted = [batch.delete_routes([prefix], [HOP], METRIC) for prefix in prefixes]
            print(f"{routes} routes deleted: {write(deleted, gateway)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
