"""An frr.conf of a lab, imported, in the place of FRR: the real speakers come up, and their addresses are routed."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from routerd.lab.laboratory import laboratory
from routerd.lab.topology import row
from routerd.translate.frr.render import translate
from routerd.translate.report import Report

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FRR = """\
frr version 8.4.4
frr defaults traditional
hostname router
service integrated-vtysh-config
!
router bgp 65000
 bgp router-id 192.168.10.200
 bgp bestpath as-path multipath-relax
 bgp graceful-restart
 neighbor NODES peer-group
 neighbor NODES remote-as external
 neighbor NODES timers 3 9
 neighbor NODES ebgp-multihop 2
 neighbor NODES password lab
 neighbor 192.168.10.100 peer-group NODES
 neighbor 192.168.10.100 description node0
 bgp listen range 192.168.10.0/24 peer-group NODES
 !
 address-family ipv4 unicast
  network 10.10.1.0/24
  neighbor NODES prefix-list VIPS in
  neighbor NODES prefix-list OWN out
  maximum-paths 8
 exit-address-family
 !
 address-family ipv6 unicast
  neighbor NODES activate
  neighbor NODES route-map VIPS6 in
  neighbor NODES route-map NONE out
 exit-address-family
exit
!
ip prefix-list OWN seq 5 permit 10.10.1.0/24
ip prefix-list VIPS seq 5 permit 172.16.0.0/16 le 32
ipv6 prefix-list VIPS6 seq 5 permit fd00:ac10::/64 le 128
!
route-map VIPS6 permit 10
 match ipv6 address prefix-list VIPS6
exit
!
route-map NONE deny 10
exit
!
end
"""
PLACE = """
[api]
socket = "/run/routerd/routerd.sock"
group = "root"

[drain]
state_file = ""
"""


def test_routerd_takes_the_place_of_frr() -> None:
    report = Report()
    config = translate(FRR, report) + PLACE
    assert report.left == []
    with laboratory(row(["frr", "bird", "gobgp"]), config) as lab:
        names = list(lab.speakers)
        for speaker in lab.speakers.values():
            speaker.session = replace(speaker.session, password="lab")
        lab.daemon.start()
        for name in names:
            lab.boot(name)
        lab.wait_for_sessions(names, 30)
        for vip in lab.topology.vips:
            lab.wait_for_next_hops(vip, names, 30)
        assert lab.next_hops(lab.node("node0").pod_cidrs[0].partition("/")[0]) == set()
        lab.speakers["node1"].withdraw(*lab.topology.vip_prefixes)
        lab.wait_for_next_hops(lab.topology.vips[0], ["node0", "node2"], 10)
        lab.daemon.stop()
