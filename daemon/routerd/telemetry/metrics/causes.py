"""Why sessions end, as values of a label: few, and the same for all speakers."""

from __future__ import annotations

from routerd.core.message import Notification

_CODES = {
    1: "message_header_error",
    2: "open_message_error",
    3: "update_message_error",
    4: "hold_timer_expired",
    5: "finite_state_machine_error",
    7: "route_refresh_message_error",
    8: "send_hold_timer_expired",
}
"""RFC 4271 section 4.5, RFC 7313 section 5, RFC 9687 section 3.3."""
_CEASE = {
    1: "maximum_prefixes",
    2: "administrative_shutdown",
    3: "peer_deconfigured",
    4: "administrative_reset",
    5: "connection_rejected",
    6: "other_configuration_change",
    7: "connection_collision",
    8: "out_of_resources",
    9: "hard_reset",
    10: "bfd_down",
}
"""RFC 4486 section 3, RFC 8538 section 3, RFC 9384 section 3."""

SHUTDOWN = "administrative_shutdown", "router"
REPLACED = "replaced", "peer"
"""The node has dialled in anew, and its old session was not over yet."""
SPEAKER = "speaker_ended", "router"
"""The ExaBGP child has ended, and all sessions with it."""


def cause(said: Notification | None) -> tuple[str, str]:
    """Return why a session ended, and by whom: `router`, `peer`, or `network` where nobody said anything.

    What a Hard Reset carries is the reason, if it says one.
    """
    if said is None:
        return "connection_lost", "network"
    code, subcode = said.code, said.subcode
    if (code, subcode) == (6, 9) and len(said.data) >= 2:
        code, subcode = said.data[0], said.data[1]
    found = _CEASE.get(subcode, "cease") if code == 6 else _CODES.get(code, "other")
    return found, "router" if said.sent else "peer"
