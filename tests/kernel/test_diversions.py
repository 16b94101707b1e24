"""Which routes the kernel passes by is found out without touching the buckets that flows are spread by."""

from __future__ import annotations

import time
from errno import ENETUNREACH

import pytest

from routerd.core.message import Diversion, SetRoutes
from routerd.core.route import parse_prefix
from routerd.kernel import lookup
from routerd.kernel.diversions import diversions
from routerd.kernel.writer import KernelWriter
from routerd.lab.waiting import until
from tests.kernel.test_arranging import VIPS, family, forwarding, made
from tests.support.netns import Namespace, needs_root

__all__ = ["family", "forwarding"]

pytestmark = needs_root


@pytest.fixture
def vip(writer: KernelWriter, family: int) -> str:
    made(writer, family)
    return f"{VIPS[family]}/{32 if family == 4 else 128}"


def found(vip: str) -> list[Diversion]:
    return list(diversions([(parse_prefix(vip), 100)]))


def test_to_look_is_no_use_of_a_bucket(router: Namespace, writer: KernelWriter, vip: str) -> None:
    """Else a node that is drained would have buckets for ever, where somebody asks for the status now and then."""
    time.sleep(0.3)
    assert found(vip) == []
    assert min(lookup.reading(100)[1]) >= 0.2


def test_the_routers_own_address_comes_first(router: Namespace, writer: KernelWriter, family: int, vip: str) -> None:
    router.ip("address", "add", vip, "dev", "lo")
    wanted = [Diversion(parse_prefix(vip), 0, 255)]
    until(lambda: "" if found(vip) == wanted else "no route", 2, "the kernel has a local route to its address")


def test_a_network_with_an_own_address_in_it_is_no_diversion(router: Namespace, writer: KernelWriter) -> None:
    made(writer, 4)
    assert writer.write([SetRoutes(100, (parse_prefix("10.244.1.0/24"),))]) == []
    router.ip("address", "add", "10.244.1.7/32", "dev", "lo")
    assert found("10.244.1.0/24") == []


def test_a_rule_for_another_table_is_followed(router: Namespace, writer: KernelWriter, family: int, vip: str) -> None:
    kind = f"-{family}"
    router.ip(kind, "rule", "add", "pref", "10", "lookup", "77")
    assert found(vip) == []
    router.ip(kind, "route", "add", "default", "dev", "eth0", "table", "77")
    assert found(vip) == [Diversion(parse_prefix(vip), 0, 77)]


@pytest.mark.parametrize("chosen", [("to", "10.0.0.0/8"), ("from", "10.9.0.0/16"), ("iif", "lo"), ("fwmark", "7")])
def test_a_rule_for_others_diverts_nothing(router: Namespace, writer: KernelWriter, chosen: tuple[str, str]) -> None:
    made(writer, 4)
    router.ip("rule", "add", "pref", "10", *chosen, "lookup", "77")
    router.ip("route", "add", "default", "dev", "eth0", "table", "77")
    if chosen[0] != "iif":  # asked so, the kernel takes itself for the sender
        assert found("172.16.0.1/32") == []


def test_without_the_rule_for_the_main_table_nothing_is_found(router: Namespace, writer: KernelWriter) -> None:
    made(writer, 4)
    router.ip("rule", "delete", "pref", "32766")
    assert found("172.16.0.1/32") == [Diversion(parse_prefix("172.16.0.1/32"), ENETUNREACH, 0)]
