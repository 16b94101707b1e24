"""`routerd fleet`, `routerd fleet drain NODE`, `routerd fleet undrain NODE`."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import platform
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from routerd.cli.arguments import UsageError
from routerd.cli.client import ApiError
from routerd.cli.commands import INTERVAL, redraw, repeat
from routerd.cli.fleet import render, site
from routerd.cli.fleet.orders import Orders
from routerd.cli.fleet.reader import Reader
from routerd.cli.fleet.site import Router, number, text
from routerd.cli.fleet.views import DrainedView, FleetDrainView, SiteView
from routerd.cli.output import fail, write
from routerd.cli.screen import Screen
from routerd.config import keyfile
from routerd.config.broker import place
from routerd.detached import Threads
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.errors import BrokerError

T = TypeVar("T")

DEFAULT_CONFIG = "/etc/routerd/routerd.toml"
FIRST = 10.0
"""Seconds until --watch shows something."""
_ACCESS = ("user", "password_file", "ca_file", "certificate_file", "key_file")


def fleet(
    action: str | None, node: str | None, config: str | None, as_json: bool, watching: bool, **options: Any
) -> int:
    """Carry out the command."""
    if (action is None) != (node is None):
        raise UsageError("write fleet, fleet drain NODE, or fleet undrain NODE")
    if watching and action:
        raise UsageError("--watch shows the site, and not a drain")
    try:
        said = _section(config, options)
        access, name = Access(said["broker"], *(said[key] for key in _ACCESS)), said["site"]
        if action is not None and node is not None:
            key = _key(said["fleet_key_file"])
            reachable, timeout = options["reachable"], options["timeout"]
            drained = _run(_drain(access, name, action, node, key=key, reachable=reachable, timeout=timeout))
            write(json.dumps(drained, indent=2) if as_json else "\n".join(render.drain(Screen.of_stdout(), drained)))
            return 0 if drained["ok"] else 1
        if watching:
            return _watch(access, name, as_json)
        view = _run(_look(access, name))
        write(
            json.dumps(view, indent=2) if as_json else "\n".join(render.site(Screen.of_stdout(), view, time.time()))
        )
        return 0 if view["ok"] else 1
    except BrokerError as error:
        raise fail(ApiError(f"{error}; {error.remedy}"), as_json) from error
    except ApiError as error:
        raise fail(error, as_json) from error


def _section(config: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `[mqtt]` of the file, if there is one to read, with what the options say; ApiError if it is no good."""
    found: dict[str, Any] = {**dict.fromkeys(_ACCESS, ""), "broker": "", "site": "default", "fleet_key_file": ""}
    file = config or (None if options["broker"] else DEFAULT_CONFIG)
    if file is not None:
        from routerd.config.mqtt import of_file
        from routerd.config.source import ConfigError

        try:
            found |= of_file(Path(file)).model_dump()
        except ConfigError as error:
            raise ApiError(f"{error}; or say where the broker is: --broker mqtts://HOST --site SITE") from error
    found |= {key: value for key, value in options.items() if key in found and value is not None}
    if not found["broker"]:
        raise ApiError(f"{file} has no broker in [mqtt]; say where it is: --broker mqtts://HOST --site SITE")
    try:
        place(found["broker"])
    except ValueError as error:
        raise ApiError(str(error)) from error
    return found


def _key(file: str) -> bytes:
    if not file:
        raise ApiError(
            "orders are signed: name the file of the key with --fleet-key-file, or as [mqtt] fleet_key_file"
        )
    try:
        return keyfile.read(file)
    except ValueError as error:
        raise ApiError(str(error)) from error


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    with _runner() as runner:
        return runner.run(coroutine)


@contextmanager
def _runner() -> Iterator[asyncio.Runner]:
    """Yield what runs coroutines; its end does not wait for a name server, in which the connection may be stuck."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(Threads())
        yield runner


async def _look(access: Access, name: str) -> SiteView:
    reader = Reader(access, name)
    async with reader.open():
        routers = site.read(reader.messages)
    if not routers:
        raise ApiError(f"no router of site {name} has told this broker anything{reader.elsewhere}")
    return site.view(routers, time.time(), name)


def _watch(access: Access, name: str, as_json: bool) -> int:
    with _runner() as runner:
        reader = Reader(access, name)
        following = runner.get_loop().create_task(reader.follow())

        def show(alternate: bool) -> None:
            if following.done():
                following.result()
            if reader.error is not None:
                what = f"{reader.error}; {reader.error.remedy}"
                redraw([json.dumps({"ok": False, "error": what}) if as_json else f"routerd: {what}"], alternate)
                return
            view = site.view(site.read(reader.messages, reader.heard()), time.time(), name)
            lines = [json.dumps(view)] if as_json else [*render.site(Screen.of_stdout(), view, time.time()), ""]
            redraw(lines, alternate)

        def follow(alternate: bool) -> None:
            show(alternate)
            runner.run(asyncio.sleep(INTERVAL))

        runner.run(reader.wait(lambda: reader.complete or reader.error is not None, FIRST))
        return repeat(as_json, follow)


async def _drain(
    access: Access, name: str, action: str, node: str, *, key: bytes, reachable: bool, timeout: float
) -> FleetDrainView:
    reader = Reader(access, name)
    async with reader.open(all_of_it=False) as broker:
        orders = Orders(reader, broker, name, key, f"{_user()}@{platform.node()}")
        routers = await orders.begin(reachable=reachable)
        answers = await orders.give(routers, action, node)
        having = [router for router in routers if isinstance(answers[router.name].get("drain"), dict)]
        failed = [router.name for router in routers if answers[router.name].get("error")]
        unsure = [
            router.name for router in routers if router not in having and answers[router.name].get("groups") != 0
        ]
        in_vain = ""
        if failed:
            in_vain = f"{', '.join(failed)} did not do it; the others did"
        elif not having:
            in_vain = f"no router of site {name} has a peer {node}"
        elif action == "drain" and unsure and not reachable:
            in_vain = (
                f"flows may reach it by {', '.join(unsure)} still, which knows no such peer (yet); the others drain "
                "it. Name its address, for which a router can tell; --reachable leaves those out"
            )
        elif action == "drain":
            in_vain = await orders.wait_empty(having, node, answers, timeout)
        done = (
            "is empty everywhere: it can be shut down" if action == "drain" else "gets its share again as flows end"
        )
        return {
            "ok": not in_vain,
            "node": node,
            "verdict": in_vain or done,
            "routers": [_drained(router, answers[router.name]) for router in routers],
        }


def _user() -> str:
    """Return who asks; a container may run as somebody whom nobody has given a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _drained(router: Router, answer: Mapping[str, Any]) -> DrainedView:
    drain = answer.get("drain")
    known = isinstance(drain, dict)
    sole = number(answer, "drain", "sole")
    notes = [f"{sole} prefixes have no other node"] if sole else []
    leading = answer.get("groups")
    absent = f"it has no such peer; {leading} groups lead there" if leading else "it has no such peer"
    return {
        "name": router.name,
        "state": "absent" if not known else "drained" if answer["drain"].get("drain") else "in use",
        "buckets": number(answer, "drain", "buckets") if known else None,
        "sole": sole,
        "empty": known and answer["drain"].get("empty") is True,
        "error": text(answer, "error"),
        "note": "; ".join(notes) if known else absent,
    }
