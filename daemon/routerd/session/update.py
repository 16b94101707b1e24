"""UPDATE messages: octets to `Update`, with the error handling of RFC 7606.

Source: RFC 4271 sections 4.3 and 6.3, RFC 4760 (multiprotocol NLRI), RFC 4724 section 2 (End-of-RIB),
RFC 8950 (IPv4 NLRI with an IPv6 next hop).
"""

from __future__ import annotations

from typing import NamedTuple

from routerd.core.message import Fault, Open, Update
from routerd.core.route import IPV4_PREFIX_SIZE, MAPPED, Attributes, Family, Prefix
from routerd.session.attribute_rules import DISCARD, OPTIONAL, OPTIONAL_TRANSITIVE, WITHDRAW, AttributeCode
from routerd.session.attributes import AttributeOverrun, Outcome, UpdateError, attribute_parser, walk
from routerd.session.nlri import WIDTH, split_nlri

__all__ = ["UpdateDecoder", "UpdateError"]

_NEXT_HOP_SIZES = {Family.IPV4: (4, 16, 32), Family.IPV6: (16, 32)}
_FAMILIES = {bytes((0, family, 1)): family for family in Family}
"""By AFI and SAFI on the wire."""

_MULTIPROTOCOL = (AttributeCode.MP_REACH_NLRI, AttributeCode.MP_UNREACH_NLRI)
_UPDATE_MESSAGE_ERROR = 3
_MALFORMED_ATTRIBUTE_LIST = 1
_OPTIONAL_ATTRIBUTE_ERROR = 9
_INVALID_NETWORK_FIELD = 10


class _Reach(NamedTuple):
    """MP_REACH_NLRI or MP_UNREACH_NLRI; `family` is None when it is not negotiated and thus not read on."""

    family: Family | None
    prefixes: list[Prefix]
    next_hop: bytes = b""


class UpdateDecoder:
    """Decodes the UPDATEs of one session. `external` tells eBGP; the OPENs tell what was negotiated."""

    def __init__(self, peer: str, generation: int, open_received: Open, open_sent: Open, *, external: bool) -> None:
        self._peer = peer
        self._generation = generation
        self._families = open_received.families & open_sent.families
        self._ipv4 = Family.IPV4 in self._families
        four_octet_as = open_received.four_octet_as and open_sent.four_octet_as
        self._parser = attribute_parser(four_octet_as=four_octet_as, external=external)
        self._known = self._parser.known

    def decode(self, body: bytes) -> Update:
        """Return what an UPDATE says, given without its header.

        Raises UpdateError only where RFC 7606 leaves nothing but to reset the session; every other flaw is a
        fault of the `Update`. Next hops and AS paths are not held against policy or the router's own.
        """
        size = len(body)
        if size < 4:
            raise _malformed("the UPDATE is shorter than its length fields")
        start = 4 + (body[0] << 8 | body[1])
        if start > size:
            raise _malformed("the withdrawn routes run over the end of the UPDATE")
        stop = start + (body[start - 2] << 8 | body[start - 1])
        if stop > size:
            raise _malformed("the path attributes run over the end of the UPDATE")
        try:
            withdrawn = split_nlri(body[2 : start - 2], IPV4_PREFIX_SIZE) if start > 4 else []
            nlri = split_nlri(body[stop:], IPV4_PREFIX_SIZE)
        except ValueError as error:
            # RFC 7606 sections 3.i and 5.3.
            raise UpdateError(_UPDATE_MESSAGE_ERROR, _INVALID_NETWORK_FIELD, b"", str(error)) from None
        if self._ipv4 and nlri and (outcome := self._known.get(body[start:stop])) and outcome.attributes:
            announced = [(outcome.attributes, nlri)]
            return Update(self._peer, self._generation, withdrawn, announced, None, outcome.faults)
        if self._ipv4 and withdrawn and start == size:
            return Update(self._peer, self._generation, withdrawn)
        return self._decode(withdrawn, body[start:stop], nlri)

    def _decode(self, withdrawn: list[Prefix], octets: bytes, nlri: list[Prefix]) -> Update:
        """Put an UPDATE together whose attributes are new, or hold multiprotocol NLRI, or are malformed."""
        octets, reach, unreach = self._take_multiprotocol(octets)
        faults: list[Fault] = []
        for code, part in zip(_MULTIPROTOCOL, (reach, unreach), strict=True):
            if part is not None and part.family is None:
                faults.append(Fault(DISCARD, int(code), f"{code.name}: the family is not negotiated"))
        marks_end = reach is None and not (octets or nlri or withdrawn)
        located = bool(nlri) or (reach is not None and reach.family is None)
        if not self._ipv4 and (nlri or withdrawn):
            faults.append(Fault(DISCARD, 0, "NLRI: the family is not negotiated"))
            nlri, withdrawn = [], []
        removed = withdrawn if unreach is None else withdrawn + unreach.prefixes

        outcomes: list[tuple[Outcome, list[Prefix]]] = []
        if nlri:
            outcomes.append((self._parser.classic(octets), nlri))
        if reach is not None and reach.prefixes:
            outcomes.append((self._parser.multiprotocol(octets, reach.next_hop), reach.prefixes))
        if not outcomes and octets:
            faults += self._check_bare(octets, located=located)
        # NLRI and MP_REACH_NLRI share all attributes but one, and thus most faults.
        faults += dict.fromkeys(fault for outcome, _ in outcomes for fault in outcome.faults)

        announced: list[tuple[Attributes, list[Prefix]]] = []
        if any(outcome.attributes is None for outcome, _ in outcomes):
            removed = sum((prefixes for _, prefixes in outcomes), removed)
        else:
            announced = [(outcome.attributes, prefixes) for outcome, prefixes in outcomes if outcome.attributes]
        end_of_rib = self._end_of_rib(unreach) if marks_end and not removed else None
        return Update(self._peer, self._generation, removed, announced, end_of_rib, tuple(faults))

    def _check_bare(self, octets: bytes, *, located: bool) -> tuple[Fault, ...]:
        """Return the faults of attributes without NLRI; `located` when NLRI are there but not for us.

        Otherwise a fault that should withdraw routes may have hidden them: RFC 7606 section 5.2.
        """
        faults = self._parser.check(octets)
        serious = next((fault for fault in faults if fault.outcome == WITHDRAW), None)
        if serious and not located:
            raise _malformed(f"{serious.text}, and no route to withdraw")
        return faults

    def _end_of_rib(self, unreach: _Reach | None) -> Family | None:
        if unreach is not None:
            return unreach.family
        return Family.IPV4 if self._ipv4 else None

    def _take_multiprotocol(self, octets: bytes) -> tuple[bytes, _Reach | None, _Reach | None]:
        """Return the attributes less the multiprotocol ones, MP_REACH_NLRI and MP_UNREACH_NLRI."""
        if AttributeCode.MP_REACH_NLRI not in octets and AttributeCode.MP_UNREACH_NLRI not in octets:
            return octets, None, None  # seen without a walk
        kept: list[bytes] = []
        taken: dict[int, _Reach] = {}
        begin = 0
        try:
            for flags, code, at, start, stop in walk(octets):
                if code not in _MULTIPROTOCOL:
                    continue
                if code in taken:
                    # RFC 7606 section 3.g.
                    raise _malformed(f"{AttributeCode(code).name} occurs again")
                if flags & OPTIONAL_TRANSITIVE != OPTIONAL:
                    # RFC 7606 section 5.3 names the flags beside the syntax of the NLRI.
                    raise _incorrect(code, octets[at:stop], f"flags {flags:#04x}")
                taken[code] = self._read_multiprotocol(code, octets[start:stop], octets[at:stop])
                kept.append(octets[begin:at])
                begin = stop
        except AttributeOverrun as overrun:
            if overrun.code in _MULTIPROTOCOL:
                raise _incorrect(overrun.code, octets[overrun.at :], str(overrun)) from None
            # Else the parser finds it again, and treats what NLRI there are as withdrawn.
        if taken:
            octets = b"".join((*kept, octets[begin:]))
        return octets, taken.get(AttributeCode.MP_REACH_NLRI), taken.get(AttributeCode.MP_UNREACH_NLRI)

    def _read_multiprotocol(self, code: int, value: bytes, attribute: bytes) -> _Reach:
        """Take the value of MP_REACH_NLRI or MP_UNREACH_NLRI apart (RFC 4760 sections 3 and 4)."""
        is_reach = code == AttributeCode.MP_REACH_NLRI
        if len(value) < (5 if is_reach else 3):
            raise _incorrect(code, attribute, f"length {len(value)}")
        family = _FAMILIES.get(value[:3])
        if family is None or family not in self._families:
            return _Reach(None, [])
        at = 3
        if is_reach:
            # A reserved octet follows the next hop.
            at = value[3] + 5
            if value[3] not in _NEXT_HOP_SIZES[family] or at > len(value):
                # Where the NLRI begin is uncertain (RFC 7606 section 7.11).
                raise _malformed(f"MP_REACH_NLRI: next hop of {value[3]} octets for {family.label}")
        try:
            prefixes = split_nlri(value[at:], WIDTH[family])
        except ValueError as error:
            raise _incorrect(code, attribute, str(error)) from None
        next_hop = value[4 : at - 1]
        if family is Family.IPV4 and next_hop.startswith(MAPPED):
            next_hop = next_hop[12:16]  # the IPv4 address is what forwards IPv4
        return _Reach(family, prefixes, next_hop)


def _malformed(text: str) -> UpdateError:
    return UpdateError(_UPDATE_MESSAGE_ERROR, _MALFORMED_ATTRIBUTE_LIST, b"", text)


def _incorrect(code: int, attribute: bytes, text: str) -> UpdateError:
    """RFC 4760 section 7, RFC 7606 section 5.3: the NOTIFICATION holds the attribute."""
    name = AttributeCode(code).name
    return UpdateError(_UPDATE_MESSAGE_ERROR, _OPTIONAL_ATTRIBUTE_ERROR, attribute, f"{name}: {text}")
