"""Which buckets a leg has again that has lost them, whoever took them."""

from __future__ import annotations

from routerd.core.layout import AT_ONCE_LOST, KEPT
from routerd.core.pair.layouts import Held
from routerd.core.pair.past import Past
from routerd.core.route import parse_address

A, B, C, D = (parse_address(f"10.0.0.{i}") for i in (1, 2, 3, 4))
EVEN = {A: 1, B: 1, C: 1}
ID = 7


def held(owners: str, busy: int = 0, legs: str = "abc") -> Held:
    known = {"a": A, "b": B, "c": C, "d": D}
    return Held(tuple(known[each] for each in owners), busy, frozenset(known[each] for each in legs))


def text(found: Held) -> str:
    return "".join({A: "a", B: "b", C: "c", D: "d"}[owner] for owner in found.owners)


def lost(*steps: tuple[float, str]) -> Past:
    past = Past()
    for now, owners in steps:
        past.read(ID, held(owners), now)
    return past


def test_a_leg_has_those_again_that_are_busy_on_neither() -> None:
    past = lost((0.0, "aabbcc"), (1.0, "bbbbcc"))
    now = held("bbbbcc")
    assert text(past.restored(ID, now, None, EVEN)) == "aabbcc"
    assert text(past.restored(ID, now._replace(busy=0b1), None, EVEN)) == "babbcc"
    assert text(past.restored(ID, now, now._replace(busy=0b10), EVEN)) == "abbbcc"


def test_also_if_it_never_left_the_group() -> None:
    """As when somebody has had the kernel give its buckets to others."""
    past = lost((0.0, "aabbcc"), (1.0, "bbbbbb"))
    assert text(past.restored(ID, held("bbbbbb"), None, EVEN)) == "aabbcc"


def test_not_if_it_is_to_have_none() -> None:
    """It is drained, has yet to return, or its share of the flows is less than one bucket."""
    past, now = lost((0.0, "aabbcc"), (1.0, "bbbbcc")), held("bbbbcc")
    for weights in ({A: 0, B: 1, C: 1}, {B: 1, C: 1}, {A: 1, B: 5, C: 5}):
        assert past.restored(ID, now, None, weights) == now
    assert text(past.restored(ID, now, None, {A: 2, B: 5, C: 5})) == "aabbcc"


def test_once_it_has_some_there_is_nothing_to_be_given_back() -> None:
    past, now = lost((0.0, "aabbcc"), (1.0, "bbbbcc"), (2.0, "abbbcc")), held("abbbcc")
    assert past.restored(ID, now, None, EVEN) == now


def test_for_a_while_only() -> None:
    for wait, owners in ((KEPT - 0.1, "aabbcc"), (KEPT, "bbbbcc")):
        past = lost((0.0, "aabbcc"), (1.0, "bbbbcc"), (1.0 + wait, "bbbbcc"))
        assert text(past.restored(ID, held("bbbbcc"), None, EVEN)) == owners


def test_of_what_is_lost_at_once_the_first_counts_and_else_the_last() -> None:
    for wait, owners in ((AT_ONCE_LOST - 0.1, "aabbcc"), (AT_ONCE_LOST, "bbbbcc")):
        past = lost((0.0, "aabbcc"), (1.0, "bbbbcc"), (1.0 + wait, "cccccc"))
        assert text(past.restored(ID, held("cccccc"), None, EVEN)) == owners


def test_of_several_that_are_lost_at_once_each_has_its_own() -> None:
    past = lost((0.0, "abcd"), (1.0, "bbcd"), (1.1, "cccd"), (1.2, "dddd"))
    assert text(past.restored(ID, held("dddd"), None, {A: 1, B: 1, C: 1, D: 1})) == "abcd"


def test_all_else_of_the_group_is_as_it_was() -> None:
    past, now = lost((0.0, "aabbcc"), (1.0, "bbbbcc")), held("bbbbcc", 0b100100)
    now = now._replace(settled=False, drained=frozenset({C}))
    assert past.restored(ID, now, None, EVEN) == now._replace(owners=held("aabbcc").owners)


def test_a_group_of_another_size_is_another_one() -> None:
    past, now = lost((0.0, "aabbcc"), (1.0, "bbbbcc"), (2.0, "bbcc"), (3.0, "bbbc")), held("bbbc")
    assert past.restored(ID, now, None, EVEN) == now


def test_a_group_that_is_gone_is_forgotten() -> None:
    past, now = lost((0.0, "aabbcc"), (1.0, "bbbbcc")), held("bbbbcc")
    past.forget(ID)
    assert past.restored(ID, now, None, EVEN) == now
    now = held("bbbbbb")  # another one has the id: nothing has left it
    past.read(ID, now, 2.0)
    assert past.restored(ID, now, None, EVEN) == now
