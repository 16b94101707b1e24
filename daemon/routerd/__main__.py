"""`routerd`: the command line. Every command imports what it needs when it runs, so that each starts fast."""

from __future__ import annotations

import json
import os
import sys

from routerd import __version__
from routerd.cli.apart import APART
from routerd.cli.arguments import Command
from routerd.cli.arguments import run as run_command
from routerd.cli.client import ApiError, Client
from routerd.cli.output import abandon, fail, secure, write
from routerd.cli.outside import CHECK, EXPORT, FLUSH, IMPORT, LAB, RUN
from routerd.cli.table import ASKING

ABOUT = "A BGP route server for the router in front of a bare-metal Kubernetes cluster."


def run(
    config: str, log_level: str, log_format: str, record: str | None, journal: str | None, *, flush_on_exit: bool
) -> int:
    """Run the daemon in the foreground."""
    from pathlib import Path

    from routerd.bare import without

    # structlog would load it, 4 MB, for tracebacks that the log renders without.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    without("pydantic.plugin._loader", get_plugins=tuple)  # reads what all packages say of themselves, with 2 MB
    without("logging.config")  # uvicorn would load it for a log that it is not given
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


def lab(speaker: str, keep: bool, observe: bool, pair: bool) -> int:
    """Show what routerd does, in network namespaces.

    A router, three nodes and a client are built, and some of them lost; with --pair two routers and four nodes.
    """
    from routerd.lab.command import run_lab

    return run_lab(speaker, keep, observe, pair)


COMMANDS = {
    **ASKING,
    **APART,
    "run": Command(run, RUN),
    "flush": Command(flush, FLUSH),
    "check": Command(check, CHECK, {1: "the file has errors, or there is no daemon to ask (--live)"}),
    "import": Command(import_, IMPORT, {3: "something was left out: standard error lists it"}),
    "export": Command(export, EXPORT, {3: "something was left out: standard error lists it"}),
    "lab": Command(lab, LAB),
}


def main() -> None:
    """The entry point."""
    secure()
    try:
        code = run_command("routerd", ABOUT, f"routerd {__version__}", COMMANDS, sys.argv[1:])
        sys.stdout.flush()
    except ApiError as error:
        raise fail(error, as_json=False) from error
    except BrokenPipeError:
        abandon()  # whoever read has what it wanted
        code = 141  # 128 + SIGPIPE, as every shell has it: for `status`, 1 would say that not all is well
    except KeyboardInterrupt:
        code = 130  # 128 + SIGINT, as every shell has it
    sys.exit(code)


if __name__ == "__main__":
    main()
