"""Sessions over loopback, with a raw BGP client on the other side."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import AsyncExitStack

import pytest

from routerd.core.message import Notification, RouteRefresh, SessionDown, SessionUp, SpeakerDown
from routerd.core.route import Family
from routerd.session.exabgp.peer import CONFIRM_WAIT
from routerd.session.frames import RawUpdate
from tests.session.harness import ROUTER_AS, Running, configuration, free_port, speaking
from tests.support import bgp

RANGE = {"peers": [], "dynamic_peers": [{"range": "127.0.1.0/24", "group": "nodes", "limit": 2}]}


async def dial(running: Running, source: str = "127.0.0.2", **options: object) -> bgp.Client:
    """Return a client whose session is established."""
    node = await bgp.connect("127.0.0.1", running.port, source=source, **options)  # type: ignore[arg-type]
    await node.establish()
    return node


async def test_session_comes_up_with_both_opens() -> None:
    async with speaking(configuration(free_port(), {"graceful_restart": True, "restart_time": 77})) as running:
        graceful = bgp.Graceful(True, True, 33, {bgp.IPV4: True, bgp.IPV6: False})
        async with await dial(running, asn=4200000001, hold=9, graceful=graceful, families=(1,)):
            up = await running.expect(SessionUp)
        assert (up.peer, up.local, up.dynamic, up.generation) == ("127.0.0.2", "127.0.0.1", False, 1)
        assert (up.received.asn, up.received.hold_time) == (4200000001, 9)
        assert up.received.families == {Family.IPV4}
        assert up.received.graceful_restart is not None
        assert up.received.graceful_restart.notification
        assert up.received.graceful_restart.families == {Family.IPV4: True, Family.IPV6: False}
        assert (up.sent.asn, up.sent.hold_time) == (ROUTER_AS, 90)
        assert up.sent.families == {Family.IPV4, Family.IPV6}
        assert up.sent.graceful_restart is not None
        assert (up.sent.graceful_restart.restarting, up.sent.graceful_restart.time) == (True, 77)
        down = await running.expect(SessionDown)
        assert (down.generation, down.notification) == (1, None)
        async with await dial(running, hold=9):
            again = await running.expect(SessionUp)
        assert again.sent.graceful_restart is not None
        assert not again.sent.graceful_restart.restarting  # only the first OPEN says so


async def test_updates_arrive_raw_and_complete() -> None:
    count = 20_000
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        attrs = bgp.attributes("127.0.0.2", [65001])
        sent = [bgp.update(attrs, [f"172.{16 + (i >> 16)}.{i >> 8 & 255}.{i & 255}/32"]) for i in range(count)]
        node.send(b"".join(sent) + bgp.end_of_rib())
        await running.until(lambda: len(running.heard) > count, 20)
        bodies = [each.body for each in running.all(RawUpdate)]
        assert bodies == [each[19:] for each in sent] + [b"\0\0\0\0"]


async def test_extended_message_arrives() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running, extended=True) as node:
        large = bgp.message(bgp.UPDATE, bytes(60_000))
        node.send(large)
        assert (await running.expect(RawUpdate)).body == large[19:]


async def test_announcements_reach_the_peer_in_order() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        up = await running.expect(SessionUp)
        updates = [bgp.update(bgp.attributes("127.0.0.1", [ROUTER_AS]), [f"10.{i}.0.0/16"]) for i in range(200)]
        running.speaker.send(up.peer, up.generation, b"".join(updates))
        running.speaker.send(up.peer, up.generation + 7, bgp.update(b"\0" * 8))  # not this session's
        running.speaker.send(up.peer, up.generation, bgp.end_of_rib())
        heard = [(await node.expect(bgp.UPDATE))[1] for _ in range(201)]
        assert heard == [each[19:] for each in updates] + [b"\0\0\0\0"]


async def test_large_announcement_to_a_slow_reader_stays_whole() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running, hold=3) as node:
        up = await running.expect(SessionUp)
        node.reading.clear()
        body = bgp.update(bgp.attributes("127.0.0.1", [ROUTER_AS] * 200), ["10.0.0.0/16"])
        number = 20_000
        running.speaker.send(up.peer, up.generation, body * number)
        await asyncio.sleep(2.5)  # several keepalives fall due while the socket is full
        node.reading.set()
        running.speaker.send(up.peer, up.generation, bgp.end_of_rib())
        # A KEEPALIVE may come right behind it.
        await running.until(lambda: (bgp.UPDATE, b"\0\0\0\0") in node.heard[-5:], 15)
        updates = [heard for kind, heard in node.heard if kind == bgp.UPDATE]
        assert len(updates) == number + 1
        assert set(updates) == {body[19:], b"\0\0\0\0"}
        assert not running.all(SessionDown)


async def test_route_refresh_is_reported() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        up = await running.expect(SessionUp)
        node.send(bgp.message(bgp.ROUTE_REFRESH, b"\0\2\0\1"))
        assert await running.expect(RouteRefresh) == RouteRefresh(up.peer, up.generation, Family.IPV6)


async def test_hold_timer_expiry_is_a_notification_sent() -> None:
    async with speaking(configuration(free_port(), {"hold_time": 3})) as running:
        node = await bgp.connect("127.0.0.1", running.port, source="127.0.0.2")
        await node.establish(keepalive=False)
        down = await running.expect(SessionDown)
        assert down.notification == Notification(True, 4, 0)
        assert re.fullmatch(
            r"NOTIFICATION 4/0 sent: Hold Timer Expired \(hold timer of 3 s expired, last heard [34]\.\d s ago\)",
            down.reason,
        )
        assert (await node.expect(bgp.NOTIFICATION))[1][:2] == b"\4\0"
        await node.close()


@pytest.mark.long
async def test_a_peer_that_never_confirms_the_session_does_not_stay() -> None:
    """RFC 4271 gives OpenConfirm the hold timer alone, and with a hold time of 0 none."""
    silent = {"127.0.1.1": 0, "127.0.1.2": 3, "127.0.1.3": 90, "127.0.1.4": 65535}
    ranges = [{"range": "127.0.1.0/24", "group": "nodes", "limit": len(silent)}]
    config = configuration(free_port(), {"hold_time": 65535}, peers=[], dynamic_peers=ranges)
    async with speaking(config) as running, AsyncExitStack() as stack:
        nodes: list[bgp.Client] = []
        for source, hold in silent.items():
            node = await bgp.connect("127.0.0.1", running.port, source=source, hold=hold)
            nodes.append(await stack.enter_async_context(node))
            node.introduce()
            await node.expect(bgp.KEEPALIVE)
        for node in nodes:
            assert (await node.expect(bgp.NOTIFICATION, CONFIRM_WAIT + 5))[1][:2] == b"\4\0"
            await node.closed()
        await running.until(lambda: len(running.speaker.state.refusals) == len(silent))
        for refusal in running.speaker.state.refusals:
            assert re.search(r"\(no KEEPALIVE within \d+ s of the OPENs\)$", refusal.reason), refusal
        assert running.all(SessionUp) == []
        await (await dial(running, "127.0.1.9")).close()  # there is room again


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss")
async def test_without_a_hold_timer_tcp_finds_out_that_a_peer_is_gone() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running, hold=0):
        show = ["ss", "-Htno", "sport", f"{running.port}"]

        def shown() -> str:
            return subprocess.run(show, capture_output=True, text=True, check=True).stdout

        await running.until(lambda: "timer:(keepalive" in shown())


async def test_notification_received_is_reported_with_its_data() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        node.send(bgp.update() + bgp.notification(6, 9, b"\6\4hard"))
        down = await running.expect(SessionDown)
        assert down.notification == Notification(False, 6, 9, b"\6\4hard")
        assert "6/9 received" in down.reason


async def test_range_lets_peers_in_up_to_its_limit() -> None:
    async with (
        speaking(configuration(free_port(), **RANGE)) as running,
        await dial(running, "127.0.1.1"),
        await dial(running, "127.0.1.2") as second,
    ):
        assert (await running.expect(SessionUp)).dynamic
        await running.expect(SessionUp)
        third = await bgp.connect("127.0.0.1", running.port, source="127.0.1.3")
        third.introduce()
        assert (await third.expect(bgp.NOTIFICATION))[1][:2] == b"\6\5"
        await third.close()
        await running.until(lambda: running.speaker.state.refusals)
        assert "limit of 2" in running.speaker.state.refusals[0].reason
        second.send(bgp.notification(6, 2))
        await running.until(lambda: "127.0.1.2" in [down.peer for down in running.all(SessionDown)])
        async with await dial(running, "127.0.1.3"):  # the place is free again
            assert (await running.expect(SessionUp)).peer == "127.0.1.3"


async def test_unknown_source_is_refused() -> None:
    async with speaking(configuration(free_port())) as running:
        node = await bgp.connect("127.0.0.1", running.port, source="127.0.0.9")
        assert (await node.expect(bgp.NOTIFICATION))[1] == b"\6\3"
        await node.closed()
        await node.close()
        await running.until(lambda: running.speaker.state.refusals)
        assert running.speaker.state.refusals[0].address == "127.0.0.9"


@pytest.mark.parametrize(
    ("remote_as", "asn", "fits"),
    [
        ("external", 65001, True),
        ("external", ROUTER_AS, False),
        ("external", 0, False),
        ("internal", ROUTER_AS, True),
        ("internal", 65001, False),
        (65001, 65001, True),
        (65001, 65002, False),
    ],
)
async def test_remote_as(remote_as: object, asn: int, fits: bool) -> None:
    async with speaking(configuration(free_port(), {"remote_as": remote_as})) as running:
        node = await bgp.connect("127.0.0.1", running.port, source="127.0.0.2", asn=asn)
        if fits:
            await node.establish()
            assert (await running.expect(SessionUp)).received.asn == asn
        else:
            with pytest.raises(bgp.ClosedError):
                await node.establish()
            assert node.heard[-1][0] == bgp.NOTIFICATION
            assert node.heard[-1][1][:2] == b"\2\2"
            down = await running.expect(SessionDown)
            assert down.notification is not None
            assert (down.notification.sent, down.notification.code, down.notification.subcode) == (True, 2, 2)
            expected = {"external": f"any but {ROUTER_AS}, which is the router's", "internal": f"AS {ROUTER_AS}"}
            wanted = expected.get(str(remote_as), f"AS {remote_as}")
            why = f"got AS {asn}, expected {wanted}" if asn else "OPEN: AS 0, which is reserved"
            assert down.reason == f"NOTIFICATION 2/2 sent: Bad Peer AS ({why})"
        await node.close()


async def test_stalled_consumer_loses_nothing_and_no_session() -> None:
    async with speaking(configuration(free_port(), {"hold_time": 3})) as running, await dial(running) as node:
        await running.expect(SessionUp)
        running.reading.clear()
        update = bgp.update(bgp.attributes("127.0.0.2", [65001] * 200), ["172.16.0.0/16"])
        count = 20_000
        node.send(update * count)
        before = len(node.heard)
        await asyncio.sleep(6)  # twice the hold time
        assert sum(kind == bgp.KEEPALIVE for kind, _ in node.heard[before:]) >= 5
        running.reading.set()
        await running.until(lambda: len(running.heard) > count, 20)
        assert {each.body for each in running.all(RawUpdate)} == {update[19:]}
        assert len(running.all(RawUpdate)) == count
        assert not running.all(SessionDown)


async def test_session_down_overtakes_waiting_updates() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        up = await running.expect(SessionUp)
        running.reading.clear()
        node.send(bgp.update() * 200_000 + bgp.notification(6, 2))
        await asyncio.wait_for(node.closed(), 20)
        running.reading.set()
        await running.expect(SessionDown)
        at = running.heard.index(running.all(SessionDown)[0])
        late = [each for each in running.heard[at:] if isinstance(each, RawUpdate)]
        async with await dial(running):
            await running.expect(SessionUp)
        assert (late, len(running.all(SessionDown))) == ([], 1)
        assert running.all(SessionDown)[0].generation == up.generation


async def test_reconfigure_keeps_unchanged_sessions() -> None:
    port = free_port()
    groups = {"peer_groups": {"nodes": {}, "others": {}}}
    peers = [{"name": f"node-{i}", "address": f"127.0.0.{i}", "group": "nodes"} for i in (2, 3, 4)]
    ranges = RANGE["dynamic_peers"]
    before = configuration(port, **groups, peers=peers, dynamic_peers=ranges)
    peers[1]["group"] = "others"
    changed = {"peer_groups": {"nodes": {}, "others": {"hold_time": 30}}}
    after = configuration(port, **changed, peers=peers[:2], dynamic_peers=ranges)
    async with speaking(before) as running:
        nodes = [await dial(running, each) for each in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.1.1")]
        for _ in nodes:
            await running.expect(SessionUp)
        running.speaker.reconfigure(after)
        assert (await nodes[1].expect(bgp.NOTIFICATION))[1][:2] == b"\6\6"
        assert (await nodes[2].expect(bgp.NOTIFICATION))[1][:2] == b"\6\3"
        assert {(await running.expect(SessionDown)).peer for _ in range(2)} == {"127.0.0.3", "127.0.0.4"}
        async with await dial(running, "127.0.0.3"):
            assert (await running.expect(SessionUp)).sent.hold_time == 30
        for node in (nodes[0], nodes[3]):
            node.send(bgp.end_of_rib())
        assert {(await running.expect(RawUpdate)).peer for _ in range(2)} == {"127.0.0.2", "127.0.1.1"}
        for node in nodes:
            await node.close()


async def test_killed_child_is_restarted() -> None:
    async with speaking(configuration(free_port())) as running:
        async with await dial(running):
            up = await running.expect(SessionUp)
            pid = running.speaker.state.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            assert "SIGKILL" in (await running.expect(SpeakerDown)).reason
        await running.until(lambda: running.speaker.state.listening and running.speaker.state.pid != pid)
        async with await dial(running):
            assert (await running.expect(SessionUp)).generation > up.generation
        assert (running.speaker.state.restarts, len(running.all(SpeakerDown))) == (1, 1)


async def test_close_says_cease_though_graceful_restart_is_on() -> None:
    async with speaking(configuration(free_port(), {"graceful_restart": True})) as running:
        async with await dial(running, graceful=bgp.Graceful()) as node:
            up = await running.expect(SessionUp)
            running.speaker.close(up.peer, up.generation, 6, 2, "maintenance")
            assert (await node.expect(bgp.NOTIFICATION))[1] == b"\6\2\x0bmaintenance"
            down = await running.expect(SessionDown)
            assert down.notification == Notification(True, 6, 2, b"\x0bmaintenance")
            assert down.reason == "NOTIFICATION 6/2 sent: Administrative Shutdown (maintenance)"
        async with await dial(running):
            await running.expect(SessionUp)


@pytest.mark.parametrize(("code", "subcode"), [(6, 2), (6, 3), (6, 8), (3, 1)])
async def test_what_ends_a_session_for_good_is_a_hard_reset(code: int, subcode: int) -> None:
    """RFC 8538: with the N bit on both sides, anything else would have the peer keep our routes."""
    async with (
        speaking(configuration(free_port(), {"graceful_restart": True})) as running,
        await dial(running, graceful=bgp.Graceful(notification=True)) as node,
    ):
        up = await running.expect(SessionUp)
        assert up.sent.graceful_restart is not None
        assert up.sent.graceful_restart.notification
        running.speaker.close(up.peer, up.generation, code, subcode, "that is why")
        text = b"\x0bthat is why" if (code, subcode) == (6, 2) else b""
        assert (await node.expect(bgp.NOTIFICATION))[1] == bytes([6, 9, code, subcode]) + text
        down = await running.expect(SessionDown)
        assert down.notification == Notification(True, 6, 9, bytes([code, subcode]) + text)
        assert down.reason.startswith(f"NOTIFICATION 6/9 sent: Hard Reset of {code}/{subcode} ")
        assert down.reason.endswith(" (that is why)")


async def test_no_hard_reset_where_the_peer_lacks_the_n_bit_or_has_no_session_yet() -> None:
    async with speaking(configuration(free_port(), {"graceful_restart": True, "remote_as": 65001})) as running:
        node = await bgp.connect(
            "127.0.0.1", running.port, source="127.0.0.2", asn=65002, graceful=bgp.Graceful(notification=True)
        )
        with pytest.raises(bgp.ClosedError):
            await node.establish()
        assert node.heard[-1][1][:2] == b"\2\2"
        await node.close()
        async with await dial(running, graceful=bgp.Graceful(notification=False)) as node:
            up = await running.expect(SessionUp)
            running.speaker.close(up.peer, up.generation, 6, 4, "")
            assert (await node.expect(bgp.NOTIFICATION))[1] == b"\6\4"


@pytest.mark.parametrize("notify", [False, True])
async def test_stop_is_silent_unless_asked(notify: bool) -> None:
    async with speaking(configuration(free_port(), {"graceful_restart": True})) as running:
        node = await dial(running)
        await running.expect(SessionUp)
        running.speaker.notify_on_stop = notify
    await node.closed()
    assert (node.heard[-1] == (bgp.NOTIFICATION, b"\6\2")) is notify
    await node.close()


async def test_port_in_use_is_reported() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        running = Running(configuration(taken.getsockname()[1]))
        tasks = [asyncio.create_task(running.speaker.run()), asyncio.create_task(running.consume())]
        down = await running.expect(SpeakerDown)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert down.reason == f"cannot listen on 127.0.0.1 port {running.port}: Address already in use"


async def test_ttl_is_the_multihop_of_external_peers() -> None:
    async with speaking(configuration(free_port(), {"multihop": 1})) as running, await dial(running):
        await running.expect(SessionUp)
        assert _ttl_of_child(running) == 1


def _ttl_of_child(running: Running) -> int:
    """Return IP_TTL of the child's session socket, taken over with pidfd_getfd."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    pid = running.speaker.state.pid
    assert pid is not None
    handle = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            fd = libc.syscall(438, handle, int(name), 0)
            if fd < 0:
                continue
            try:
                if not os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    continue
                with socket.socket(fileno=os.dup(fd)) as sock:
                    if sock.family == socket.AF_INET and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        return sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
            finally:
                os.close(fd)
    finally:
        os.close(handle)
    raise AssertionError("the child has no such socket")


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.1.7"])
async def test_md5_key_of_a_peer_and_of_a_range(source: str) -> None:
    async with speaking(
        configuration(free_port(), {"password": "hello; {1}"}, dynamic_peers=RANGE["dynamic_peers"])
    ) as r:
        try:
            node = await bgp.connect("127.0.0.1", r.port, source=source, password="hello; {1}")
        except OSError as error:
            pytest.skip(f"no TCP MD5 here: {error}")
        await node.establish()
        await r.expect(SessionUp)
        for wrong in ("other", None):
            with pytest.raises(TimeoutError):
                await bgp.connect("127.0.0.1", r.port, source=source, password=wrong, seconds=0.5)
        r.speaker.reconfigure(configuration(r.port, {"password": "new"}, dynamic_peers=RANGE["dynamic_peers"]))
        await r.expect(SessionDown)
        async with await bgp.connect("127.0.0.1", r.port, source=source, password="new") as renewed:
            await renewed.establish()
        await node.close()


async def test_more_passwords_than_the_kernel_has_room_for_are_told_with_a_remedy() -> None:
    peers = [{"name": f"n{i}", "address": f"127.1.{i >> 8}.{i & 255}", "group": "nodes"} for i in range(5_000)]
    running = Running(configuration(free_port(), {"password": "hello"}, peers=peers))
    tasks = [asyncio.create_task(running.speaker.run()), asyncio.create_task(running.consume())]
    down = await running.expect(SpeakerDown, 60)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert down.reason.startswith("cannot set the password of 127.1.")
    assert "raise net.core.optmem_max" in down.reason


async def test_child_leaves_signals_to_the_parent() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        await running.expect(SessionUp)
        pid = running.speaker.state.pid
        assert pid is not None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(pid, number)
        node.send(bgp.end_of_rib())
        await running.expect(RawUpdate)
        assert not running.all(SessionDown)


async def test_session_over_ipv6() -> None:
    port = free_port()
    config = configuration(port, peers=[{"name": "six", "address": "::1", "group": "nodes"}])
    config = config.model_copy(update={"router": config.router.model_copy(update={"listen": ("127.0.0.1", "::1")})})
    async with speaking(config) as running:
        assert running.speaker.state.listening == (f"127.0.0.1 {port}", f"::1 {port}")
        async with await bgp.connect("::1", port) as node:
            await node.establish()
            up = await running.expect(SessionUp)
            assert (up.peer, up.local) == ("::1", "::1")


async def test_child_that_does_not_read_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routerd.session.channel.MAX_BACKLOG", 1 << 20)
    async with speaking(configuration(free_port())) as running, await dial(running):
        up = await running.expect(SessionUp)
        pid = running.speaker.state.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        running.speaker.send(up.peer, up.generation, bytes(32 << 20))
        assert "does not read" in (await running.expect(SpeakerDown)).reason
        await running.until(lambda: running.speaker.state.listening)


async def test_bad_header_is_answered() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        await running.expect(SessionUp)
        node.send(bgp.update())
        await running.expect(RawUpdate)
        node.send(b"\xff" * 15 + b"\0\0\x13\4")
        assert (await node.expect(bgp.NOTIFICATION))[1] == b"\1\1"
        down = await running.expect(SessionDown)
        assert down.notification == Notification(True, 1, 1)
