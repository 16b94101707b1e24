"""`[metrics]`: what Prometheus scrapes beside the API's socket, where, and who may."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from routerd.config.impact import live

_SHOWN = 'write an address and a port, such as "192.0.2.1:9179" or "[::1]:9179"'


def _place(text: str) -> str:
    if not text:
        return text
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", text)
    if found is None or not 1 <= int(found[3]) <= 65535:
        raise ValueError(f"{text!r} is no place to listen at; {_SHOWN}")
    try:
        address = ipaddress.IPv6Address(found[1]) if found[1] else ipaddress.IPv4Address(found[2])
    except ValueError:
        raise ValueError(f"{text!r} has no IPv4 or IPv6 address; {_SHOWN}") from None
    return f"[{address}]:{int(found[3])}" if found[1] else f"{address}:{int(found[3])}"


def _sorted(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))  # neither their order nor their number means anything


ANEW = "scrapes that are under way end"
FileName = Annotated[str, Field(pattern=r"^(/.{0,400}[^/])?$")]


class MetricsSection(BaseModel):
    """`[metrics]`: a read-only TCP listener for `GET /metrics`; an empty `listen` opens none.

    The files are read again when they change: a certificate is renewed without a reload.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    listen: Annotated[str, AfterValidator(_place), live(ANEW)] = ""
    token_file: Annotated[FileName, live(ANEW)] = ""
    certificate: Annotated[FileName, live(ANEW)] = ""
    key: Annotated[FileName, live(ANEW)] = ""
    compatibility: Annotated[tuple[Literal["frr_exporter", "gobgp"], ...], AfterValidator(_sorted)] = ()

    @property
    def place(self) -> tuple[str, int]:
        """Address and port of `listen`, if there is one."""
        address, _, port = self.listen.rpartition(":")
        return address.strip("[]"), int(port)

    @property
    def local(self) -> bool:
        """Whether only this host can dial `listen`."""
        return ipaddress.ip_address(self.place[0]).is_loopback
