"""The codecs of the sessions that are up: what their OPENs agreed on decides how UPDATEs are read and written."""

from __future__ import annotations

from collections.abc import Callable

from routerd.core.message import Advertise, SessionUp, Update
from routerd.core.withheld import TooLarge, Withheld
from routerd.session.encode import UpdateEncoder
from routerd.session.frames import RawUpdate
from routerd.session.update import UpdateDecoder

_REMEMBERED = 8 << 20
"""Octets of encoded messages that are kept for other peers that are to hear the same."""

_ENTRY = 512
"""Octets that an entry takes besides."""

_Key = tuple[tuple[object, ...], int, int]
"""The kind of an encoder, and which tuples it was given: they are too long to compare."""


class Codecs:
    """A decoder and an encoder for every peer with a session.

    `withheld` is, by peer, what did not fit into messages; `tell` is called with each peer that does not hear it.
    """

    def __init__(self, tell: Callable[[str, TooLarge], None] = lambda peer, found: None) -> None:
        self.withheld: dict[str, Withheld] = {}
        self._tell = tell
        self._codecs: dict[str, tuple[int, UpdateDecoder, UpdateEncoder]] = {}
        self._encoded: dict[
            _Key, tuple[Advertise, bytes, tuple[TooLarge, ...]]
        ] = {}  # the effect keeps its tuples, and so their identity
        self._octets = 0

    def up(self, up: SessionUp) -> None:
        """A session came up."""
        external = up.received.asn != up.sent.asn
        self.withheld.pop(up.peer, None)
        self._codecs[up.peer] = (
            up.generation,
            UpdateDecoder(up.peer, up.generation, up.received, up.sent, external=external),
            UpdateEncoder(up.received, up.sent, external=external),
        )

    def down(self, peer: str, generation: int) -> None:
        """A session ended."""
        if self._codecs.get(peer, (0,))[0] == generation:
            del self._codecs[peer]
            self.withheld.pop(peer, None)
            self._forget()

    def clear(self) -> None:
        """All sessions ended."""
        self._codecs.clear()
        self.withheld.clear()
        self._forget()

    def _forget(self) -> None:
        """Let go of what was encoded: it may be of routes that went with a session."""
        self._encoded.clear()
        self._octets = 0

    def generation(self, peer: str) -> int:
        """Return the number of a peer's session, 0 without one."""
        return self._codecs[peer][0] if peer in self._codecs else 0

    def decode(self, raw: RawUpdate) -> Update | None:
        """Return the UPDATE, None if its session is over. Raises UpdateError if the session cannot go on."""
        codec = self._codecs.get(raw.peer)
        if codec is None or codec[0] != raw.generation:
            return None
        return codec[1].decode(raw.body)

    def encode(self, advertise: Advertise) -> bytes:
        """Return whole BGP messages for a peer that has a session.

        Peers of an update group are given the same tuples: what was encoded lately serves again.
        """
        encoder = self._codecs[advertise.peer][2]
        key = encoder.kind, id(advertise.withdrawn), id(advertise.announced)
        known = self._encoded.get(key)
        if known is not None:
            self._note(advertise, known[2])
            return known[1] + encoder.ends(advertise)
        octets, withheld = encoder.routes(advertise)
        self._note(advertise, withheld)
        self._encoded[key] = advertise, octets, withheld
        self._octets += len(octets) + _ENTRY
        while self._octets > _REMEMBERED and len(self._encoded) > 1:
            self._octets -= len(self._encoded.pop(next(iter(self._encoded)))[1]) + _ENTRY
        return octets + encoder.ends(advertise)

    def _note(self, advertise: Advertise, found: tuple[TooLarge, ...]) -> None:
        """Keep what a peer does not hear now, and tell of it."""
        withheld = self.withheld.get(advertise.peer)
        if found and withheld is None:
            withheld = self.withheld[advertise.peer] = Withheld()
        if withheld is not None:
            withheld.take(advertise, found)
        for each in found:
            self._tell(advertise.peer, each)
