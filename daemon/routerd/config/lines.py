"""Where in a TOML text a key stands: its line, for errors.

A text may be large, and written by nobody: it is gone through once, and no pattern here goes back over a line.
"""

from __future__ import annotations

import re

Location = tuple[str | int, ...]
"""Keys and positions in lists, from the top of the configuration."""

_Section = tuple[bool, int, int]
"""Whether it is one of a list, [[name]], and the numbers of its header and of the line behind its last one."""
_LONGEST_HEADER = 1000


def _bare(name: str) -> str:
    return re.sub("[\"' ]", "", name)


class Outline:
    """The lines and the sections of a text."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._sections: dict[str, list[_Section]] = {}
        headers = [(n, *found) for n, line in enumerate(self._lines, start=1) if (found := _header(line)) is not None]
        ends = [number for number, *_ in headers[1:]]
        for (number, name, is_list), end in zip(headers, [*ends, len(self._lines) + 1], strict=False):
            self._sections.setdefault(name, []).append((is_list, number, end))
        self._top = headers[0][0] if headers else len(self._lines) + 1

    def line_of(self, where: Location) -> int | None:
        """Return the number of the line that writes the key at `where`, else of its table's header, else None."""
        if not where:
            return None
        if len(where) == 1:  # a key before all sections, or a section, perhaps of a section
            return self._key(str(where[0]), 1, self._top) or self._first(_bare(str(where[0])))
        if where[0] == "peer_groups":
            name, keys = f"peer_groups.{where[1]}", where[2:]
        else:
            name, keys = str(where[0]), tuple(part for part in where[1:] if isinstance(part, str))
        position = next((part for part in where if isinstance(part, int)), 0)
        number = None
        for index, (is_list, header, end) in enumerate(self._sections.get(_bare(name), ())):
            if not is_list or index == position:
                number = header
                if keys and (found := self._key(str(keys[0]), header + 1, end)):
                    return found
        return number

    def _key(self, key: str, first: int, end: int) -> int | None:
        pattern = re.compile(rf'\s*"?{re.escape(key)}"?\s*=')
        return next((n for n in range(first, end) if pattern.match(self._lines[n - 1])), None)

    def _first(self, name: str) -> int | None:
        named = (each for each in self._sections if each == name or each.startswith(f"{name}."))
        return min((self._sections[each][0][1] for each in named), default=None)


def _header(line: str) -> tuple[str, bool] | None:
    """Return the bare name of the section that a line begins, and whether it is one of a list; None if it is none."""
    line = line.strip()
    if not line.startswith("["):
        return None
    is_list = line.startswith("[[")
    name, bracket, rest = line[:_LONGEST_HEADER].lstrip("[").partition("]")
    rest = rest.removeprefix("]").lstrip()
    return (_bare(name.strip()), is_list) if bracket and name.strip() and (not rest or rest[0] == "#") else None
