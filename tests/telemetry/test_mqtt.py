"""What a router tells a broker: topics, states, signatures; and the link to a real mosquitto that comes and goes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.config import keyfile
from routerd.telemetry.bus import Bus
from routerd.telemetry.mqtt import signing, topics
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.broker import Connection, Message
from routerd.telemetry.mqtt.link import Link
from routerd.telemetry.mqtt.requests import Requests
from routerd.telemetry.mqtt.signing import Gate, RefusedError, RepeatedError
from routerd.telemetry.mqtt.states import CLEARED, States
from routerd.telemetry.mqtt.topics import Own, Topic
from tests.daemon.harness import becomes
from tests.support.mosquitto import Mosquitto, mosquitto, needs_mosquitto, reading

OWN = Own("ams", "gw1", "a" * 16)
A, B = OWN.topic(topics.PEER, "a"), OWN.topic(topics.PEER, "b")
KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"


# ------------------------------------------------------------------------------------------------------------ topics


@given(st.text())
def test_a_level_is_one(text: str) -> None:
    assert not set(topics.level(text)) & set("/+#\x00")


def test_a_prefix_is_a_level() -> None:
    assert topics.level("172.16.1.1/32") == "172.16.1.1_32"
    assert topics.level("fd00::1/128") == "fd00::1_128"
    assert topics.level("a_b/c") != topics.level("a_b_c")
    assert str(OWN.topic(topics.VIP, topics.level("fd00::1/128"))) == "routerd/v1/ams/gw1/vip/fd00::1_128"
    assert topics.kind_of("tcp segments dropped!") == "tcp-segments-dropped"


@pytest.mark.parametrize(
    "text", ["routerd/v1/ams/gw1", "routerd/v2/ams/gw1/birth", "routerd/v1/a/b/c/d/e", "routerd/v1//b/c"]
)
def test_what_is_no_topic(text: str) -> None:
    assert topics.parse(text) is None


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"\xff", b"[" * 60_000, b'{"a":"' + b"a" * topics.LARGEST + b'"}']
)
def test_what_is_no_payload(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        topics.decode(payload)


# ------------------------------------------------------------------------------------------------------------ states


def test_what_changes_again_is_sent_once() -> None:
    states, woken = States(), []
    states.wake = lambda: woken.append(1)
    states.tell(A, b"1")
    states.tell(B, b"1")
    states.tell(A, b"2")
    states.tell(A, b"2")
    assert len(woken) == 3
    assert states.take(10) == [(A, b"2"), (B, b"1")]
    assert states.take(10) == []
    states.renew()
    assert states.take(1) == [(A, b"2")]
    assert states.waiting == 1


def test_what_is_gone_is_cleared_until_the_broker_has_heard_it() -> None:
    states = States()
    states.renew()
    states.tell(A, b"1")
    states.take(10)
    states.clear(A)
    assert states.take(10) == [(A, CLEARED)]
    states.renew()  # that got lost
    assert states.take(10) == [(A, CLEARED)]
    states.sent(A, CLEARED)
    assert (len(states), states.octets) == (0, 0)
    states.tell(A, b"1")
    states.take(10)
    states.clear(A)
    states.take(10)
    states.tell(A, b"2")
    states.sent(A, CLEARED)
    assert states.take(10) == [(A, b"2")]


def test_nothing_is_kept_of_what_came_and_went_without_a_broker() -> None:
    states = States()
    states.renew()
    states.tell(B, b"1")
    states.clear(B)  # and the connection breaks
    states.lost()
    for number in range(1000):
        states.tell(OWN.topic(topics.PEER, str(number)), b"1")
        states.clear(OWN.topic(topics.PEER, str(number)))
    assert (len(states), states.waiting, states.octets) == (0, 0, 0)
    states.renew()
    states.sweep([B])
    assert states.take(10) == [(B, CLEARED)]


def test_what_was_refused_is_sent_again() -> None:
    states = States()
    states.tell(A, b"1")
    states.take(10)
    states.again([A, B])
    assert states.take(10) == [(A, b"1")]


def test_what_a_broker_has_of_old_is_swept() -> None:
    states = States()
    states.tell(A, b"1")
    states.take(10)
    states.sweep([A, B])
    assert states.take(10) == [(B, CLEARED)]


@given(st.lists(st.tuples(st.sampled_from("tcsr"), st.sampled_from([A, B]), st.sampled_from([b"1", b"22"]))))
def test_octets_are_those_that_are_kept(steps: list[tuple[str, Topic, bytes]]) -> None:
    states = States()
    sent: dict[Topic, bytes] = {}
    for what, topic, payload in steps:
        if what == "t":
            states.tell(topic, payload)
        elif what == "c":
            states.clear(topic)
        elif what == "s":
            for each in states.take(1):
                states.sent(*each)
                sent[each[0]] = each[1]
        else:
            states.renew()
    states.renew()
    left = states.take(10)
    assert states.octets == sum(len(str(topic)) + len(payload) for topic, payload in left)


# ---------------------------------------------------------------------------------------------------------- signing


def request(**more: Any) -> dict[str, Any]:
    return {**OWN._asdict(), "id": "1", "time": 1000.0, "action": "look", "node": "w1"} | more


def test_what_is_signed_is_read() -> None:
    payload = signing.seal("request", request(), KEY)
    assert signing.unseal("request", payload, KEY) == request()


@pytest.mark.parametrize(
    ("purpose", "key", "change"),
    [
        ("answer", KEY, lambda payload: payload),
        ("request", OTHER, lambda payload: payload),
        ("request", KEY, lambda payload: payload.replace(b"w1", b"w2")),
        ("request", KEY, lambda payload: payload.replace(b"hmac", b"mac")),
        ("request", KEY, lambda payload: payload[:-3]),
        ("request", KEY, lambda payload: b"null"),
    ],
)
def test_what_is_not_signed_is_refused(
    purpose: signing.Purpose, key: bytes, change: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(RefusedError):
        signing.unseal(purpose, change(signing.seal("request", request(), KEY)), key)


def test_a_request_is_heeded_once_in_its_time_by_whom_it_is_for() -> None:
    gate = Gate()
    gate.admit(request(), OWN, 1010.0, 0.0)
    with pytest.raises(RepeatedError, match="heeded before"):
        gate.admit(request(), OWN, 1020.0, 10.0)
    with pytest.raises(RefusedError, match="off"):
        gate.admit(request(id="2"), OWN, 1000.0 + signing.LASTS + 1, 31.0)
    for other in ({"router": "gw2"}, {"site": "fra"}, {"boot": "b"}):
        with pytest.raises(RefusedError, match=r"^it is for"):
            gate.admit(request(id="3", **other), OWN, 1000.0, 31.0)
    for broken in ({"time": None}, {"time": float("nan")}, {"id": 5}, {"id": ""}, {"id": "x" * 100}):
        with pytest.raises(RefusedError):
            gate.admit(request(**broken), OWN, 1000.0, 31.0)
    gate.admit(request(id="4", time=2000.0), OWN, 2000.0, 32.0)  # the clock was set
    with pytest.raises(RefusedError):
        gate.admit(request(time=1000.0), OWN, 2000.0, 33.0)
    with pytest.raises(RepeatedError):  # and set back: what was heeded is remembered all the same
        gate.admit(request(), OWN, 1000.0, 34.0)
    gate.admit(request(time=1100.0), OWN, 1100.0, 10.0 + 3 * signing.LASTS)


class Publishing:
    """A connection that notes what is published."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []

    async def publish(self, topic: str, payload: bytes, **options: Any) -> None:
        self.answers.append(signing.unseal("answer", payload, KEY))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


async def test_a_request_that_comes_again_has_one_answer(key_file: Path) -> None:
    """Even if a reload made another link meanwhile; what fails is answered, and logged with its reason."""
    publishing, said = Publishing(), list[dict[str, Any]]()

    async def heed(asked: dict[str, Any]) -> dict[str, Any]:
        if asked["node"] == "broken":
            raise KeyError("why")
        return {"drain": None}

    def requests() -> Requests:
        return Requests(
            OWN, str(key_file), heed, lambda level, event, **fields: said.append({"event": event} | fields)
        )

    first, second = requests(), requests()
    sealed = signing.seal("request", request(id="again", time=time.time()), KEY)
    for one in (first, first, second):
        one.take(cast("Any", publishing), sealed)
    await becomes(lambda: (first.refused, second.refused, len(publishing.answers)), (1, 1, 1))
    assert "error" not in publishing.answers[0]
    assert [each["reason"] for each in said] == ["it was heeded before"] * 2
    broken = signing.seal("request", request(id="broken", time=time.time(), node="broken"), KEY)
    first.take(cast("Any", publishing), broken)
    await becomes(lambda: len(publishing.answers), 2)
    assert publishing.answers[1]["error"].startswith("internal error")
    assert said[-1]["reason"] == "KeyError('why')"


def test_a_key_is_long_and_nobody_else_s(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(ValueError, match="No such file or directory"):
        keyfile.read(str(path))
    path.write_bytes(KEY + b"\n")
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod o= "):
        keyfile.read(str(path))
    path.chmod(0o640)
    assert keyfile.read(str(path)) == KEY
    path.write_bytes(b"secret\n")
    with pytest.raises(ValueError, match="openssl rand -hex 32"):
        keyfile.read(str(path))


# ------------------------------------------------------------------------------------------------------------- link


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path, more="allow_anonymous true\nmax_queued_messages 0") as made:
        yield made


async def nothing(said: dict[str, Any]) -> dict[str, Any]:
    return said


def made(broker: Mosquitto, bus: Bus, own: Own = OWN, key_file: str = "") -> Link:
    link = Link(
        Access(broker.url), own, bus, expiry=60, key_file=key_file, heed=nothing, say=lambda *said, **fields: None
    )
    link.start()
    return link


@needs_mosquitto
async def test_ten_thousand_events_wait_for_a_broker(broker: Mosquitto) -> None:
    """What the ring holds comes, the newest ones; the others are counted; and all states are there."""
    bus = Bus(limit=1 << 20)
    link = made(broker, bus)
    await becomes(lambda: link.connected)
    broker.kill()
    await becomes(lambda: link.trouble is not None)
    for number in range(10_000):
        bus.tell("info", f"kind {number % 8}", {"number": number, "text": "x" * 400})
    for number in range(500):
        for state in ("old", "new"):
            link.states.tell(OWN.topic(topics.VIP, str(number)), topics.encode({"state": state}))
    assert link.states.octets < 500 * 100
    broker.start()
    with reading(broker) as reader:
        await becomes(lambda: link.events.sent + link.events.lost == bus.last and not link.states.waiting)
        await becomes(lambda: len([said for topic, said in reader.heard if "/event/" in topic]) >= link.events.sent)
        vips = [said["state"] for topic, said in reader.states.items() if "/vip/" in topic]
        assert vips == ["new"] * 500
        numbers = [said["number"] for topic, said in reader.heard if "/event/" in topic]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 9_999
    assert link.events.lost > 5_000
    await link.close(clear=True)


@needs_mosquitto
async def test_an_event_s_age_does_not_depend_on_the_clock(broker: Mosquitto) -> None:
    """It was set since, as on a router that has started in 1970."""
    bus = Bus(clock=lambda: 0.0)
    link = made(broker, bus)
    await becomes(lambda: link.connected)
    bus.tell("info", "kind", {})
    await becomes(lambda: link.events.sent + link.events.lost, 1)
    assert link.events.lost == 0
    await link.close(clear=True)


@needs_mosquitto
async def test_a_broker_that_stands_still_stops_nobody(broker: Mosquitto) -> None:
    """It is given up, and hears all once it goes on. Meanwhile telling costs what it always does."""
    bus = Bus()
    link = made(broker, bus)
    await becomes(lambda: link.connected)
    broker.signal(signal.SIGSTOP)
    began = time.process_time()
    for number in range(2000):
        link.states.tell(OWN.topic(topics.VIP, str(number % 100)), topics.encode({"number": number}))
        bus.tell("info", "kind", {"number": number})
    await asyncio.sleep(0)
    assert time.process_time() - began < 1.0
    assert link.states.waiting
    broker.signal(signal.SIGCONT)
    with reading(broker) as reader:
        await becomes(lambda: len([topic for topic in reader.states if "/vip/" in topic]), 100)
        await becomes(lambda: {said["number"] // 100 for t, said in reader.states.items() if "/vip/" in t}, {19})
    began = time.monotonic()
    await link.close(clear=False)
    assert time.monotonic() - began < 3.0


@needs_mosquitto
async def test_what_the_broker_does_not_allow_is_said(tmp_path: Path) -> None:
    """And what it allows goes on."""
    (tmp_path / "acl").write_text(f"topic read #\ntopic write {OWN.topic(topics.AVAILABILITY)}\n")
    with mosquitto(tmp_path, more=f"allow_anonymous true\nacl_file {tmp_path}/acl") as broker:
        link = made(broker, Bus())
        link.states.tell(A, b"{}")
        await becomes(lambda: link.trouble)
        assert link.trouble is not None
        assert link.trouble.what == f"the broker does not let this user write {A} (Not authorized)"
        assert link.trouble.remedy == "let it write routerd/v1/ams/gw1/#"
        assert (link.connected, link.connections) == (True, 1)
        (tmp_path / "acl").write_text("topic readwrite #\n")
        broker.signal(signal.SIGHUP)
        with reading(broker) as reader:
            await becomes(lambda: reader.states.get(str(A)), {})
        await becomes(lambda: link.trouble, None)
        assert link.connections == 1
        await link.close(clear=False)


@needs_mosquitto
async def test_events_that_the_broker_refuses_are_lost_and_not_told(tmp_path: Path) -> None:
    """Also those of one topic that are on their way together."""
    allowed = "".join(f"topic write {OWN.topic(kind)}\n" for kind in (topics.AVAILABILITY, topics.BIRTH))
    (tmp_path / "acl").write_text(f"topic read #\n{allowed}topic write {OWN.topic(topics.EVENT, 'good')}\n")
    with mosquitto(tmp_path, more=f"allow_anonymous true\nacl_file {tmp_path}/acl") as broker:
        bus = Bus()
        link = made(broker, bus)
        for _ in range(10):
            bus.tell("info", "bad", {})
        for _ in range(3):
            bus.tell("info", "good", {})
        await becomes(lambda: link.events.sent + link.events.lost, 13)
        assert (link.events.sent, link.events.lost) == (3, 10)
        await link.close(clear=False)


@needs_mosquitto
async def test_what_is_too_large_for_the_broker_is_not_sent(tmp_path: Path) -> None:
    """Which would end the connection for it, again and again (MQTT 5, 3.2.2.3.6); what is not goes on."""
    with mosquitto(tmp_path, more="allow_anonymous true\nmax_packet_size 1000") as broker:
        bus = Bus()
        link = made(broker, bus)
        link.states.tell(A, topics.encode({"text": "x" * 2000}))
        link.states.tell(B, topics.encode({"text": "y"}))
        bus.tell("info", "large", {"text": "x" * 2000})
        bus.tell("info", "small", {})
        with reading(broker) as reader:
            await becomes(lambda: (link.events.sent, link.events.lost), (1, 1))
            await becomes(lambda: reader.states.get(str(B)), {"text": "y"})
        await becomes(lambda: link.trouble)
        assert link.connections == 1
        assert link.trouble is not None
        assert link.trouble.what.endswith("(it takes 1000 octets at most)")
        assert link.trouble.remedy == "have it take larger packets"
        await link.close(clear=False)


@needs_mosquitto
async def test_a_flood_of_requests_is_not_listened_to(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for a while, and what the router tells goes on."""
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setattr("routerd.telemetry.mqtt.link.CALM", 0.0)
    link = made(broker, Bus(), key_file=str(tmp_path / "key"))
    await becomes(lambda: link.connected)
    broker.flood(str(OWN.topic(topics.REQUEST)), "{\n" * 5000)
    await becomes(lambda: link.trouble)
    assert link.trouble is not None
    assert "requests a second came" in link.trouble.what
    link.states.tell(A, b"{}")
    await becomes(lambda: link.trouble, None)
    assert (link.connections, link.states.waiting) == (1, 0)
    await link.close(clear=False)


@needs_mosquitto
async def test_what_a_router_said_before_its_restart_is_no_other_router(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be born anew before it has read that, as where the broker retains much."""
    read: list[object] = []
    messages = Connection.messages

    async def late(self: Connection) -> AsyncIterator[Message]:
        await becomes(lambda: second._born)
        async for message in messages(self):
            yield message
            read.append(message)

    first = made(broker, Bus())
    first.states.tell(OWN.topic(topics.BIRTH), topics.encode({"boot": OWN.boot}))
    await becomes(lambda: first.connected and not first.states.waiting)
    await first.close(clear=False)
    monkeypatch.setattr(Connection, "messages", late)
    other = OWN._replace(boot="b" * 16)
    second = made(broker, Bus(), other)
    second.states.tell(other.topic(topics.BIRTH), topics.encode({"boot": other.boot}))
    await becomes(lambda: read)
    assert second.rival < 0
    await second.close(clear=False)


@needs_mosquitto
async def test_who_dies_is_offline_by_its_will(broker: Mosquitto) -> None:
    """And the will names the run that it is of."""
    link = made(broker, Bus())
    link.states.tell(OWN.topic(topics.BIRTH), topics.encode({"boot": OWN.boot}))
    availability = str(OWN.topic(topics.AVAILABILITY))
    with reading(broker) as reader:
        await becomes(lambda: reader.states.get(availability, {}).get("state"), "online")
        other = OWN._replace(boot="b" * 16)
        second = made(broker, Bus(), other)  # of the same name: the broker ends the first one's connection
        second.states.tell(other.topic(topics.BIRTH), topics.encode({"boot": other.boot}))
        await becomes(lambda: (availability, {"boot": OWN.boot, "state": "offline"}) in reader.heard)
        await becomes(lambda: max(link.rival, second.rival) > 0, True)
    await link.close(clear=False)
    await second.close(clear=False)
