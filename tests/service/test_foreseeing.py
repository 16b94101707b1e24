"""What is foreseen of flows, as far as configurations alone tell."""

from __future__ import annotations

from routerd.config.load import parse
from routerd.service.foreseeing import _moves_by_time
from tests.support.core import CONFIG

PAIR = '[pair]\nrouter = "gw1"\npartner = "gw2"\naddress = "10.255.0.2"\nkey_file = "/etc/routerd/pair.key"\n'


def test_in_a_pair_no_bucket_moves_under_a_flow_whatever_the_timer_says() -> None:
    before, forced, sooner = "", "unbalanced_timer = 9.0", "idle_timer = 1.0"
    for pair, wanted in (("", [True, True, False]), (PAIR, [False, True, False])):
        configs = [parse(f"{CONFIG}\n{pair}\n[fib]\n{each}\n") for each in (before, forced, sooner, before)]
        assert [_moves_by_time(configs[0], each) for each in configs[1:]] == wanted
