"""What the sections of the configuration have in common: their base, and types that several of them use."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Model(BaseModel):
    """What all sections share: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def address(text: Any) -> Any:
    """Return an address as it is usually spelled; ValueError, with what to write instead, if it is none."""
    if not isinstance(text, str):
        raise ValueError('write an address as a string, such as "192.168.10.100"')
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        for alone, what in ((text.partition("/")[0], "length"), (text.rpartition(":")[0], "port")):
            if (meant := parsed(alone)) is not None:
                raise ValueError(f'{text!r} has a {what}; write "{meant}" alone') from None
        raise ValueError(f'{text!r} is not an IPv4 or IPv6 address; write one such as "192.168.10.100"') from None
    if "%" in text and not found.is_link_local:
        raise ValueError(
            f'{text!r} has a zone, which link-local addresses have alone; write "{text.partition("%")[0]}"'
        )
    return str(found)


def parsed(text: str) -> str | None:
    """Return an address as it is usually spelled; None if it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that has something twice."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value!r} stands here twice; remove one")
    return values


IpText = Annotated[str, BeforeValidator(address)]
IpTexts = Annotated[tuple[IpText, ...], AfterValidator(unique)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
