"""The channel through a broker: a real mosquitto, which dies and comes back."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from routerd.core.message import Ask, GroupGone, GroupLayout
from routerd.core.route import Address
from routerd.telemetry.mqtt import signing
from routerd.telemetry.pair import outbox
from routerd.telemetry.pair.channel import Names
from routerd.telemetry.pair.codec import MessageError, OtherProtocolError, decode
from routerd.telemetry.pair.meeting import LostError, Meeting
from routerd.telemetry.pair.outbox import LOT, Full, Outbox, divided
from tests.daemon.harness import becomes
from tests.support.mosquitto import Mosquitto, mosquitto, needs_mosquitto, reading
from tests.telemetry.pair.ends import End, end

KEY = "0123456789abcdef0123456789abcdef"
A, B = Names("gw1", "gw2"), Names("gw2", "gw1")


# ------------------------------------------------------------------------------------------------------- what waits


def _layout(owner: int, answers: int = 0) -> GroupLayout:
    members = (Address(b"\1\1\1\1"), Address(b"\2\2\2\2"))
    return GroupLayout("172.16.0.1/32", members, (owner,) * 4, 0, True, answers)


def test_a_layout_takes_the_place_of_an_older_one_and_an_answer_does_not_get_lost() -> None:
    waiting = Outbox()
    said = [_layout(0), GroupGone("a"), _layout(1), _layout(0, 7), _layout(0), _layout(1), GroupGone("172.16.0.1/32")]
    for each in [*said, _layout(0)]:
        waiting.put(each)
    taken = [decode(payload) for payload in waiting.take(100)]
    assert taken == [_layout(1), GroupGone("a"), _layout(0, 7), _layout(1), GroupGone("172.16.0.1/32"), _layout(0)]
    assert waiting.octets == 0
    waiting.put(_layout(1))
    assert [decode(payload) for payload in waiting.take(1)] == [_layout(1)]


def test_what_was_taken_is_kept_no_longer() -> None:
    """Nor are the names of groups: a channel may be up for years."""
    waiting = Outbox()
    for number in range(3):
        waiting.put(_layout(0)._replace(key=f"172.16.0.{number}/32"))
    assert len(waiting.take(2)) == 2
    waiting.put(_layout(0)._replace(key="172.16.0.0/32"))
    assert len(waiting.take(2)) == 2
    assert (waiting.octets, waiting._waiting, waiting._layouts) == (0, {}, {})


def test_a_lot_is_small_unless_a_message_is_larger() -> None:
    messages = [b"a" * size for size in (3, 2, 1, 5, 6, 1, 1)]
    assert [[len(each) for each in lot] for lot in divided(messages, 5)] == [[3, 2], [1], [5], [6], [1, 1]]
    assert divided(messages, 0) == [[each] for each in messages]
    assert divided([], 5) == []


def test_as_many_messages_are_taken_whatever_their_size() -> None:
    """Else the partner, which waits ten seconds for all groups, does not hear of so many in time."""
    waiting = Outbox()
    for number in range(16):
        busy = random.Random(number).getrandbits(16384)
        waiting.put(_layout(0)._replace(key=f"172.16.0.{number}/32", owners=(0,) * 16384, busy=busy))
    assert waiting.octets > LOT
    assert len(waiting.take(16)) == 16


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 1000)
    waiting = Outbox()
    for _ in range(100):
        waiting.put(_layout(0))
    with pytest.raises(Full):
        waiting.put(Ask(("172.16.0.1/32",) * 100, 1))
    waiting.clear()
    assert (waiting.octets, waiting.take(1)) == (0, [])


# ---------------------------------------------------------------------------------------------------------- meeting


def _met() -> tuple[Meeting, Meeting]:
    one, other = Meeting(A, "a1"), Meeting(B, "b1")
    assert other.announced(one.announcement())
    assert one.announced(other.announcement())
    assert not other.announced(one.announcement())
    assert one.up
    assert other.up
    return one, other


def test_what_comes_again_does_not_count_and_what_is_missing_is_noticed() -> None:
    one, other = _met()
    first, second, third, fourth = one.said(b"a", b"b"), one.said(), one.said(b"c"), one.said(b"d")
    assert [other.heard(each) for each in (first, first, second, first)] == [[b"a", b"b"], None, [], None]
    assert other.heard(third) == [b"c"]
    with pytest.raises(LostError, match="messages of the partner got lost"):
        other.heard(one.said(b"e"))
    assert fourth["number"] == 4


def test_what_the_partner_says_may_come_before_it_has_announced_that_it_hears() -> None:
    """A broker keeps the order of one topic, and of one QoS."""
    one, other = Meeting(A, "a1"), Meeting(B, "b1")
    assert one.announced(other.announcement())
    assert other.announced(one.announcement())
    early, other.up = other.announcement() | {"hears": ""}, True
    late = other.announcement()
    assert one.heard(other.said(b"a")) == [b"a"]
    assert one.up
    assert not any(one.announced(each) for each in (early, late))
    assert one.heard(other.said(b"b")) == [b"b"]


def test_a_partner_of_the_version_before_is_told_one_message_at_a_time() -> None:
    """It says nothing of lots in what it announces."""
    one, old = Meeting(A, "a1"), Meeting(B, "b1")
    assert old.announced(one.announcement())
    announced = old.announcement()
    del announced["lots"]
    assert one.announced(announced)
    assert one.up
    assert not one.lots
    assert (one.said(b"a")["message"], one.said()["message"]) == ("a", "")
    old.lots = False
    assert not old.announced(one.announcement())
    assert [one.heard(old.said(*payloads)) for payloads in ((b"a",), ())] == [[b"a"], []]


def test_what_is_of_another_time_does_not_count() -> None:
    """What a session has said before, what another one says, and what is for another router."""
    one, other = _met()
    old = one.said(b"a")
    again = Meeting(B, "b2")
    assert again.announced(one.announcement()), "it does not know this session yet"
    assert not again.up
    assert again.heard(old) is None
    assert not other.announced(Meeting(Names("gw1", "gw3"), "c1").announcement())
    assert other.heard(Meeting(A, "a2").said(b"b")) is None


def test_a_rival_waits_until_the_one_that_is_there_has_gone() -> None:
    one, other = _met()
    rival = Meeting(A, "a2")
    assert not other.announced(rival.announcement())
    assert other.rival == "a2"
    assert other.heard(one.said(b"a")) == [b"a"]
    assert not other.announced(rival.announcement("offline"))
    assert other.rival == ""
    with pytest.raises(LostError, match="has gone"):
        other.announced(one.announcement("offline"))


def test_a_partner_that_hears_another_session_is_lost() -> None:
    one, other = _met()
    other.mine = "b2"
    with pytest.raises(LostError, match="another router of this name"):
        other.announced(one.announcement())


def test_what_the_partner_has_announced_before_does_not_count() -> None:
    """Whoever may write at the broker may say it again: that it hears nobody, or a session before this one."""
    one, other = Meeting(A, "a1"), Meeting(B, "b1")
    first = one.announcement()
    assert other.announced(first)
    assert one.announced(other.announcement())
    second = one.announcement()
    other.announced(second)
    assert other.up
    for again in (first, second, first):
        assert not other.announced(again)
    assert other.up
    assert other.announced(Meeting(A, "a1").announcement() | {"session": "a2"}) is False, "a rival waits"
    without = one.announcement() | {"hears": ""}
    del without["number"]  # as a version before this one has it
    with pytest.raises(LostError, match="another router of this name"):
        other.announced(without)


def test_a_session_that_is_over_is_not_met() -> None:
    """The broker retains what it was told of it."""
    one, gone = Meeting(A, "a1"), Meeting(B, "b0")
    assert not one.announced(gone.announcement("offline"))
    assert one.theirs == ""
    assert one.announced(gone.announcement())
    assert not one.announced(Meeting(B, "b1").announcement("offline"))
    assert one.theirs == "b0"
    assert not one.announced(gone.announcement("offline"))
    assert (one.theirs, one.up) == ("", False)


@pytest.mark.parametrize(
    "changed", [{"number": "1"}, {"number": None}, {"messages": None}, {"messages": "a"}, {"messages": ["a", 1]}]
)
def test_what_is_signed_and_makes_no_sense_is_told(changed: dict[str, Any]) -> None:
    one, other = _met()
    with pytest.raises(MessageError, match="number, messages: not there"):
        other.heard(one.said(b"a") | changed)
    with pytest.raises(MessageError, match="session: no text"):
        other.announced(one.announcement() | {"session": 1})


def test_a_partner_of_another_protocol() -> None:
    with pytest.raises(OtherProtocolError):
        Meeting(B, "b1").announced(Meeting(A, "a1").announcement() | {"protocol": 2})


# ----------------------------------------------------------------------------------------------------- a real broker


class Site(NamedTuple):
    """Two routers at a broker."""

    broker: Mosquitto
    key_file: Path
    stack: ExitStack

    def gw(self, number: int, **options: Any) -> End:
        names = (f"gw{number}", f"gw{3 - number}")
        more = {"names": names, "url": self.broker.url, "key_file": str(self.key_file)} | options
        return self.stack.enter_context(end("mqtt", more))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    key_file = tmp_path / "pair.key"
    key_file.touch(0o600)
    key_file.write_text(KEY)
    with mosquitto(tmp_path) as broker, ExitStack() as stack:
        yield Site(broker, key_file, stack)


async def _talking(one: End, other: End, word: str = "a") -> None:
    await becomes(lambda: one.up and other.up)
    one.send(f"{word}1")
    other.send(f"{word}2")
    await becomes(lambda: other.heard[-1:], [f"{word}1"])
    await becomes(lambda: one.heard[-1:], [f"{word}2"])


@needs_mosquitto
async def test_what_one_says_the_other_hears_in_order_and_a_partner_that_dies_is_missed(site: Site) -> None:
    one = site.gw(1)
    await becomes(lambda: one.reasons, ["gw2 is not at the broker"])
    other = site.gw(2)
    await _talking(one, other)
    one.send("300")
    await becomes(lambda: len(other.heard), 301)
    assert other.heard[1:] == [f"172.16.{number >> 8}.{number & 255}/32" for number in range(300)]
    assert (one.ups, other.ups) == (1, 1)
    other.close()
    await becomes(lambda: one.up, False)
    assert "the partner has gone from the broker" in one.reasons
    again = site.gw(2)
    await _talking(one, again, "b")


@needs_mosquitto
async def test_a_broker_that_dies_is_a_lost_channel_and_comes_back_with_nothing(site: Site) -> None:
    one, other = site.gw(1), site.gw(2)
    await _talking(one, other)
    site.broker.kill()
    await becomes(lambda: one.up or other.up, False)
    assert "there is no connection to the broker" in "".join(one.reasons)
    site.broker.start()
    await _talking(one, other, "b")
    site.broker.signal(signal.SIGSTOP)
    one.send("c1")
    site.broker.signal(signal.SIGCONT)
    await becomes(lambda: other.heard[-1], "c1")


@needs_mosquitto
async def test_another_key_and_what_others_write(site: Site) -> None:
    """Nothing that is not signed with the key counts, nor what was said before; the log tells of it now and then."""
    wrong = site.key_file.with_name("wrong.key")
    wrong.touch(0o600)
    wrong.write_text(KEY[::-1])
    one, other = site.gw(1), site.gw(2, key_file=str(wrong))
    await becomes(lambda: "what gw2 says at the broker: its signature is wrong" in "".join(one.reasons[-1:]))
    assert not one.up
    other.close()
    other = site.gw(2)
    await _talking(one, other)
    with reading(site.broker, "routerd/v1/default/gw2/pair/#") as reader:
        other.send("b")
        await becomes(lambda: one.heard[-1], "b")
        await becomes(lambda: [topic for topic, _ in reader.heard if topic.endswith("said")])
        said = next(payload for topic, payload in reader.heard if topic.endswith("said"))
    offline = Meeting(B, "x").announcement("offline")
    for what, payload in (
        ("said", json.dumps(said)),
        ("said", "garbage"),
        ("session", signing.seal("pair", offline, KEY[::-1].encode()).decode()),
        ("session", json.dumps({"text": json.dumps(offline), "hmac": ""})),
    ):
        site.broker.publish(f"routerd/v1/default/gw2/pair/{what}", payload)
    await _talking(one, other, "c")
    assert one.heard.count("b") == 1
    assert sum("is not the partner's" in line for line in one.lines) <= 2


@needs_mosquitto
async def test_what_was_said_comes_again_wherever(site: Site) -> None:
    """All of it has the partner's signature."""
    with reading(site.broker, "routerd/v1/default/gw2/pair/#") as reader:
        one, other = site.gw(1), site.gw(2)
        await _talking(one, other)
        await becomes(lambda: len(reader.heard) > 3)
        heard = [*reader.heard]
    assert {topic.rpartition("/")[2] for topic, _ in heard} == {"session", "said"}
    for _, said in heard:
        for what in ("session", "said"):
            site.broker.publish(f"routerd/v1/default/gw2/pair/{what}", json.dumps(said))
    await _talking(one, other, "b")
    assert (one.ups, other.ups) == (1, 1)


@needs_mosquitto
async def test_two_routers_of_one_name(site: Site) -> None:
    one, other = site.gw(1), site.gw(2)
    await _talking(one, other)
    rival = site.gw(1)
    await becomes(lambda: "another router calls itself as the partner does" in "".join(other.lines))
    await _talking(one, other, "b")
    assert (one.ups, other.ups, rival.ups) == (1, 1, 0)


@needs_mosquitto
async def test_who_may_write_there_does_not_fill_the_log(site: Site) -> None:
    """While there is no channel, what it comes to hear is why; once, whatever it is."""
    one = site.gw(1)
    await becomes(lambda: one.reasons, ["gw2 is not at the broker"])
    for number in range(20):
        site.broker.publish("routerd/v1/default/gw2/pair/said", "garbage" if number % 2 else " " * number + "[")
    other = site.gw(2)
    await _talking(one, other)
    assert len(one.reasons) == 2
    assert one.reasons[1].startswith("what gw2 says at the broker: it cannot be read")
    assert len(one.lines) <= 4


@needs_mosquitto
async def test_a_broker_that_hangs_is_missed_in_the_time_of_a_silent_partner(site: Site) -> None:
    """Not once it has not taken the goodbye either."""
    one, other = site.gw(1, silence=2.0), site.gw(2, silence=2.0)
    await _talking(one, other)
    site.broker.signal(signal.SIGSTOP)
    try:
        await becomes(lambda: one.reasons[-1:], ["the partner has said nothing for 2 s"])
    finally:
        site.broker.signal(signal.SIGCONT)
    await _talking(one, other, "b")


@needs_mosquitto
async def test_a_broker_that_takes_small_packets_is_told_few_messages_at_a_time(site: Site) -> None:
    """Whoever is told nothing for what is too large even so hears at once that this router is gone."""
    site.broker.kill()
    site.broker.configure("allow_anonymous true\nmax_packet_size 2000")
    site.broker.start()
    one, other = site.gw(1), site.gw(2)
    await _talking(one, other)
    one.send("100")
    await becomes(lambda: len(other.heard), 101)
    assert (one.ups, other.ups) == (1, 1)
    one.send("large")
    await becomes(lambda: "it takes 2000 octets at most" in "".join(one.reasons))
    await becomes(lambda: "the partner has gone from the broker" in other.reasons)


_SESSION = "topic readwrite routerd/v1/+/+/pair/session"
_READS = "topic write started\ntopic read routerd/#"


@needs_mosquitto
@pytest.mark.parametrize("later", [False, True])
async def test_a_broker_that_does_not_let_a_router_speak_is_named(site: Site, *, later: bool) -> None:
    """Most of what is said is not acknowledged, and what is not allowed is dropped without a word then."""
    allowed = site.key_file.with_name("acl")
    allowed.write_text(f"{_READS}\ntopic readwrite routerd/#\n" if later else f"{_READS}\n{_SESSION}\n")
    allowed.chmod(0o644)
    site.broker.kill()
    site.broker.configure(f"allow_anonymous true\nacl_file {allowed}")
    site.broker.start()
    one, other = site.gw(1), site.gw(2)
    if later:
        await _talking(one, other)
        allowed.write_text(f"{_READS}\n{_SESSION}\n")
        site.broker.signal(signal.SIGHUP)
    refused = "the broker does not let this user write routerd/v1/default/{}/pair/said"
    await becomes(lambda: refused.format("gw1") in "".join(one.reasons))
    await becomes(lambda: refused.format("gw2") in "".join(other.reasons))
    allowed.write_text(f"{_READS}\ntopic readwrite routerd/#\n")
    site.broker.signal(signal.SIGHUP)
    await _talking(one, other, "b")


@needs_mosquitto
async def test_what_a_broker_that_hangs_does_not_take_waits(site: Site) -> None:
    """Nothing of it is lost, nor does it change its order."""
    one, other = site.gw(1), site.gw(2)
    await _talking(one, other)
    site.broker.signal(signal.SIGSTOP)
    for word in ("3000", *(f"b{number}" for number in range(5))):
        one.send(word)
    await asyncio.sleep(3.0)  # less than the broker may take for an answer
    site.broker.signal(signal.SIGCONT)
    await becomes(lambda: other.heard[-1:], ["b4"])
    assert len(other.heard) == 1 + 3000 + 5
    assert other.heard[-5:] == [f"b{number}" for number in range(5)]
    assert (one.ups, other.ups) == (1, 1)


@needs_mosquitto
async def test_what_waits_is_said_before_the_goodbye(site: Site) -> None:
    one, other = site.gw(1), site.gw(2)
    await _talking(one, other)
    for word in ("b", "c", "bye"):
        one.send(word)
    await becomes(lambda: other.reasons[-1], "the partner has gone from the broker")
    assert other.heard[-2:] == ["b", "c"]


@needs_mosquitto
async def test_the_largest_group_gets_through(site: Site) -> None:
    one, other = site.gw(1), site.gw(2)
    await _talking(one, other)
    one.send("large")
    await becomes(lambda: other.heard[-1], "large")
    await _talking(one, other, "b")
    assert (one.ups, other.ups) == (1, 1)
