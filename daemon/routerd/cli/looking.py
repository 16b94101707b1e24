"""The commands that look closer: a peer, a flow, the kernel against what is wanted, packets by node. Each returns the
exit code, and loads what it needs when it runs."""

from __future__ import annotations

from routerd.cli.arguments import Command, argument, seconds, whole
from routerd.cli.options import JSON, SOCKET


def peer(name: str, socket: str, as_json: bool, limit: int) -> int:
    """All of one peer (name or address).

    The capabilities of both sides, timers, how its last session ended, messages, and what of its announcements was
    rejected, with the reasons.
    """
    from routerd.cli.commands import ask
    from routerd.cli.peer import lines

    ask(socket, as_json, lines, f"/v1/peers/{name}", limit=limit)
    return 0


def flow(source: str, destination: str, socket: str, as_json: bool, **options: str | None) -> int:
    """Which node does a flow reach now?

    SRC and DST are addresses, with ports: 10.0.0.9:40000, [fd00::9]:40000. The kernel itself is asked, which counts
    as some packets of the flow: in the statistics of the group, and for its bucket, which is in use then. Where the
    kernel cannot tell, the answer says why. Exit code 0 if the node is known, 3 if not.
    """
    from routerd.cli.flow import show

    return show(source, destination, socket, as_json, **options)


def fib(socket: str, as_json: bool, limit: int) -> int:
    """The kernel against what is wanted: the differences, and nothing else.

    The kernel is read at once; what differs is looked at again a tenth of a second later, and shown if it still does.
    Exit code 0 if the kernel has what is wanted, 3 if not.
    """
    from routerd.cli.commands import ask
    from routerd.cli.fib import lines

    return 0 if ask(socket, as_json, lines, "/v1/fib", limit=limit)["same"] else 3


def health(socket: str, as_json: bool, at_least: int) -> int:
    """Can this router carry traffic?

    For keepalived's track_script, and for containers: the daemon answers, has read the kernel, leads to enough nodes
    there, and is not drained itself. Exit code 0 if so; 1 if not, with one line that says why.
    """
    from routerd.cli.health import show

    return show(socket, as_json, at_least)


def top(socket: str, as_json: bool, once: bool, interval: float, limit: int) -> int:
    """Who carries how many packets now: nodes and VIPs, until Ctrl-C.

    The kernel counts by nexthop group, and not those of a single member. With --once it is counted once; with --json
    each count is a line.
    """
    from routerd.cli.top import show

    return show(socket, as_json, once=once, interval=interval, limit=limit)


def pair(socket: str, as_json: bool, whole: bool, watch: bool, set_seed: bool) -> int:
    """The other router of the pair: would it take over each flow?

    Both routers, and the groups whose buckets lead elsewhere there. --set-seed gives this router's kernel the hash
    seed of the pair, which routerd does by itself only while there are no flows: it moves every flow through this
    router once, and breaks those that go to another node by that. Exit code 0 if both agree, 3 if not.
    """
    from routerd.cli.pair import show

    return show(socket, as_json, whole=whole, watch=watch, set_seed=set_seed)


LOOKING = {
    "peer": Command(
        peer,
        (
            argument("name", metavar="PEER", help="Its name or address."),
            SOCKET,
            JSON,
            argument(
                "--limit",
                metavar="COUNT",
                type=whole(0, 10000),
                default=20,
                help="How many rejected prefixes to show.  [default: 20]",
            ),
        ),
    ),
    "flow": Command(
        flow,
        (
            argument("source", metavar="SRC", help="The client: its address, and :PORT."),
            argument("destination", metavar="DST", help="The VIP: its address, and :PORT."),
            argument(
                "--proto",
                dest="protocol",
                metavar="NAME",
                choices=("tcp", "udp", "icmp"),
                default="tcp",
                help="tcp (default), udp or icmp.",
            ),
            argument(
                "-i",
                "--interface",
                metavar="NAME",
                help="Where its packets come in.  [default: where the router's own to SRC go out]",
            ),
            SOCKET,
            JSON,
        ),
        {3: "nobody can tell which node it is, or there is none"},
    ),
    "fib": Command(
        fib,
        (
            SOCKET,
            JSON,
            argument(
                "--limit",
                metavar="COUNT",
                type=whole(0, 10000),
                default=100,
                help="How many differences to show.  [default: 100]",
            ),
        ),
        {3: "the kernel has not what is wanted"},
    ),
    "pair": Command(
        pair,
        (
            SOCKET,
            JSON,
            argument("-a", "--all", dest="whole", action="store_true", help="The groups that are equal, too."),
            argument(
                "-w",
                "--watch",
                action="store_true",
                help="Look again every second, until Ctrl-C; with --json a line each.",
            ),
            argument(
                "--set-seed",
                action="store_true",
                help="Give the kernel's hash the pair's seed: every flow moves once.",
            ),
        ),
        {3: "both do not agree: flows would break if one took over"},
    ),
    "health": Command(
        health,
        (
            SOCKET,
            JSON,
            argument(
                "--at-least",
                metavar="COUNT",
                type=whole(0, 100_000),
                default=1,
                help="How many nodes the FIB must lead to.  [default: 1]",
            ),
        ),
        {1: "traffic should not come here: standard error says why"},
    ),
    "top": Command(
        top,
        (
            SOCKET,
            JSON,
            argument("--once", action="store_true", help="Count once, and end."),
            argument(
                "--interval",
                metavar="SECONDS",
                type=seconds,
                default=1.0,
                help="How long to count, 0.2 to 5.  [default: 1]",
            ),
            argument(
                "--limit",
                metavar="COUNT",
                type=whole(1, 10000),
                default=20,
                help="How many nodes and groups to show.  [default: 20]",
            ),
        ),
    ),
}
