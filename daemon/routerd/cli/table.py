"""The commands that ask the daemon, or tell it something, and the options that commands share."""

from __future__ import annotations

from routerd.cli import commands, peering, reloading, verbosity
from routerd.cli.arguments import Command, argument, seconds, whole
from routerd.cli.looking import LOOKING
from routerd.cli.options import CONFIG, JSON, SOCKET

PEER = argument("peer", metavar="PEER", help="Its name or address.")
NODE = argument("node", metavar="NODE", nargs="?", help="Its name or address.")
SELF = argument("--self", dest="itself", action="store_true", help="This router itself, instead of a node.")
FILE = argument(
    "file", metavar="FILE", nargs="?", help=f"{CONFIG}.  [default: the one that the daemon was started with]"
)

ASKING = {
    "status": Command(
        commands.status,
        (
            SOCKET,
            JSON,
            argument(
                "-w",
                "--watch",
                action="store_true",
                help="Look again every second, until Ctrl-C; with --json a line each.",
            ),
        ),
        {1: "not all is well, or the daemon does not run"},
    ),
    "peers": Command(commands.peers, (SOCKET, JSON)),
    "routes": Command(
        commands.routes,
        (
            SOCKET,
            JSON,
            argument("--peer", metavar="NAME", help="Only what this peer announces (name or address)."),
            argument("--longer", metavar="PREFIX", help="Only this prefix and those within it."),
            argument("--shorter", metavar="PREFIX", help="Only this prefix and those that it lies within."),
            argument(
                "--state",
                metavar="NAME",
                choices=("in-fib", "out", "stale", "refused", "local", "rejected"),
                help="Only in-fib, out (of the FIB), stale, refused (by the kernel), local (the router's own), or "
                "rejected (by policy).",
            ),
            argument(
                "--community",
                metavar="VALUE",
                help="Only with a path that has it: A:B, A:B:C, or a name such as graceful-shutdown.",
            ),
            argument(
                "--as-path",
                metavar="PATTERN",
                help="Only with a path of these AS numbers in a row: 65001, '^65001 65002', '65002$', '^$'.",
            ),
            argument(
                "--limit",
                metavar="COUNT",
                type=whole(1, 10000),
                default=100,
                help="How many to show, 1 to 10000.  [default: 100]",
            ),
            argument(
                "--offset",
                metavar="COUNT",
                type=whole(0, 2**31 - 1),
                default=0,
                help="How many to pass over.  [default: 0]",
            ),
        ),
    ),
    "route": Command(
        commands.route,
        (argument("prefix", metavar="PREFIX", help="An address, or a prefix such as 172.16.1.0/24."), SOCKET, JSON),
    ),
    "groups": Command(commands.groups, (SOCKET, JSON)),
    **LOOKING,
    "drain": Command(
        commands.drain,
        (
            NODE,
            SELF,
            SOCKET,
            JSON,
            argument("--wait", action="store_true", help="Return when no flow is left on it."),
            argument(
                "--timeout",
                metavar="SECONDS",
                type=seconds,
                default=0.0,
                help="How long --wait waits at most; 0 for ever.  [default: 0]",
            ),
        ),
        {
            1: "--wait has ended in vain; the drain stays",
            3: "--wait cannot tell whether all flows have gone: standard error says which it does not see",
        },
    ),
    "undrain": Command(commands.undrain, (NODE, SELF, SOCKET, JSON)),
    "clear": Command(
        peering.clear,
        (
            PEER,
            argument(
                "--soft",
                metavar="DIRECTION",
                choices=("in", "out"),
                help="in: it announces all again. out: it hears all again. Its session goes on.",
            ),
            SOCKET,
            JSON,
        ),
    ),
    "shutdown": Command(
        peering.shutdown,
        (
            PEER,
            argument(
                "text", metavar="TEXT", nargs="*", default=[], help="What it is told: why, until when, whom to call."
            ),
            SOCKET,
            JSON,
        ),
    ),
    "enable": Command(peering.enable, (PEER, SOCKET, JSON)),
    "log": Command(
        verbosity.log,
        (
            argument(
                "level",
                metavar="LEVEL",
                nargs="?",
                choices=("debug", "info", "warning", "error"),
                help="debug, info, warning or error.  [default: show it]",
            ),
            SOCKET,
            JSON,
        ),
    ),
    "version": Command(commands.version, (SOCKET, JSON)),
    "diff": Command(reloading.diff, (FILE, SOCKET, JSON)),
    "reload": Command(
        reloading.reload,
        (
            FILE,
            argument(
                "--confirm",
                metavar="SECONDS",
                type=whole(1, 86400),
                default=0,
                help="Take the change back after so long, unless `routerd confirm` was given.",
            ),
            SOCKET,
            JSON,
        ),
    ),
    "confirm": Command(reloading.confirm, (SOCKET, JSON)),
    "rollback": Command(
        reloading.rollback,
        (
            argument(
                "number",
                metavar="NUMBER",
                nargs="?",
                type=whole(1, 2**31 - 1),
                default=0,
                help="Of the configuration in `routerd config history`.  [default: what ran before the last change]",
            ),
            SOCKET,
            JSON,
        ),
    ),
    "config": Command(
        reloading.config,
        (argument("what", metavar="history", choices=("history",), help="What to show."), SOCKET, JSON),
    ),
}
