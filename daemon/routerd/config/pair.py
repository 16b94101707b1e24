"""`[pair]`: the router that serves the same nodes, and takes over the flows of this one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from routerd.config.impact import live, restart
from routerd.config.mqtt import FileName
from routerd.config.section import IpText, Model

PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
ANEW = "the channel to the partner is made anew; groups stay as they are meanwhile"
FROM_START = "groups are made and moved otherwise from the first one on"


class PairSection(Model):
    """`[pair]`: no pair without a partner. Times are seconds.

    `router` and `partner` are the names of the two; the partner's file has them the other way round. Over `link` they
    talk directly: both listen on `listen` (all addresses, if it is empty) and `port`, and the one whose name is lower
    dials `address`. Over `mqtt` they talk through the broker of `[mqtt]`, under the names that they have there.
    `key_file` holds the secret that both share; the seed of the kernel's hash comes from it, unless `hash_seed` says
    one (a 32-bit number, not 0).
    """

    partner: Annotated[str, restart(FROM_START)] = Field(default="", pattern=f"{PATTERN}|^$")
    router: Annotated[str, live(ANEW)] = Field(default="", pattern=f"{PATTERN}|^$")
    channel: Annotated[Literal["link", "mqtt"], live(ANEW)] = "link"
    address: Annotated[IpText | None, live(ANEW)] = None
    listen: Annotated[IpText | None, live(ANEW)] = None
    port: Annotated[int, live(ANEW)] = Field(default=7179, ge=1, le=65535, strict=True)
    key_file: Annotated[FileName, live(ANEW)] = ""
    hash_seed: Annotated[int, live("it is set while nothing is routed yet, else by `routerd pair --set-seed`")] = (
        Field(default=0, ge=0, le=4294967295, strict=True)
    )
    hold_time: Annotated[float, live(ANEW)] = Field(default=3.0, ge=0.3, le=60.0)
