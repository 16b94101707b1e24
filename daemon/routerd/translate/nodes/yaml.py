"""Kubernetes objects as YAML: mappings, lists, numbers, truth values and short texts are all there is of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_RESERVED = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

Value = Mapping[str, "Value"] | list["Value"] | str | int | bool


def documents(objects: Iterable[tuple[list[str], Value]]) -> str:
    """Return a stream of documents, each with comment lines ahead of it."""
    parts = ["".join(f"# {line}\n" for line in comments) + _block(value, "") for comments, value in objects]
    return "---\n".join(parts)


def _block(value: Value, indent: str) -> str:
    if not isinstance(value, Mapping | list) or not value:
        return f"{indent}{_scalar(value)}\n"
    if isinstance(value, list):
        return "".join(f"{indent}- {_block(each, indent + '  ').lstrip()}" for each in value)
    return "".join(_item(f"{indent}{_scalar(key)}:", each, indent) for key, each in value.items())


def _item(head: str, value: Value, indent: str) -> str:
    nested = isinstance(value, Mapping | list) and value
    return f"{head}\n{_block(value, indent + '  ')}" if nested else f"{head} {_scalar(value)}\n"


def _scalar(value: Value) -> str:
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.lower() not in _RESERVED):
        return json.dumps(value)  # a double-quoted scalar of YAML 1.2 takes what JSON writes
    return value if isinstance(value, str) else json.dumps(value)
