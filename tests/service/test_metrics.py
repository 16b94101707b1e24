"""What of the page comes from the service: which configuration runs, and of what kind problems are."""

from __future__ import annotations

from routerd.service.metrics import kind


def test_kinds_of_problems_are_few() -> None:
    wheres = ("peer k8s-w0", "route 172.16.1.1/32", "ipv4 neighbours", "fib", "interface eth0")
    assert [kind(each) for each in wheres] == ["peer", "route", "neighbours", "fib", "interface"]
