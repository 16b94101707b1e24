"""The manual page routerd(8), made of the commands: man(7)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from routerd.cli.arguments import Command
from routerd.reference.words import Option, options

EXITS = {
    0: "it was done",
    1: "it failed: standard error says why in one line, or with --json the answer, whose ok is false",
    2: "it was used wrongly",
    130: "it was ended by Ctrl-C",
    141: "whoever read what it prints has stopped, as `| head` does",
}
"""What all commands end with."""
_ENVIRONMENT = {
    "ROUTERD_SOCKET": "The daemon's Unix socket, unless --socket names it.",
    "ROUTERD_JOURNAL": "As --journal of routerd run.",
    "ROUTERD_RECORD": "As --record of routerd run.",
    "NO_COLOR": "If it is set, and not empty, nothing is coloured. Into a pipe or a file nothing is, in any case.",
}
_FILES = {
    "/etc/routerd/routerd.toml": "The configuration.",
    "/run/routerd/routerd.sock": "The socket that the commands ask the daemon on.",
}


def page(about: str, commands: Mapping[str, Command]) -> str:
    """Return the page."""
    own = {name: command.exits for name, command in commands.items() if command.exits}
    lines = [
        '.\\" Made of the commands by `make reference`.',
        ".TH ROUTERD 8",
        ".SH NAME",
        f"routerd \\- {_text(about[0].lower() + about[1:].removesuffix('.'))}",
        ".SH SYNOPSIS",
        ".B routerd",
        ".I COMMAND",
        "[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...",
        ".SH COMMANDS",
        *(line for name, command in commands.items() for line in _command(name, command)),
        ".SH EXIT STATUS",
        *(line for code, what in EXITS.items() for line in _item(f"\\fB{code}\\fR", what)),
        *(line for name, exits in own.items() for line in _exits(name, exits)),
        ".SH ENVIRONMENT",
        *(line for name, what in _ENVIRONMENT.items() for line in _item(f"\\fB{name}\\fR", what)),
        ".SH FILES",
        *(line for name, what in _FILES.items() for line in _item(f"\\fI{_text(name)}\\fR", what)),
        ".SH SEE ALSO",
        "The documents beside the installed README; docs/schema.json for what \\-\\-json prints.",
        ".br",
        ".BR ip\\-route (8),",
        ".BR ip\\-nexthop (8)",
    ]
    return "\n".join([*lines, ""])


def _command(name: str, command: Command) -> Iterator[str]:
    named = [each.settings for each in command.arguments if not each.names[0].startswith("-")]
    operands = [
        f"[{each.get('metavar')}]" if each.get("nargs") in ("?", "*") else str(each.get("metavar")) for each in named
    ]
    yield f".SS routerd {' '.join([name, '[OPTIONS]', *operands])}"
    for number, paragraph in enumerate(textwrap.dedent(command.function.__doc__ or "").strip().split("\n\n")):
        yield from [".PP"] * (number > 0)
        yield _text(" ".join(paragraph.split()))
    for each in named:
        yield from _item(f"\\fI{_text(str(each.get('metavar')))}\\fR", str(each.get("help", "")))
    for option in options(command):
        yield from _item(_names(option), option.help)


def _names(option: Option) -> str:
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
    return names if option.value is None else f"{names} \\fI{_text(option.value.title)}\\fR"


def _exits(name: str, exits: Mapping[int, str]) -> Iterator[str]:
    for code, what in exits.items():
        yield from _item(f"\\fB{code}\\fR of routerd {name}", what)


def _item(head: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield head
    yield _text(text)


def _text(text: str) -> str:
    """Escape what roff would take for a request, and hyphens that are to be copied as such."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
