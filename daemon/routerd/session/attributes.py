"""Path attributes, less the multiprotocol NLRI: octets to shared `Attributes`, after RFC 7606.

Thousands of UPDATEs carry the same attributes. Their octets are parsed once and looked up from then on, and what is
equal is one object, as long as it is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from routerd.core.memo import Memo
from routerd.core.message import Fault
from routerd.core.route import Attributes, Unknown, weight
from routerd.session.aspath import (
    AS_TRANS,
    has_confederation,
    has_set,
    merge_as4_path,
    without_confederation,
)
from routerd.session.attribute_rules import (
    DISCARD,
    EXTENDED_LENGTH,
    OPTIONAL,
    OPTIONAL_TRANSITIVE,
    PARTIAL,
    TRANSITIVE,
    WITHDRAW,
    AttributeCode,
    attribute_rules,
)
from routerd.session.values import parse_mp_next_hop

MEMO_LIMIT = 8 << 20
"""Octets that each memo of a parser or an encoder may hold: some ten thousand different attributes of usual size."""

_MAX_DATA = 4096 - 21

_MANDATORY = frozenset((AttributeCode.ORIGIN, AttributeCode.AS_PATH))


class UpdateError(Exception):
    """The session must be reset: code, subcode and data of the NOTIFICATION, and a line for people."""

    def __init__(self, code: int, subcode: int, data: bytes, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.subcode = subcode
        self.data = data[:_MAX_DATA]
        self.text = text


class AttributeOverrun(Exception):  # noqa: N818 -- an outcome of the walk, not always an error of the session
    """The octets end inside the attribute that begins at offset `at`; `code` is 0 when not even it is there."""

    def __init__(self, code: int, at: int) -> None:
        super().__init__("runs over the end of the attributes" if code else "an octet is left over at the end")
        self.code = code
        self.at = at


class Outcome(NamedTuple):
    """What attributes came to: None means that the routes are to be treated as withdrawn."""

    attributes: Attributes | None
    faults: tuple[Fault, ...]


_NAMES = {int(code): code.name for code in AttributeCode}


def walk(octets: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield flags, code and the offsets of the header, the value and the end of each attribute.

    Raises AttributeOverrun where the octets end inside an attribute (RFC 7606 section 4).
    """
    at, end = 0, len(octets)
    while at + 3 <= end:
        flags, code, size = octets[at], octets[at + 1], octets[at + 2]
        start = at + 3
        if flags & EXTENDED_LENGTH:
            if start == end:
                break
            size = size << 8 | octets[start]
            start += 1
        stop = start + size
        if stop > end:
            break
        yield flags, code, at, start, stop
        at = stop
    if at < end:
        raise AttributeOverrun(octets[at + 1] if at + 1 < end else 0, at)


class AttributeParser:
    """Parses attributes for all sessions of one kind: with or without four-octet AS numbers, eBGP or not.

    `known` is what `classic` remembers, for callers in a hurry.
    """

    def __init__(self, *, four_octet_as: bool, external: bool) -> None:
        self._external = external
        self._rules = attribute_rules(four_octet_as=four_octet_as, external=external)
        self.known: Memo[bytes, Outcome] = Memo(MEMO_LIMIT)
        self._multiprotocol: Memo[tuple[bytes, bytes], Outcome] = Memo(MEMO_LIMIT)
        self._interned: Memo[Attributes, Attributes] = Memo(MEMO_LIMIT)

    def classic(self, octets: bytes) -> Outcome:
        """Parse the attributes of IPv4 NLRI, whose next hop is NEXT_HOP."""
        outcome = self.known.get(octets)
        if outcome is None:
            fields, faults, seen = self._parse(octets)
            if AttributeCode.NEXT_HOP not in seen:
                faults.append(_missing(AttributeCode.NEXT_HOP))
            outcome = self._remember(self.known, octets, len(octets), *self._outcome(fields, faults, seen))
        return outcome

    def multiprotocol(self, octets: bytes, next_hop: bytes) -> Outcome:
        """Parse the attributes of MP_REACH_NLRI with this next hop field of 4, 16 or 32 octets.

        NEXT_HOP is ignored, malformed or not (RFC 4760 section 3).
        """
        key = octets, next_hop
        outcome = self._multiprotocol.get(key)
        if outcome is None:
            fields, faults, seen = self._parse(octets, ignored=AttributeCode.NEXT_HOP)
            try:
                fields["next_hop"], fields["link_local"] = parse_mp_next_hop(next_hop)
            except ValueError as error:
                faults.append(_fault(WITHDRAW, AttributeCode.MP_REACH_NLRI, f"next hop: {error}"))
            outcome = self._remember(self._multiprotocol, key, len(octets), *self._outcome(fields, faults, seen))
        return outcome

    def check(self, octets: bytes) -> tuple[Fault, ...]:
        """Return the faults of attributes that come without NLRI, where none is mandatory."""
        return tuple(self._parse(octets)[1])

    @staticmethod
    def _remember(memo: Memo[Any, Outcome], key: object, size: int, outcome: Outcome, parsed: int) -> Outcome:
        """Remember what octets of this size came to, which is `parsed` octets."""
        return memo.remember(key, outcome, size + parsed + 200 * len(outcome.faults))

    def _outcome(self, fields: dict[str, Any], faults: list[Fault], seen: set[int]) -> tuple[Outcome, int]:
        """Return what attributes came to, and the octets of what they say."""
        if not seen >= _MANDATORY:
            faults += [_missing(code) for code in (AttributeCode.ORIGIN, AttributeCode.AS_PATH) if code not in seen]
        if any(fault.outcome == WITHDRAW for fault in faults):
            return Outcome(None, tuple(faults)), 0
        attributes = Attributes(**fields)
        octets, shared = weight(attributes), self._interned.get(attributes)
        if shared is None:
            shared = self._interned.remember(attributes, attributes, octets)
        return Outcome(shared, tuple(faults)), octets

    def _parse(self, octets: bytes, ignored: int = 0) -> tuple[dict[str, Any], list[Fault], set[int]]:
        """Return the fields of `Attributes`, the faults, and the codes that are present."""
        fields: dict[str, Any] = {}
        faults: list[Fault] = []
        unknown: list[Unknown] = []
        seen: set[int] = set()
        try:
            for flags, code, at, start, stop in walk(octets):
                if code in seen:
                    # RFC 7606 section 3.g: the first one counts.
                    faults.append(_fault(DISCARD, code, "occurs again"))
                    continue
                seen.add(code)
                if code == ignored:
                    continue
                rule = self._rules.get(code)
                if rule is None:
                    if not flags & OPTIONAL:
                        # RFC 4271 section 6.3 stands: RFC 7606 does not revise it.
                        raise UpdateError(3, 2, octets[at:stop], f"attribute {code}: unknown but well-known")
                    if flags & TRANSITIVE:
                        unknown.append(Unknown(OPTIONAL_TRANSITIVE | flags & PARTIAL, code, octets[start:stop]))
                elif (flags ^ rule.flags) & OPTIONAL_TRANSITIVE:
                    # RFC 7606 section 3.c; what is dropped in any case cannot do harm.
                    outcome = WITHDRAW if rule.field else DISCARD
                    faults.append(_fault(outcome, code, f"flags {flags:#04x}"))
                else:
                    try:
                        value = rule.parse(octets[start:stop])
                    except ValueError as error:
                        faults.append(_fault(rule.outcome, code, str(error)))
                    else:
                        if rule.field:
                            fields[rule.field] = value
        except AttributeOverrun as overrun:
            faults.append(_fault(WITHDRAW, overrun.code, str(overrun)))
        if unknown:
            # Their order tells nothing, and equal attributes must be equal objects.
            fields["unknown"] = tuple(sorted(unknown, key=lambda attribute: attribute.code))
        self._finish_as_path(fields, faults)
        return fields, faults, seen

    def _finish_as_path(self, fields: dict[str, Any], faults: list[Fault]) -> None:
        """Refuse sets, and confederation segments from outside; merge what a two-octet peer sent in two parts."""
        path = fields.get("as_path", ())
        for code, name in ((AttributeCode.AS_PATH, "as_path"), (AttributeCode.AS4_PATH, "as4_path")):
            if has_set(fields.get(name) or ()):
                # RFC 9774 section 3: nobody can tell who is behind a set.
                faults.append(_fault(WITHDRAW, code, "holds an AS_SET"))
        if self._external and has_confederation(path) and not has_set(path):
            # RFC 5065 section 5, a malformed AS_PATH and thus RFC 7606 section 7.2.
            faults.append(_fault(WITHDRAW, AttributeCode.AS_PATH, "confederation segment from outside"))
        as4_path = fields.pop("as4_path", None)
        as4_aggregator = fields.pop("as4_aggregator", None)
        if as4_aggregator and "aggregator" in fields:
            if fields["aggregator"][0] != AS_TRANS:
                # RFC 6793 section 4.2.3: a two-octet speaker has aggregated since.
                return
            fields["aggregator"] = as4_aggregator
        if as4_path is not None and "as_path" in fields:
            if has_confederation(as4_path):
                # RFC 6793 section 6: they are taken out, the rest counts.
                faults.append(_fault(DISCARD, AttributeCode.AS4_PATH, "confederation segments"))
                as4_path = without_confederation(as4_path)
            fields["as_path"] = merge_as4_path(path, as4_path)


_parsers: WeakValueDictionary[tuple[bool, bool], AttributeParser] = WeakValueDictionary()


def attribute_parser(*, four_octet_as: bool, external: bool) -> AttributeParser:
    """Return the parser of all sessions of this kind: they remember together what they have parsed, and the last one
    takes the memory with it."""
    key = four_octet_as, external
    parser = _parsers.get(key)
    if parser is None:
        parser = _parsers[key] = AttributeParser(four_octet_as=four_octet_as, external=external)
    return parser


def _missing(code: AttributeCode) -> Fault:
    """RFC 7606 section 3.d."""
    return _fault(WITHDRAW, code, "is missing")


def _fault(outcome: str, code: int, text: str) -> Fault:
    return Fault(outcome, int(code), f"{_NAMES.get(code, f'attribute {code}')}: {text}")
