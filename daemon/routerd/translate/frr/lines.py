"""The lines of an frr.conf: a file, or what `show running-config` printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_NOISE = re.compile(
    r"""(Building\ configuration\.\.\. | Current\ configuration.* | \S+[>#]\s.* | \S+[>#] | end | [!#].*)?$""",
    re.VERBOSE,
)
"""Comments, what vtysh prints around a configuration, and its prompt."""

_QUOTED = re.compile(r"-c\s+(?:'([^']*)'|\"([^\"]*)\")")
"""A command in the arguments of vtysh, as labs have them in their topology."""

_SECRET = re.compile(r"(?<!\S)(password|md5|key-string|secret|authentication-key)\s.*", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^\t\x20-\x7e\xa0-\ud7ff\ue000-\uffff\U00010000-\U0010ffff]")


LONGEST = 4000
"""Characters of a line that is read; FRR takes as many. Numbers of more digits than Python reads are none."""


class Line(NamedTuple):
    """A command. `number` counts from 1; `words` are without a leading `no`, which `negated` tells of."""

    number: int
    text: str
    words: tuple[str, ...]
    negated: bool = False

    @property
    def shown(self) -> str:
        """The text for people: printable, and without a password."""
        return _UNPRINTABLE.sub("?", _SECRET.sub(r"\1 ***", self.text))

    @property
    def origin(self) -> str:
        """What a comment says of a value: `line 12: bgp router-id 10.0.0.1`."""
        return f"line {self.number}: {self.shown}"


def commands(text: str) -> Iterator[Line]:
    """Yield the commands of a text, without comments and what vtysh says besides."""
    for number, whole in enumerate(re.split(r"\r?\n", text), 1):
        raw = whole[:LONGEST]
        quoted = (
            [one or other for one, other in _QUOTED.findall(raw)] if raw.lstrip().startswith(("-c", "vtysh")) else []
        )
        for each in quoted or [raw]:
            stripped = each.strip()
            if _NOISE.match(stripped) or stripped in ("conf t", "configure terminal", "configure"):
                continue
            words = tuple(stripped.split())
            negated = words[0] == "no" and len(words) > 1
            yield Line(number, stripped, words[1:] if negated else words, negated)
