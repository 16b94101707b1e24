"""routerd, with the defaults of its configuration reference: resilient groups, liveness, sysctls."""

from __future__ import annotations

import contextlib
import sys
from importlib.metadata import version
from typing import ClassVar

from benchmarks.contenders.contender import BenchError, Contender, Settings, Stretches
from benchmarks.net import METRIC, MOST_NODES, NETWORK, PREFIXES, ROUTER, ROUTER_AS
from routerd.cli.client import ApiError, Client


def configuration(settings: Settings, socket: str) -> str:
    """Return routerd.toml."""
    return f"""\
[router]
asn = {ROUTER_AS}
router_id = "{ROUTER}"
listen = ["{ROUTER}"]

[fib]
max_paths = 64
metric = {METRIC}
hash_policy = "five-tuple"
{_idle_timer(settings)}
{_audit(settings)}

[drain]
state_file = ""

[api]
socket = "{socket}"
group = "root"

[peer_groups.nodes]
families = ["ipv4"]
hold_time = {settings.hold}
accept = ["{PREFIXES}"]
graceful_restart = {str(settings.graceful).lower()}
{'advertise = ["learned"]' if settings.advertise else ""}

[[dynamic_peers]]
range = "{NETWORK}"
group = "nodes"
limit = {MOST_NODES}
{_pair(settings)}"""


def _idle_timer(settings: Settings) -> str:
    return f"idle_timer = {settings.pairing.idle}" if settings.pairing is not None else ""


def _audit(settings: Settings) -> str:
    return f"audit_interval = {settings.audit}" if settings.audit else ""


def _pair(settings: Settings) -> str:
    if (pairing := settings.pairing) is None:
        return ""
    return f"""
[pair]
router = "{pairing.router}"
partner = "{pairing.partner}"
address = "{pairing.partner_address}"
listen = "{pairing.own_address}"
key_file = "{pairing.key_file}"
hash_seed = {pairing.seed}
"""


class Routerd(Contender):
    """The daemon and its child, which speaks BGP."""

    name: ClassVar[str] = "routerd"
    programs: ClassVar[tuple[str, ...]] = (sys.executable,)

    @classmethod
    def version(cls) -> str:
        return f"routerd {version('routerd')} (Python {sys.version.split()[0]})"

    def launch(self) -> None:
        config = self.directory / "routerd.toml"
        config.write_text(configuration(self.settings, self._socket))
        self.run(sys.executable, "-m", "routerd", "run", "--config", str(config), "--log-level", "warning")

    def status_command(self) -> list[str]:
        return [sys.executable, "-m", "routerd", "status", "--socket", self._socket]

    def stretches(self) -> Stretches | None:
        with contextlib.suppress(ApiError):
            found = Client(self._socket).get("/v1/status")["event_loop"]
            return Stretches(tuple(found["bounds"]), tuple(found["counts"]), found["longest_seconds"])
        return None

    def ask(self, resource: str, **query: str | int) -> None:
        try:
            for _ in Client(self._socket).stream(resource, **query):
                pass
        except ApiError as error:
            raise BenchError(f"{resource}: {error}") from error

    @property
    def _socket(self) -> str:
        return str(self.directory / "routerd.sock")
