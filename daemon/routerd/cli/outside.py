"""The arguments of the commands that need no daemon: what they do is in other rooms, and `__main__` ties both."""

from __future__ import annotations

import argparse
import os

from routerd.cli.arguments import address, argument, whole
from routerd.cli.options import CONFIG, JSON, SOCKET

RUN = (
    argument("-c", "--config", metavar="FILE", required=True, help=f"{CONFIG}.  [required]"),
    argument(
        "--flush-on-exit",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="Remove routerd's routes on exit.  [default: no]",
    ),
    argument("--log-level", metavar="LEVEL", default="info", help="debug, info (default), warning or error."),
    argument("--log-format", metavar="FORM", default="auto", help="console, journal, json, or auto (default)."),
    argument(
        "--record",
        metavar="FILE",
        default=os.environ.get("ROUTERD_RECORD"),
        help="Record what the core is given, to find a bug: routing waits for that file.  [env var: ROUTERD_RECORD]",
    ),
    argument(
        "--journal",
        metavar="FILE",
        default=os.environ.get("ROUTERD_JOURNAL"),
        help="Where to keep which configurations ran, passwords included: for rollback, and so that a "
        "restart does not bring back what was not confirmed. Without it both last as long as the daemon.  "
        "[env var: ROUTERD_JOURNAL]",
    ),
)

FLUSH = (
    argument(
        "-c",
        "--config",
        metavar="FILE",
        required=True,
        help=f"{CONFIG}, for the metric and the nexthop ids.  [required]",
    ),
    argument("--force", action="store_true", help="Even while routerd runs."),
)

CHECK = (
    argument("file", metavar="FILE", help=f"{CONFIG}."),
    argument(
        "--live",
        action="store_true",
        help="Against the running daemon, too: what its host has not, and which peers that have a session "
        "the file would refuse.",
    ),
    SOCKET,
    JSON,
)

IMPORT = (
    argument("kind", metavar="frr", choices=("frr",), help="What FILE is of."),
    argument("file", metavar="FILE", help="An frr.conf; - for standard input."),
    argument(
        "--router-id",
        metavar="ADDRESS",
        type=address(4),
        default="",
        help="The router id, where FILE has none, or in its place.",
    ),
    argument(
        "-o",
        "--output",
        metavar="FILE",
        help="Write a new file, readable for its owner alone.  [default: standard output]",
    ),
)

EXPORT = (
    argument("kind", metavar="KIND", choices=("cilium", "metallb", "calico"), help="cilium, metallb or calico."),
    argument(
        "-c",
        "--config",
        metavar="FILE",
        default="/etc/routerd/routerd.toml",
        help=f"{CONFIG}.  [default: /etc/routerd/routerd.toml]",
    ),
    argument(
        "--asn",
        metavar="ASN",
        type=whole(1, 4294967295),
        help='The AS of the nodes, where the configuration says remote_as = "external".',
    ),
    argument(
        "--router-address",
        metavar="ADDRESS",
        action="append",
        type=address(4, 6),
        default=[],
        help="Where nodes reach the router; Calico takes one of each family.  [default: the nearest of "
        "router.listen, or router_id]",
    ),
)

LAB = (
    argument(
        "--speaker",
        metavar="NAME",
        default="embedded",
        help="What the nodes run: embedded (default), gobgp, frr or bird.",
    ),
    argument(
        "--keep",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="Leave it running at the end, to look around.  [default: no]",
    ),
    argument(
        "--observe",
        action="store_true",
        help="Start Prometheus and mosquitto beside it where they are installed, and leave it running.",
    ),
    argument(
        "--pair",
        action="store_true",
        help="Build two routers, and let the one die that carries the flows.",
    ),
)
