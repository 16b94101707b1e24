"""Reading the configuration file, with errors that say where and what to write instead."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from routerd.config import model, syntax, words
from routerd.config.contradictions import contradictions
from routerd.config.doubts import missing, unwise

Location = tuple[str | int, ...]


class ConfigError(Exception):
    """The file cannot be used. `problems` has one line a problem, each with file, line and key path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: Path) -> model.Config:
    """Read and check the file; ConfigError lists every problem found, not only the first."""
    return parse(_read(path), str(path))


def check(path: Path) -> list[str]:
    """Read and check the file as `load` does; return the doubts about it, a line each."""
    text = _read(path)
    config = parse(text, str(path))
    return [_line(str(path), text, where, what) for where, what in (*unwise(config), *missing(config))]


def _read(path: Path) -> str:
    try:
        octets = path.read_bytes()
    except PermissionError as error:
        what = f"{error.strerror}; run as root (sudo), or let this user read it"
        raise ConfigError([f"{path}: cannot be read: {what}"]) from error
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    try:
        return octets.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        number = octets.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{number}: is not UTF-8 text; let the editor save it as UTF-8"]) from error


def parse(text: str, name: str = "config") -> model.Config:
    """Check the text of a configuration; `name` is what errors call the file."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        number, what = syntax.explain(text, str(error))
        raise ConfigError([f"{name}:{number}: {what}" if number else f"{name}: {what}"]) from error
    try:
        config = model.Config.model_validate(data)
    except ValidationError as error:
        errors = [dict(e) for e in error.errors() if not _is_other(e) and not _follows(e, error.errors())]
        raise ConfigError([_invalid(name, text, data, e) for e in errors]) from error
    problems = [_line(name, text, where, what) for where, what in contradictions(config)]
    if problems:
        raise ConfigError(problems)
    return config


def _is_other(error: Mapping[str, Any]) -> bool:
    """Tell whether an error says no more than that a value is not the one word that it could be as well."""
    return error["type"] == "literal_error" and str(error["loc"][-1]).startswith("literal[")


def _follows(error: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether an error says no more than that nothing is left of a list whose items have errors."""
    where = error["loc"]
    return error["type"] == "too_short" and any(e["loc"][: len(where)] == where != e["loc"] for e in errors)


def _invalid(name: str, text: str, data: dict[str, Any], error: dict[str, Any]) -> str:
    where: Location = tuple(error["loc"])
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
    return _line(name, text, _known_part(data, where), message)


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
    "peer_groups": model.PeerGroup,
    "peers": model.Peer,
    "dynamic_peers": model.DynamicPeers,
}
_HEADERS = {"peer_groups": "[peer_groups.NAME]", "peers": "[[peers]]", "dynamic_peers": "[[dynamic_peers]]"}


def _section(where: Location) -> type[BaseModel]:
    """Return the model that a location lies in."""
    return _SECTIONS[str(where[0])] if where else model.Config


def _field(where: Location) -> FieldInfo | None:
    """Return the field of the key that a location lies in; None if it is a section."""
    named = [part for part in where if isinstance(part, str)]
    deep = 3 if where[0] == "peer_groups" else 2
    return _section(where).model_fields.get(named[deep - 1]) if len(named) >= deep else None


def _line(name: str, text: str, where: Location, message: str) -> str:
    key = ""
    for part in where:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    number = line_of(text, where)
    place = f"{name}:{number}" if number else name
    return f"{place}: {key}: {message}" if key else f"{place}: {message}"


def _bare(name: str) -> str:
    return re.sub("[\"' ]", "", name)


_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")


def line_of(text: str, where: Location) -> int | None:
    """Return the number of the line that writes the key at `where`, else of its table's header, else None."""
    if not where:
        return None
    position = next((part for part in where if isinstance(part, int)), 0)
    if where[0] == "peer_groups" and len(where) > 1:
        header, keys = f"peer_groups.{where[1]}", where[2:]
    else:
        header, keys = str(where[0]), tuple(part for part in where[1:] if isinstance(part, str))
    top = len(where) == 1  # a key before all sections, or a section, perhaps of a section
    inside, seen, found = top, -1, None
    if top:
        header, keys = str(where[0]), (str(where[0]),)
    for number, line in enumerate(text.splitlines(), start=1):
        table = _TABLE.match(line)
        if table:
            named = _bare(table[2])
            if top:
                inside = False
                found = number if found is None and f"{named}.".startswith(f"{header}.") else found
                continue
            inside = named == _bare(header)
            seen += inside
            inside = inside and (table[1] == "[" or seen == position)
            found = number if inside else found
        elif inside and keys and re.match(rf'\s*"?{re.escape(str(keys[0]))}"?\s*=', line):
            return number
    return found
