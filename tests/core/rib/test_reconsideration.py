"""Whatever changes between two slices of whatever size: in the end everybody was told what is decided."""

from __future__ import annotations

import random

import pytest

from routerd.core.message import Gateway
from routerd.core.rib.decision import Decision, Options, decide
from routerd.core.rib.loc_rib import Change, LocRib, PathSet
from routerd.core.rib.reconsideration import EACH, Reconsideration
from routerd.core.rib.ways import Resolution
from routerd.core.route import Address, Attributes, Path, Prefix, format_address
from tests.support.core import sequence

NODES = [Address(bytes([192, 168, 10, number])) for number in range(1, 9)]
PATHS = [Path(format_address(node), Attributes(as_path=sequence(65001), next_hop=node)) for node in NODES]
PREFIXES = [Prefix(bytes([32, 172, 16, number >> 8, number & 255])) for number in range(400)]


class Told:
    """A Loc-RIB whose next hops come and go, and what is said of it, as planning would."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.dead: set[Address] = set()
        self.decided = 0
        self.loc_rib = LocRib(self._decide)
        self.reconsideration = Reconsideration(self.loc_rib)
        self.told: dict[Prefix, tuple[Gateway, ...]] = {}

    def _decide(self, paths: PathSet) -> Decision:
        self.decided += 1
        return decide(paths.paths, Options(), self._resolve, paths.incumbent, paths.seated)

    def _resolve(self, path: Path) -> Resolution | None:
        hop = path.attributes.next_hop
        return None if hop in self.dead else Resolution((Gateway(hop, 2),), 0)

    def say(self, changes: list[Change]) -> None:
        for old, new, prefixes in changes:
            before, after = self.loc_rib.decision(old), self.loc_rib.decision(new)
            if before.members != after.members or old is new or old in self.loc_rib.untold:
                self.told |= dict.fromkeys(prefixes, after.members)

    def churn(self) -> None:
        """Something happens to a path or a next hop."""
        path, some = self.chance.choice(PATHS), self.chance.sample(PREFIXES, 20)
        what = self.chance.random()
        if what < 0.4:
            self.say(self.loc_rib.announce(path, some))
        elif what < 0.6:
            self.say(self.loc_rib.withdraw(path.peer, some))
        elif what < 0.95:
            self.dead ^= {self.chance.choice(NODES)}
            self.reconsideration.begin()
        else:
            self.reconsideration.tell_all()

    def slice(self, room: int) -> None:
        self.decided = 0
        changes = self.reconsideration.slice(room)
        assert self.decided <= room // EACH
        self.say(changes)


@pytest.mark.parametrize("seed", range(10))
def test_everybody_is_told_in_the_end(seed: int) -> None:
    told = Told(seed)
    for path in PATHS:
        told.say(told.loc_rib.announce(path, told.chance.sample(PREFIXES, 200)))
    for _ in range(300):
        told.churn()
        for _ in range(told.chance.choice((0, 1, 1, 3))):
            told.slice(told.chance.choice((64, 256)))
    rounds = 0
    while told.reconsideration:
        told.slice(256)
        rounds += 1
    assert rounds < 100
    wanted = {prefix: told.loc_rib.decision(paths).members for prefix, paths in told.loc_rib.table.items()}
    assert {prefix: members for prefix, members in told.told.items() if members} == {
        prefix: members for prefix, members in wanted.items() if members
    }


def test_the_table_is_gone_through_though_all_is_stale_again_before_every_slice() -> None:
    """Ways that never keep still: what is decided meanwhile takes half of the room, and no more."""
    told = Told(0)
    for number, path in enumerate(PATHS):
        told.say(
            told.loc_rib.announce(path, [each for i, each in enumerate(PREFIXES) if (i % 255 + 1) >> number & 1])
        )
    sets = len(list(told.loc_rib.sets()))
    assert sets == 255
    told.dead.add(NODES[0])
    room = 4 * EACH
    for _ in range((sets * EACH + 2 * len(PREFIXES) * (1 + EACH)) // room + 2):
        told.reconsideration.begin()
        goes_through = told.reconsideration._left is not None
        told.slice(room)
        if goes_through:
            assert told.decided >= room // EACH // 2
    assert not any(gateway.address == NODES[0] for members in told.told.values() for gateway in members)
