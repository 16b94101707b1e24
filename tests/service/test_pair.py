"""`[pair]` while routerd runs: who this router says it is, and when the channel is made anew."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from routerd import __version__
from routerd.config.load import parse
from routerd.config.model import Config
from routerd.core.message import (
    GroupGone,
    Hello,
    Introduce,
    PartnerDown,
    PartnerMessage,
    PartnerSaid,
    PartnerUp,
    SysctlState,
)
from routerd.detached import finish, lasting
from routerd.kernel.hash_seed import derived, fingerprint
from routerd.service import pair
from routerd.service.engine import Engine
from routerd.service.pair import Pairing
from routerd.service.settings import Settings
from routerd.telemetry.pair.broker import Broker
from routerd.telemetry.pair.channel import Home
from routerd.telemetry.pair.link import Link
from tests.daemon.harness import becomes
from tests.support.certificates import authority, signed

HEAD = '[router]\nasn = 65000\nrouter_id = "192.0.2.1"\n[fib]\nhash_policy = "five-tuple"\n'


class FakeChannel:
    """Up as soon as it runs, and down when it ends."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.told: list[PartnerMessage] = []
        self.fails: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def send(self, message: PartnerMessage) -> None:
        self.told.append(message)

    async def run(self) -> None:
        self.home.up()
        try:
            await self.fails
        finally:
            self.home.down("ended")


class Paired:
    """A Pairing before a core that is not there."""

    def __init__(self, key_file: Path) -> None:
        self.key_file = key_file
        self.taken: list[Any] = []
        self.channels: list[FakeChannel] = []
        self.seeds: list[int] = []
        self.state: SysctlState | None = None
        groups: dict[int, object] = {}
        self.groups = groups
        router = SimpleNamespace(fib=SimpleNamespace(groups=SimpleNamespace(by_id=groups)))
        self.engine = SimpleNamespace(router=router, take=self.taken.append, wake=asyncio.Event(), tell_partner=None)
        self.settings = SimpleNamespace(want_seed=self.seeds.append, set_seed=lambda: self.state, unset="")
        self.pairing = Pairing(
            self.config(), cast("Engine", self.engine), cast("Settings", self.settings), self._make
        )

    def config(self, more: str = "") -> Config:
        text = f'[pair]\npartner = "gw2"\nrouter = "gw1"\nkey_file = "{self.key_file}"\n{more}'
        address = "" if "address" in more else 'address = "10.255.0.2"\n'
        return parse(HEAD + text + address)

    def _make(self, config: Config, home: Home) -> FakeChannel:
        self.channels.append(FakeChannel(home))
        return self.channels[-1]

    @property
    def hellos(self) -> list[Hello]:
        return [each.hello for each in self.taken if isinstance(each, Introduce)]


@pytest.fixture
async def paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paired:
    monkeypatch.setattr(pair, "hash_policy", lambda: "")  # as if it could not be read
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_text("0123456789abcdef\n")
    return Paired(tmp_path / "key")


@asynccontextmanager
async def running(paired: Paired) -> AsyncIterator[None]:
    task = asyncio.ensure_future(paired.pairing.run())
    try:
        await becomes(lambda: paired.channels)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_this_router_is(paired: Paired) -> None:
    paired.pairing.begin()
    (hello,) = paired.hellos
    assert (hello.router, hello.version, hello.policy) == ("gw1", __version__, "five-tuple")
    assert (hello.kernel, len(hello.boot)) == (platform.release(), 16)
    assert 0 <= hello.age < 10


async def test_groups_that_were_found_are_as_old_as_the_host_may_be(paired: Paired) -> None:
    """And a router that has found none is as old as routerd."""
    paired.pairing.begin()
    paired.pairing.adopted()
    assert len(paired.hellos) == 1
    paired.groups[1] = object()
    paired.pairing.adopted()
    assert paired.hellos[-1].age == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)


async def test_it_says_anew_who_it_is_when_the_seed_or_the_policy_is_another(
    paired: Paired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "INTERVAL", 0.01)
    seeds = iter(["a", "a", "a", "b", "b"])
    monkeypatch.setattr(pair, "hash_seed", lambda: next(seeds, "b"))
    paired.pairing.begin()
    async with running(paired):
        await becomes(lambda: [hello.seed for hello in paired.hellos], ["a", "b"])
        monkeypatch.setattr(pair, "hash_policy", lambda: "l3")  # whatever the configuration says
        await becomes(lambda: paired.hellos[-1].policy, "l3")
        assert len(paired.channels) == 1


async def test_what_is_said_goes_both_ways(paired: Paired) -> None:
    paired.pairing.begin()
    async with running(paired):
        (channel,) = paired.channels
        channel.home.said(GroupGone("a"))
        assert paired.taken[-2:] == [PartnerUp(), PartnerSaid(GroupGone("a"))]
        paired.engine.tell_partner(GroupGone("b"))
        assert channel.told == [GroupGone("b")]
    assert paired.taken[-1] == PartnerDown("ended")
    paired.engine.tell_partner(GroupGone("c"))
    assert channel.told == [GroupGone("b")]


@pytest.mark.parametrize(
    "more", ['address = "10.255.0.3"\n', 'listen = "10.255.0.1"\n', "port = 7180\n", "hold_time = 1.0\n"]
)
async def test_the_channel_is_made_anew_where_it_is_another(paired: Paired, more: str) -> None:
    paired.pairing.begin()
    async with running(paired):
        paired.pairing.configure(paired.config(more))
        await becomes(lambda: len(paired.channels), 2)
        assert PartnerDown("ended") in paired.taken
        assert paired.taken[-1] == PartnerUp()


async def test_the_channel_stays_where_it_is_the_same_and_ends_with_another_key(
    paired: Paired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "INTERVAL", 0.01)
    paired.pairing.begin()
    async with running(paired):
        paired.pairing.configure(paired.config("hash_seed = 7\n"))
        await asyncio.sleep(0.1)
        assert len(paired.channels) == 1
        paired.key_file.write_text("fedcba9876543210\n")
        await becomes(lambda: len(paired.channels), 2)
        paired.key_file.unlink()
        await becomes(lambda: paired.pairing.keyless.startswith(f"{paired.key_file}: No such file"))
        await asyncio.sleep(0.1)
        assert len(paired.channels) == 2


async def test_a_key_that_does_not_answer_keeps_no_configuration_in_force(
    paired: Paired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "INTERVAL", 0.01)
    paired.pairing.begin()
    other = paired.key_file.with_name("other")
    shutil.copy(paired.key_file, other)
    async with running(paired):
        paired.key_file.unlink()
        os.mkfifo(paired.key_file)
        await becomes(lambda: lasting(time.monotonic()) > 0.1)
        stuck, paired.key_file = paired.key_file, other
        try:
            paired.pairing.configure(paired.config())
            await becomes(lambda: len(paired.channels), 2)
        finally:
            os.close(os.open(stuck, os.O_RDWR))  # so that whoever waits for it reads that it is empty
            finish(5)


async def test_a_certificate_is_looked_at_while_the_channel_stands(
    paired: Paired, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It expires by itself, and is missed only by who connects next."""
    monkeypatch.setattr(pair, "INTERVAL", 0.01)
    monkeypatch.setattr(pair, "CERTIFIED", 0.01)
    files = signed(authority(tmp_path), "gw1")
    names = ("certificate_file", files.certificate), ("private_key_file", files.private_key), ("ca_file", files.ca)
    lines = "".join(f'{name} = "{path}"\n' for name, path in names)
    paired.pairing.begin()
    async with running(paired):
        paired.pairing.configure(paired.config(lines))
        await becomes(lambda: len(paired.channels), 2)
        signed(Path(files.ca), "gw1", days=-1)
        await becomes(lambda: "certificate has expired" in paired.pairing.uncertified)
        signed(Path(files.ca), "gw1")
        await becomes(lambda: paired.pairing.uncertified, "")
        assert len(paired.channels) == 2


async def test_a_channel_that_fails_is_an_error_of_the_watcher(paired: Paired) -> None:
    paired.pairing.begin()
    task = asyncio.ensure_future(paired.pairing.run())
    await becomes(lambda: paired.channels)
    paired.channels[0].fails.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await task


async def test_the_channel_is_the_one_that_the_configuration_says(paired: Paired) -> None:
    home = paired.pairing._home()
    assert isinstance(pair.channel(paired.config(), home), Link)
    broker = '[mqtt]\nbroker = "mqtt://127.0.0.1"\nrouter = "gw1"\n'
    over = parse(f'{HEAD}{broker}[pair]\npartner = "gw2"\nkey_file = "{paired.key_file}"\nchannel = "mqtt"\n')
    assert isinstance(pair.channel(over, home), Broker)


async def test_the_seed_is_made_of_the_key_unless_there_is_another(
    paired: Paired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair, "hash_seed", lambda: fingerprint(7))
    paired.pairing.begin()
    assert paired.seeds == [derived(b"0123456789abcdef")]
    assert paired.pairing.unset
    async with running(paired):
        paired.pairing.configure(paired.config("hash_seed = 7\n"))
        await becomes(lambda: paired.seeds[-1], 7)
        assert not paired.pairing.unset


async def test_a_key_that_comes_later_makes_the_seed_then(paired: Paired, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "INTERVAL", 0.01)
    paired.key_file.rename(paired.key_file.with_suffix(".away"))
    paired.pairing.begin()
    assert paired.seeds == []
    async with running(paired):
        paired.key_file.with_suffix(".away").rename(paired.key_file)
        await becomes(lambda: paired.seeds[:1], [derived(b"0123456789abcdef")])


async def test_the_seed_is_set_on_request(paired: Paired, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "hash_seed", lambda: fingerprint(7))
    paired.state = SysctlState("seed", "a", "a", "a", "")
    assert await paired.pairing.set_seed() == (fingerprint(7), fingerprint(7))
    paired.state = SysctlState("seed", "a", "b", "b", "cannot write it")
    with pytest.raises(OSError, match="cannot write it"):
        await paired.pairing.set_seed()


async def test_without_a_key_there_is_no_seed_to_set(paired: Paired) -> None:
    """And one that has come a moment ago is read."""
    paired.key_file.write_text("")  # as by a disk that was full
    paired.pairing.begin()
    with pytest.raises(ValueError, match="16 octets at least, and has 0"):
        await paired.pairing.set_seed()
    paired.key_file.write_text("0123456789abcdef")
    await paired.pairing.set_seed()
    assert paired.seeds == [derived(b"0123456789abcdef")]


def test_a_router_that_is_alone_loads_nothing_of_it() -> None:
    listed = "import sys, routerd.service.daemon; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    parts = ("service.pair", "telemetry.pair", "core.pair", "kernel.hash_seed", "kernel.arranging")
    assert [name for name in found if name.startswith(tuple(f"routerd.{part}" for part in parts))] == []
