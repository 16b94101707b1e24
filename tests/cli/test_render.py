"""The tables: they fit 80 columns, whatever is in them, and lose nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from routerd.api.models import (
    DrainView,
    EventLoopView,
    FamilyCounts,
    FibView,
    ForeignBgpView,
    GroupMemberView,
    GroupView,
    KernelRouteView,
    PairStateView,
    PathView,
    PeerView,
    ProblemView,
    RouteDetailView,
    RoutesView,
    RouteView,
    SpeakerView,
    StatusView,
    SysctlView,
)
from routerd.api.models.pair import PairGroupView, PairRouterView, PairView
from routerd.cli import pair, render
from routerd.cli.screen import Column, Screen

NARROW = Screen(80, colours=False)
PIPE = Screen(240, colours=False)
SIX = "fd00:1234:5678:9abc:def0:1234:5678:9abc"
NAME = "a-node-with-quite-a-long-name.rack-17"
REASON = "hold timer of 9 s expired, last heard 9.2 s ago; 12 rejected: 6 not in accept"


def peer(**changes: Any) -> PeerView:
    counts = FamilyCounts(received=4, accepted=4, rejected=0, in_fib=4, stale=0, advertised=2)
    view = PeerView(
        name="192.168.10.100", address="192.168.10.100", group="nodes", asn=65001, router_id=None, dynamic=True,
        state="established", reason="", since_seconds=27.0, sessions=1, hold_time=9, families=["ipv4"],
        totals=counts, by_family={}, rejected_by_reason={}, faults=0, silent=False, drain="", leaving=0,
        buckets=1048576, shutdown=None,
    )  # fmt: skip
    return view | changes  # type: ignore[return-value]


def leg(gateway: str = "192.168.10.100", *peers: str, interface: str = "nodes10") -> GroupMemberView:
    return GroupMemberView(
        nexthop_id=1, gateway=gateway, interface=interface, weight=65535, buckets=16384, peers=[*peers]
    )


def group(*members: GroupMemberView, kind: str = "resilient") -> GroupView:
    return GroupView(
        id=4294967295,
        type=kind,
        buckets=16384,
        prefixes=1000000,
        first=[f"{SIX}/128"],
        members=[*members],
        balanced=True,
        balanced_in_seconds=None,
        unbalanced="",
    )


def prefix(**changes: Any) -> RouteView:
    view = RouteView(
        prefix="172.16.1.1/32", local=False, group_id=9, in_fib=True, paths=3,
        next_hops=["192.168.10.100"], best_peer="k8s-w0",
    )  # fmt: skip
    return view | changes  # type: ignore[return-value]


def path(**changes: Any) -> PathView:
    view = PathView(
        peer="192.168.20.100", name="k8s-w0", next_hop="192.168.20.100", interface="nodes20", as_path="65001",
        origin="IGP", med=None, local_pref=None, communities=[], stale=False, best=True, multipath=True, lost_at="",
        link_bandwidth=None,
    )  # fmt: skip
    return view | changes  # type: ignore[return-value]


def detail(*paths: PathView, **changes: Any) -> RouteDetailView:
    view = RouteDetailView(
        prefix=f"{SIX}/128", paths=[*paths], group_id=9, members=[leg(SIX, NAME)], in_fib=True, refused="",
        balanced_in_seconds=119.6, unbalanced=REASON,
        kernel=KernelRouteView(present=True, protocol="bgp", metric=20, nexthop_id=9, members=[leg(SIX)]),
    )  # fmt: skip
    return view | changes  # type: ignore[return-value]


def status(peers: list[PeerView], groups: list[GroupView], problems: list[ProblemView]) -> StatusView:
    state = PairStateView(
        partner="gw2.rack-17.site-with-a-long-name", up=False, since_seconds=1e7, reason="connection refused",
        leads=True, agrees=False, groups={"equal": 10000, "differs": 1},
    )  # fmt: skip
    return StatusView(
        version="0.1.0", router_id="192.168.10.200", asn=4200000000, uptime_seconds=1e7, ok=not problems,
        speaker=SpeakerView(running=True, pid=8753, restarts=0, reason=""), peers=peers, prefixes=10, paths=14,
        fib=FibView(synchronised=True, routes=1000000, nexthops=1000, groups=1000, buckets=1048576,
                    bucket_budget=1048576, small_groups=900, unwritten=500000, refused=10000,
                    drift_mended=12345, foreign_bgp=ForeignBgpView(routes=0, nexthops=0, first=[])),
        groups=groups,
        sysctls=[SysctlView(name="net.ipv6.conf.all.forwarding", wanted="1", found="0", current="0", ok=False,
                            remedy="")] * 4,
        problems=problems, refusals=[], drops=[], shutdowns=[], drained=None,
        event_loop=EventLoopView(bounds=[0.01, 0.02, 0.05], counts=[1000000, 1000, 100, 10], longest_seconds=12.3456),
        pair=state,
    )  # fmt: skip


FULL = FamilyCounts(received=1000000, accepted=999999, rejected=1, in_fib=999999, stale=0, advertised=100000)
PEERS = [
    peer(),
    peer(address=SIX, name=SIX),
    peer(name="k8s-w0", address="192.168.20.100", dynamic=False),
    peer(name=NAME, address=SIX, dynamic=False, state="waiting", reason=REASON, since_seconds=1e7),
    peer(totals=FULL, asn=4200000000, silent=True, drain="operator", rejected_by_reason={"6 not in accept": 1}),
]
GROUPS = [group(leg()), group(leg(SIX, NAME, "192.168.10.101", interface="a-long-iface15"), kind="hash-threshold")]
ROUTES = RoutesView(
    total=4,
    routes=[
        prefix(),
        prefix(next_hops=[f"192.168.10.{n}" for n in range(100, 164)], group_id=4294967295),
        prefix(prefix=f"{SIX}/128", best_peer=SIX, next_hops=[SIX, SIX[:-1]]),
        prefix(in_fib=False, group_id=None, next_hops=[], best_peer=""),
    ],
)
PATHS = [
    path(),
    path(name=SIX, peer=SIX, next_hop=SIX, as_path=" ".join(["4200000000"] * 12), lost_at="3 AS_PATH length"),
    path(name=NAME, origin="INCOMPLETE", med=4294967295, local_pref=4294967295, stale=True, lost_at="8 oldest"),
    path(best=False, multipath=False, lost_at="rejected: 1 the router's own AS is in AS_PATH"),
]
PROBLEM = ProblemView(where=f"peer {NAME}", what=f"the session is down ({REASON})", remedy="x " * 60 + f"{SIX}.")
ROUTER = PairRouterView(
    router="gw2.rack-17.site", version="0.1.0", kernel="6.12.43-amd64", hash_policy="five-tuple", hash_seed="5f0c",
    age_seconds=1e7,
)  # fmt: skip
PAIR = PairView(
    ok=False, partner="gw2", up=False, since_seconds=1e7, reason="connection refused", complete=False, leads="gw1",
    here=ROUTER, there=ROUTER, differences=["the seed of the hash is a random one here and 5f0c on gw2"],
    agreed_seconds=None, groups={"equal": 10000, "differs": 1}, differing=1048576, conflicts=1024, off=1048576,
    total=10000,
    first=[
        PairGroupView(
            key="172.16.1.1/32", state="differs", nexthop_id=4294967295, prefix="172.16.1.1/32", prefixes=1,
            buckets=16384, differing=16384, conflicts=16384, off=16384,
        ),
        PairGroupView(
            key="shared:0123456789abcdef0123456789abcdef", state="only there", nexthop_id=None, prefix="", prefixes=0,
            buckets=16384, differing=0, conflicts=0, off=0,
        ),
    ],
)  # fmt: skip
SHOWN = {
    "peers": (render.peers, PEERS),
    "groups": (render.groups, GROUPS),
    "routes": (render.routes, ROUTES),
    "route": (render.route, detail(*PATHS)),
    "status": (render.status, status(PEERS, GROUPS, [PROBLEM])),
    "pair": (pair.lines, PAIR),
}


HIDDEN = ("group", "families", "peer", "wanted", "found", "current")
"""What no table shows."""


def texts(value: Any) -> set[str]:
    """All words of a view that stand on the screen as they are."""
    if isinstance(value, dict):
        return {word for key, each in value.items() if key not in HIDDEN for word in texts(each)}
    if isinstance(value, list):
        return {word for each in value for word in texts(each)}
    return set(re.findall(r"[^\s;,()]+", value)) if isinstance(value, str) else set()


@pytest.mark.parametrize("view", SHOWN)
def test_a_table_fits_80_columns_and_loses_nothing(view: str) -> None:
    draw, shown = SHOWN[view]
    lines = "\n".join(draw(NARROW, shown)).splitlines()  # type: ignore[operator]
    assert [line for line in lines if len(line) > 80] == []
    words = set(re.findall(r"[^\s;,()]+", "\n".join(lines)))
    assert {word.rstrip(":") for word in texts(shown)} <= {word.rstrip(":") for word in words}


@pytest.mark.parametrize("view", SHOWN)
def test_a_pipe_gets_a_row_a_line(view: str) -> None:
    draw, shown = SHOWN[view]
    for line in draw(PIPE, shown):  # type: ignore[operator]
        assert not line.startswith("    ") or view in ("groups", "route", "status") or "192.168.10.1" in line


def test_the_usual_peers_are_a_line_each() -> None:
    views = [peer(name="k8s-w0", address="192.168.20.100", dynamic=False), peer()]
    assert render.peers(NARROW, views) == [
        "Peer                     AS State            For Recv Acc Rej In FIB Stale Sent",
        "k8s-w0 192.168.20.100 65001 established 00:00:27    4   4   0      4     0    2",
        "192.168.10.100        65001 established 00:00:27    4   4   0      4     0    2",
    ]


def test_what_is_wrong_stands_below_its_peer() -> None:
    _, first, *below, _ = render.peers(NARROW, [peer(reason=REASON, silent=True), peer()])
    assert first.startswith("192.168.10.100")
    assert " ".join(line.removeprefix("    ") for line in below) == f"silent; {REASON}"
    (_, inline) = render.peers(PIPE, [peer(reason=REASON)])
    assert inline.endswith(REASON)


def test_a_long_first_cell_has_a_line_of_its_own() -> None:
    lines = render.peers(NARROW, [peer(address=SIX), peer()])
    assert lines[1] == SIX
    assert lines[2].split()[:2] == ["65001", "established"]
    assert len(lines[2]) == len(lines[3])


def test_routes_of_the_router_itself_are_nothing_wrong() -> None:
    coloured = Screen(80, colours=True)
    own = prefix(prefix="10.10.1.0/24", local=True, in_fib=False, group_id=None, next_hops=[], best_peer="local")
    _, row = render.routes(coloured, RoutesView(total=1, routes=[own]))
    assert row.split()[2] == "local"
    assert "\x1b" not in row
    _, row = render.routes(coloured, RoutesView(total=1, routes=[prefix(in_fib=False)]))
    assert "\x1b[31mno\x1b[0m" in row


def test_a_group_has_the_name_of_its_vip() -> None:
    own, shared = group(leg()) | {"prefixes": 1}, group(leg()) | {"prefixes": 600, "first": ["10.0.0.0/24"]}
    _, first, second = render.groups(PIPE, [own, shared])  # type: ignore[list-item]
    assert f"  {SIX}/128  " in first
    assert "  10.0.0.0/24 +599  " in second


def test_status_counts_the_groups_that_are_not_balanced_and_shows_them_first() -> None:
    late = group(leg("192.168.10.111")) | {"unbalanced": "flows stay", "balanced_in_seconds": 60.4}
    lines = render.status(PIPE, status([], [*[group(leg())] * 20, late], []))  # type: ignore[list-item]
    assert "1000 groups (900 of fewer buckets, 1 not balanced yet)" in "\n".join(lines)
    assert "192.168.10.111" in lines[next(n for n, line in enumerate(lines) if "Members" in line) + 1]


def test_a_vip_says_until_when_it_is_not_balanced_and_why() -> None:
    lines = render.route(PIPE, detail(path(), unbalanced="flows stay", balanced_in_seconds=60.4))
    assert "         not balanced yet for 60 s: flows stay" in lines
    assert "balanced" not in "\n".join(render.route(PIPE, detail(path(), unbalanced="")))


def test_a_foreign_route_has_no_nhid() -> None:
    foreign = KernelRouteView(present=True, protocol="static", metric=None, nexthop_id=None, members=[leg()])
    assert "kernel   proto static" in render.route(NARROW, detail(path(), kernel=foreign))
    assert "None" not in "\n".join(render.route(NARROW, detail(path(), kernel=foreign)))


def test_the_words_of_a_drain() -> None:
    view = DrainView(
        name="k8s-w0", drain="", buckets=0, groups=0, sole=0, empty=False, changed=True, unstored=""
    )  # fmt: skip
    assert render.drain(NARROW, view) == ["k8s-w0 is no longer drained: it gets its share again as flows end"]
    view["changed"] = False
    assert render.drain(NARROW, view) == ["k8s-w0 is not drained"]


def test_one_of_a_kind_and_more() -> None:
    view = DrainView(
        name="a", drain="operator", buckets=1, groups=2, sole=1, empty=False, changed=True, unstored=""
    )  # fmt: skip
    assert render.drain(PIPE, view) == [
        "a is drained (by the operator); 1 bucket in 2 groups still carries flows; 1 prefix has no other next hop"
    ]
    view["buckets"], view["sole"] = 0, 2
    assert render.drain(PIPE, view) == [
        "a is drained (by the operator); no flow is left where other nodes take over; "
        "2 prefixes have no other next hop"
    ]


def test_communities_are_shown_where_there_are_any() -> None:
    assert not any("Communities" in line for line in render.route(PIPE, detail(path())))
    tagged = render.route(PIPE, detail(path(communities=["65535:0", "65001:7"]), path()))
    assert "Communities" in tagged[1]
    assert "65535:0 65001:7" in tagged[2]


def test_bandwidths_are_shown_where_there_are_any() -> None:
    assert not any("Mbit/s" in line for line in render.route(PIPE, detail(path())))
    said = render.route(PIPE, detail(path(link_bandwidth=125000.0), path(link_bandwidth=12_500_000_000.0), path()))
    assert said[1].split()[-3:] == ["Mbit/s", "Lost", "at"]
    assert [line.split()[-1] for line in said[2:5]] == ["1", "100000", "-"]


def test_where_there_is_room_a_row_is_a_line() -> None:
    """As in a pipe, for grep, though a column may fold."""
    columns = [Column("Key"), Column("After", fold=True), Column("Impact", fold=True)]
    rows = [["bmp.lab", "name = lab, address = 127.0.0.1, min_retry = 1.0", "live"]]
    assert PIPE.table(columns, rows, {})[1:] == [f"bmp.lab  {rows[0][1]}  live"]
    assert len(NARROW.table(columns, [["bmp.lab", f"{rows[0][1]}, max_retry = 720.0", "live"]], {})) > 2
