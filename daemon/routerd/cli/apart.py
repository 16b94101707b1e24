"""Commands that load much, or ask others than the daemon: each with a module that it alone loads."""

from __future__ import annotations

from typing import Any

from routerd.cli.arguments import Command, ago, argument, seconds
from routerd.cli.options import CONFIG, JSON, SOCKET


def events(socket: str, as_json: bool, follow: bool, since: float | None, peer: str | None) -> int:
    """What has happened: sessions, drains, drift, refusals, changes of the configuration.

    As far back as the daemon keeps it, a mebibyte, until it is started anew.
    """
    from routerd.cli.events import show

    return show(socket, as_json, follow, since, peer)


def fleet(
    action: str | None, node: str | None, config: str | None, as_json: bool, watch: bool, **options: Any
) -> int:
    """All routers of a site in one table, and nodes drained on all of them.

    What they have told their broker, whose place stands in [mqtt] of a configuration file, or in the options: no
    daemon is needed. `fleet drain NODE` waits until the node is empty everywhere; `fleet undrain NODE` ends that.
    Exit code 0 if all is well, or done; else 1.
    """
    from routerd.cli.fleet.command import fleet as show

    return show(action, node, config, as_json, watch, **options)


def dump(file: str, socket: str) -> int:
    """Write the table to an MRT file.

    All paths of all prefixes, as TABLE_DUMP_V2 of RFC 6396, for bgpdump and others; as FILE - is standard output.
    """
    from routerd.cli.dumping import show

    return show(file, socket)


APART = {
    "events": Command(
        events,
        (
            SOCKET,
            JSON,
            argument("-f", "--follow", action="store_true", help="Go on with what comes, until Ctrl-C."),
            argument(
                "--since",
                metavar="TIME",
                type=ago,
                help="Only what is not older: 90s, 5m, 2h, 1d.  [default: all that is kept]",
            ),
            argument("--peer", metavar="NAME", help="Only what is about this peer (name or address)."),
        ),
    ),
    "fleet": Command(
        fleet,
        (
            argument("action", metavar="drain|undrain", nargs="?", choices=("drain", "undrain"), help="What to do."),
            argument("node", metavar="NODE", nargs="?", help="The node's name or address."),
            argument("-w", "--watch", action="store_true", help="Go on, until Ctrl-C; with --json a line each."),
            JSON,
            argument(
                "-c",
                "--config",
                metavar="FILE",
                help=f"{CONFIG}, for [mqtt].  [default: /etc/routerd/routerd.toml, unless there is --broker]",
            ),
            argument("--broker", metavar="URL", help="mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS."),
            argument("--site", metavar="SITE", help="Whose routers.  [default: default]"),
            argument("--user", metavar="USER", help="As whom to talk to the broker."),
            argument("--password-file", metavar="FILE", help="That user's password: the first line of a file."),
            argument("--ca-file", metavar="FILE", help="Who signs the broker's certificate."),
            argument("--certificate-file", metavar="FILE", help="A client certificate."),
            argument("--key-file", metavar="FILE", help="Its key."),
            argument("--fleet-key-file", metavar="FILE", help="The key that drains are signed with."),
            argument(
                "--timeout",
                metavar="SECONDS",
                type=seconds,
                default=0.0,
                help="How long drain waits at most; 0 for ever.  [default: 0]",
            ),
            argument("--reachable", action="store_true", help="Even if some routers cannot be asked: on the others."),
        ),
    ),
    "dump": Command(dump, (argument("file", metavar="FILE", help="Where to."), SOCKET)),
}
