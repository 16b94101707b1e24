"""`routerd import` and `routerd export`: reading, writing, exit codes."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from routerd.cli.output import write
from routerd.config.load import load, parse
from routerd.config.source import LARGEST, ConfigError
from routerd.translate.report import Report

LEFT_OUT = 3
"""The exit code when something was left out."""


def import_frr(file: str, router_id: str, output: str | None) -> int:
    """Write the routerd.toml of an frr.conf, and what is left out to standard error."""
    from routerd.translate.frr.render import NothingError, translate

    report, name = Report(), "standard input" if file == "-" else file
    try:
        text = translate(_read(file), report, router_id)
        config = parse(text, "routerd.toml")
    except (NothingError, OSError) as error:
        return _fail(f"{name}: {error.strerror if isinstance(error, OSError) else error}")
    except ConfigError as error:
        return _fail(f"{name}: what it becomes cannot be used:\n{error}")
    secret = any(group.password is not None for group in config.peer_groups.values())
    if output is None:
        write(text, "")
        if secret and _is_open_file():
            print("routerd: there are passwords in the output, which others can read: chmod 0640", file=sys.stderr)
    else:
        try:
            _create(Path(output), text)
        except FileExistsError:
            return _fail(f"{output} is there already, and is not overwritten")
        except OSError as error:
            return _fail(f"{output}: {error.strerror}")
    return _tell(report, name)


def export(kind: str, config: str, asn: int | None, routers: Sequence[str]) -> int:
    """Write the objects for the nodes, and what they cannot have to standard error."""
    from routerd.translate.nodes import calico, cilium, metallb
    from routerd.translate.nodes.session import MissingError

    exports: dict[str, Callable[..., str]] = {
        "cilium": cilium.export, "metallb": metallb.export, "calico": calico.export,
    }  # fmt: skip
    report = Report()
    try:
        text = exports[kind](load(Path(config)), report, asn=asn, routers=routers)
    except ConfigError as error:
        return _fail(str(error))
    except MissingError as error:
        return _fail(f"{config}: {error}")
    write(text, "")
    return _tell(report, config)


def _tell(report: Report, name: str) -> int:
    for each in report.left:
        where = f"{name}:{each.number}" if each.number else name
        print(f"{where}: {each.what}: {each.why}; {each.remedy}", file=sys.stderr)
    return LEFT_OUT if report.left else 0


def _fail(message: str) -> int:
    print(f"routerd: {message}", file=sys.stderr)
    return 1


def _read(file: str) -> str:
    """Read a file, or standard input. What is not UTF-8 is replaced: it may stand in a description."""
    with open(0 if file == "-" else file, "rb", closefd=file != "-") as stream:
        octets = stream.read(LARGEST + 1)
    if len(octets) > LARGEST:
        raise OSError(0, f"has more than {LARGEST >> 20} MiB, which no frr.conf takes")
    return octets.decode("utf-8-sig", "replace")


def _create(path: Path, text: str) -> None:
    """Write a new file, which its owner alone can read: there may be passwords in it."""
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)


def _is_open_file() -> bool:
    """Tell whether standard output is a file that everybody may read."""
    mode = os.fstat(sys.stdout.fileno()).st_mode
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
