"""docs/mqtt.md as a newcomer follows it: users and access list as they stand there, with the real mosquitto."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.daemon.harness import CLI, Network, Routerd, becomes, network, node, running
from tests.daemon.test_mqtt import GW1, PAGE, SITE, configuration
from tests.support.mosquitto import Mosquitto, mosquitto, needs_mosquitto
from tests.support.netns import needs_root

pytestmark = [needs_root, needs_mosquitto]


class Site(NamedTuple):
    """A router that is gw1, the broker of the page, and the file with everybody's password and the fleet's key."""

    network: Network
    broker: Mosquitto
    daemon: Routerd
    secret: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("page")
    text, users, secret, acl = PAGE.read_text(), directory / "users", directory / "secret", directory / "acl"
    secret.write_text("0123456789abcdef\n")
    secret.chmod(0o600)
    users.write_text("")
    names = re.findall(r"^mosquitto_passwd (?:-c )?/etc/mosquitto/users (\w+)$", text, re.MULTILINE)
    for name in (*names, "gw2"):
        subprocess.run(["mosquitto_passwd", "-b", users, name, "0123456789abcdef"], check=True)
    found = re.search(r"^`/etc/mosquitto/acl`.*?^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    router, operator = found[1].split("user operator")
    acl.write_text(f"{router}{router.replace('gw1', 'gw2')}user operator{operator}")
    for each in (users, acl):
        each.chmod(0o600)
    more = f"allow_anonymous false\npassword_file {users}\nacl_file {acl}"
    keys = f'user = "gw1"\npassword_file = "{secret}"\nfleet_key_file = "{secret}"'
    with (
        network() as made,
        mosquitto(directory, made.router, more) as broker,
        running(made.router, directory, configuration(broker.url, keys)) as daemon,
    ):
        yield Site(made, broker, daemon, secret)


async def fleet(site: Site, *words: str) -> Any:
    """Return what `routerd fleet WORDS --json` says."""
    command = (*CLI, "fleet", *words, "--json")
    process = site.network.router.spawn(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said, errors = await asyncio.to_thread(process.communicate, timeout=30)
    assert said, errors
    return json.loads(said)


async def test_routers_and_operators_see_all_routers_and_write_what_is_theirs(site: Site) -> None:
    as_operator = ("--broker", site.broker.url, "--site", "ams", "--user", "operator")
    as_whom = (*as_operator, "--password-file", str(site.secret))
    gw2 = ("-u", "gw2", "-P", "0123456789abcdef", "-q", "1", "-r")
    for kind, payload in (("birth", '{"boot": "b"}'), ("availability", '{"boot": "b", "status": "online"}')):
        site.broker.publish(f"{SITE}/gw2/{kind}", payload, *gw2)
        site.broker.publish(f"{GW1}/{kind}", payload, *gw2)  # which is not for it to say
    await becomes(lambda: "mqtt" not in site.daemon.problems())
    for words in (as_whom, ("--config", str(site.daemon.config))):
        found = await fleet(site, *words)
        assert {each["name"]: each["state"] for each in found["routers"]} == {"gw1": "up", "gw2": "up"}, words
    found = await fleet(
        site, "drain", node(0), *as_whom, "--fleet-key-file", str(site.secret), "--reachable", "--timeout", "1"
    )
    assert [each["state"] for each in found["routers"] if each["name"] == "gw1"] == ["absent"], found
