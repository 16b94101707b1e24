"""Every kind of speaker against the daemon, in one lab. Needs to be root."""

import os

import pytest

from routerd.lab.daemon import LAB_CONFIG
from routerd.lab.laboratory import laboratory
from routerd.lab.speakers import KINDS
from routerd.lab.topology import row
from routerd.lab.waiting import LabError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


def _installed() -> list[str]:
    def is_installed(kind: str) -> bool:
        try:
            KINDS[kind].require()
        except LabError:
            return False
        return True

    return [kind for kind in KINDS if is_installed(kind)]


def test_a_lab_with_every_kind_of_speaker() -> None:
    with laboratory(row(_installed()), LAB_CONFIG.read_text()) as lab:
        lab.daemon.start()
        names = list(lab.speakers)
        for name in names:
            lab.boot(name)
        lab.wait_for_sessions(names, 30)
        for vip in lab.topology.vips:
            lab.wait_for_next_hops(vip, names, 30)
        for name in names:
            others = [other for other in names if other != name]
            lab.speakers[name].withdraw(*lab.topology.vip_prefixes)
            for vip in lab.topology.vips:
                lab.wait_for_next_hops(vip, others, 10)
            lab.speakers[name].announce(*lab.topology.vip_prefixes)
            for vip in lab.topology.vips:
                lab.wait_for_next_hops(vip, names, 10)
        lab.speakers[names[0]].stop()
        lab.daemon.stop()
        assert len(lab.next_hops(lab.topology.vips[0])) == len(names)
