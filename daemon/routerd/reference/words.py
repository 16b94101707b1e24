"""The commands as completions see them: options with what follows them, and operands."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

from routerd.cli.arguments import Argument, Command

_FILES = ("FILE", "PATH")
_PEERS = ("PEER", "NODE")


class Value(NamedTuple):
    """What can be written: one of `choices`, a file, a peer's name or address, or anything."""

    title: str
    choices: tuple[str, ...] = ()
    file: bool = False
    peer: bool = False


class Option(NamedTuple):
    """An option; `value` is None if nothing follows it."""

    names: tuple[str, ...]
    help: str
    value: Value | None


def options(command: Command) -> Iterator[Option]:
    """Yield the options of a command, and the one that all have."""
    for each in command.arguments:
        if each.names[0].startswith("-"):
            yield Option(_names(each), _help(each), _value(each) if _takes(each) else None)
    yield Option(("-h", "--help"), "Show the help and exit.", None)


def operands(command: Command) -> list[Value]:
    """Return what stands beside the options of a command."""
    return [_value(each) for each in command.arguments if not each.names[0].startswith("-")]


def about(command: Command) -> str:
    """Return the first line of a command's help, without its full stop."""
    return (command.function.__doc__ or "").strip().partition("\n")[0].removesuffix(".")


def _names(each: Argument) -> tuple[str, ...]:
    if each.settings.get("action") is not argparse.BooleanOptionalAction:
        return each.names
    return (*each.names, *(f"--no-{name[2:]}" for name in each.names))


def _help(each: Argument) -> str:
    return str(each.settings.get("help", ""))


def _takes(each: Argument) -> bool:
    return each.settings.get("action") in (None, "append")


def _value(each: Argument) -> Value:
    title = str(each.settings.get("metavar", each.names[0]))
    choices = tuple(map(str, each.settings.get("choices", ())))
    peer = title in _PEERS or each.names[0] == "--peer"
    return Value(title, choices, file=title in _FILES and not choices, peer=peer)
