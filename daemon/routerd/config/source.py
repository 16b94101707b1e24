"""The files that a configuration is written in, and one tree of all of them."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from routerd.config import syntax
from routerd.config.lines import Location, Outline

LARGEST = 16 << 20
"""Octets that a file may have, with all that it includes: a hundred thousand peers take half of it."""
MOST = 100
"""Problems that are told of: a program may have written the same mistake a hundred thousand times."""
_LONGEST = 500
_DEEPEST = 10
"""Levels of tables and lists; a configuration has four."""


class ConfigError(Exception):
    """The file cannot be used. `problems` has one line a problem, each with file, line and key path; `more` counts
    those that are left out. What the file says is shown without control characters, which a terminal would obey."""

    def __init__(self, problems: Sequence[str], more: int = 0) -> None:
        self.problems = [_shown(problem) for problem in problems[:MOST]]
        if more := more + len(problems[MOST:]):
            self.problems.append(f"and {more} more problems")
        super().__init__("\n".join(self.problems))


def _shown(problem: str) -> str:
    line = problem if len(problem) <= _LONGEST else f"{problem[:_LONGEST]} ..."
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


@dataclass(frozen=True)
class Source:
    """One file: what errors call it, its text, and what that says."""

    name: str
    text: str
    data: dict[str, Any]

    @cached_property
    def _outline(self) -> Outline:
        return Outline(self.text)

    def line(self, where: Location, message: str) -> str:
        """Return a problem as a line: file, line of the file, key and message."""
        key = ""
        for part in where:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
        return f"{self.place(where)}: {key}: {message}" if key else f"{self.place(where)}: {message}"

    def place(self, where: Location) -> str:
        """Return where a key stands, as file:line."""
        number = self._outline.line_of(where)
        return f"{self.name}:{number}" if number else self.name


class Sources:
    """Files that make one configuration, the first of them the one that names the others.

    `files` are they, `data` is their union: sections are merged key by key, lists of sections ([[peers]]) joined in
    the order of the files. A key may stand in several files if all say the same; ConfigError where they do not.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.files = tuple(sources)
        self.data: dict[str, Any] = {}
        self._firsts: dict[tuple[str | int, str], int] = {}
        """The position in `data` of the first section that a file has in a list, by the list and the file."""
        problems: list[str] = []
        for source in sources:
            self._merge(self.data, source.data, (), source, problems)
        if problems:
            raise ConfigError(problems)

    def line(self, where: Location, message: str) -> str:
        """Return a problem as a line, with the file that it is in; `where` is a place of `data`."""
        home, within = self._home(where)
        return home.line(within, message)

    def _home(self, where: Location) -> tuple[Source, Location]:
        """Return the first file that has most of a place of `data`, and that place as one of the file."""
        places = [(source, self._within(source, where)) for source in self.files]
        return max(places, key=lambda place: _depth(place[0].data, place[1]))

    def _within(self, source: Source, where: Location) -> Location:
        match where:
            case (str(name), int(position), *rest):
                return (name, position - self._firsts.get((name, source.name), 0), *rest)
        return where

    def _merge(
        self, into: dict[str, Any], data: dict[str, Any], at: Location, source: Source, problems: list[str]
    ) -> None:
        for key, value in data.items():
            where = (*at, key)
            present = into.setdefault(key, {} if isinstance(value, dict) else [] if _is_sections(value) else value)
            if isinstance(value, dict) and isinstance(present, dict):
                self._merge(present, value, where, source, problems)
            elif _is_sections(value) and _is_sections(present):
                self._firsts[key, source.name] = len(present)
                present.extend(value)
            elif present is not value and (type(present) is not type(value) or present != value):
                home, within = self._home(where) if len(problems) < MOST else (source, where)
                problems.append(source.line(where, f"is said differently in {home.place(within)}; remove one"))


def _depth(data: Any, where: Location) -> int:
    """Return how many parts of a place a tree has."""
    for depth, part in enumerate(where):
        if isinstance(data, dict):
            has = part in data
        else:
            has = isinstance(data, list) and isinstance(part, int) and 0 <= part < len(data)
        if not has:
            return depth
        data = data[part]
    return len(where)


def _is_sections(value: Any) -> bool:
    """Tell whether a value is a list of sections, [[name]]; an empty list can become one."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def read(path: Path) -> Sources:
    """Read a file and the files of the directory that it includes; ConfigError if one of them cannot be read."""
    main = source(_text(path, LARGEST), str(path))
    included = main.data.get("include")
    if not isinstance(included, str) or not included:
        return Sources([main])
    directory = path.parent / included
    try:
        paths = sorted(each for each in directory.iterdir() if each.match("[!.]*.toml"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        what = f"{directory} cannot be read: {why}; write a directory with *.toml files, or remove include"
        raise ConfigError([main.line(("include",), what)]) from error
    others = list[Source]()
    room = LARGEST - len(main.text)
    for each in paths:
        others.append(source(_text(each, room), str(each)))
        room -= len(others[-1].text)
    nested = [each for each in others if "include" in each.data]
    if nested:
        raise ConfigError([each.line(("include",), f"only {path} may include others; remove it") for each in nested])
    return Sources([main, *others])


def source(text: str, name: str) -> Source:
    """Parse the text of a file; `name` is what errors call it."""
    try:
        found = Source(name, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        number, what = syntax.explain(text, str(error))
        raise ConfigError([f"{name}:{number}: {what}" if number else f"{name}: {what}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{name}: {_DEEP}"]) from error
    except ValueError as error:  # of a number that Python does not read
        raise ConfigError([f"{name}: {_LONG}"]) from error
    if problem := next(_impossible(found.data, ()), None):
        raise ConfigError([found.line(*problem)])
    return found


_LONG = "has a number with more than 64 bits"
_DEEP = "has lists and tables in each other deeper than any configuration"


def _impossible(value: Any, where: Location) -> Iterator[tuple[Location, str]]:
    """Yield values that are valid TOML, and that nothing after this has to be prepared for."""
    if len(where) > _DEEPEST:
        yield where[:_DEEPEST], _DEEP
    elif isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _impossible(each, (*where, key))
    elif isinstance(value, int) and value.bit_length() > 64:
        yield where, _LONG
    elif isinstance(value, str) and "\0" in value:
        yield where, "has a NUL character in it; remove that"


def _text(path: Path, room: int) -> str:
    try:
        octets = _octets(path, room)
    except PermissionError as error:
        what = f"{error.strerror}; run as root (sudo), or let this user read it"
        raise ConfigError([f"{path}: cannot be read: {what}"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from error
    if len(octets) > room:
        what = f"has more than {LARGEST >> 20} MiB" if room == LARGEST else f"is beyond {LARGEST >> 20} MiB of files"
        raise ConfigError([f"{path}: {what}, which no configuration takes"])
    try:
        return octets.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        number = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{number}: is not UTF-8 text; let the editor save it as UTF-8"]) from error


def _octets(path: Path, room: int) -> bytes:
    """Return what is in a file, and an octet more than there is room for of one that is larger. Whoever reads must
    not wait for a pipe's other end, nor for the end of a device that has none."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ConfigError([f"{path}: is no regular file; write the configuration to one"])
        return file.read(room + 1)
