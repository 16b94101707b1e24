"""Where a broker is, and as whom a router or a command is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from routerd.config.mqtt import MqttSection


class Access(NamedTuple):
    """Where a broker is, and as whom it is talked to; what is empty is not given."""

    url: str
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""


def access(section: MqttSection) -> Access:
    """Return what `[mqtt]` says of it."""
    return Access(
        section.broker,
        section.user,
        section.password_file,
        section.ca_file,
        section.certificate_file,
        section.key_file,
    )
