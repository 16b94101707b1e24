"""`[pair]`: the router that serves the same nodes, and takes over the flows of this one."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from routerd.config.impact import live, restart
from routerd.config.mqtt import NAME, FileName
from routerd.config.section import Model, address

ANEW = "the channel to the partner is made anew; groups stay as they are meanwhile"
FROM_START = "groups are made and moved otherwise from the first one on"


def _address(text: Any) -> Any:
    return text if text == "" else address(text)


Address = Annotated[str, BeforeValidator(_address)]
"""An address; empty for none."""


class Files(NamedTuple):
    """What TLS needs: the router's certificate, its private key, and who has signed the certificates of both."""

    certificate: str
    private_key: str
    ca: str


class PairSection(Model):
    """`[pair]`: no pair without a partner. Times are seconds.

    `router` and `partner` are the names of the two; the partner's file has them the other way round. Without `router`
    the name is that of `[mqtt]`, or the router id. Over `link` they talk directly: both listen on `listen` (all
    addresses, if it is empty) and `port`, and the one whose name is lower dials `address`. Over `mqtt` they talk
    through the broker of `[mqtt]`, under the names that they have there. `key_file` holds the secret that both share;
    the seed of the kernel's hash comes from it, unless `hash_seed` says one (a 32-bit number, not 0). With
    certificates the link is TLS.
    """

    partner: Annotated[str, restart(FROM_START)] = Field(default="", pattern=f"{NAME}|^$")
    router: Annotated[str, live(ANEW)] = Field(default="", pattern=f"{NAME}|^$")
    channel: Annotated[Literal["link", "mqtt"], live(ANEW)] = "link"
    address: Annotated[Address, live(ANEW)] = ""
    listen: Annotated[Address, live(ANEW)] = ""
    port: Annotated[int, live(ANEW)] = Field(default=7179, ge=1, le=65535, strict=True)
    key_file: Annotated[FileName, live(ANEW)] = ""
    certificate_file: Annotated[FileName, live(ANEW)] = ""
    private_key_file: Annotated[FileName, live(ANEW)] = ""
    ca_file: Annotated[FileName, live(ANEW)] = ""
    hash_seed: Annotated[int, live("it is set while nothing is routed yet, else by `routerd pair --set-seed`")] = (
        Field(default=0, ge=0, le=4294967295, strict=True, repr=False)
    )
    hold_time: Annotated[float, live(ANEW)] = Field(default=3.0, ge=0.3, le=60, strict=True)

    @property
    def files(self) -> Files:
        """The files of TLS, empty if there is none."""
        return Files(self.certificate_file, self.private_key_file, self.ca_file)

    @property
    def tls(self) -> bool:
        """Whether the two talk over TLS."""
        return bool(self.partner and self.channel == "link" and self.ca_file)
