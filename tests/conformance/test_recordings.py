"""Recorded runs, replayed: the same messages must give the same kernel operations and the same end.

`cases/*.jsonl` are recordings of real runs (`routerd run --record`). What came of them stands beside each in
`*.expected`, a line an effect. After an intended change run `REGENERATE=1 make test ARGS=tests/conformance` and read
the difference before committing it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from routerd.core.message import (
    Advertise,
    Arrange,
    CloseSession,
    DeleteNexthop,
    DeleteRoutes,
    Effect,
    Event,
    FindUnused,
    InspectGroups,
    Operation,
    Program,
    Resync,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import format_address, format_as_path, format_prefix
from routerd.core.router import Router
from routerd.service.recording import read

CASES = Path(__file__).parent / "cases"


def describe(effect: Effect) -> Iterator[str]:
    """Write an effect as lines that a person can compare."""
    match effect:
        case Program(operations=operations):
            yield from map(operation_line, operations)
        case Advertise():
            for attributes, prefixes in effect.announced:
                path, hop = format_as_path(attributes.as_path), format_address(attributes.next_hop)
                yield f"tell {effect.peer} {' '.join(map(format_prefix, prefixes))} via {hop} path {path}"
            if effect.withdrawn:
                yield f"tell {effect.peer} withdraw {' '.join(map(format_prefix, effect.withdrawn))}"
            for family in effect.end_of_rib:
                yield f"tell {effect.peer} end-of-rib {family.label}"
        case CloseSession(peer=peer, code=code, subcode=subcode):
            yield f"close {peer} {code}/{subcode}"
        case InspectGroups(ids=ids):
            yield f"inspect {' '.join(map(str, ids))}"
        case FindUnused(ids=ids):
            yield f"find unused {' '.join(map(str, ids))}"
        case Resync(reason=reason):
            yield f"resync {reason}"
        case Event(name=name, fields=fields):
            yield f"event {name} " + " ".join(f"{key}={value}" for key, value in fields.items())


def operation_line(operation: Operation) -> str:
    match operation:
        case SetNexthop(id=id, gateway=gateway):
            return f"nexthop {id} {format_address(gateway.address)} dev {gateway.ifindex}"
        case SetGroup(id=id, members=members):
            like = f" like {operation.like}" if operation.like else ""
            hold = " hold" if operation.hold else ""
            legs = " ".join(f"{m.id}*{m.weight}" for m in members)
            return f"group {id} {legs} buckets {operation.buckets}{like}{hold}"
        case Arrange(id=id, layout=layout):
            return f"arrange {id} " + " ".join(f"{owner}*{length}" for owner, length in layout)
        case SetRoutes(id=id, prefixes=prefixes):
            return f"routes to {id}: {' '.join(map(format_prefix, prefixes))}"
        case DeleteRoutes(prefixes=prefixes):
            return f"delete routes {' '.join(map(format_prefix, prefixes))}"
        case DeleteNexthop(id=id):
            return f"delete nexthop {id}"


def replay(case: Path) -> str:
    """Run a recording through a new router; return what came of it."""
    lines: list[str] = []
    with case.open(encoding="utf-8") as file:
        config, started, messages = read(file)
        router = Router(config, started)
        for now, message in messages:
            lines += (
                f"{type(message).__name__}: {line}" for e in router.handle(message, now) for line in describe(e)
            )
    lines.append("--- the FIB at the end")
    for prefix, group in sorted(router.fib.routes.items()):
        legs = " ".join(format_address(gateway.address) for gateway in group.legs)
        lines.append(f"{format_prefix(prefix)} nhid {group.id} {legs}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", sorted(CASES.glob("*.jsonl")), ids=lambda case: case.stem)
def test_replay(case: Path) -> None:
    found, expected = replay(case), case.with_suffix(".expected")
    if os.environ.get("REGENERATE"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_there_are_recordings() -> None:
    assert len(list(CASES.glob("*.jsonl"))) >= 3
