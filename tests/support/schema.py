"""Holds a value to a JSON Schema, as far as the schemas here go: what routerd generates, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_KINDS: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "string": str,
    "null": type(None),
    "array": list,
    "object": dict,
}
_KNOWN = {"type", "properties", "required", "items", "additionalProperties", "anyOf", "$ref", "description", "title"}


def wrong(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Yield what of a value is not as a schema has it; `document` is what references are looked up in."""
    assert schema.keys() <= _KNOWN, f"{schema.keys() - _KNOWN} are not looked at here"
    if "$ref" in schema:
        target: Any = document
        for key in schema["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        yield from wrong(value, target, document, at)
        return
    if "anyOf" in schema:
        found = [list(wrong(value, each, document, at)) for each in schema["anyOf"]]
        if all(found):
            yield min(found, key=len)[0]
        return
    kind = schema["type"]
    if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{at} is {value!r}, not of type {kind}"
        return
    if kind == "array":
        for number, each in enumerate(value):
            yield from wrong(each, schema["items"], document, f"{at}[{number}]")
    if kind == "object":
        known = schema.get("properties", {})
        yield from (f"{at}.{key} is missing" for key in schema.get("required", ()) if key not in value)
        for key, each in value.items():
            inner = known.get(key) or schema.get("additionalProperties")
            if inner:
                yield from wrong(each, inner, document, f"{at}.{key}")


def undescribed(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> set[str]:
    """Return the keys of an object that its schema does not have."""
    target = schema
    while "$ref" in target:
        inner: Any = document
        for key in target["$ref"].removeprefix("#/").split("/"):
            inner = inner[key]
        target = inner
    if "anyOf" in target:
        return min((undescribed(value, each, document) for each in target["anyOf"]), key=len)
    return set(value) - set(target["properties"])
