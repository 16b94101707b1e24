"""TTL security (RFC 5082): who is too far away is refused by name, and the others work."""

from __future__ import annotations

import pytest

from routerd.core.message import SessionUp
from tests.session.harness import speaking
from tests.session.test_speaker_daemons import listening_everywhere, namespaces
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root


@pytest.mark.parametrize("address", ["10.9.0.1", "fd00:9::1"])
@pytest.mark.parametrize(("multihop", "enough", "too_low"), [(1, 255, 254), (3, 253, 252)])
async def test_a_packet_that_came_too_far_is_not_taken(
    address: str, multihop: int, enough: int, too_low: int
) -> None:
    with namespaces() as (router, node), router.enter():
        async with speaking(listening_everywhere({"ttl_security": True, "multihop": multihop})) as running:
            with node.enter():
                far = await bgp.connect(address, ttl=too_low)
            assert (await far.expect(bgp.NOTIFICATION))[1] == b"\6\5"
            await far.close()
            await running.until(lambda: running.speaker.state.refusals)
            assert f"TTL of {too_low}, at least {enough} is wanted" in running.speaker.state.refusals[0].reason
            assert not running.all(SessionUp)
            with node.enter():
                near = await bgp.connect(address, ttl=enough)
            await near.establish()
            await running.expect(SessionUp)
            await near.close()


@pytest.mark.parametrize("address", ["10.9.0.1", "fd00:9::1"])
async def test_later_packets_need_the_ttl_too(address: str) -> None:
    """The SYN had it, what follows has not: the kernel drops it, as if nothing had come."""
    with namespaces() as (router, node), router.enter():
        async with speaking(listening_everywhere({"ttl_security": True, "hold_time": 9})) as running:
            with node.enter():
                client = await bgp.connect(address, ttl=255)
            client.introduce()
            await client.expect(bgp.OPEN)
            level, option = (41, 16) if ":" in address else (0, 2)
            client.sock.setsockopt(level, option, 64)
            client.send(bgp.message(bgp.KEEPALIVE))
            with pytest.raises(TimeoutError):
                await running.expect(SessionUp, seconds=0.7)
            client.sock.setsockopt(level, option, 255)
            await running.expect(SessionUp)  # TCP has sent it again
            await client.close()
