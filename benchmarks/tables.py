"""Whole tables in which every route has its own legs: until the kernel has exactly these.

As in `fib`, single routes are asked for until a sample of them is right, and then one dump must confirm all. What the
dump finds wrong is asked for next.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

from benchmarks.contenders.contender import BenchError
from benchmarks.fib import BASE, CENSUS_PAUSE, PAUSE, SAMPLE, Fib
from benchmarks.net import inside
from benchmarks.subsets import Wanted
from routerd.kernel import wire
from routerd.lab.namespaces import Namespace

_RTA_DST, _RTA_GATEWAY, _RTA_MULTIPATH = 1, 5, 9
_RTMSG = 12
_RTNEXTHOP = struct.Struct("=HBBi")
"""struct rtnexthop: length, flags, weight less one, interface."""
_NOTHING: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Legs:
    """What a route leads to; `even`: with equal weights."""

    gateways: frozenset[bytes]
    even: bool


def table(router: Namespace) -> dict[int, Legs]:
    """Dump the generator's routes, by number."""
    body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, wire.TABLE, 0, 0, wire.RTN_UNICAST, 0)
    found: dict[int, Legs] = {}
    with inside(router):
        for data, start, end in wire.dump(wire.RTM_GETROUTE, body):
            attributes = wire.attributes(data, start + _RTMSG, end)
            destination = attributes.get(_RTA_DST, b"")
            if data[start + 1] == 32 and destination[:1] == b"\x14":
                legs = list(_legs(attributes))
                weights = {weight for _, weight in legs}
                number = int.from_bytes(destination, "big") - BASE
                found[number] = Legs(frozenset(gateway for gateway, _ in legs), len(weights) == 1)
    return found


def right(fib: Fib, wanted: Wanted, check: Callable[[], None], *, patience: float, even: bool = False) -> float:
    """Wait until the kernel has exactly these routes, and return when it had; `even`: their legs with equal weights,
    unless flows seem to be there, because it was asked for the way of one.

    BenchError with an example after `patience` seconds.
    """
    numbers = sorted(wanted)
    sample = numbers[:: max(1, len(numbers) // SAMPLE)]
    left = sample
    deadline, next_check = time.monotonic() + patience, time.monotonic() + 1.0
    while True:
        if left and _is(fib, left[:1], wanted):
            left = [each for each in left if not _is(fib, [each], wanted)]
        if not left:
            now = time.monotonic()
            found = table(fib.router)
            left = _wrong(found, wanted)[:SAMPLE]
            if not left and not (even and _uneven(found, wanted, fib.asked)):
                return now
            time.sleep(CENSUS_PAUSE)
        if (now := time.monotonic()) > next_check:
            next_check = now + 1.0
            check()
            if now > deadline:
                found = table(fib.router)
                wrong = _wrong(found, wanted) or (_uneven(found, wanted, fib.asked) if even else [])
                raise BenchError(f"not within {patience:g} s: {_difference(found, wanted, wrong)}")
        time.sleep(PAUSE)


def _is(fib: Fib, numbers: list[int], wanted: Wanted) -> bool:
    return all(legs == wanted.get(number, _NOTHING) for number, legs in zip(numbers, fib.legs(numbers), strict=True))


def _wrong(found: dict[int, Legs], wanted: Wanted) -> list[int]:
    """Return the routes with other legs than they should have, those included that should not be there."""
    wrong = [number for number in found if number not in wanted]
    return [*wrong, *(number for number in wanted if _gateways(found, number) != wanted[number])]


def _uneven(found: dict[int, Legs], wanted: Wanted, busy: Container[int]) -> list[int]:
    """Return the routes whose legs have different weights, though no flow is there."""
    return [each for each in wanted if each in found and not found[each].even and each not in busy]


def _gateways(found: dict[int, Legs], number: int) -> frozenset[bytes]:
    return found[number].gateways if number in found else _NOTHING


def _difference(found: dict[int, Legs], wanted: Wanted, wrong: list[int]) -> str:
    if not wrong:
        return "right only now"
    number = wrong[0]
    gateways = sorted(each.hex(".") for each in wanted.get(number, ()))
    return f"{len(wrong)} of {len(wanted)} routes are wrong; number {number} has {found.get(number)}, not {gateways}"


def _legs(attributes: dict[int, bytes]) -> Iterator[tuple[bytes, int]]:
    if _RTA_GATEWAY in attributes:
        yield attributes[_RTA_GATEWAY], 1
    data, offset = attributes.get(_RTA_MULTIPATH, b""), 0
    while offset < len(data):
        length, _, hops, _ = _RTNEXTHOP.unpack_from(data, offset)
        gateway = wire.attributes(data, offset + _RTNEXTHOP.size, offset + length).get(_RTA_GATEWAY)
        if gateway is not None:
            yield gateway, hops + 1
        offset += (length + 3) & ~3
