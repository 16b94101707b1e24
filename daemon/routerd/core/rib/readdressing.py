"""What follows in slices when the router has other addresses or networks, or something else leads to a guarded one:
other prefixes may be barred, what peers announced is judged again, and they may hear of another next hop."""

from __future__ import annotations

from routerd.core.rib.advertising import Advertising
from routerd.core.rib.judge import Judge
from routerd.core.rib.peers import Peers
from routerd.core.rib.rejudging import Rejudging


class Readdressing:
    """True while something is left to be done."""

    def __init__(self, peers: Peers, judge: Judge, advertising: Advertising, rejudging: Rejudging) -> None:
        self._peers = peers
        self._judge = judge
        self._advertising = advertising
        self._rejudging = rejudging
        self._judging = self._telling = False

    def __bool__(self) -> bool:
        return self._judging or self._telling or self._judge.guard.doubts

    def begin(self) -> None:
        """The router has other addresses or networks."""
        self._judge.guard_anew(self._peers)
        self._judging = self._telling = True

    def tell(self) -> None:
        """The router has the same addresses and networks, but for link-local ones, and perhaps on other links."""
        self._telling = True

    def slice(self) -> None:
        """Do a part."""
        if self._judge.guard.doubts:
            self._judging |= self._judge.guard.slice()
        elif self._judging:
            self._judge_again()
        else:
            self._tell()

    def finish(self) -> None:
        """Have all judged by the configuration and the addresses as they are now, and told so."""
        self._judge_again()
        self._tell()

    def _judge_again(self) -> None:
        self._judging = False
        self._judge.renew(self._peers.config)
        self._rejudging.ask(self._peers.values())

    def _tell(self) -> None:
        self._telling = False
        self._advertising.renew(self._peers.values())
