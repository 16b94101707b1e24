"""Reading the configuration file, with errors that say where and what to write instead."""

from __future__ import annotations

import difflib
import os
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from routerd.config import model, monitoring, words
from routerd.config.contradictions import Problem, contradictions
from routerd.config.doubts import missing, unwise
from routerd.config.lines import Location
from routerd.config.metrics import MetricsSection
from routerd.config.mqtt import MqttSection
from routerd.config.pair import PairSection
from routerd.config.source import MOST, ConfigError, Sources, read, source


def load(path: Path) -> model.Config:
    """Read and check the file and what it includes; ConfigError lists every problem found, not only the first."""
    return validated(read(path))


def check(path: Path) -> list[str]:
    """Read and check the file as `load` does; return the doubts about it, a line each."""
    sources = read(path)
    config = validated(sources)
    return [sources.line(where, what) for where, what in (*unwise(config), *missing(config))]


def parse(text: str, name: str = "config") -> model.Config:
    """Check the text of a configuration, which includes no other; `name` is what errors call the file."""
    return validated(Sources([source(text, name)]))


def validated(sources: Sources) -> model.Config:
    """Check files that were read; ConfigError lists every problem found."""
    try:
        config = model.Config.model_validate(sources.data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        around = {e["loc"][:depth] for e in found for depth in range(len(e["loc"]))}
        errors = [dict(e) for e in found if not _is_other(e) and not _follows(e, around)]
        raise ConfigError([_invalid(sources, e) for e in errors[:MOST]], len(errors[MOST:])) from error
    if problems := [*contradictions(config), *_overwritten(config, sources)]:
        raise ConfigError([sources.line(*problem) for problem in problems[:MOST]], len(problems[MOST:]))
    return config


def _overwritten(config: model.Config, sources: Sources) -> Iterator[Problem]:
    """Yield what would be written over the configuration itself."""
    path = config.drain.state_file
    if path and os.path.realpath(path) in {os.path.realpath(each.name) for each in sources.files}:
        yield ("drain", "state_file"), f"{path} is a file of this configuration, and drains would replace it"


def _is_other(error: Mapping[str, Any]) -> bool:
    """Tell whether an error says no more than that a value is not the one word that it could be as well."""
    return error["type"] == "literal_error" and str(error["loc"][-1]).startswith("literal[")


def _follows(error: Mapping[str, Any], around: Container[Location]) -> bool:
    """Tell whether an error says no more than that nothing is left of a list whose items have errors; `around` has
    the places that errors are in."""
    return error["type"] == "too_short" and error["loc"] in around


def _invalid(sources: Sources, error: dict[str, Any]) -> str:
    data, where = sources.data, tuple(error["loc"])
    kind, message = error["type"], str(error["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message = _unknown_key(where)
    elif kind == "missing":
        message = f"is missing; write {where[-1]} = ..." if len(where) > 1 else f"is missing; write [{where[0]}]"
    elif where[-1] == "[key]":
        where, message = where[:-1], words.NAME
    elif kind == "literal_error":
        message = f"{message.replace('Input should be', 'write')} (found {_found(data, where)})"
    elif kind != "value_error":
        found = _value(data, where)
        message = words.explain(kind, where, _field(where), found, message)
        message += f" (found {_found(data, where)})" if not isinstance(found, dict | list) else ""
    return sources.line(_known_part(data, where), message)


def _value(data: Any, where: Location) -> Any:
    """Return what stands at a location, passing over what pydantic adds for unions."""
    for part in where:
        if _holds(data, part):
            data = data[part]
    return data


def _found(data: Any, where: Location) -> str:
    """Show the offending value, but never a password."""
    return "a hidden value" if "password" in where else repr(_value(data, where))


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _known_part(data: Any, where: Location) -> Location:
    """Drop what pydantic adds for unions and is no key of the file, but keep a missing last key."""
    kept: list[str | int] = []
    for part in where:
        if _holds(data, part):
            data = data[part]
        elif not (isinstance(data, dict) and part == where[-1]):
            continue
        kept.append(part)
    return tuple(kept)


def _unknown_key(where: Location) -> str:
    key, fields = str(where[-1]), list(_section(where[:-1]).model_fields)
    close = difflib.get_close_matches(key, fields, n=1)
    homes = [_HEADERS.get(name, f"[{name}]") for name, section in _SECTIONS.items() if key in section.model_fields]
    if homes:
        place = "of this section" if len(where) > 1 else "before all sections"
        return f"is not a key {place}; write it below {' or '.join(homes)}"
    hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(fields)}"
    return f"is not a known key; {hint}"


_SECTIONS: dict[str, type[BaseModel]] = {
    "router": model.RouterSection,
    "fib": model.FibSection,
    "api": model.ApiSection,
    "liveness": model.LivenessSection,
    "drain": model.DrainSection,
    "metrics": MetricsSection,
    "mqtt": MqttSection,
    "pair": PairSection,
    "mrt": monitoring.MrtSection,
    "looking_glass": monitoring.LookingGlassSection,
    "peer_groups": model.PeerGroup,
    "peers": model.Peer,
    "dynamic_peers": model.DynamicPeers,
    "bmp": monitoring.BmpCollector,
}
_HEADERS = {
    "peer_groups": "[peer_groups.NAME]",
    "peers": "[[peers]]",
    "dynamic_peers": "[[dynamic_peers]]",
    "bmp": "[[bmp]]",
}


def _section(where: Location) -> type[BaseModel]:
    """Return the model that a location lies in."""
    return _SECTIONS[str(where[0])] if where else model.Config


def _field(where: Location) -> FieldInfo | None:
    """Return the field of the key that a location lies in; None if it is a section."""
    if where[0] not in _SECTIONS:
        return model.Config.model_fields.get(str(where[0]))
    named = [part for part in where if isinstance(part, str)]
    deep = 3 if where[0] == "peer_groups" else 2
    return _section(where).model_fields.get(named[deep - 1]) if len(named) >= deep else None
