"""What the kernel alone takes for many nodes that are lost at once: python -m benchmarks.leaving [BUCKETS ...].

As in `at-once-250`: 250 of 260 nodes go, and each of 500 VIPs has three of them and one that stays. Either the
nexthop objects are deleted, which routerd can do as soon as it hears of each loss, or the groups are replaced, which
can be done only once all losses are known. Nothing here is routerd's but the netlink messages. Needs root.
"""

from __future__ import annotations

import random
import sys
import time

from tests.support.netns import namespace, veth

from routerd.core.message import Gateway, Member, SetGroup
from routerd.core.route import Prefix, parse_address
from routerd.kernel import batch, messages, wire
from routerd.kernel.compat import CompatMode

LOST, STAYING, VIPS, EACH = 250, 10, 500, 3
RUNS = 3
CREATE, REPLACE = wire.NLM_F_CREATE | wire.NLM_F_EXCL, wire.NLM_F_CREATE | wire.NLM_F_REPLACE
METRIC = 20
FIRST_VIP, FIRST_GROUP = 0x14000000, 1000


def group(vip: int, members: list[int], buckets: int, flags: int) -> bytes:
    """Return the message that writes the group of a VIP."""
    timer = 120.0 if buckets else 0.0
    return messages.set_group(SetGroup(FIRST_GROUP + vip, tuple(map(Member, members)), buckets, timer), flags)


def measure(buckets: int, *, replace: bool, together: bool) -> tuple[float, float]:
    """Return the seconds that passed, and those on a CPU."""
    chance = random.Random(1)
    placed = [[*(1 + n for n in chance.sample(range(LOST), EACH)), LOST + 1 + v % STAYING] for v in range(VIPS)]
    with namespace() as router, namespace() as nodes:
        veth(router, "eth0", nodes, "eth0")
        router.address("eth0", "10.0.0.1/16")
        nodes.address("eth0", "10.0.0.2/16")
        with router.enter(), wire.open_socket(send_buffer=1 << 22, receive_buffer=1 << 22) as socket:
            link = int(router.ip_json("link", "show", "eth0")[0]["ifindex"])
            for node in range(LOST + STAYING):
                gateway = Gateway(parse_address(f"10.0.{1 + node // 250}.{1 + node % 250}"), link)
                socket.send(messages.set_nexthop(1 + node, gateway, CREATE))
            for vip, members in enumerate(placed):
                prefix = Prefix(b"\x20" + (FIRST_VIP + vip).to_bytes(4, "big"))
                socket.send(group(vip, members, buckets, CREATE))
                socket.send(batch.set_routes([prefix], [FIRST_GROUP + vip], METRIC, set()))
            requests = [messages.delete_nexthop(1 + node) for node in range(LOST)]
            if replace:
                requests = [group(vip, members[-1:], buckets, REPLACE) for vip, members in enumerate(placed)]
            with CompatMode().off():
                begun, used = time.monotonic(), time.process_time()
                for request in [b"".join(requests)] if together else requests:
                    socket.send(request)
                return time.monotonic() - begun, time.process_time() - used


def main(sizes: list[int]) -> None:
    """Print the least of some runs for each way to do it."""
    for buckets in sizes:
        for replace in (False, True):
            for together in (False, True):
                runs = [measure(buckets, replace=replace, together=together) for _ in range(RUNS)]
                took, used = (1000 * min(values) for values in zip(*runs, strict=True))
                what = f"{VIPS} groups replaced" if replace else f"{LOST} nexthops deleted"
                how = "in one message" if together else "one by one"
                print(f"{buckets:5} buckets, {what} {how}: {took:.0f} ms, {used:.0f} ms of them on a CPU", flush=True)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [1024, 128])
