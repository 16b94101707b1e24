"""How a command ends: its answer on standard output, or what went wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from typing import Any

_STDERR = 2


def write(text: str, end: str = "\n") -> None:
    """Write to standard output at once. Where it cannot be written, a full disk for one, the command fails."""
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # nobody reads on, as `| head`: that is no error to speak of
    except OSError as error:
        abandon()
        print(f"routerd: standard output cannot be written: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from error


def secure() -> None:
    """Have something to write to, and write whatever a peer has said.

    The descriptors 0 to 2 are taken where whoever started the process has closed them.

    The next socket would be standard error, and be written the log. They are for reading alone, so that a line of the
    log fails, and `status` says so. What a command prints is gone, and its exit code is what it is.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= _STDERR:
        continue
    os.close(descriptor)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as it runs
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):  # the texts of shutdowns are UTF-8 (RFC 9003), a terminal may not be
        sys.stdout.reconfigure(errors="backslashreplace")


def abandon() -> None:
    """Write no more: what is left in the buffer would be tried again, in vain, when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(error: Exception, as_json: bool, answer: Mapping[str, Any] | None = None) -> SystemExit:
    """Say what went wrong, and return what ends the command with exit code 1.

    A program that asked for JSON gets JSON, where it looks for the answer: `ok` is false, `error` is the text, beside
    the `answer`, if there is one all the same.
    """
    if as_json:
        write(json.dumps({**(answer or {}), "ok": False, "error": str(error)}, indent=2))
    else:
        print(f"routerd: {error}", file=sys.stderr)
    return SystemExit(1)
