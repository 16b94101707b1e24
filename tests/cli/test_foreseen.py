"""What `diff` prints of a forecast: it fits 80 columns, and no doubt is passed over."""

from __future__ import annotations

from routerd.api.models import (
    ChangedGroupsView,
    ChangedRoutesView,
    ChangedRouteView,
    ForecastView,
    JudgedPathView,
    JudgedView,
    MovedBucketsView,
    ToldView,
    UnseenView,
)
from routerd.cli.foreseeing import foreseen
from routerd.cli.screen import Screen

NARROW = Screen(80, colours=False)
NOTHING = ForecastView(
    paths=[],
    unnamed=0,
    unasked=0,
    routes=[],
    routes_now=12,
    told=[],
    groups=ChangedGroupsView(changed=0, anew=0, emptied=0, first=[]),
    buckets=MovedBucketsView(moving=0, busy=0, groups=0, unread=0, unseen=[]),
)


def text(view: ForecastView) -> str:
    """Return the lines as one text."""
    lines = foreseen(NARROW, view)
    assert all(len(line) <= 80 for line in lines)
    return " ".join(" ".join(lines).split())


def test_nothing_changes() -> None:
    assert text(NOTHING) == (
        "routes: none of 12 changes peers are told nothing groups: none changes members "
        "buckets with flows that move: 0"
    )


def test_what_changes() -> None:
    paths = JudgedView(
        before="accepted",
        after="6 not in accept",
        count=7,
        first=[JudgedPathView(prefix=f"172.20.0.{i}/32", peer="a-node-with-quite-a-long-name") for i in range(5)],
    )
    route = ChangedRouteView(prefix="fd00:ac10::1/128", before=["fd00:10::101", "fd00:10::102"], after=[])
    view = NOTHING | {
        "paths": [paths],
        "routes": [ChangedRoutesView(fate="goes", count=1, first=[route])],
        "told": [ToldView(peer_group="upstream", peers=2, what="withdrawn", count=6, first=["10.9.0.0/16"])],
        "groups": ChangedGroupsView(changed=2, anew=0, emptied=1, first=[]),
        "buckets": MovedBucketsView(moving=3, busy=40, groups=3, unread=0, unseen=[]),
    }
    found = text(view)  # type: ignore[arg-type]
    assert "7 accepted 6 not in accept" in found
    assert "172.20.0.0/32 of a-node-with-quite-a-long-name" in found
    assert "; 2 more" in found
    assert "fd00:ac10::1/128: fd00:10::101, fd00:10::102 -> none" in found
    assert "6 withdrawn 2 of upstream 10.9.0.0/16; 5 more" in found
    assert "groups: 2 change members, 1 lose routes" in found
    assert found.endswith("buckets with flows that move: 3 of 40 in 3 groups")


def test_what_is_not_known_is_said() -> None:
    unseen = [UnseenView(why="flows to one node alone leave no trace in the buckets", groups=2)]
    buckets = MovedBucketsView(moving=0, busy=0, groups=0, unread=5, unseen=unseen)
    found = text(NOTHING | {"unnamed": 904, "unasked": 10, "buckets": buckets})  # type: ignore[arg-type]
    assert "904 rejected paths are not kept by name: their nodes are asked to announce them again" in found
    assert "10 rejected paths are not kept by name, and their nodes cannot be asked" in found
    assert "flows of 2 groups besides: not known: flows to one node alone leave no trace" in found
    assert "flows of 5 groups besides: not known: there was no time to look" in found
