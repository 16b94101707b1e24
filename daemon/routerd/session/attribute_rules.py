"""What the RFCs say of each path attribute: its flags, its form, and what becomes of a malformed one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial

from routerd.session.aspath import parse_as_path
from routerd.session.values import (
    parse_address,
    parse_aggregator,
    parse_cluster_list,
    parse_communities,
    parse_extended_communities,
    parse_flag,
    parse_large_communities,
    parse_next_hop,
    parse_origin,
    parse_u32,
)


class AttributeCode(IntEnum):
    """Path attribute type codes that routerd interprets (IANA BGP Path Attributes)."""

    ORIGIN = 1
    AS_PATH = 2
    NEXT_HOP = 3
    MULTI_EXIT_DISC = 4
    LOCAL_PREF = 5
    ATOMIC_AGGREGATE = 6
    AGGREGATOR = 7
    COMMUNITIES = 8
    ORIGINATOR_ID = 9
    CLUSTER_LIST = 10
    MP_REACH_NLRI = 14
    MP_UNREACH_NLRI = 15
    EXTENDED_COMMUNITIES = 16
    AS4_PATH = 17
    AS4_AGGREGATOR = 18
    LARGE_COMMUNITIES = 32


OPTIONAL = 0x80
TRANSITIVE = 0x40
PARTIAL = 0x20
EXTENDED_LENGTH = 0x10
"""Attribute flags (RFC 4271 section 4.3)."""

WELL_KNOWN = TRANSITIVE
OPTIONAL_TRANSITIVE = OPTIONAL | TRANSITIVE

WITHDRAW = "treat-as-withdraw"
DISCARD = "attribute-discard"
"""Outcomes of a `Fault` (RFC 7606 section 2)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How to read one attribute: its flags, its parser, and what becomes of a malformed one.

    `field` names where the value goes in `Attributes`; None drops a value, once it is checked.
    """

    flags: int
    parse: Callable[[bytes], object]
    field: str | None
    outcome: str = WITHDRAW


def attribute_rules(*, four_octet_as: bool, external: bool) -> dict[int, Rule]:
    """Return the rules by attribute code (RFC 7606 section 7, RFC 6793 section 6, RFC 8092 section 6)."""
    width = 4 if four_octet_as else 2
    rules = {
        AttributeCode.ORIGIN: Rule(WELL_KNOWN, parse_origin, "origin"),
        AttributeCode.AS_PATH: Rule(WELL_KNOWN, partial(parse_as_path, width=width), "as_path"),
        AttributeCode.NEXT_HOP: Rule(WELL_KNOWN, parse_next_hop, "next_hop"),
        AttributeCode.MULTI_EXIT_DISC: Rule(OPTIONAL, parse_u32, "med"),
        AttributeCode.LOCAL_PREF: Rule(WELL_KNOWN, parse_u32, "local_pref"),
        AttributeCode.ATOMIC_AGGREGATE: Rule(WELL_KNOWN, parse_flag, "atomic_aggregate", DISCARD),
        AttributeCode.AGGREGATOR: Rule(
            OPTIONAL_TRANSITIVE, partial(parse_aggregator, width=width), "aggregator", DISCARD
        ),
        AttributeCode.COMMUNITIES: Rule(OPTIONAL_TRANSITIVE, parse_communities, "communities"),
        AttributeCode.ORIGINATOR_ID: Rule(OPTIONAL, parse_address, "originator_id"),
        AttributeCode.CLUSTER_LIST: Rule(OPTIONAL, parse_cluster_list, "cluster_list"),
        AttributeCode.EXTENDED_COMMUNITIES: Rule(
            OPTIONAL_TRANSITIVE, parse_extended_communities, "extended_communities"
        ),
        AttributeCode.AS4_PATH: Rule(OPTIONAL_TRANSITIVE, partial(parse_as_path, width=4), "as4_path", DISCARD),
        AttributeCode.AS4_AGGREGATOR: Rule(
            OPTIONAL_TRANSITIVE, partial(parse_aggregator, width=4), "as4_aggregator", DISCARD
        ),
        AttributeCode.LARGE_COMMUNITIES: Rule(OPTIONAL_TRANSITIVE, parse_large_communities, "large_communities"),
    }
    dropped = []
    if external:
        # RFC 7606 sections 7.5, 7.9 and 7.10.
        dropped += [AttributeCode.LOCAL_PREF, AttributeCode.ORIGINATOR_ID, AttributeCode.CLUSTER_LIST]
    if four_octet_as:
        # RFC 6793 section 4.1.
        dropped += [AttributeCode.AS4_PATH, AttributeCode.AS4_AGGREGATOR]
    for code in dropped:
        rules[code] = replace(rules[code], field=None, outcome=DISCARD)
    return {int(code): rule for code, rule in rules.items()}
