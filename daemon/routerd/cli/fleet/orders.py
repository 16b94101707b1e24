"""Orders to all routers of a site: signed, answered, and none of them half done without a word."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any

from routerd.cli.client import ApiError
from routerd.cli.fleet.reader import Reader
from routerd.cli.fleet.site import Router, number, read, text
from routerd.telemetry.mqtt import signing, topics
from routerd.telemetry.mqtt.broker import Connection
from routerd.telemetry.mqtt.topics import Topic

ANSWERS = 5.0
"""Seconds that a router may take for an answer: buckets are counted in up to one."""
POLL = 1.0
"""Seconds between two looks at a drain."""


class Orders:
    """Orders of `by`, signed with `key`, over a connection that stands."""

    def __init__(self, reader: Reader, broker: Connection, site: str, key: bytes, by: str) -> None:
        self._reader = reader
        self._broker = broker
        self._site = site
        self._key = key
        self._by = by

    async def begin(self, *, reachable: bool) -> list[Router]:
        """Return the routers that take orders; ApiError, and nothing has been done, if not all do: where one is
        missing flows still come. `reachable` is who can live with that."""
        await self._broker.subscribe(str(Topic(self._site, "+", topics.ANSWER, "+")))
        now = time.time()
        found = read(self._reader.messages)
        if not found:
            raise ApiError(f"no router of site {self._site} has told this broker anything{self._reader.elsewhere}")
        away = [router.name for router in found if router.state(now) == "down"]
        keyless = [router.name for router in found if router.name not in away and not router.birth.get("drains")]
        if not reachable and (away or keyless):
            reasons = [f"{', '.join(away)} cannot be asked (down)"] if away else []
            reasons += [f"{', '.join(keyless)} takes no requests ([mqtt] fleet_key_file)"] if keyless else []
            raise ApiError(f"{'; '.join(reasons)}: nothing was done; --reachable leaves those out")
        taking = [router for router in found if router.name not in (*away, *keyless)]
        if not taking:
            raise ApiError("no router of the site can be asked: nothing was done")
        return taking

    async def give(self, routers: Collection[Router], action: str, node: str) -> dict[str, dict[str, Any]]:
        """Have routers do something; return their answers by name, in which `error` is why there is none."""
        waiting: dict[str, str] = {}
        answers: dict[str, dict[str, Any]] = {}
        for router in routers:
            id = secrets.token_hex(16)
            said = {
                "site": self._site,
                "router": router.name,
                "boot": text(router.birth, "boot"),
                "id": id,
                "time": time.time(),
                "action": action,
                "node": node,
                "by": self._by,
            }
            waiting[router.name] = id
            topic = Topic(self._site, router.name, topics.REQUEST)
            sealed = signing.seal("request", said, self._key)
            if not await self._broker.publish(str(topic), sealed, expiry=int(signing.LASTS)):
                answers[router.name] = {"error": str(self._broker.refused)}
        await self._reader.wait(lambda: self._collect(waiting, answers), ANSWERS)
        for name in waiting:
            answers.setdefault(name, {"error": "no answer: has it another key? its log says so"})
        return answers

    def _collect(self, waiting: Mapping[str, str], answers: dict[str, dict[str, Any]]) -> bool:
        """Take what came; tell whether all is there."""
        for name, id in waiting.items():
            payload = self._reader.messages.pop(Topic(self._site, name, topics.ANSWER, id), None)
            if payload is None:
                continue
            try:
                said = signing.unseal("answer", payload, self._key)
            except signing.RefusedError:
                continue  # anybody may have sent it
            if said.get("id") == id and said.get("router") == name:
                answers[name] = said
        return len(answers) == len(waiting)

    async def wait_empty(self, routers: list[Router], node: str, answers: dict[str, Any], timeout: float) -> str:
        """Wait until a drained node carries no flow; return why that is in vain, empty if it is not. `answers` are
        kept up to date."""
        deadline = time.monotonic() + timeout if timeout else None
        while left := [router for router in routers if not _is_empty(answers[router.name])]:
            for router in left:
                drain = answers[router.name].get("drain")
                if not isinstance(drain, dict):
                    return f"{router.name}: {text(answers[router.name], 'error') or 'it has no such peer any more'}"
                if not drain.get("drain"):
                    return f"{router.name}: the drain was ended by somebody else"
            if all(_is_stuck(answers[router.name]) for router in left):
                return "no other node has some of its prefixes: their flows have nowhere to go"
            if deadline is not None and time.monotonic() >= deadline:
                return f"it still carries flows after {timeout:g} s"
            await asyncio.sleep(POLL)
            answers |= await self.give(left, "look", node)
        return ""


def _is_empty(answer: Mapping[str, Any]) -> bool:
    drain = answer.get("drain")
    return isinstance(drain, dict) and drain.get("empty") is True


def _is_stuck(answer: Mapping[str, Any]) -> bool:
    return bool(number(answer, "drain", "sole")) and not number(answer, "drain", "buckets")
