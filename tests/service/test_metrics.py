"""What of the page comes from the service: which configuration runs, and of what kind problems are."""

from __future__ import annotations

from routerd.service.metrics import fingerprint, kind
from tests.support.core import CONFIG, parse


def test_configurations_are_told_apart_but_by_their_passwords() -> None:
    config = parse(CONFIG)
    groups = config.peer_groups
    secret = {name: group.model_copy(update={"password": "secret"}) for name, group in groups.items()}
    other = {name: group.model_copy(update={"hold_time": 30}) for name, group in groups.items()}
    assert fingerprint(config) == fingerprint(parse(CONFIG))
    assert fingerprint(config) == fingerprint(config.model_copy(update={"peer_groups": secret}))
    assert fingerprint(config) != fingerprint(config.model_copy(update={"peer_groups": other}))


def test_kinds_of_problems_are_few() -> None:
    wheres = ("peer k8s-w0", "route 172.16.1.1/32", "ipv4 neighbours", "fib", "interface eth0")
    assert [kind(each) for each in wheres] == ["peer", "route", "neighbours", "fib", "interface"]
