"""How many messages were exchanged in a session, as far as they pass through here.

KEEPALIVEs do not: the child says and hears them itself.
"""

from __future__ import annotations

from dataclasses import dataclass

_HEADER = 19
_UPDATE, _ROUTE_REFRESH = 2, 5


@dataclass(slots=True)
class Counts:
    """Of one session. Octets are those of UPDATEs: of bodies that were received, of whole messages that were sent."""

    updates_received: int = 0
    updates_sent: int = 0
    refreshes_received: int = 0
    refreshes_sent: int = 0
    octets_received: int = 0
    octets_sent: int = 0

    def sent(self, messages: bytes) -> None:
        """Whole messages were sent, headers included (RFC 4271 section 4.1)."""
        at, end = 0, len(messages)
        while at + _HEADER <= end:
            kind, length = messages[at + 18], messages[at + 16] << 8 | messages[at + 17]
            if kind == _UPDATE:
                self.updates_sent += 1
                self.octets_sent += length
            elif kind == _ROUTE_REFRESH:
                self.refreshes_sent += 1
            at += max(length, _HEADER)
