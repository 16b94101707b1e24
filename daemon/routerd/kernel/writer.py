"""The one writer: carries operations out in the kernel, in order, and says which were refused.

It owns only what it made or adopted: nexthops and groups of protocol bgp in its own range of ids, and routes of that
protocol and its metric that lead there. A route, nexthop or group of somebody else under the same prefix and metric,
or the same id, is never replaced: what is not known to be ours is created with NLM_F_EXCL. No group gets a member
that is not ours, and no route such a group.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from routerd.config.model import FibSection
from routerd.core.message import (
    Arrange,
    DeleteNexthop,
    DeleteRoutes,
    GroupLost,
    KernelDump,
    KernelObjects,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.kernel import messages
from routerd.kernel.compat import CompatMode
from routerd.kernel.continuing import Continuation
from routerd.kernel.groups import GroupWriter
from routerd.kernel.messages import NARROW, WIDE
from routerd.kernel.owned import OwnedObjects, refusal
from routerd.kernel.requests import Requests
from routerd.kernel.routes import RouteWriter
from routerd.kernel.runs import runs
from routerd.kernel.spare import CREATE, Spare
from routerd.kernel.stand_in import StandIns

if TYPE_CHECKING:
    from routerd.kernel.arranging import Arranging


class KernelWriter:
    """Writes to the network namespace in which it was made. Synchronous; OSError only if netlink itself fails.

    `fib` has the priority of every route and the range of ids. Attributes: `port` is the netlink port id (for the
    monitor's filter); `routes` and `groups` write these, and the former knows which are ours; `buckets` knows which
    ones carry flows, `memory` where those of groups that are gone led to; `supports_resilient` and `wide_weights` (16
    bits, Linux 6.12) tell what the kernel can, as tried out.
    """

    def __init__(self, fib: FibSection) -> None:
        self._requests = Requests()
        self._compat = CompatMode()
        self._objects = OwnedObjects(fib.ids)
        self.buckets, self.memory = self._objects.buckets, self._objects.memory
        self.routes = RouteWriter(self._requests, self._objects, fib.metric)
        self.port = self._requests.port
        try:
            self._spare = Spare(self._requests, fib.spare_ids)
            self.supports_resilient, self.wide_weights = self._probe()
        except OSError:
            self.close()
            raise
        self._widest = WIDE if self.wide_weights else NARROW
        self._stand_ins = StandIns(self._requests, self._compat, self._spare)
        self._arranging: Arranging | None = None
        continuation = Continuation(self._requests, self._stand_ins, self._objects, self._widest)
        self.groups = GroupWriter(self._requests, self._compat, self._objects, continuation, wide=self.wide_weights)

    def close(self) -> None:
        """Close the socket; what was written stays."""
        self._requests.close()
        self._compat.close()

    def adopt(self, dump: KernelDump) -> None:
        """Learn from the first dump, before any write, what is ours."""
        self.routes.adopt(dump.routes)
        self.adopt_objects(KernelObjects(dump.interfaces, dump.nexthops, dump.groups))
        for group in dump.groups:
            if group.buckets and group.id in self._objects:
                self.memory.written(group.id, group.members)

    def adopt_objects(self, found: KernelObjects) -> None:
        """Learn which nexthops and groups are ours: these, and no others. They were read now, with all written."""
        self._objects.adopt(found)

    @property
    def writes(self) -> int:
        """How often nexthops or groups may have been written, here or by the thread that makes new groups."""
        return self._objects.writes

    def owns(self, id_: int) -> bool:
        """Tell whether a nexthop or group is ours."""
        return id_ in self._objects

    def unfinished(self) -> int:
        """Return the group of the Arrange that was written last if it is to be written again, to go on; 0 if not."""
        return 0 if self._arranging is None else self._arranging.unfinished

    def write(self, operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        """Carry out `operations` in order and return the refused ones, a SetRoutes or DeleteRoutes per prefix, and
        the groups that were found to be gone.

        A refusal does not stop the others. Prefixes of one operation must differ. Deleting what is gone, or a
        nexthop that is not ours, is no refusal: there is nothing to do. Routes to a group that is gone, or was never
        made, are refused with ENOENT.
        """
        self._objects.writes += 1
        told: list[WriteFailed | GroupLost] = []
        for run in runs(operations):
            match run[0]:
                case SetNexthop():
                    told += self._set_nexthops([each for each in run if isinstance(each, SetNexthop)])
                case SetGroup():
                    told += self.groups.write([each for each in run if isinstance(each, SetGroup)])
                case Arrange():
                    told += [failed for each in run if isinstance(each, Arrange) for failed in self._arrange(each)]
                case SetRoutes() | DeleteRoutes():
                    told += self.routes.write(run)
                case DeleteNexthop():
                    told += self._delete_nexthops([each for each in run if isinstance(each, DeleteNexthop)])
        return told

    def _arrange(self, operation: Arrange) -> list[WriteFailed]:
        if self._arranging is None:
            from routerd.kernel.arranging import Arranging  # most routers are alone

            self._arranging = Arranging(self._stand_ins, self._objects, self._widest)
        return self._arranging.arrange(operation)

    def _set_nexthops(self, nexthops: Sequence[SetNexthop]) -> list[WriteFailed]:
        told: list[WriteFailed] = []
        requests = []
        for each in nexthops:
            self._objects.gateways[each.id] = each.gateway
            flags = self._objects.flags(each)
            requests.append(messages.set_nexthop(each.id, each.gateway, flags, onlink=each.onlink))
        refused = self._compat.transmit(self._requests, requests)
        for index, each in enumerate(nexthops):
            if index in refused:
                told.append(refusal(each, *refused[index]))
            else:
                self._objects.nexthop_made(each.id)
        return told

    def _delete_nexthops(self, nexthops: Sequence[DeleteNexthop]) -> list[WriteFailed]:
        told: list[WriteFailed] = []
        sent = [each for each in nexthops if each.id in self._objects]
        began = time.monotonic()
        refused = self._requests.transmit([messages.delete_nexthop(each.id) for each in sent])
        for index, each in enumerate(sent):
            number, text = refused.get(index, (errno.ENOENT, ""))
            if number == errno.ENOENT:
                self._objects.deleted(each.id, began, returns=each.returns)
            else:
                told.append(WriteFailed(each, number, text))
        return told

    def _probe(self) -> tuple[bool, bool]:
        """Try a resilient group and a weight of more than eight bits on a blackhole, and leave nothing behind."""
        member, id = self._spare.pair()
        if refused := self._requests.transmit([messages.set_nexthop(member, None, CREATE)]):
            raise OSError(refused[0][0], f"cannot make nexthop objects: {refused[0][1]}")
        resilient, wide = (
            not self._requests.transmit([messages.set_group(group, CREATE), messages.delete_nexthop(id)])
            for group in (SetGroup(id, (Member(member),), buckets=1), SetGroup(id, (Member(member, 257),)))
        )
        self._requests.transmit([messages.delete_nexthop(member)])
        return resilient, wide
