"""What the words of a command line mean: argparse, with help and errors that say what to do.

On the standard library, because a command must start fast.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

_WIDTH = 78
"""Columns of a help text. Asked for the terminal's, argparse loads shutil and all that it can unpack."""


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class UsageError(Exception):
    """Arguments that are right each, and wrong together."""


class Argument(NamedTuple):
    """An option or an argument of a command: what `argparse.ArgumentParser.add_argument` takes."""

    names: tuple[str, ...]
    settings: dict[str, Any]


class Command(NamedTuple):
    """A function that returns the exit code, and its arguments. Its docstring is the help: a line, then the rest.
    `exits` are the exit codes of its own, beside 0, 1 and 2."""

    function: Callable[..., int]
    arguments: tuple[Argument, ...]
    exits: Mapping[int, str] = {}


def argument(*names: str, **settings: Any) -> Argument:
    """Return an argument of a command, as `argparse.ArgumentParser.add_argument` takes it."""
    return Argument(names, settings)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` to `most`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from {least} to {most}")
        return value

    return read


def seconds(text: str) -> float:
    """Read a duration in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number of seconds")
    return value


def ago(text: str) -> float:
    """Read how long ago, such as `90`, `5m`, `2h` or `1d`; return seconds."""
    number, unit = text.rstrip("smhd"), text[len(text.rstrip("smhd")) :]
    if not (number.isascii() and number.isdecimal() and len(number) < 10 and unit in _UNITS):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a duration such as 90s, 5m, 2h or 1d")
    return float(number) * _UNITS[unit]


def address(*versions: int) -> Callable[[str], str]:
    """Return what reads an IP address of one of these versions, and writes it as its RFC has it."""

    def read(text: str) -> str:
        import ipaddress

        if not text:
            return ""  # the default, which argparse reads as well
        try:
            parsed = ipaddress.ip_address(text)
        except ValueError:
            parsed = None
        if parsed is None or parsed.version not in versions or parsed.is_unspecified or "%" in text:
            kinds = " or ".join(f"IPv{each}" for each in versions)
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is no {kinds} address")
        return str(parsed)

    return read


def run(program: str, about: str, version: str, commands: Mapping[str, Command], words: Sequence[str]) -> int:
    """Carry out a command line, and return the exit code: 2 for a wrong one, as every shell has it."""
    top = _Parser(program, "COMMAND [ARGS]...", about, _listing(commands))
    top.add_argument("-V", "--version", action="version", version=version, help="Print the version and exit.")
    first = next((place for place, word in enumerate(words) if not word.startswith("-")), len(words))
    _, unknown = top.parse_known_args(words[:first])
    top.refuse(unknown)
    if not words[first:]:
        print(top.format_help(), end="", file=sys.stderr)
        return 2
    name = words[first]
    command = commands.get(name)
    if command is None:
        top.error(f"there is no command {name!r}{_meant(name, commands)}")
    parser = _Parser(f"{program} {name}", _positional(command), _text(command))
    for each in command.arguments:
        parser.add_argument(*each.names, **each.settings)
    found, unknown = parser.parse_known_intermixed_args(words[first + 1 :])
    parser.refuse(unknown)
    try:
        return command.function(**vars(found))
    except UsageError as error:
        parser.error(str(error))


class _Parser(argparse.ArgumentParser):
    def __init__(self, program: str, operands: str, about: str, listing: str = "") -> None:
        super().__init__(
            program,
            f"{program} [OPTIONS] {operands}".rstrip(),
            about,
            listing,
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
        )
        self._positionals.title, self._optionals.title = "Arguments", "Options"
        self.add_argument("-h", "--help", action="help", help="Show this message and exit.")

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is; exit code 2."""
        self.exit(2, f"{self.format_usage()}Try '{self.prog} -h' for help.\n\nError: {message}\n")

    def refuse(self, unknown: Sequence[str]) -> None:
        """End with an error if there are words that mean nothing here."""
        if not unknown:
            return
        first = unknown[0].partition("=")[0]
        if first.startswith("-"):
            self.error(f"there is no option {first}{_meant(first, self._option_string_actions)}")
        self.error(f"more arguments than it takes: {' '.join(unknown)}")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_WIDTH)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, "Usage: ")

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Write `-s, --socket PATH`, and not the placeholder after each of the names."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = "" if isinstance(action, argparse.BooleanOptionalAction) else f" {self._format_args(action, '')}"
        return ", ".join(action.option_strings) + value.rstrip()


def _positional(command: Command) -> str:
    names = [each.settings.get("metavar", each.names[0]) for each in command.arguments if each.names[0][0] != "-"]
    return " ".join(names)


def _text(command: Command) -> str:
    """Return a command's help, in lines of a screen."""
    head, _, rest = (command.function.__doc__ or "").strip().partition("\n")
    paragraphs = [head, *textwrap.dedent(rest).strip().split("\n\n")]
    return "\n\n".join(textwrap.fill(each, _WIDTH) for each in paragraphs if each)


def _listing(commands: Mapping[str, Command]) -> str:
    width = max(map(len, commands))
    heads = {name: (command.function.__doc__ or "").strip().partition("\n")[0] for name, command in commands.items()}
    inner = " " * (width + 4)
    lines = [
        textwrap.fill(f"  {name:{width}}  {head}", _WIDTH, subsequent_indent=inner) for name, head in heads.items()
    ]
    return "\n".join(["Commands:", *lines])


def _meant(word: str, known: Any) -> str:
    import difflib

    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""
