"""What a prefix shall lead to: decided in the RIB, made true by the FIB."""

from __future__ import annotations

from typing import NamedTuple

from routerd.core.message import Gateway

Members = tuple[Gateway, ...]
"""Gateways, each once, in address order."""


class Wanted(NamedTuple):
    """The gateways of a prefix, none if it shall have no route.

    Those `leaving` among them say that they are about to go (GRACEFUL_SHUTDOWN, RFC 8326) and are drained for this
    prefix. `weights` are what part of the flows each member is to get, in their order, from 0 on; empty if all are to
    get as much.
    """

    members: Members
    leaving: frozenset[Gateway] = frozenset()
    weights: tuple[int, ...] = ()

    @property
    def shares(self) -> dict[Gateway, int]:
        """The weight of each member."""
        return dict(zip(self.members, self.weights or (1,) * len(self.members), strict=True))

    @property
    def is_even(self) -> bool:
        """Whether all members are to get as much, as nearly always."""
        return not (self.leaving or self.weights)

    @property
    def light(self) -> frozenset[Gateway]:
        """The members that are to get no new flow, and keep those that they have."""
        if not self.weights:
            return self.leaving
        return self.leaving.union(member for member, weight in self.shares.items() if not weight)

    def is_like(self, other: Wanted) -> bool:
        """Tell whether another one differs in its weights at most."""
        return (self.members, self.leaving) == (other.members, other.leaving)
