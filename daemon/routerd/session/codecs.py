"""The codecs of the sessions that are up: what their OPENs agreed on decides how UPDATEs are read and written."""

from __future__ import annotations

from routerd.core.message import Advertise, SessionUp, Update
from routerd.session.encode import UpdateEncoder
from routerd.session.frames import RawUpdate
from routerd.session.update import UpdateDecoder

_REMEMBERED = 4
"""Kinds of peers among whom the same routes are sent in turn."""


class Codecs:
    """A decoder and an encoder for every peer with a session."""

    def __init__(self) -> None:
        self._codecs: dict[str, tuple[int, UpdateDecoder, UpdateEncoder]] = {}
        self._encoded: list[tuple[tuple[object, ...], Advertise, bytes]] = []

    def up(self, up: SessionUp) -> None:
        """A session came up."""
        external = up.received.asn != up.sent.asn
        self._codecs[up.peer] = (
            up.generation,
            UpdateDecoder(up.peer, up.generation, up.received, up.sent, external=external),
            UpdateEncoder(up.received, up.sent, external=external),
        )

    def down(self, peer: str, generation: int) -> None:
        """A session ended."""
        if self._codecs.get(peer, (0,))[0] == generation:
            del self._codecs[peer]
            self._encoded.clear()

    def clear(self) -> None:
        """All sessions ended."""
        self._codecs.clear()
        self._encoded.clear()

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

        Peers of an update group are given the same tuples one after the other: what was encoded last serves again.
        """
        encoder = self._codecs[advertise.peer][2]
        for kind, before, octets in self._encoded:
            if kind == encoder.kind and _same(before, advertise):
                return octets + encoder.ends(advertise)
        octets = encoder.routes(advertise)
        self._encoded = [*self._encoded[1 - _REMEMBERED :], (encoder.kind, advertise, octets)]
        return octets + encoder.ends(advertise)


def _same(one: Advertise, other: Advertise) -> bool:
    """Tell whether two effects carry the same routes; they are too long to compare."""
    return one.withdrawn is other.withdrawn and one.announced is other.announced
