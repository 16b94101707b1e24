"""`[pair]` while routerd runs: the channel to the partner, and who this router is. Loaded where there is one."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Hashable

import structlog

from routerd import __version__
from routerd.config import keyfile
from routerd.config.model import Config
from routerd.core.message import Hello, Introduce, PartnerDown, PartnerMessage, PartnerSaid, PartnerUp
from routerd.detached import detached
from routerd.kernel.hash_seed import derived, fingerprint, hash_seed
from routerd.kernel.sysctl import hash_policy
from routerd.service.engine import Engine
from routerd.service.settings import Settings
from routerd.service.until import until
from routerd.telemetry.log import bus
from routerd.telemetry.pair.channel import Channel, Counts, Home, Names

INTERVAL = 2.0
"""Seconds between two looks at whether this router has become another one: its hash seed is a setting of the host."""
CERTIFIED = 60.0
"""Seconds between two looks at its certificate, which expires by itself: each is a handshake."""

log = structlog.get_logger()


class Pairing:
    """Hands to the core what the partner says, and to the partner what the core says. `counts` is what that was.

    `settings` have the seed of the kernel's hash; `make` makes a channel that a configuration wants.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        settings: Settings,
        make: Callable[[Config, Home], Channel] | None = None,
    ) -> None:
        self.counts = Counts()
        self._config = config
        self._engine = engine
        self._settings = settings
        self._key = b""
        """As it was last read; empty if it never was."""
        self.keyless = ""
        """Why the key could not be read when one looked last, if it could not."""
        self.uncertified, self._certified = "", -CERTIFIED
        """Why its certificate was of no use when one looked last, if it was not."""
        self._seed = 0
        """The one that both routers are to have; 0 while there is no key."""
        self._make = make or channel
        self._channel: Channel | None = None
        self._has: Hashable = None
        """What the channel was made of."""
        self._since = time.monotonic()
        """Since when there are groups here, as far as is known."""
        self._said: Hello | None = None
        self._changed, self._other = asyncio.Event(), asyncio.Event()
        engine.tell_partner = self._tell

    def begin(self) -> None:
        """Have the seed set, if there are no groups yet, and tell the core that it is one of two: before it knows
        what the kernel has."""
        self._take_key(_key(self._config))
        self._want_seed()
        self._introduce()

    def adopted(self) -> None:
        """The core knows what the kernel has. Groups that are there already have been since the host's start, as far
        as anybody knows."""
        if self._engine.router.fib.groups.by_id:
            self._since = time.monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)
            self._said = None
            self._introduce()

    @property
    def unset(self) -> str:
        """Why the kernel hashes by another seed than the pair's, if it does."""
        if not self._seed or hash_seed() == fingerprint(self._seed):
            return ""
        return self._settings.unset or "somebody has set another one"

    async def set_seed(self) -> tuple[str, str]:
        """Set the pair's seed, which moves every flow once; return fingerprints of the one before and of the one that
        is there now. OSError if the kernel does not take it, ValueError if there is none as there is no key."""
        await self._look()
        if not self._seed:
            await detached(keyfile.read, self._config.pair.key_file)  # which says why
        before = hash_seed()
        state = self._settings.set_seed()
        if state is not None and state.problem:
            raise OSError(state.problem)
        self._introduce()
        return before, hash_seed()

    def configure(self, config: Config) -> None:
        """Go on with another configuration; the channel ends only if that is another one."""
        self._config, self._certified = config, -CERTIFIED
        self._changed.set()

    async def run(self) -> None:
        """Keep the channel that the configuration wants."""
        watching = asyncio.get_running_loop().create_task(self._watch())
        try:
            while True:
                self._other.clear()
                self._has = self._wanted
                made = self._make(self._config, self._home())
                running = asyncio.get_running_loop().create_task(made.run())
                self._channel = made
                try:
                    await self._until_other(running, watching)
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
                    self._channel = None
        finally:
            watching.cancel()

    async def _until_other(self, *running: asyncio.Task[None]) -> None:
        """Wait until another channel is wanted; raise what ends one of these."""
        other = asyncio.get_running_loop().create_task(self._other.wait())
        try:
            done, _ = await asyncio.wait([other, *running], return_when=asyncio.FIRST_COMPLETED)
        finally:
            other.cancel()
        for task in done:
            task.result()

    async def _watch(self) -> None:
        """Notice another configuration or key, and say anew who this router is when it is somebody else. Another
        configuration counts at once, also while a file does not answer."""
        while True:
            self._changed.clear()
            await until(self._changed, self._look_on())

    async def _look_on(self) -> None:
        while True:
            await self._look()
            if self._wanted != self._has:
                self._other.set()
            await asyncio.sleep(INTERVAL)

    async def _look(self) -> None:
        """Look at the key, the certificate and the seed. Without a key, as while its file is written, all goes on as
        it was."""
        self._take_key(await detached(_key, self._config))
        if time.monotonic() >= self._certified + CERTIFIED:
            self.uncertified = await detached(_uncertified, self._config)
            self._certified = time.monotonic()
        self._want_seed()
        self._introduce()

    @property
    def _wanted(self) -> Hashable:
        """What a channel depends on."""
        pair = self._config.pair
        broker = self._config.mqtt if pair.channel == "mqtt" else None
        return self._config.name_in_pair, pair.model_copy(update={"hash_seed": 0}), broker, self._key

    # ------------------------------------------------------------------------------------------ who this router is

    def _take_key(self, read: tuple[bytes, str]) -> None:
        key, self.keyless = read
        self._key = key or self._key

    def _want_seed(self) -> None:
        """Have the kernel hash by the seed of both routers."""
        if seed := self._config.pair.hash_seed or (derived(self._key) if self._key else 0):
            self._seed = seed
            self._settings.want_seed(seed)

    def _introduce(self) -> None:
        hello = self._hello()
        if self._said is None or self._said._replace(age=hello.age) != hello:
            self._said = hello
            self._take(Introduce(hello))

    def _hello(self) -> Hello:
        config = self._config
        return Hello(
            config.name_in_pair,
            bus.boot,
            __version__,
            platform.release(),
            hash_policy() or config.fib.hash_policy,
            hash_seed(),
            time.monotonic() - self._since,
            config.fib.idle_timer,
        )

    # ------------------------------------------------------------------------------------------ what is said

    def _home(self) -> Home:
        return Home(
            lambda: self._take(PartnerUp()),
            lambda message: self._take(PartnerSaid(message)),
            lambda reason: self._take(PartnerDown(reason)),
            lambda level, event, **fields: getattr(log, level)(event, **fields),
            self.counts,
        )

    def _take(self, message: Introduce | PartnerUp | PartnerSaid | PartnerDown) -> None:
        self._engine.take(message)
        self._engine.wake.set()

    def _tell(self, message: PartnerMessage) -> None:
        if self._channel is not None:
            self._channel.send(message)


def channel(config: Config, home: Home) -> Channel:
    """Return the channel that a configuration wants."""
    pair, names = config.pair, Names(config.name_in_pair, config.pair.partner)
    if pair.channel == "mqtt":
        from routerd.telemetry.mqtt.access import access
        from routerd.telemetry.pair.broker import Broker

        return Broker(access(config.mqtt), config.mqtt.site, names, pair.key_file, home)
    from routerd.telemetry.pair.link import Ends, Link

    ends = Ends(pair.address, pair.listen, pair.port, pair.files if pair.tls else None)
    return Link(ends, names, pair.key_file, pair.hold_time, home)


def _key(config: Config) -> tuple[bytes, str]:
    """Return the key, or an empty one and why there is none."""
    try:
        return keyfile.read(config.pair.key_file), ""
    except ValueError as error:
        return b"", str(error)


def _uncertified(config: Config) -> str:
    """Return why the certificate is of no use, if the channel needs one."""
    pair = config.pair
    if not pair.tls:
        return ""
    from routerd.config.certificates import read

    try:
        read(pair.files)
    except ValueError as error:
        return str(error)
    return ""
