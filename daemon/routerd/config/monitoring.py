"""Sections about who else sees the routes: dumps in files, BMP collectors, a looking glass. Off by default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from routerd.config.section import Flag, IpText, IpTexts, Model, Name, unique

View = Literal["pre-policy", "post-policy", "adj-rib-out", "loc-rib"]


class MrtSection(Model):
    """`[mrt]`: dumps in files below `directory`; an empty one switches all of it off. Times are seconds.

    A dump of the table every `interval`, 0 for none; `updates` as they come, a new file every `rotate`; of each
    kind the last `keep` files stay, 0 for all.
    """

    directory: str = Field(default="", pattern=r"^(/.{0,200}[^/])?$")
    interval: int = Field(default=7200, ge=0, le=604800, strict=True)
    updates: Flag = False
    rotate: int = Field(default=900, ge=1, le=604800, strict=True)
    keep: int = Field(default=24, ge=0, le=1000000, strict=True)


class BmpCollector(Model):
    """`[[bmp]]`: a BMP collector (RFC 7854) that the router dials. Times are seconds, `buffer` is octets.

    `views` are what it is told: Adj-RIB-In before and after policy, Adj-RIB-Out (RFC 8671), Loc-RIB (RFC 9069).
    """

    name: Name
    address: IpText
    port: int = Field(default=11019, ge=1, le=65535, strict=True)
    views: Annotated[tuple[View, ...], AfterValidator(unique)] = Field(
        default=("pre-policy", "post-policy", "adj-rib-out", "loc-rib"), min_length=1
    )
    statistics: int = Field(default=60, ge=0, le=86400, strict=True)
    buffer: int = Field(default=16777216, ge=1048576, le=1073741824, strict=True)
    min_retry: float = Field(default=30.0, ge=0.1, le=3600, strict=True)
    max_retry: float = Field(default=720.0, ge=0.1, le=86400, strict=True)


class LookingGlassSection(Model):
    """`[looking_glass]`: HTTP for everybody who reaches `listen`, at most `rate` requests a second of a client."""

    listen: IpTexts = ()
    port: int = Field(default=29184, ge=1, le=65535, strict=True)
    rate: int = Field(default=10, ge=1, le=10000, strict=True)
    connections: int = Field(default=64, ge=1, le=1024, strict=True)
