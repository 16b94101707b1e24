"""The direct link on a host whose network is not as it should be, or is made anew."""

from __future__ import annotations

from tests.daemon.harness import becomes
from tests.support.netns import namespace, needs_root, veth
from tests.telemetry.pair.test_link import Two, _talking, two

__all__ = ["two"]
pytestmark = needs_root


async def test_frames_that_are_too_large_for_what_is_in_between_are_not_sent(two: Two) -> None:
    """Both routers have jumbo frames, and the switch has none, and says nothing."""
    with namespace("switch") as switch:
        switch.bridge("br0")
        two.near.ip("link", "delete", "eth0")
        for router, port in ((two.near, "p1"), (two.far, "p2")):
            veth(router, "eth0", switch, port)
            switch.ip("link", "set", port, "master", "br0")
            router.ip("link", "set", "eth0", "mtu", "9000", "gso_max_segs", "1")
        two.near.address("eth0", "10.0.0.1/24")
        two.far.address("eth0", "10.0.0.2/24")
        one, other = two.gw1(), two.gw2()
        await _talking(one, other)
        for each in (one, other):
            each.send("500")
        await becomes(lambda: (len(one.heard), len(other.heard)), (501, 501))
        assert (one.ups, other.ups) == (1, 1)


async def test_an_interface_that_is_made_anew_is_listened_on_again(two: Two) -> None:
    """A link-local address is one of its interface, which has another index after that."""

    def linked() -> None:
        two.near.address("eth0", "fe80::a/64")
        two.far.address("eth0", "fe80::b/64")

    linked()
    one = two.gw1(address="fe80::b%eth0", listen="fe80::a%eth0")
    other = two.gw2(address="fe80::a%eth0", listen="fe80::b%eth0")
    await _talking(one, other)
    two.far.ip("link", "delete", "eth0")
    await becomes(lambda: "nobody can dial fe80::b%eth0 port 7179: there is no such" in "".join(other.reasons))
    await becomes(lambda: "there is no such address, or no such interface" in one.reasons[-1])
    two.far.ip("link", "add", "between", "type", "bridge")  # which has the index
    veth(two.near, "eth0", two.far, "eth0")
    linked()
    await _talking(one, other, "b")
