"""What is wrong with a value, in the words of somebody who edits the file: what to write instead."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

_LETTERS = "letters, digits, dots, underscores and dashes, 63 at most, the first one a letter or digit"
_PATTERNS = {
    "name": f"write a name of {_LETTERS}",
    "group": f"write the name of a peer group: {_LETTERS}",
    "socket": 'write an absolute path of 101 characters at most, such as "/run/routerd/routerd.sock"',
    **dict.fromkeys(
        ("token_file", "certificate", "key"),
        'write an absolute path, such as "/etc/routerd/metrics.pem", or "" for none',
    ),
    "site": f"write a name of {_LETTERS}",
    "router": f"write a name of {_LETTERS}",
    "partner": f"write a name of {_LETTERS}",
    "state_file": 'write an absolute path, such as "/var/lib/routerd/drains.json", or "" for none',
}
NAME = f"is no name; write one of {_LETTERS}"
_LISTS = ("peers", "dynamic_peers")


def explain(kind: str, where: tuple[str | int, ...], field: FieldInfo | None, found: Any, message: str) -> str:
    """Return what is wrong at `where`, given pydantic's kind of error and its own words for the rest.

    `field` is the key's, None for a section; `found` is the value as the file has it.
    """
    if field is None:
        return _section(where, found)
    if kind in ("bool_type", "bool_parsing"):
        return "write true or false" + _without_quotes(found)
    if kind.startswith(("int_", "float_")) or kind in ("greater_than", "greater_than_equal", "less_than_equal"):
        if isinstance(found, str) and (asn := re.fullmatch(r"(?i)AS *(\d+)", found)) and where[-1] == "asn":
            return f"write the number alone: {where[-1]} = {asn[1]}"
        return _number(field) + _without_quotes(found)
    if kind == "string_type":
        return "write a text in quotes"
    if kind == "tuple_type":
        return f"write a list: [{json.dumps(found)}]" if isinstance(found, str) else "write a list in brackets"
    if kind == "too_short":
        return "write at least one, or remove the key"
    if kind in ("string_too_short", "string_too_long"):
        return "write something between the quotes, or remove the key"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(where[-1]), message)
    return message


def _section(where: tuple[str | int, ...], found: Any) -> str:
    """A section that is not written as one, or not as what it is."""
    header = ".".join(str(part) for part in where if isinstance(part, str))
    if where[0] in _LISTS:
        return f"write [[{header}]], in double brackets: there may be several"
    if where == ("peer_groups",):
        return "write [peer_groups.NAME], a section for each group"
    if isinstance(found, list):
        return f"write [{header}], in single brackets: there is one"
    if where[0] == "peer_groups":
        return f"is no section; peer groups have names: write [peer_groups.NAME], and {where[-1]} = ... below it"
    return f"write a section [{header}]"


def _number(field: FieldInfo) -> str:
    limits: Mapping[type, Any] = {type(limit): limit for limit in field.metadata}
    noun = "a whole number" if field.annotation is int else "a number of seconds,"
    least = f"from {limits[Ge].ge}" if Ge in limits else f"above {limits[Gt].gt:g}" if Gt in limits else ""
    most = "" if Le not in limits else f" to {limits[Le].le}" if Ge in limits else f" up to {limits[Le].le}"
    return f"write {noun} {least}{most}"


def _without_quotes(found: Any) -> str:
    return ", without quotes" if isinstance(found, str) else ""
