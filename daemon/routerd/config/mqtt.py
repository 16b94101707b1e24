"""`[mqtt]`: the broker to which a router tells how it is, and who may have it drain nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from routerd.config.broker import place
from routerd.config.impact import live
from routerd.config.source import ConfigError, read

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
ANEW = "the connection to the broker is made anew"
MOVED = "what stands at the broker under the old name is cleared"


def _broker(url: str) -> str:
    if url:
        place(url)
    return url


def _file(path: str) -> str:
    if path and (not path.startswith("/") or path.endswith("/") or "\0" in path):
        raise ValueError('write an absolute path, such as "/etc/routerd/mqtt.password", or "" for none')
    return path


FileName = Annotated[str, Field(max_length=4000), AfterValidator(_file)]
"""Checked by hand: a pattern that counts so far takes a megabyte."""


class MqttSection(BaseModel):
    """`[mqtt]`: where the router tells how it is; nowhere without a broker. Times are seconds.

    `router` is its name there: the router id, unless it is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    broker: Annotated[str, AfterValidator(_broker), live(ANEW)] = ""
    site: Annotated[str, live(MOVED)] = Field(default="default", pattern=NAME)
    router: Annotated[str, live(MOVED)] = Field(default="", pattern=f"{NAME}|^$")
    user: str = Field(default="", max_length=1000)
    password_file: FileName = ""
    ca_file: FileName = ""
    certificate_file: FileName = ""
    key_file: FileName = ""
    fleet_key_file: FileName = ""
    vip_limit: int = Field(default=1000, ge=0, le=10000, strict=True)
    event_expiry: int = Field(default=3600, ge=1, le=604800, strict=True)
    metrics_interval: int = Field(default=0, ge=0, le=86400, strict=True)


def of_file(path: Path) -> MqttSection:
    """Return `[mqtt]` of a file, which need not be a router's: it may have nothing else. ConfigError if wrong."""
    sources = read(path)
    try:
        return MqttSection.model_validate(sources.data.get("mqtt", {}))
    except ValidationError as error:
        wrong = [(each["loc"], str(each["msg"]).removeprefix("Value error, ")) for each in error.errors()]
        raise ConfigError([sources.line(("mqtt", *where), what) for where, what in wrong]) from error
