"""What is said of lines that are not translated."""

from __future__ import annotations

from routerd.translate.frr.lines import Line

_QUIET = {
    ("agentx",), ("allow-external-route-update",), ("banner",), ("debug",), ("enable",), ("exec-timeout",),
    ("frr",), ("hostname",), ("domainname",), ("ip", "forwarding"), ("ipv6", "forwarding"), ("log",), ("password",),
    ("service",), ("username",), ("ip", "nht"), ("ipv6", "nht"),
}  # fmt: skip
"""Beginnings of lines outside of all blocks that say nothing of routes, or what routerd does anyhow."""

_OUTSIDE = {
    "interface": "the host's network configuration has the addresses, not routerd",
    "vrf": "routerd works in the main table alone",
    "router": "routerd speaks BGP alone",
    "bfd": "routerd has no BFD: [liveness] notices at the link layer that a node is dead",
    "ip": "the host's network configuration has addresses and static routes, not routerd",
    "ipv6": "the host's network configuration has addresses and static routes, not routerd",
    "access-list": "routerd judges prefixes by accept alone",
    "bgp": "routerd judges prefixes by accept alone",
    "rpki": "routerd has no RPKI",
}

_BGP: dict[str, tuple[str, str]] = {
    "maximum-prefix": ("routerd has no limit of prefixes", "let accept bound what a node may announce"),
    "maximum-prefix-out": ("routerd has no limit of prefixes", "announce less"),
    "bfd": ("routerd has no BFD", "[liveness] notices at the link layer that a node is dead; look at it"),
    "allowas-in": ("a path with the router's own AS is always rejected", "give the nodes an AS of their own"),
    "as-override": (
        "routerd changes no AS_PATH, so nodes of one AS reject what the others announce", "nothing, if they need not"
    ),
    "local-as": ("the router has one AS", "give router.asn, or let the neighbor expect that one"),
    "route-reflector-client": ("routerd reflects no routes", "use eBGP"),
    "route-server-client": ("routerd puts its AS into AS_PATH and itself into NEXT_HOP", "nothing, if that will do"),
    "attribute-unchanged": ("routerd puts its AS into AS_PATH and itself into NEXT_HOP", "nothing, if that will do"),
    "next-hop-unchanged": ("the next hop of what routerd announces is always itself", "nothing, if that will do"),
    "redistribute": ("routerd originates no routes of the kernel", "write the prefixes into router.networks"),
    "aggregate-address": ("routerd does not aggregate", "write the prefix into router.networks"),
    "filter-list": ("routerd does not judge AS_PATHs", "name what is accepted in accept"),
    "distribute-list": ("routerd has no access-lists", "name what is accepted in accept"),
    "advertise-map": ("routerd announces on no condition", "announce it always, or never"),
    "unsuppress-map": ("routerd does not aggregate", "nothing"),
    "soo": ("routerd changes no attributes", "do without"),
    "weight": ("all peers have the same weight", "let the nodes send MED"),
    "remove-private-AS": ("routerd changes no AS_PATH", "do without"),
    "advertisement-interval": ("routerd announces at once", "nothing, if that will do"),
    "interface": (
        "routerd has no sessions on link-local addresses", "give the node an address, and write it into [[peers]]"
    ),
    "addpath-tx-all-paths": ("routerd announces the best path alone", "nothing, if that will do"),
    "capability": ("routerd speaks of no such capability", "nothing, if that will do"),
    "distance": ("routerd has one metric for all its routes, fib.metric", "look at fib.metric"),
    "confederation": ("routerd has no confederations", "use eBGP"),
    "shutdown": ("routerd has no key that keeps a session down", "stop routerd, or leave the peers out"),
    "auto": ("a group has external or internal peers", "write an AS number, external or internal"),
    "compare-routerid": (
        "the path that was the best stays the best, before router ids are compared",
        "nothing: it matters where all else is equal",
    ),
    "bestpath": ("this step of the decision process is as docs/decision-process.md says", "read there"),
    "update-delay": ("routerd has no delay before its first decision", "nothing: after a restart it waits for nodes"),
    "conditional-advertisement": ("routerd announces on no condition", "announce it always, or never"),
    "dampening": ("routerd damps no routes", "nothing: a node's addresses must not be damped"),
    "long-lived-graceful-restart": ("routerd has no long-lived graceful restart", "raise stale_time"),
    "import": ("routerd has no VRFs", "do without"),
}  # fmt: skip


def is_quiet(line: Line) -> bool:
    """Tell whether a line outside of all blocks needs nothing."""
    if line.words[:2] in (("ip", "forwarding"), ("ipv6", "forwarding")):
        return not line.negated
    return line.words[:1] in _QUIET or line.words[:2] in _QUIET


def outside(line: Line) -> str:
    """Return why a line outside of `router bgp` is left out."""
    if line.words[1:2] == ("protocol",):
        return "routerd writes no source address into routes"
    if line.words[1:2] == ("forwarding",):
        return "routerd turns forwarding on, unless fib.manage_sysctls is false"
    return _OUTSIDE.get(line.words[0], "it is nothing that routerd has a key for")


def remedy(line: Line) -> str:
    """Return what to do about a line outside of `router bgp`."""
    match line.words:
        case (("ip" | "ipv6"), "forwarding", *_):
            return "nothing on a router; else write manage_sysctls = false"
        case (("ip" | "ipv6"), ("route" | "address"), *_) | ("interface", *_):
            return "see that the host has it without FRR"
    return "nothing, if the nodes need it not; else keep FRR for it"


def is_known(line: Line) -> bool:
    """Tell whether a line of `router bgp` is of something that routerd has not: with `no` it needs nothing."""
    return any(word in _BGP for word in line.words)


def about_bgp(line: Line) -> tuple[str, str]:
    """Return why a line of `router bgp` is left out, and what to do."""
    known = next((_BGP[word] for word in reversed(line.words) if word in _BGP), None)
    return known or ("routerd has no key for it", "nothing, if its default will do (docs/configuration.md)")
