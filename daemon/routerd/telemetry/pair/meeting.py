"""How two routers find each other over a broker, and know that nothing they hear is of another time. Pure.

Each gives its connection to the broker a random name, its *session*, and tells which session of the partner it hears.
Whoever is told its own session by the partner knows that this is said now, by somebody with the key. A message has a
number, the next one in its session: what was said twice does not count, and what got lost is noticed. So has what is
announced of a session: what was announced before does not count either.
"""

from __future__ import annotations

from typing import Any, Literal

from routerd.telemetry.pair.channel import Names
from routerd.telemetry.pair.codec import PROTOCOL, MessageError, OtherProtocolError, text

State = Literal["online", "offline"]


class LostError(Exception):
    """The two do not hear each other any more: why. What comes next is another session."""


class Meeting:
    """Of one session, `mine`, with `theirs`, which is empty while none is known. `up` tells that both hear each
    other. `rival` is another session of the partner's name beside that: it has to wait. `lots` tells that the partner
    takes several messages at once, as not every version does."""

    def __init__(self, names: Names, mine: str) -> None:
        self.mine = mine
        self.theirs = self.rival = ""
        self.up = self.lots = False
        self._names = names
        self._said = self._heard = 0
        self._announced = self._latest = 0
        """How often this session was announced, and the number of the latest that was heard of the partner's."""

    def announcement(self, state: State = "online") -> dict[str, Any]:
        """Return what is retained of this router's session."""
        self._announced += 1
        return {**self._head(), "state": state, "hears": self.theirs, "number": self._announced, "lots": True}

    def said(self, *payloads: bytes) -> dict[str, Any]:
        """Return what says something to the partner: several messages only if it takes `lots`. None says that this
        router is there."""
        self._said += 1
        texts = [payload.decode() for payload in payloads]
        what = {"messages": texts} if self.lots else {"message": "".join(texts)}
        head = {**self._head(), "hears": self.theirs, "announced": self._announced}
        return {**head, "number": self._said, **what}

    def _head(self) -> dict[str, Any]:
        names = self._names
        return {"protocol": PROTOCOL, "from": names.router, "to": names.partner, "session": self.mine}

    def announced(self, said: dict[str, Any]) -> bool:
        """Take in what the partner announces; return whether this router has to announce itself again. LostError if
        the session that was up is over."""
        if not self._is_for_us(said):
            return False
        if said.get("protocol") != PROTOCOL:
            raise OtherProtocolError(said.get("protocol"))
        session, hears, gone = text(said, "session"), said.get("hears"), said.get("state") == "offline"
        number = said.get("number")  # which not every version says
        if session == self.theirs and isinstance(number, int) and number <= self._latest and not gone:
            return False
        if self.up and session != self.theirs:
            self.rival = "" if gone else session
            return False
        if self.up and gone:
            raise LostError("the partner has gone from the broker")
        if self.up and hears != self.mine:
            raise LostError("the partner talks to another router of this name")
        if gone:
            self.theirs = "" if session == self.theirs else self.theirs
            return False
        new, self.theirs, self._latest = session != self.theirs, session, number if isinstance(number, int) else 0
        self.up, self.lots = hears == self.mine, said.get("lots") is True
        return new or not self.up

    def heard(self, said: dict[str, Any]) -> list[bytes] | None:
        """Return messages of the partner, none if it only says that it is there; None if that does not count, and
        LostError if something is missing before it."""
        if not self._is_for_us(said) or said.get("session") != self.theirs or said.get("hears") != self.mine:
            return None
        # What it had announced before that may come later: the order of two topics is not kept.
        announced = said.get("announced")  # which not every version says
        self.up, self._latest = True, max(self._latest, announced if isinstance(announced, int) else 0)
        number, messages = said.get("number"), said.get("messages", [said.get("message")])
        if not isinstance(number, int) or not isinstance(messages, list) or not all(map(_is_text, messages)):
            raise MessageError("number, messages: not there")
        if number <= self._heard:
            return None
        if number > self._heard + 1:
            raise LostError("messages of the partner got lost at the broker")
        self._heard = number
        return [message.encode(errors="replace") for message in messages if message]

    def _is_for_us(self, said: dict[str, Any]) -> bool:
        return said.get("from") == self._names.partner and said.get("to") == self._names.router


def _is_text(value: object) -> bool:
    return isinstance(value, str)
