"""What two configurations differ in, key by key, and what it costs to go from one to the other. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from routerd.config.agreement import for_partner
from routerd.config.impact import LIVE, Cost, Impact, cost, costs
from routerd.config.model import Config, PeerGroup, RouterSection

HIDDEN = "(hidden)"
"""What a password is shown as."""
_SECRETS = ("password", "hash_seed")
"""Keys whose values are not shown; who knows the seed can make all flows meet in one node."""


class Change(NamedTuple):
    """A key that differs: its values before and after (None where its section is not there), and the cost.

    `key` is the path to it; peers are named by their address, ranges by their prefix.
    """

    key: str
    before: Any
    after: Any
    cost: Cost


def changes(before: Config, after: Config) -> list[Change]:
    """Return what differs, in the order of the file. A default that is written out is no difference."""
    found: list[Change] = []
    for name, field in Config.model_fields.items():
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(new, BaseModel):
            found += _section(name, old, new)
        elif name == "peer_groups":
            found += _sections(name, old, new)
        elif name == "peers":
            found += _sections(name, _by(old, "address"), _by(new, "address"))
        elif name == "dynamic_peers":
            found += _sections(name, _by(old, "range"), _by(new, "range"))
        elif name == "bmp":
            found += _sections(name, _by(old, "name"), _by(new, "name"))
        elif old != new:
            found.append(Change(name, old, new, cost(field)))
    return [_in_pair(each, before, after) for each in found]


def _in_pair(change: Change, before: Config, after: Config) -> Change:
    """Add what a change means for the agreement with the partner."""
    said = [each for each in (change.cost.why, for_partner(change.key, before, after)) if each]
    return change._replace(cost=change.cost._replace(why="; ".join(said)))


def resets(before: Config, after: Config, addresses: Iterable[str]) -> dict[str, list[str]]:
    """Return which of the peers at these addresses lose their session, each with the keys that are the reason.

    A peer that belongs to no group any more has the reason "peers": it is to be gone.
    """
    found: dict[str, list[str]] = {}
    for address in addresses:
        old, new = session_parameters(before, address), session_parameters(after, address)
        if old != new:
            found[address] = [key for key in old if new.get(key, new) != old[key]] if new else ["peers"]
    return found


def session_parameters(config: Config, address: str) -> dict[str, Any]:
    """Return all that a session with the peer at an address depends on; empty if there is no such peer."""
    group = config.group_of(address)
    if group is None:
        return {}
    found = {f"router.{name}": getattr(config.router, name) for name in _SESSION_ROUTER}
    found |= {f"peer_groups.{name}": getattr(group[1], name) for name in _SESSION_GROUP}
    if group[1].remote_as == "internal":
        found["peer_groups.remote_as"] = config.router.asn
    if not group[1].graceful_restart:
        del found["peer_groups.restart_time"]  # nobody is told
    return found


_SESSION_ROUTER = [name for name, each in costs(RouterSection) if each.impact is Impact.SESSION]
_SESSION_GROUP = [name for name, each in costs(PeerGroup) if each.impact is Impact.SESSION]


def _by(sections: Iterable[Any], key: str) -> dict[str, Any]:
    return {getattr(section, key): section for section in sections}


def _sections(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Yield the changes of sections by their names: those that went, those that changed, those that came."""
    for each in [*before, *(each for each in after if each not in before)]:
        key, old, new = f"{name}.{each}", before.get(each), after.get(each)
        if old is None or new is None:
            yield Change(key, _shown(old), _shown(new), LIVE)
        else:
            yield from _section(key, old, new)


def _section(name: str, before: BaseModel, after: BaseModel) -> Iterator[Change]:
    for key, field in type(after).model_fields.items():
        old, new = getattr(before, key), getattr(after, key)
        if old != new:
            secret = key in _SECRETS
            shown = (_secret(old), _secret(new)) if secret else (old, new)
            yield Change(f"{name}.{key}", shown[0], shown[1], cost(field))


def _secret(value: object) -> str | None:
    return None if value is None else HIDDEN


def _shown(section: BaseModel | None) -> dict[str, Any] | None:
    """Return what a section says that is no default, fit to be shown."""
    if section is None:
        return None
    said = section.model_dump(mode="json", exclude_defaults=True)
    return {key: HIDDEN if key in _SECRETS else value for key, value in said.items()}
