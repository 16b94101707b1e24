"""What it costs to change a key while routerd runs. The models mark the keys that are not simply live."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class Impact(IntEnum):
    """What a changed key does, the least first."""

    LIVE = 0
    SESSION = 1
    RESTART = 2

    @property
    def words(self) -> str:
        """Return it as people read it."""
        return ("live", "session reset", "restart")[self]


class Cost(NamedTuple):
    """An annotation of a key: its impact, and the reason, or what else the change does."""

    impact: Impact
    why: str


LIVE = Cost(Impact.LIVE, "")


def session(why: str) -> Cost:
    """Mark a key of which both ends of a session know, so that a change resets the sessions that it concerns."""
    return Cost(Impact.SESSION, why)


def restart(why: str) -> Cost:
    """Mark a key that routerd takes at its start alone."""
    return Cost(Impact.RESTART, why)


def live(why: str) -> Cost:
    """Mark a key that takes effect at once and does more than its name says."""
    return Cost(Impact.LIVE, why)


def cost(field: FieldInfo) -> Cost:
    """Return what a change of a key costs."""
    return next((each for each in field.metadata if isinstance(each, Cost)), LIVE)


def costs(section: type[BaseModel]) -> Iterator[tuple[str, Cost]]:
    """Yield the keys of a section, each with what its change costs."""
    for name, field in section.model_fields.items():
        yield name, cost(field)
