"""A typed client in Python, made of the API's description: `python -m routerd.reference.client < openapi.json`.

What it writes is one module that needs nothing but Python: a TypedDict for each view, a method for each operation.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_PLAIN = {"boolean": "bool", "integer": "int", "number": "float", "string": "str", "null": "None"}
_BASE = Path(__file__).with_name("client_base.py")
"""How the module begins: what asks over the Unix socket."""
_IMPORTS = "from typing import Literal, TypedDict  # noqa: E402"


def client(described: dict[str, Any]) -> str:
    """Return the module for a description, OpenAPI 3.1 as routerd has it."""
    views = [_view(name, each) for name, each in described["components"]["schemas"].items()]
    methods = [
        _method(method.upper(), path, each)
        for path, methods in described["paths"].items()
        for method, each in methods.items()
    ]
    return "\n\n".join([_BASE.read_text(), _IMPORTS, *views, "class Routerd(Connection):", *methods])


def _view(name: str, schema: dict[str, Any]) -> str:
    return "\n".join(
        [f"class {name}(TypedDict):", *(f"    {key}: {_type(each)}" for key, each in schema["properties"].items())]
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    if schema["type"] == "array":
        return f"list[{_type(schema['items'])}]"
    if schema["type"] == "object":
        return f"dict[str, {_type(schema['additionalProperties'])}]"
    return _PLAIN[schema["type"]]


def _method(method: str, path: str, operation: dict[str, Any]) -> str:
    named = [each for each in operation["parameters"] if each["in"] != "header"]
    words = ["self", *(f"{each['name']}: {_type(each['schema'])}" for each in named if each["required"])]
    rest = [f"{each['name']}: {_type(each['schema'])} | None = None" for each in named if not each["required"]]
    arguments = ", ".join([*words, "*", *rest] if rest else words)
    query = ", ".join(f'"{each["name"]}": {each["name"]}' for each in named if each["in"] == "query")
    ((content, answer),) = operation["responses"]["200"]["content"].items()
    how = {"application/json": "_json", "text/event-stream": "_events"}.get(content, "_octets")
    kind = {"_json": "{}", "_events": "Iterator[{}]", "_octets": "bytes"}[how].format(
        _type(answer.get("x-itemSchema", answer["schema"]))
    )
    place = re.sub(r"\{(\w+)\}", r"{quote(\1)}", path)
    return f"""    def {operation["operationId"]}({arguments}) -> {kind}:
        \"\"\"{operation["summary"]}\"\"\"
        answer: {kind} = self.{how}("{method}", f"{place}", {{{query}}})
        return answer"""


if __name__ == "__main__":
    sys.stdout.write(client(json.load(sys.stdin)) + "\n")
