"""What stands in paths, queries and headers, for the API's description: what each means, and an example."""

from __future__ import annotations

from typing import Any, NamedTuple

from routerd.api.choosing import STATES
from routerd.api.endpoints import LEVELS, Endpoint
from routerd.api.inspecting import PROTOCOLS


class Parameter(NamedTuple):
    """A parameter. `one_of` are its only values, if they are few."""

    about: str
    example: str | int
    one_of: tuple[str, ...] = ()


_PATH = Parameter("A file on the router; else the daemon's own", "/etc/routerd/routerd.toml")
PARAMETERS = {
    "peer": Parameter("A peer's name or address", "k8s-w1"),
    "prefix": Parameter("A prefix, or an address for its /32 or /128", "172.16.1.1/32"),
    "level": Parameter("The least level", "debug", LEVELS),
    "offset": Parameter("So many are left out first", 0),
    "limit": Parameter("So many are shown at most", 100),
    "longer": Parameter("What lies within this prefix", "172.16.0.0/16"),
    "shorter": Parameter("What this prefix lies within", "172.16.1.1/32"),
    "state": Parameter("What is in this state", "in-fib", STATES),
    "community": Parameter("With a path that has this community", "65001:7"),
    "as_path": Parameter("With a path of which AS_PATH has these in a row; ^ and $ are its ends", "^65001"),
    "follow": Parameter("1 to go on with what comes", 0),
    "path": _PATH,
    "confirm": Parameter("Seconds after which it is taken back, unless it is confirmed; 0: it stays", 60),
    "number": Parameter("Of the history; 0: what ran before", 2),
    "soft": Parameter("Without a reset: the peer announces (in) or hears (out) all again", "in", ("in", "out")),
    "text": Parameter("What the peer is told (RFC 9003)", "disk swap, back at 15:00"),
    "source": Parameter("The client's address", "203.0.113.9"),
    "source_port": Parameter("The client's port; 0: not known", 40000),
    "destination": Parameter("The address that it connects to", "172.16.1.1"),
    "destination_port": Parameter("The port that it connects to; 0: not known", 443),
    "protocol": Parameter("tcp unless it is given", "tcp", tuple(PROTOCOLS)),
    "interface": Parameter("By which packets come in; else that of the way back", "uplink"),
    "at_least": Parameter("So many nodes must be in the FIB", 2),
    "milliseconds": Parameter("So long packets are counted", 1000),
    "all": Parameter("1 for the groups that are equal, too", 1),
    "Last-Event-ID": Parameter("The id of the last event that the reader has", "1f461129ac0f9dfb:41"),
}
_REQUIRED = {("/v1/flow", "source"), ("/v1/flow", "destination")}
_HEADERS = {"/v1/events": ("Last-Event-ID",)}


def parameters(endpoint: Endpoint, named: list[str]) -> list[dict[str, Any]]:
    """Return the parameters of an endpoint, whose path names these, as OpenAPI has them."""
    described = [_described(name, "path", {"type": "string"}) | {"required": True} for name in named]
    for name, number in endpoint.query.items():
        value: dict[str, Any] = {"type": "string"}
        if number is not None:
            value = {"type": "integer", "minimum": number.least, "maximum": number.most, "default": number.default}
        needed = {"required": (endpoint.path, name) in _REQUIRED}
        described.append(_described(name, "query", value) | needed)
    headers = _HEADERS.get(endpoint.path, ())
    return [*described, *(_described(name, "header", {"type": "string"}) for name in headers)]


def _described(name: str, place: str, value: dict[str, Any]) -> dict[str, Any]:
    found = PARAMETERS[name]
    limits = {"enum": list(found.one_of)} if found.one_of else {}
    return {
        "name": name,
        "in": place,
        "description": found.about,
        "schema": value | limits,
        "example": found.example,
    }
