"""How the two routers stand to each other: what anybody may ask about a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Group
from routerd.core.message import Gateway, Hello
from routerd.core.pair.accord import EQUAL, Accord, Agreement
from routerd.core.pair.decisions import leads
from routerd.core.pair.register import Register
from routerd.core.route import Address


class Standing:
    """`hello` says who this router is, `partner` who the other one is, as far as it has said; `up` whether there is a
    channel, `since` when that is so, and `reason` why there is none. `leads` tells whether this router decides, and
    `lost` when the channel was lost last: when routerd starts it may have been just now. Times are monotonic seconds.
    """

    def __init__(self, fib: Fib, hello: Hello, now: float) -> None:
        self._groups = fib.groups
        self._register = Register(fib)
        self._born = now - hello.age
        self.hello = hello
        self.partner: Hello | None = None
        self.up = False
        self.since = now
        self.lost = now
        self.reason = "not connected yet"
        self.leads = True

    # ------------------------------------------------------------------------------------------ who they are

    def present(self, hello: Hello, now: float) -> None:
        """This router says something else of itself; who leads goes on to lead."""
        self._born = now - hello.age
        self.hello = hello._replace(age=self.hello.age) if self.up else hello

    def meet(self, hello: Hello) -> None:
        """The partner says who it is."""
        self.partner = hello
        self.leads = leads(self.hello, hello)

    def connect(self, now: float) -> None:
        """The channel is there; the partner has yet to say who it is."""
        self.up, self.since, self.reason, self.partner, self.leads = True, now, "", None, True
        self.hello = self.hello._replace(age=round(now - self._born, 3))

    def disconnect(self, reason: str, now: float) -> None:
        """The channel is lost, or there is still none: this router leads itself."""
        if self.up:
            self.since = self.lost = now
        self.up, self.leads, self.reason = False, True, reason

    # ------------------------------------------------------------------------------------------ their groups

    @property
    def complete(self) -> bool:
        """Whether the partner has said all since the channel is there."""
        return self.up and self._register.complete

    @property
    def agrees(self) -> bool:
        """Whether the partner is heard and all groups are equal."""
        return self.complete and all(state == EQUAL for state in self.summary())

    def summary(self) -> Counter[str]:
        """Return how many groups there are by state."""
        return self._register.summary()

    def agreements(self) -> Iterator[Agreement]:
        """Return all groups, as they are when it is their turn."""
        return self._register.agreements()

    def agreement(self, group_id: int) -> Agreement | None:
        """Return how a group stands; None if it is not one of the pair's."""
        return self._register.agreement(group_id)

    def owner_at_partner(self, group_id: int, bucket: int) -> Gateway | None:
        """Return where a bucket leads on the partner, as last told; None if it was not. A gateway that this router's
        group does not have is on no interface (0)."""
        return self._register.owner(group_id, bucket)

    def busy_at_partner(self, group_id: int, now: float) -> frozenset[Gateway]:
        """Return the legs of a group that have flows on the partner, as last told; without a channel those that may
        have been left to this router just now."""
        accord, group = self._register.accords.get(group_id), self._groups.by_id.get(group_id)
        if accord is None or group is None:
            return frozenset()
        coming = self.coming(accord, group, now)
        busy = self._register.busy(accord, group) if self.up else frozenset()
        return busy.union(leg for leg in group.legs if leg.address in coming)

    def coming(self, accord: Accord, group: Group, now: float) -> frozenset[Address]:
        """Return the legs to which flows of the partner's may go by now that have yet to show themselves here."""
        legs = frozenset(leg.address for leg in group.legs)
        if group.born < self.lost and now < self.lost + self._groups.shape.idle_timer:
            return legs
        return accord.coming(legs, now)
