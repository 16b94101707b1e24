"""Where in a TOML text a key stands: its line, for errors."""

from __future__ import annotations

import re

Location = tuple[str | int, ...]
"""Keys and positions in lists, from the top of the configuration."""


def _bare(name: str) -> str:
    return re.sub("[\"' ]", "", name)


_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")


def line_of(text: str, where: Location) -> int | None:
    """Return the number of the line that writes the key at `where`, else of its table's header, else None."""
    if not where:
        return None
    position = next((part for part in where if isinstance(part, int)), 0)
    if where[0] == "peer_groups" and len(where) > 1:
        header, keys = f"peer_groups.{where[1]}", where[2:]
    else:
        header, keys = str(where[0]), tuple(part for part in where[1:] if isinstance(part, str))
    top = len(where) == 1  # a key before all sections, or a section, perhaps of a section
    inside, seen, found = top, -1, None
    if top:
        header, keys = str(where[0]), (str(where[0]),)
    for number, line in enumerate(text.splitlines(), start=1):
        table = _TABLE.match(line)
        if table:
            named = _bare(table[2])
            if top:
                inside = False
                found = number if found is None and f"{named}.".startswith(f"{header}.") else found
                continue
            inside = named == _bare(header)
            seen += inside
            inside = inside and (table[1] == "[" or seen == position)
            found = number if inside else found
        elif inside and keys and re.match(rf'\s*"?{re.escape(str(keys[0]))}"?\s*=', line):
            return number
    return found
