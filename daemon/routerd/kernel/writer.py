"""The one writer: carries operations out in the kernel, in order, and says which were refused.

It owns only what it made or adopted: nexthops and groups of protocol bgp in its own range of ids, and routes of that
protocol and its metric that lead there. A route, nexthop or group of somebody else under the same prefix and metric,
or the same id, is never replaced: what is not known to be ours is created with NLM_F_EXCL. No group gets a member
that is not ours, and no route such a group.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from routerd.config.model import FibSection
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    GroupLost,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    KernelObjects,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.route import Prefix
from routerd.kernel import batch, lookup, messages, wire
from routerd.kernel.buckets import Buckets
from routerd.kernel.compat import CompatMode
from routerd.kernel.layout import at_once, held, lay_out, made, settled, steps
from routerd.kernel.memory import KEPT, Memory, Runs, runs_of
from routerd.kernel.owned import OwnedRoutes
from routerd.kernel.requests import Refusals, Requests
from routerd.kernel.runs import Run, runs
from routerd.kernel.spare import CREATE, Spare

_WIDE, _NARROW = 65535, 256
"""The largest weight of a member, from Linux 6.12 on and before."""


class KernelWriter:
    """Writes to the network namespace in which it was made. Synchronous; OSError only if netlink itself fails.

    `fib` has the priority of every route and the range of ids. Attributes: `port` is the netlink port id (for the
    monitor's filter); `buckets` knows which ones carry flows, `memory` where those of groups that are gone led to;
    `supports_resilient` and `wide_weights` (16 bits, Linux 6.12) tell what the kernel can, as tried out; `writes`
    counts the calls of `write`.
    """

    def __init__(self, fib: FibSection) -> None:
        self._metric = fib.metric
        self._ids = fib.ids
        self._requests = Requests()
        self._routes = OwnedRoutes()
        self._lost: set[Prefix] = set()
        """Prefixes whose route was heard to be deleted or overwritten, and perhaps has been written again."""
        self._nexthops: set[int] = set()
        self._gateways: dict[int, Gateway] = {}
        self._compat = CompatMode()
        self.writes = 0
        self.buckets = Buckets()
        self.memory = Memory(self._gateways)
        self.port = self._requests.port
        try:
            self._spare = Spare(self._requests, fib.spare_ids)
            self.supports_resilient, self.wide_weights = self._probe()
            self._widest = _WIDE if self.wide_weights else _NARROW
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket; what was written stays."""
        self._requests.close()
        self._compat.close()

    def adopt(self, dump: KernelDump) -> None:
        """Learn from the first dump, before any write, what is ours."""
        self._routes.adopt(dump.routes)
        self.adopt_objects(KernelObjects(dump.interfaces, dump.nexthops, dump.groups))
        for group in dump.groups:
            if group.buckets and self.owns(group.id):
                self.memory.written(group.id, group.members)

    def adopt_objects(self, found: KernelObjects) -> None:
        """Learn which nexthops and groups are ours: these, and no others. They were read now, with all written."""
        self._nexthops = set(own_nexthops(found.nexthops, found.groups, self._ids))
        mine = (nexthop for nexthop in found.nexthops if nexthop.id in self._nexthops)
        gateways = {nexthop.id: nexthop.gateway for nexthop in mine if nexthop.gateway}
        for gone in self._gateways.keys() - gateways.keys():
            self.memory.lost(gone)
        self._gateways.clear()
        self._gateways.update(gateways)
        self.memory.keep(self._nexthops)
        self.buckets.keep(self._nexthops)

    def begin_audit(self) -> None:
        """The routes are about to be read, with all written; more is written meanwhile."""
        self._lost.clear()
        self._routes.begin()

    def adopt_routes(self, found: dict[Prefix, int]) -> None:
        """Learn from the audit which routes are ours."""
        self._routes.adopt(found)

    def lost(self, prefixes: Collection[Prefix]) -> None:
        """Somebody was heard to delete or overwrite these routes of ours: what is there now may be theirs."""
        self._lost.update(prefixes)
        self._routes.remove(prefixes)

    def owns(self, id_: int) -> bool:
        """Tell whether a nexthop or group is ours."""
        return id_ in self._nexthops

    def write(self, operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        """Carry out `operations` in order and return the refused ones, a SetRoutes or DeleteRoutes per prefix, and
        the groups that were found to be gone.

        A refusal does not stop the others. Prefixes of one operation must differ. Deleting what is gone, or a
        nexthop that is not ours, is no refusal: there is nothing to do. Routes to a group that is gone, or was never
        made, are refused with ENOENT.
        """
        self.writes += 1
        return [failure for run in runs(operations) for failure in self._carry_out(run)]

    def _carry_out(self, run: Run) -> list[WriteFailed | GroupLost]:
        match run[0]:
            case SetNexthop():
                return [*self._set_nexthops([each for each in run if isinstance(each, SetNexthop)])]
            case SetGroup():
                return self._set_groups([each for each in run if isinstance(each, SetGroup)])
            case SetRoutes() | DeleteRoutes():
                return self._write_routes([each for each in run if isinstance(each, SetRoutes | DeleteRoutes)])
            case DeleteNexthop():
                return self._delete_nexthops([each for each in run if isinstance(each, DeleteNexthop)])

    def _set_nexthops(self, nexthops: Sequence[SetNexthop]) -> Iterator[WriteFailed]:
        requests = []
        for each in nexthops:
            self._gateways[each.id] = each.gateway
            requests.append(messages.set_nexthop(each.id, each.gateway, self._flags(each), onlink=each.onlink))
        refused = self._transmit(requests)
        for index, each in enumerate(nexthops):
            if index in refused:
                yield _refused(each, *refused[index])
            else:
                self._nexthops.add(each.id)

    def _set_groups(self, groups: Sequence[SetGroup], *, afresh: bool = False) -> list[WriteFailed | GroupLost]:
        """Write groups; `afresh`: whatever they are like."""
        told: list[WriteFailed | GroupLost] = []
        sent, requests, remade = list[SetGroup](), list[bytes](), set[int]()
        for group in groups:
            if foreign := [member.id for member in group.members if not self.owns(member.id)]:
                told.append(WriteFailed(group, errno.EINVAL, _not_ours(foreign[0])))
                continue
            order: tuple[Member, ...] = ()
            try:
                if group.like and not afresh and not self._give_back(group):
                    order = self._order(group)
                    if not order and self._continue(group):
                        told += _gone(group)
                        continue
            except InterruptedError as error:
                told.append(WriteFailed(group, errno.EINTR, str(error)))
                continue
            weighed, flags = self._held(group) if group.hold else group, self._flags(group)
            if order:
                weighed, flags = replace(group, members=order), CREATE
                remade.add(group.id)
            if not self.wide_weights:
                weighed = replace(weighed, members=messages.narrow(weighed.members))
            sent.append(weighed)
            requests.append(messages.set_group(weighed, flags))
        refused = self._transmit(requests)
        for index, group in enumerate(sent):
            there = self.owns(group.id)
            if group.id in remade:
                if index in refused:
                    told += self._set_groups([group], afresh=True)
                else:
                    self._continued(group, made(group.buckets, group.members), range(group.buckets))
                    told += _gone(group)
            elif index not in refused:
                self._made(group)
                told += [] if there else _gone(group)
            elif refused[index][0] == errno.ENOENT and there:
                self._nexthops.discard(group.id)
                told += self._set_groups([group])
            else:
                told.append(_refused(group, *refused[index]))
        return told

    def _made(self, group: SetGroup) -> None:
        if group.buckets:
            self.memory.written(group.id, group.members, held=group.hold)
        if group.buckets and not self.owns(group.id):
            self.buckets.made(group.id)
            self.memory.made(group.id, made(group.buckets, group.members))
        self._nexthops.add(group.id)

    def _transmit(self, requests: Sequence[bytes]) -> Refusals:
        with self._compat.off():
            return self._requests.transmit(requests)

    def _write_routes(self, run: Sequence[SetRoutes | DeleteRoutes]) -> list[WriteFailed | GroupLost]:
        told: list[WriteFailed | GroupLost] = []
        sent: list[SetRoutes | DeleteRoutes] = []
        for operation in run:
            if barred := self.barred(operation):
                told += self.written(operation, barred)
            else:
                sent.append(operation)
        refused = self._requests.exchange(self.encode(sent, self._requests))
        begin = 0
        for operation in sent:
            end = begin + len(operation.prefixes)
            own = {i - begin: refused[i] for i in range(begin, end) if i in refused} if refused else {}
            told += self.written(operation, own)
            begin = end
        return told

    def _held(self, group: SetGroup) -> SetGroup:
        """Return a group with weights that say what each member has."""
        members = self.memory.members(group.id)
        if len(members) == 1:
            return replace(group, members=held({members[0].id: group.buckets}, group.members, self._widest))
        try:
            read = lookup.owners(group.id)
        except OSError:
            return group  # it is gone, and is made anew
        self.memory.note({group.id: runs_of(read)})
        every = settled(read, group.members) or held(Counter(read), group.members, self._widest)
        return replace(group, members=every)

    def _order(self, group: SetGroup) -> tuple[Member, ...]:
        """Return the members of a group in the order in which one message makes it as it was; empty if there is none,
        or if it is not itself what it is like."""
        runs = self.memory.recall(group.id, group.members) if group.like == group.id else []
        return at_once(runs, group.members)

    def _continue(self, group: SetGroup) -> bool:
        """Make a group with the buckets of another one, or of its own when it was lost, flows and all; False if that
        cannot be."""
        try:
            read = lookup.buckets(group.like) if group.like != group.id else []
        except OSError:
            read = []
        if read:
            busy = {index for index, _, _ in self.buckets.used(read, group.like, group.idle_timer)}
            found = [(owner, index in busy) for index, owner, _ in read]
        else:  # it is gone: all that is known of it may carry flows
            runs = self.memory.recall(group.like, group.members)
            found = [(owner, owner != 0) for owner, length in runs for _ in range(length)]
        gateway = self._gateways.get(group.members[0].id)
        if not any(busy for _, busy in found) or gateway is None:
            return False
        layout = lay_out(found, group.members)
        if layout is None or len(found) != group.buckets or not (self.wide_weights or group.buckets <= 256):
            return False
        stand_in = self._spare.make(gateway)
        if stand_in is None:
            return False
        first = replace(group, members=(Member(stand_in),))
        if self._requests.transmit([messages.set_group(first, CREATE)]):
            self._requests.transmit([messages.delete_nexthop(stand_in)])
            return False  # the id is somebody else's
        flags = wire.NLM_F_CREATE | wire.NLM_F_REPLACE
        requests = [messages.set_group(replace(group, members=each), flags) for each in steps(layout, stand_in)]
        every = settled(layout, group.members) or held(Counter(layout), group.members, self._widest)
        requests.append(messages.set_group(replace(group, members=every), flags))
        refused = self._requests.transmit(requests)
        if refused:
            self._requests.transmit([messages.delete_nexthop(group.id)])
        self._dismiss(stand_in, group)
        if refused:
            return False
        inherited = frozenset(index for index, (_, busy) in enumerate(found) if busy)
        return self._continued(replace(group, members=every), runs_of(layout), inherited)

    def _give_back(self, group: SetGroup) -> bool:
        """Let members that were lost, and are back, have those of their buckets again that nobody has used since.
        False if it is not for that. A stand-in takes what is idle, as only the kernel knows, and hands it on."""
        if group.like != group.id or not self.owns(group.id) or not self.wide_weights:
            return False
        joined = self.memory.joined(group.id, group.members)
        if joined and not self.memory.remembers(group.id, joined):
            return True
        try:
            here = set(lookup.owners(group.id))
        except OSError:
            return False  # it is gone
        back = [member for member in group.members if member.id not in here]
        runs = self.memory.recall(group.id, group.members, KEPT, back=back)
        past = [owner for owner, length in runs for _ in range(length)]
        heavy = min(self._widest, 2 * group.buckets * len(here))
        stand_in = self._spare.make(self._gateways[group.members[0].id]) if len(past) == group.buckets else None
        if stand_in is None:
            return True
        self._replace(group, [*map(Member, sorted(here)), Member(stand_in, heavy)])
        try:
            found = lookup.owners(group.id)
        except OSError:  # it has gone meanwhile, as with its link
            self._dismiss(stand_in, group)
            return False
        known = [(was, was != 0) if now == stand_in else (now, True) for now, was in zip(found, past, strict=True)]
        if layout := lay_out(known, group.members):
            taken = [owner for owner, now in zip(layout, found, strict=True) if now == stand_in]
            busy = Counter(now for now in found if now != stand_in)
            self._replace(group, *steps(taken, stand_in, busy))
        self._dismiss(stand_in, group)
        return True

    def _dismiss(self, stand_in: int, group: SetGroup) -> None:
        """Delete a stand-in. InterruptedError if somebody has deleted it, perhaps with all that is routerd's: then
        the group goes, too, and what is known of its layout stays until it can be made again."""
        if self._requests.transmit([messages.delete_nexthop(stand_in)]):
            self._requests.transmit([messages.delete_nexthop(group.id)])
            raise InterruptedError("somebody deletes nexthop objects at the same time")

    def _replace(self, group: SetGroup, *steps: Sequence[Member]) -> None:
        self._transmit(
            [messages.set_group(replace(group, members=tuple(each)), wire.NLM_F_REPLACE) for each in steps]
        )

    def _continued(self, group: SetGroup, layout: Runs, busy: Collection[int]) -> bool:
        self._nexthops.add(group.id)
        self.buckets.made(group.id, busy)
        self.memory.written(group.id, group.members)
        self.memory.made(group.id, layout)
        return True

    def _flags(self, operation: SetNexthop | SetGroup) -> int:
        if not self.owns(operation.id):
            return CREATE
        known = isinstance(operation, SetGroup) and operation.known
        return wire.NLM_F_REPLACE if known else wire.NLM_F_CREATE | wire.NLM_F_REPLACE

    def barred(self, operation: SetRoutes | DeleteRoutes) -> Refusals:
        """Refuse every route to what is not ours: somebody else has the id."""
        if isinstance(operation, DeleteRoutes) or self.owns(operation.id):
            return {}
        return dict.fromkeys(range(len(operation.prefixes)), (errno.ENOENT, _not_ours(operation.id)))

    def encode(
        self, operations: Sequence[SetRoutes | DeleteRoutes], requests: Requests
    ) -> Iterator[tuple[int, bytes]]:
        """Yield what sets, or deletes, the routes of all these operations, in bursts for `requests`, each with the
        index of its first prefix."""
        prefixes = [prefix for operation in operations for prefix in operation.prefixes]
        ids = [each.id for each in operations if isinstance(each, SetRoutes) for _ in each.prefixes]
        for start, some in requests.bursts(prefixes):
            if ids:
                of_these = ids[start : start + len(some)]
                yield start, batch.set_routes(some, of_these, self._metric, self._routes.among(some))
            elif found := batch.delete_routes(some, self._routes.ids(some), self._metric):
                yield start, found

    def written(self, operation: SetRoutes | DeleteRoutes, refused: Refusals) -> list[WriteFailed]:
        """Note that what `encode` returned was sent; return what was refused, an operation per prefix."""
        prefixes = operation.prefixes
        if isinstance(operation, SetRoutes):
            if self._lost:
                refused = self._recover(operation, refused)
            if any(number == errno.EINVAL for number, _ in refused.values()) and not _is_there(operation.id):
                refused = {index: (errno.ENOENT, text) for index, (_, text) in refused.items()}
            self._routes.add(_without(prefixes, refused), operation.id)
            return [
                WriteFailed(SetRoutes(operation.id, (prefixes[index],)), number, self._why(number, text))
                for index, (number, text) in refused.items()
            ]
        # The route is gone, or its group is, and took it along.
        refused = {index: why for index, why in refused.items() if why[0] not in (errno.ESRCH, errno.EINVAL)}
        self._routes.remove(_without(prefixes, refused))
        return [WriteFailed(DeleteRoutes((prefixes[index],)), *why) for index, why in refused.items()]

    def _recover(self, operation: SetRoutes, refused: Refusals) -> Refusals:
        """Write routes that were refused because they are there, if they are ours: written between the deletion and
        the news of it."""
        ours = [
            index
            for index, (number, _) in refused.items()
            if number == errno.EEXIST and (prefix := operation.prefixes[index]) in self._lost and self._has(prefix)
        ]
        self._lost.difference_update(operation.prefixes)
        if not ours:
            return refused
        again = SetRoutes(operation.id, tuple(operation.prefixes[index] for index in ours))
        self._routes.add(again.prefixes, again.id)
        failed = self._requests.exchange(self.encode([again], self._requests))
        left = {index: why for index, why in refused.items() if index not in ours}
        return left | {ours[index]: why for index, why in failed.items()}

    def _has(self, prefix: Prefix) -> bool:
        """Tell whether the kernel's route to a prefix is known to be ours."""
        try:
            found = lookup.route(prefix)
        except OSError:
            return False
        marks = ("bgp", self._metric)
        return found is not None and (found.protocol, found.metric) == marks and self.owns(found.nexthop)

    def _why(self, number: int, text: str) -> str:
        if number == errno.EEXIST:
            return f"a foreign route to this prefix with metric {self._metric} exists"
        return text

    def _delete_nexthops(self, nexthops: Sequence[DeleteNexthop]) -> list[WriteFailed | GroupLost]:
        told: list[WriteFailed | GroupLost] = []
        sent = [each for each in nexthops if self.owns(each.id)]
        refused = self._requests.transmit([messages.delete_nexthop(each.id) for each in sent])
        for index, each in enumerate(sent):
            number, text = refused.get(index, (errno.ENOENT, ""))
            if number != errno.ENOENT:
                told.append(WriteFailed(each, number, text))
                continue
            self._nexthops.discard(each.id)
            if self._gateways.pop(each.id, None) is None:
                self.memory.forget(each.id, layout=not each.returns)
            else:
                self.memory.lost(each.id)
            self.buckets.gone(each.id)
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


def own_nexthops(nexthops: Iterable[KernelNexthop], groups: Iterable[KernelGroup], ids: range) -> list[int]:
    """Return the ids of routerd's groups, then of its nexthop objects: what has protocol bgp and one of `ids`."""
    found: list[KernelGroup | KernelNexthop] = [*groups, *nexthops]
    return [entry.id for entry in found if entry.protocol == wire.RTPROT_BGP and entry.id in ids]


def _gone(group: SetGroup) -> list[GroupLost]:
    """Return what is to be said of a group that was made: if it was there before, its routes went with it."""
    return [GroupLost(group.id)] if group.known else []


def _is_there(id: int) -> bool:
    try:
        wire.query(messages.get_nexthop(id))
    except OSError:
        return False
    return True


def _refused(operation: SetNexthop | SetGroup, number: int, text: str) -> WriteFailed:
    return WriteFailed(operation, number, _not_ours(operation.id) if number == errno.EEXIST else text)


def _not_ours(id: int) -> str:
    return f"nexthop id {id} is not routerd's: another program has it, or nobody"


def _without(prefixes: tuple[Prefix, ...], refused: Refusals) -> Collection[Prefix]:
    if not refused:
        return prefixes
    return [prefix for index, prefix in enumerate(prefixes) if index not in refused]
