"""A mosquitto that both routers of a pair reach, over the network in which they alone stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from routerd.lab.process import Process, tail
from routerd.lab.topology import BETWEEN, Router
from routerd.lab.waiting import LabError, until
from tests.pair.site import PairSite, paired, unpaired
from tests.support.mosquitto import PROGRAM

_ADDRESS, _PORT = BETWEEN.address4(1), 1883
URL = f"mqtt://{_ADDRESS}:{_PORT}"


def by_broker(router: Router, partner: Router, directory: Path) -> str:
    """Return the configuration of a router of a pair that talks through the broker."""
    return paired(router, partner, directory).replace('channel = "link"', 'channel = "mqtt"') + _mqtt(router)


def at_broker(router: Router, partner: Router, directory: Path) -> str:
    """Return the configuration of a router that tells the broker how it is, and knows nothing of the other one."""
    return unpaired(router, partner, directory) + _mqtt(router)


def _mqtt(router: Router) -> str:
    return f"""
[mqtt]
broker = "{URL}"
site = "pair"
router = "{router.name}"
"""


class Broker:
    """Retains nothing over its death."""

    def __init__(self, site: PairSite) -> None:
        self._switch = site.fabric.switch
        self._file = site.directory / "mosquitto.conf"
        self._log = site.directory / "mosquitto.log"
        self._file.write_text(f"listener {_PORT} {_ADDRESS}\nallow_anonymous true\npersistence false\nuser root\n")
        self._process: Process | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert PROGRAM is not None, "mosquitto is not installed"
        self._process = process = Process(self._switch, [PROGRAM, "-c", str(self._file)], self._log)

        def listening() -> str:
            if not process.running:
                raise LabError(f"mosquitto ended:\n{tail(self._log)}")
            return "" if self._switch.run("ss", "-Htln", f"sport = :{_PORT}") else "nothing listens"

        until(listening, 10, "the broker listens")

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process = None


@contextmanager
def broker(site: PairSite) -> Iterator[Broker]:
    """Run a broker between the routers."""
    site.fabric.switch.ip(f"address replace {_ADDRESS}/24 dev {BETWEEN.name}")
    made = Broker(site)
    try:
        made.start()
        yield made
    finally:
        made.kill()
