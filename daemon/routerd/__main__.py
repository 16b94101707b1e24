"""`routerd`: the command line. Every command imports what it needs when it runs, so that each starts fast."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from routerd import __version__
from routerd.cli.arguments import Command, address, ago, argument, seconds, whole
from routerd.cli.arguments import run as run_command
from routerd.cli.client import ApiError, Client
from routerd.cli.output import abandon, fail, write
from routerd.cli.table import ASKING, CONFIG, JSON, SOCKET

ABOUT = "A BGP route server for the router in front of a bare-metal Kubernetes cluster."


def run(
    config: str, log_level: str, log_format: str, record: str | None, journal: str | None, *, flush_on_exit: bool
) -> int:
    """Run the daemon in the foreground."""
    from pathlib import Path

    # structlog would load it, 4 MB, for tracebacks that the log renders without.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from routerd.service.main import start

    recorded, kept = Path(record) if record else None, Path(journal) if journal else None
    return start(Path(config), log_level, log_format, recorded, kept, flush_on_exit=flush_on_exit)


def flush(config: str, force: bool) -> int:
    """Remove what is routerd's from the kernel.

    Routes, groups and nexthops, and nothing of anybody else.
    """
    from pathlib import Path

    from routerd.service.flushing import flush_kernel

    return flush_kernel(Path(config), force=force)


def check(file: str, live: bool, socket: str, as_json: bool) -> int:
    """Check a configuration file.

    Exit code 0 if routerd would start with it, perhaps with warnings; 1 with all that is wrong, or, with --live, if
    there is no daemon to ask.
    """
    from pathlib import Path

    from routerd.config.load import check as check_file
    from routerd.config.source import ConfigError

    try:
        warnings = check_file(Path(file))
    except ConfigError as error:
        if as_json:
            write(json.dumps({"ok": False, "problems": error.problems, "warnings": []}, indent=2))
        else:
            print(error, file=sys.stderr)
        return 1
    if live:
        try:
            warnings = Client(socket).get("/v1/config/check", path=os.path.abspath(file))["warnings"]
        except ApiError as error:
            raise fail(error, as_json) from error
    if as_json:
        write(json.dumps({"ok": True, "problems": [], "warnings": warnings}, indent=2))
        return 0
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    write(f"{file}: ok")
    return 0


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

    All paths of all prefixes, as TABLE_DUMP_V2 of RFC 6396, for bgpdump and others.
    """
    from routerd.cli.dumping import show

    return show(file, socket)


def import_(kind: str, file: str, router_id: str, output: str | None) -> int:
    """Make a configuration of another program's: frr FILE.

    FILE is an frr.conf, or what `show running-config` printed; - is standard input. Every line that cannot be
    translated is listed on standard error and at the end of the result. Exit code 0 if all was translated, 3 if
    something was left out, 1 if nothing could be made of it.
    """
    from routerd.translate.command import import_frr

    return import_frr(file, router_id, output)


def export(kind: str, config: str, asn: int | None, router_address: list[str]) -> int:
    """Print the Kubernetes objects for the nodes of a configuration: cilium, metallb or calico.

    Passwords are not in them: comments name the Secrets to make. Exit code 3 if something is left out, which standard
    error lists.
    """
    from routerd.translate.command import export as export_objects

    return export_objects(kind, config, asn, router_address)


def lab(speaker: str, keep: bool, observe: bool) -> int:
    """Show what routerd does, in network namespaces.

    A router, three nodes and a client are built, and some of them lost.
    """
    from routerd.lab.command import run_lab

    return run_lab(speaker, keep, observe)


COMMANDS = {
    **ASKING,
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
    "run": Command(
        run,
        (
            argument("-c", "--config", metavar="FILE", required=True, help=f"{CONFIG}.  [required]"),
            argument(
                "--flush-on-exit",
                action=argparse.BooleanOptionalAction,
                default=False,
                help="Remove routerd's routes on exit.  [default: no]",
            ),
            argument("--log-level", metavar="LEVEL", default="info", help="debug, info (default), warning or error."),
            argument(
                "--log-format", metavar="FORM", default="auto", help="console, journal, json, or auto (default)."
            ),
            argument(
                "--record",
                metavar="FILE",
                default=os.environ.get("ROUTERD_RECORD"),
                help="Record what the core is given.  [env var: ROUTERD_RECORD]",
            ),
            argument(
                "--journal",
                metavar="FILE",
                default=os.environ.get("ROUTERD_JOURNAL"),
                help="Where to keep which configurations ran, passwords included: for rollback, and so that a "
                "restart does not bring back what was not confirmed. Without it both last as long as the daemon.  "
                "[env var: ROUTERD_JOURNAL]",
            ),
        ),
    ),
    "flush": Command(
        flush,
        (
            argument(
                "-c",
                "--config",
                metavar="FILE",
                required=True,
                help=f"{CONFIG}, for the metric and the nexthop ids.  [required]",
            ),
            argument("--force", action="store_true", help="Even while routerd runs."),
        ),
    ),
    "check": Command(
        check,
        (
            argument("file", metavar="FILE", help=f"{CONFIG}."),
            argument(
                "--live",
                action="store_true",
                help="Against the running daemon, too: what its host has not, and which peers that have a session "
                "the file would refuse.",
            ),
            SOCKET,
            JSON,
        ),
        {1: "the file has errors, or there is no daemon to ask (--live)"},
    ),
    "import": Command(
        import_,
        (
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
        ),
        {3: "something was left out: standard error lists it"},
    ),
    "export": Command(
        export,
        (
            argument(
                "kind", metavar="KIND", choices=("cilium", "metallb", "calico"), help="cilium, metallb or calico."
            ),
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
        ),
        {3: "something was left out: standard error lists it"},
    ),
    "lab": Command(
        lab,
        (
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
        ),
    ),
}


def main() -> None:
    """The entry point."""
    try:
        code = run_command("routerd", ABOUT, f"routerd {__version__}", COMMANDS, sys.argv[1:])
        sys.stdout.flush()
    except ApiError as error:
        raise fail(error, as_json=False) from error
    except BrokenPipeError:
        abandon()  # whoever read has what it wanted
        code = 1
    except KeyboardInterrupt:
        code = 130  # 128 + SIGINT, as every shell has it
    sys.exit(code)


if __name__ == "__main__":
    main()
