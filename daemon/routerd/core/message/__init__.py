"""Every message that crosses a seam between the rooms.

Inputs come from the speaker and the kernel and go into `Router.handle`; effects come out of it and are carried
out by the composition root. All are frozen and hold plain data, so that a run can be recorded and replayed.
"""

from __future__ import annotations

from routerd.core.message.effect import (
    Advertise,
    CloseSession,
    Effect,
    Event,
    FindUnused,
    Identify,
    InspectGroups,
    KeepPlace,
    Program,
    Refresh,
    Resync,
)
from routerd.core.message.host import Barrier, HostState, TableFill
from routerd.core.message.kernel import (
    PROTOCOLS,
    ROUTE_TYPES,
    RTPROT_BGP,
    Diversion,
    ForeignBgp,
    ForeignRoute,
    ForeignRoutes,
    GroupActivity,
    GroupLost,
    GroupMade,
    GroupsUnused,
    Identified,
    Interface,
    KernelDump,
    KernelGroup,
    KernelLeg,
    KernelNexthop,
    KernelObjects,
    KernelRoute,
    Leg,
    NeighbourState,
    NexthopChange,
    RouteAudit,
    RouteChange,
    RoutesChanged,
    SysctlState,
    WriteFailed,
)
from routerd.core.message.operation import (
    Arrange,
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.message.order import Drain, DrainSelf, Enable, Reconfigure, Settle, Shutdown, SoftReset, Work
from routerd.core.message.pair import (
    AllSaid,
    Ask,
    BucketsRead,
    GroupGone,
    GroupLayout,
    Hello,
    Introduce,
    PartnerDown,
    PartnerMessage,
    PartnerSaid,
    PartnerUp,
    ReadBuckets,
    TellPartner,
)
from routerd.core.message.speaker import (
    Fault,
    GracefulRestart,
    Notification,
    Open,
    RouteRefresh,
    SessionDown,
    SessionUp,
    SpeakerDown,
    SpeakerUp,
    Update,
)

__all__ = [
    "PROTOCOLS",
    "ROUTE_TYPES",
    "RTPROT_BGP",
    "Advertise",
    "AllSaid",
    "Arrange",
    "Ask",
    "Barrier",
    "BucketsRead",
    "CloseSession",
    "DeleteNexthop",
    "DeleteRoutes",
    "Diversion",
    "Drain",
    "DrainSelf",
    "Effect",
    "Enable",
    "Event",
    "Fault",
    "FindUnused",
    "ForeignBgp",
    "ForeignRoute",
    "ForeignRoutes",
    "Gateway",
    "GracefulRestart",
    "GroupActivity",
    "GroupGone",
    "GroupLayout",
    "GroupLost",
    "GroupMade",
    "GroupsUnused",
    "Hello",
    "HostState",
    "Identified",
    "Identify",
    "Input",
    "InspectGroups",
    "Interface",
    "Introduce",
    "KeepPlace",
    "KernelDump",
    "KernelGroup",
    "KernelLeg",
    "KernelNexthop",
    "KernelObjects",
    "KernelRoute",
    "Leg",
    "Member",
    "NeighbourState",
    "NexthopChange",
    "Notification",
    "Open",
    "Operation",
    "PartnerDown",
    "PartnerMessage",
    "PartnerSaid",
    "PartnerUp",
    "Program",
    "ReadBuckets",
    "Reconfigure",
    "Refresh",
    "Resync",
    "RouteAudit",
    "RouteChange",
    "RouteRefresh",
    "RoutesChanged",
    "SessionDown",
    "SessionUp",
    "SetGroup",
    "SetNexthop",
    "SetRoutes",
    "Settle",
    "Shutdown",
    "SoftReset",
    "SpeakerDown",
    "SpeakerUp",
    "SysctlState",
    "TableFill",
    "TellPartner",
    "Update",
    "Work",
    "WriteFailed",
]

Input = (
    SessionUp
    | SessionDown
    | Update
    | RouteRefresh
    | SpeakerUp
    | SpeakerDown
    | KernelDump
    | WriteFailed
    | Settle
    | Work
    | GroupActivity
    | KernelObjects
    | RouteAudit
    | RoutesChanged
    | NeighbourState
    | Identified
    | GroupMade
    | GroupsUnused
    | GroupLost
    | Drain
    | DrainSelf
    | Shutdown
    | Enable
    | SoftReset
    | Reconfigure
    | Introduce
    | PartnerUp
    | PartnerDown
    | PartnerSaid
    | BucketsRead
)
