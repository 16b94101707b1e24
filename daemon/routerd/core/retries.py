"""What the kernel refused: what follows from a refusal, and how each kind of write is tried again."""

from __future__ import annotations

from collections.abc import Iterable
from errno import EEXIST, ENOENT

from routerd.core.fib.fib import Fib
from routerd.core.gateway_health import Reason
from routerd.core.gateways import Gateways
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Effect,
    Event,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.planning import Planning
from routerd.core.refusals import Refusals
from routerd.core.route import Prefix, format_address


class Retries:
    """Enters refusals, and takes them out as they are tried again: `refusals` has them, and when that is due."""

    def __init__(self, fib: Fib, planning: Planning, gateways: Gateways) -> None:
        self._fib = fib
        self._planning = planning
        self._gateways = gateways
        self.refusals = Refusals(fib.refused)

    # ------------------------------------------------------------------------------------------ refusals

    def refused(self, failed: WriteFailed, now: float) -> list[Effect]:
        """A write or deletion was refused."""
        operation, refusals = failed.operation, self.refusals
        fields: dict[str, str | int | float | bool | None] = {
            "operation": type(operation).__name__,
            "errno": failed.errno,
            "text": failed.text,
        }
        effects: list[Effect] = []
        match operation:
            case SetNexthop(id=id) | SetGroup(id=id) if failed.errno == EEXIST:
                fields["id"] = id
                effects = self._planning.program(self._fib.renumber(id, now))
            case SetRoutes(id=id, prefixes=prefixes):
                fields["prefixes"] = len(prefixes)
                if self._fib.is_lost(id, refusals.nexthops.keys()):
                    # Failover took the last member while the routes waited to be written.
                    return self._planning.program(self._fib.unrouted(prefixes))
                gone = failed.errno == ENOENT or id in refusals.groups
                if gone and self._fib.expects(id):
                    # The group comes again, and its routes with it: flows are in its buckets.
                    refusals.groups.setdefault(id, failed)
                    refusals.schedule(now)
                    return []
                self._fib.refuse(id, prefixes, failed.errno, failed.text)
            case DeleteRoutes(prefixes=prefixes):
                fields["prefixes"] = len(prefixes)
                refusals.deletions.update(dict.fromkeys(prefixes, failed))
            case SetNexthop(gateway=gateway):
                # Without it the groups that want it can be written: one bad next hop must not cost the others
                # anything. The kernel does not have what would be deleted.
                fields["gateway"] = format_address(gateway.address)
                refusals.nexthops[gateway] = failed
                self._gateways.fail(Reason.REFUSED, [gateway])
            case SetGroup(id=id):
                fields["id"] = id
                refusals.groups[id] = failed
            case DeleteNexthop(id=id):
                fields["id"] = id
                refusals.deletions[id] = failed
        refusals.schedule(now)
        refusals.told = True
        return [Event("kernel refused", fields, level="error"), *effects]

    @property
    def undeleted(self) -> list[Prefix]:
        """The routes that the kernel would not delete, and that nothing has wanted since."""
        routes = self._fib.routes
        prefixes = (each for each in self.refusals.deletions if not isinstance(each, int))
        return [prefix for prefix in prefixes if prefix not in routes or not routes[prefix].legs]

    # ------------------------------------------------------------------------------------------ tries

    def objects(self) -> bool:
        """Groups are found where they are compared with the kernel's: let them be written again, and tell whether
        that may find what was refused before."""
        refusals = self.refusals
        found = bool(refusals.groups or refusals.nexthops or refusals.deletions)
        refusals.groups.clear()
        return found

    def deletions(self) -> list[Effect]:
        """Try to delete routes once more; nexthops and groups are found where they are compared with the kernel's."""
        left = self.undeleted
        self.refusals.deletions.clear()
        return self._planning.program([DeleteRoutes(tuple(left))] if left else [])

    def nexthops(self) -> None:
        """Let gateways whose nexthop was refused into their groups again."""
        self._gateways.recover(Reason.REFUSED, self.refusals.nexthops)
        self.refusals.nexthops.clear()

    def routes(self, prefixes: Iterable[Prefix] | None = None) -> None:
        """Want what is decided for refused prefixes once more; unless they are named, for all of them."""
        self._planning.want_again([*self.refusals.routes] if prefixes is None else prefixes)
