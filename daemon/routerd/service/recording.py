"""Inputs of the core as JSON lines, so that a run can be replayed: `routerd run --record FILE`.

The first line holds the configuration without its passwords, every other one a time and a message. Replaying the
file through a new Router gives the same effects; that is how the conformance tests work, and what to attach to a
report.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import IntEnum
from typing import Any, TextIO

import structlog

from routerd.config.model import Config
from routerd.core import message as messages
from routerd.core import route
from routerd.core.message import Input

_ENUMS = {kind.__name__: kind for kind in (route.Family, route.Origin, route.SegmentType)}
_CLASSES = {kind.__name__: kind for kind in (route.Attributes, route.Unknown)} | {
    name: kind
    for name, kind in vars(messages).items()
    if isinstance(kind, type) and (is_dataclass(kind) or hasattr(kind, "_fields"))
}

log = structlog.get_logger()


def encode(value: Any) -> Any:
    """Return a message, or a part of one, as JSON can hold it; what JSON cannot tell apart carries its type."""
    match value:
        case IntEnum():
            return {type(value).__name__: value.value}
        case bytes():
            return {"hex": value.hex()}
        case int() if value.bit_length() > 64:  # a mask of buckets; Python writes no decimal number of that length
            return {"mask": hex(value)}
        case list():
            return [encode(item) for item in value]
        case tuple() if hasattr(value, "_fields"):  # which may be none
            return {type(value).__name__: dict(zip(value._fields, map(encode, value), strict=True))}
        case tuple():
            return {"tuple": [encode(item) for item in value]}
        case frozenset():
            return {"frozenset": [encode(item) for item in sorted(value)]}
        case dict():
            return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
        case Config():
            return {"Config": _public(value)}
        case _ if is_dataclass(value):
            return {type(value).__name__: {f.name: encode(getattr(value, f.name)) for f in fields(value)}}
        case _:
            return value


def decode(value: Any) -> Any:
    """Return what `encode` was given; KeyError for a type that no message has."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    [(kind, content)] = value.items()
    match kind:
        case "hex":
            return bytes.fromhex(content)
        case "mask":
            return int(content, 16)
        case "tuple":
            return tuple(map(decode, content))
        case "frozenset":
            return frozenset(map(decode, content))
        case "dict":
            return {decode(key): decode(item) for key, item in content}
        case "Config":
            return Config.model_validate(content)
        case _ if kind in _ENUMS:
            return _ENUMS[kind](content)
        case _:
            return _CLASSES[kind](**{name: decode(item) for name, item in content.items()})


def _public(config: Config) -> dict[str, Any]:
    """Return a configuration without its passwords and the seed of its hash."""
    passwords = {name: {"password"} for name in config.peer_groups}
    secrets: dict[str, Any] = {"peer_groups": passwords, "pair": {"hash_seed"}}
    return config.model_dump(mode="json", exclude=secrets, exclude_none=True)


class Recorder:
    """Writes what the core is given to a text file, a line each, as it comes. `ended` says why it does not any more,
    and is empty while it does."""

    def __init__(self, file: TextIO, config: Config, now: float) -> None:
        self._file = file
        self.ended = ""
        self._write({"time": now, "config": _public(config)})

    def take(self, message: Input, now: float) -> None:
        """Record one message. Routing goes on if that cannot be done: a record with a gap would replay to something
        else, so it ends there."""
        if not self.ended:
            self._write({"time": now, "message": encode(message)})

    def _write(self, line: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            self.ended = f"{self._file.name} cannot be written: {error.strerror}"
            log.error("the record has ended", reason=self.ended)
            with contextlib.suppress(OSError):
                self._file.close()


def read(file: TextIO) -> tuple[Config, float, Iterator[tuple[float, Input]]]:
    """Return the configuration, the time of the start and the messages of a recording with their times. A last line
    that is cut short does not count."""
    head = json.loads(file.readline())
    rest = (json.loads(line) for line in file if line.endswith("\n"))
    return (
        Config.model_validate(head["config"]),
        head["time"],
        ((line["time"], decode(line["message"])) for line in rest),
    )
