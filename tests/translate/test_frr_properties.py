"""Whatever an frr.conf says: `check` takes what it becomes, and what is not exact is reported."""

from __future__ import annotations

from ipaddress import ip_network
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.config.load import parse
from routerd.translate.frr.filters import inbound
from routerd.translate.frr.model import Frr
from routerd.translate.frr.policy import permits
from routerd.translate.frr.reader import read
from routerd.translate.frr.render import NothingError, translate
from routerd.translate.frr.spaces import Network, inside
from routerd.translate.report import Report

ADDRESSES = st.sampled_from(
    ["10.0.0.1", "10.0.0.2", "10.0.0.77", "192.168.1.5", "fd00::2", "fe80::1", "::", "224.0.0.9", "0.0.0.0",
     "::ffff:1.2.3.4", "swp1", "G", "H", "1.2.3"]
)  # fmt: skip
PREFIXES = st.sampled_from(
    ["10.0.0.0/24", "10.0.0.64/26", "0.0.0.0/0", "::/0", "fd00::/64", "172.16.0.0/16", "172.16.3.0/24", "10.0.0.9/24",
     "224.0.0.0/4", "fe80::/64", "127.0.0.0/8", "any", "fd00:ac10::/32", "10.0.0.0/33", "x"]
)  # fmt: skip
NUMBERS = st.one_of(st.integers(0, 300), st.sampled_from([4095, 65535, 65536, 4294967295, 99999999999]))
NAMES = st.sampled_from(["A", "B", "missing"])
TEMPLATES = (
    "bgp router-id {address}", "no bgp ebgp-requires-policy", "bgp default ipv6-unicast",
    "no bgp default ipv4-unicast", "timers bgp {number} {number}", "maximum-paths {number}",
    "maximum-paths ibgp {number}", "bgp bestpath as-path multipath-relax", "bgp always-compare-med",
    "bgp bestpath bandwidth {number}", "bgp bestpath bandwidth skip-missing",
    "bgp graceful-restart", "bgp graceful-restart-disable", "bgp graceful-restart restart-time {number}",
    "bgp graceful-restart stalepath-time {number}", "bgp listen limit {number}",
    "bgp listen range {prefix} peer-group {peer}", "network {prefix}", "no network {prefix}",
    "neighbor {peer} peer-group", "neighbor {peer} peer-group {peer}", "neighbor {peer} remote-as {number}",
    "neighbor {peer} remote-as external", "neighbor {peer} remote-as internal", "neighbor {peer} remote-as 65000",
    "neighbor {peer} timers {number} {number}", "neighbor {peer} ebgp-multihop {number}",
    "neighbor {peer} ebgp-multihop", "neighbor {peer} ttl-security hops {number}", "neighbor {peer} password {text}",
    "no neighbor {peer} password", "neighbor {peer} description {text}", "neighbor {peer} shutdown",
    "neighbor {peer} passive", "neighbor {peer} activate", "no neighbor {peer} activate",
    "neighbor {peer} prefix-list {name} in", "neighbor {peer} prefix-list {name} out",
    "neighbor {peer} route-map {name} in", "neighbor {peer} route-map {name} out",
    "neighbor {peer} filter-list {name} in", "neighbor {peer} default-originate", "neighbor {peer} interface",
    "neighbor {peer} graceful-restart-disable", "neighbor {peer} frobnicate {text}", "neighbor {peer}", "neighbor",
    "address-family ipv4 unicast", "address-family ipv6 unicast", "address-family l2vpn evpn", "exit-address-family",
    "exit", "router bgp 65000", "router bgp 65001 vrf x", "ip prefix-list {name} permit {prefix} le {number}",
    "ip prefix-list {name} seq {number} deny {prefix}", "ip prefix-list {name} permit {prefix} ge {number}",
    "ipv6 prefix-list {name} permit {prefix}", "route-map {name} permit {number}", "route-map {name} deny {number}",
    "match ip address prefix-list {name}", "match ipv6 address prefix-list {name}", "match as-path {name}",
    "set metric {number}", "interface {text}", "no", "!",
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\n"), min_size=1, max_size=90)


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line of an frr.conf, or what somebody took for one."""
    template = draw(st.sampled_from(TEMPLATES))
    for name, values in (
        ("address", ADDRESSES), ("prefix", PREFIXES), ("number", NUMBERS), ("name", NAMES), ("peer", ADDRESSES),
        ("text", TEXT),
    ):  # fmt: skip
        while f"{{{name}}}" in template:
            template = template.replace(f"{{{name}}}", str(draw(values)).replace("{", "("), 1)
    words = template.split(" ")
    words = words[: draw(st.just(len(words)) | st.integers(1, len(words)))]
    return " ".join(["no", *words] if draw(st.integers(0, 7)) == 0 else words)


GROUP = "neighbor G peer-group\nneighbor G remote-as external\nneighbor 10.0.0.77 peer-group G\n"


@settings(max_examples=100, deadline=None)
@given(st.lists(lines(), min_size=1, max_size=40), st.booleans())
def test_check_takes_whatever_a_file_becomes(found: list[str], listens: bool) -> None:
    head = "router bgp 65000\nbgp router-id 10.0.0.1\n" + GROUP
    head += "bgp listen range 10.0.0.0/24 peer-group G\n" if listens else ""
    try:
        text = translate(head + "\n".join(found), Report())
    except NothingError:
        return
    parse(text)


@settings(max_examples=60, deadline=None)
@given(TEXT)
def test_a_line_that_nobody_knows_is_reported(text: str) -> None:
    report = Report()
    translate(f"router bgp 65000\nbgp router-id 10.0.0.1\n{GROUP}neighbor G frobnicate {text}\n", report)
    assert [each.number for each in report.left] == [6]


DEEP = st.integers(0, 7).flatmap(
    lambda bits: st.integers(0, (1 << bits) - 1).map(lambda n: ip_network(((n << (32 - bits)) if bits else 0, bits)))
)
"""Networks of up to seven bits, so that two of them often meet."""


@st.composite
def entry(draw: st.DrawFn) -> str:
    network = draw(DEEP)
    least = draw(st.none() | st.integers(network.prefixlen + 1, 9))
    most = draw(st.none() | st.integers(least or network.prefixlen, 32))
    bounds = (f" ge {least}" if least else "") + (f" le {most}" if most is not None else "")
    return f"ip prefix-list A {draw(st.sampled_from(['permit', 'deny']))} {network}{bounds}"


@settings(max_examples=150, deadline=None)
@given(st.lists(entry(), min_size=1, max_size=5), DEEP)
def test_accept_is_what_a_prefix_list_permits_or_the_difference_is_reported(
    found: list[str], prefix: Network
) -> None:
    report = Report()
    frr: Frr = read("\n".join(("router bgp 1", "neighbor 10.0.0.2 prefix-list A in", *found)), report)
    accept, _ = inbound(frr, True, {"ipv4": frr.neighbors["10.0.0.2"].families["ipv4"]}, report)
    accepted = any(inside(prefix, ip_network(text)) for text in cast("list[str]", accept.value))
    permitted = permits([rule for _, rule in frr.policies.lists["ipv4", "A"]], prefix)
    assert accepted == permitted or report.left
