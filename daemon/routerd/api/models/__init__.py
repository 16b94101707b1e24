"""What the API answers and the CLI reads. Plain TypedDicts: a client needs no other part of routerd.

Times ending in `_seconds` are ages or durations in seconds. Addresses and prefixes are text.
"""

from __future__ import annotations

from routerd.api.models.carrying import HealthView, OrderedView, RouterDrainView
from routerd.api.models.daemon import EventView, LogView, VersionView
from routerd.api.models.forecast import (
    ChangedGroupsView,
    ChangedGroupView,
    ChangedRoutesView,
    ChangedRouteView,
    ForecastView,
    JudgedPathView,
    JudgedView,
    MovedBucketsView,
    ToldView,
    UnseenView,
)
from routerd.api.models.groups import GroupMemberView, GroupView
from routerd.api.models.peers import (
    ClearView,
    DrainView,
    DropView,
    FamilyCounts,
    OrderView,
    PeerView,
    RefusalView,
    ShutdownView,
)
from routerd.api.models.reload import ChangeView, CheckView, HistoryView, ReloadView, ResetView
from routerd.api.models.routes import KernelRouteView, PathView, RouteDetailView, RoutesView, RouteView
from routerd.api.models.status import (
    EventLoopView,
    FibView,
    ForeignBgpView,
    PairStateView,
    ProblemView,
    SpeakerView,
    StatusView,
    SysctlView,
)

__all__ = [
    "ChangeView",
    "ChangedGroupView",
    "ChangedGroupsView",
    "ChangedRouteView",
    "ChangedRoutesView",
    "CheckView",
    "ClearView",
    "DrainView",
    "DropView",
    "EventLoopView",
    "EventView",
    "FamilyCounts",
    "FibView",
    "ForecastView",
    "ForeignBgpView",
    "GroupMemberView",
    "GroupView",
    "HealthView",
    "HistoryView",
    "JudgedPathView",
    "JudgedView",
    "KernelRouteView",
    "LogView",
    "MovedBucketsView",
    "OrderView",
    "OrderedView",
    "PairStateView",
    "PathView",
    "PeerView",
    "ProblemView",
    "RefusalView",
    "ReloadView",
    "ResetView",
    "RouteDetailView",
    "RouteView",
    "RouterDrainView",
    "RoutesView",
    "ShutdownView",
    "SpeakerView",
    "StatusView",
    "SysctlView",
    "ToldView",
    "UnseenView",
    "VersionView",
]
