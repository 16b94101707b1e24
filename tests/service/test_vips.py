"""Which host routes have a topic each: as many as the limit, and the others are counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from routerd.core.message import DeleteNexthop, DeleteRoutes, SetGroup, SetRoutes
from routerd.core.route import Prefix, parse_prefix
from routerd.service.mqtt import vips
from routerd.service.mqtt.vips import Vips


def hosts(first: int, count: int) -> tuple[Prefix, ...]:
    return tuple(Prefix(b"\x20" + (0xAC100000 + number).to_bytes(4, "big")) for number in range(first, first + count))


def made(limit: int, *prefixes: Prefix, group: int = 1) -> tuple[Vips, dict[Prefix, Any]]:
    routes: dict[Prefix, Any] = {prefix: SimpleNamespace(id=group) for prefix in prefixes}
    found = Vips(routes, limit)
    found.begin()
    found.see(prefixes)
    return found, routes


def test_a_table_is_no_topic() -> None:
    wide = [parse_prefix(f"10.{high}.{low}.0/24") for high in range(256) for low in range(256)]
    found, _ = made(1000, *wide, parse_prefix("fd00::/64"))
    assert (len(found.told), found.left_out, found.uncounted) == (0, 0, False)


def test_beyond_the_limit_they_are_counted_and_move_up() -> None:
    every = hosts(0, 15)
    found, _ = made(10, *every, parse_prefix("fd00::1/128"))
    assert (list(found.told), found.left_out) == (list(every[:10]), 6)
    found.heed([DeleteRoutes(every[2:5] + every[12:13])])
    found.collect()
    assert list(found.gone) == list(every[2:5])
    assert len(found.told) == 10
    assert found.left_out == 2
    assert set(every[10:12]) <= found.told.keys()


def test_beyond_what_is_remembered_it_says_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """And once there is room, all routes are to be seen again."""
    monkeypatch.setattr(vips, "REMEMBERED", 5)
    every = hosts(0, 30)
    found, _ = made(10, *every)
    assert (found.left_out, found.uncounted, found.incomplete) == (5, True, False)
    found.heed([DeleteRoutes(every[:8])])
    found.collect()
    assert (len(found.told), found.left_out, found.incomplete) == (7, 0, True)
    found.begin()
    found.see(every[8:])
    assert (len(found.told), found.left_out, found.uncounted) == (10, 5, True)


def test_there_may_be_no_room() -> None:
    every = hosts(0, 5)
    found, _ = made(10, *every)
    found.refuse(every[4])
    found.see(hosts(5, 3))
    found.collect()
    assert (list(found.told), found.left_out) == (list(every[:4]), 4)


def test_none_at_all() -> None:
    found, _ = made(0, *hosts(0, 3))
    assert (len(found.told), found.left_out) == (0, 3)


def test_what_changes_is_told_anew_and_nothing_else() -> None:
    first, second = hosts(0, 1)[0], hosts(1, 1)[0]
    found, routes = made(10, first, second)
    routes[second] = SimpleNamespace(id=2)
    found.changed.clear()
    found.collect()
    assert not found.changed
    found.heed([SetGroup(2, ())])
    found.collect()
    assert list(found.changed) == [second]
    found.changed.clear()
    found.heed([SetRoutes(1, (first,))])
    found.collect()
    assert list(found.changed) == [first]
    found.changed.clear()
    found.heed([DeleteNexthop(7)])
    found.collect()
    assert found.changed.keys() == {first, second}
    del routes[first]
    found.touch()
    found.collect()
    assert list(found.gone) == [first]


def test_who_comes_back_is_not_gone() -> None:
    (prefix,) = hosts(0, 1)
    found, _ = made(10, prefix)
    found.heed([DeleteRoutes((prefix,)), SetRoutes(1, (prefix,))])
    assert not found.gone
    assert list(found.told) == list(found.changed) == [prefix]


def test_there_is_room_again() -> None:
    every = hosts(0, 10)
    found, _ = made(10, *every)
    for prefix in every[4:]:
        found.refuse(prefix)
    found.collect()
    assert (len(found.told), found.left_out) == (4, 6)
    found.relax()
    found.collect()
    assert (len(found.told), found.left_out) == (10, 0)
