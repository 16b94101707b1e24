"""The description of the API, as OpenAPI 3.1 has it (spec.openapis.org), made of the endpoints and their views."""

from __future__ import annotations

import importlib
import json
import re
import types
from collections.abc import Iterable
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from routerd.api.endpoints import Endpoint
from routerd.api.examples import EXAMPLES
from routerd.api.parameters import parameters
from routerd.api.stream import CONTENT as EVENTS

_PLAIN: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    types.NoneType: "null",
}

_FAILURE = {"detail": "no peer has the name or address k8s-w9; routerd peers lists them"}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    views: dict[str, Any] = {}
    failure = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    for each in endpoints:
        named = re.findall(r"\{(\w+)\}", each.path)
        example = EXAMPLES.get(f"{each.method} {each.path}")
        paths.setdefault(each.path, {})[each.method.lower()] = {
            "summary": each.about,
            "operationId": f"{each.method.lower()}_{each.answer.__name__}",
            "parameters": parameters(each, named),
            "responses": {
                "200": _answer(each, schema_of(each.view, views), example),
                "default": _response("Why not", {"$ref": "#/components/schemas/Failure"}, example=_FAILURE),
            },
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "routerd", "version": "1"},
        "paths": paths,
        "components": {"schemas": views | {"Failure": failure}},
    }


def _answer(endpoint: Endpoint, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    if endpoint.content != EVENTS:
        return _response("What was asked for", schema, endpoint.content, example)
    # To OpenAPI 3.1 all of it is a text; what the data of an event is has a name in 3.2 alone.
    text = f"id: {example['boot']}:{example['sequence']}\nevent: {example['event']}\ndata: {json.dumps(example)}\n\n"
    made = _response("Events; the data of each is JSON", {"type": "string"}, EVENTS, text)
    made["content"][EVENTS]["x-itemSchema"] = schema
    return made


def _response(
    about: str, schema: dict[str, Any], content: str = "application/json", example: Any = None
) -> dict[str, Any]:
    shown = {} if example is None else {"example": example}
    return {"description": about, "content": {content: {"schema": schema} | shown}}


def schema_of(kind: Any, views: dict[str, Any], place: str = "#/components/schemas/") -> dict[str, Any]:
    """Return the JSON schema of a type, and add the views that it refers to, whose place is given."""
    if isinstance(kind, str):
        module, _, name = kind.partition(":")
        kind = getattr(importlib.import_module(module), name)
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if is_typeddict(kind):
        if kind.__name__ not in views:
            fields = get_type_hints(kind)
            views[kind.__name__] = {
                "type": "object",
                "description": kind.__doc__,
                "properties": {name: schema_of(each, views, place) for name, each in fields.items()},
                "required": list(fields),
            }
        return {"$ref": f"{place}{kind.__name__}"}
    inner = [schema_of(each, views, place) for each in get_args(kind)]
    if get_origin(kind) is list:
        return {"type": "array", "items": inner[0]}
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": inner[1]}
    return {"anyOf": inner}
