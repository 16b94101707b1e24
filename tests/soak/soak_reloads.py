"""Random valid and invalid reloads under churn, with SIGKILLs in between: what was confirmed last runs, and the FIB
ends as what the nodes announce. SOAK_RELOADS is how many."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, becomes, cli, network, node, node6
from tests.daemon.test_reload import RESTART, VALUES, written
from tests.failover.agents import Agents, agents, configuration, relearned
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(3600)]

NODES = 4
RELOADS = int(os.environ.get("SOAK_RELOADS", "200"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
LOOK = 20
"""Reloads between two comparisons."""
VIPS = [f"172.16.1.{i}" for i in range(30)] + [f"fd00:ac10::1:{i:x}" for i in range(1, 15)]
AWAY = {
    "router.port", "peer_groups.nodes.remote_as", "peer_groups.nodes.families", "peer_groups.nodes.password",
    "peer_groups.nodes.ttl_security", "drain.state_file", "fib.manage_sysctls", "router.asn",
}  # fmt: skip
"""With these the nodes of this test could not return, or what is compared would be another."""
TOGETHER = {"metrics", "mqtt", "mrt", "pair"}
"""Sections whose keys want files, or each other."""
KEYS = sorted(key for key in VALUES.keys() - AWAY if key.partition(".")[0] not in TOGETHER)
BROKEN = ("[router", "", "[fib]\nmax_paths = 0\n", "\0", 'include = "nowhere"\n')
JOURNAL = "--journal"


class Operator:
    """Edits, reloads, confirms, rolls back and kills, and knows what has to be `running`: after a crash what was
    `confirmed` last, unless the file says something that was never `taken`."""

    def __init__(self, routerd: Routerd, seed: int) -> None:
        self.routerd = routerd
        self.chance = random.Random(seed)
        self.good = routerd.config.read_text()
        self.running = self.confirmed = self.taken = self.good
        self.pending = False
        self.count: Counter[str] = Counter()

    def _text(self) -> str:
        text = self.good
        for key in self.chance.sample(KEYS, self.chance.choice([0, 1, 1, 2, 3])):
            text = written(text, key, VALUES[key])
        return text

    def _cli(self, *words: str, works: bool) -> None:
        done = self.routerd.cli(*words)
        assert (done.returncode == 0) is works, f"{words}: {done.stdout}{done.stderr}"

    def act(self) -> None:
        """Do something."""
        what = self.chance.choices(
            ["reload", "try", "confirm", "rollback", "broken", "restart", "kill", "other"], [6, 4, 3, 2, 2, 1, 2, 1]
        )[0]
        self.count[what] += 1
        getattr(self, f"_{what}")()

    def _reload(self) -> None:
        text = self._text()
        self.routerd.config.write_text(text)
        self._cli("reload", works=not self.pending)
        if not self.pending:
            self.running = self.confirmed = self.taken = text

    def _try(self) -> None:
        text = self._text()
        self.routerd.config.write_text(text)
        self._cli("reload", "--confirm", "3600", works=not self.pending)
        if not self.pending:
            # The same file again changes nothing, and nothing waits.
            self.running, self.pending, self.taken = text, self._waits(), text
            if not self.pending:
                self.confirmed = text

    def _waits(self) -> bool:
        """Tell whether a change waits to be confirmed."""
        return "is taken back in" in self.routerd.problems().get("configuration", "")

    def _confirm(self) -> None:
        self._cli("confirm", works=self.pending)
        self.confirmed, self.pending = self.running, False

    def _rollback(self) -> None:
        if self.pending:
            self._cli("rollback", works=True)
            self.running, self.pending = self.confirmed, False

    def _broken(self) -> None:
        bad = self.chance.choice((*BROKEN, *RESTART))
        self.routerd.config.write_text(written(self.good, bad, RESTART[bad]) if bad in RESTART else bad)
        self._cli("reload", works=False)
        self.routerd.config.write_text(self.taken)

    def _other(self) -> None:
        """Take a file that is not the daemon's own."""
        other = self.routerd.config.parent / "other.toml"
        other.write_text(self._text())
        self._cli("reload", str(other), works=not self.pending)
        if not self.pending:
            self.running = self.confirmed = other.read_text()
            self.taken = self.routerd.config.read_text()

    def _restart(self) -> None:
        self.routerd.stop()
        self._begin()

    def _kill(self) -> None:
        self.routerd.kill()
        self._begin()

    def _begin(self) -> None:
        self.start()
        self.pending = False
        text = self.routerd.config.read_text()
        if text != self.taken:  # it says something new
            self.taken = self.confirmed = text
        self.running = self.confirmed

    def end(self) -> None:
        """Have the first configuration in force again."""
        self._rollback()
        self.routerd.config.write_text(self.good)
        self._cli("reload", works=True)

    def start(self) -> None:
        """Start the daemon, with the journal."""
        self.routerd.start(JOURNAL, str(self.routerd.config.parent / "journal.json"))

    def differs(self) -> str:
        """Compare what runs with what should."""
        wanted = self.routerd.config.parent / "wanted.toml"
        wanted.write_text(self.running)
        done = cli("diff", str(wanted), "--socket", str(self.routerd.socket))
        return "" if done.returncode == 0 else done.stdout + done.stderr


async def _churn(nodes: Agents, chance: random.Random, over: asyncio.Event) -> None:
    while not over.is_set():
        agent, some = chance.choice(nodes), chance.sample(VIPS, 4)
        (agent.announce if chance.random() < 0.6 else agent.withdraw)(*some)
        await asyncio.sleep(chance.random() * 0.05)


def _fib(net: Network) -> dict[str, set[str]]:
    return {vip: found for vip in VIPS if (found := net.legs(vip))}


async def test_reloads_and_kills(tmp_path: Path) -> None:
    with network() as net:
        routerd = Routerd(net.router, tmp_path, configuration("audit_interval = 1\nidle_timer = 1"))
        operator = Operator(routerd, SEED)
        operator.start()
        try:
            async with agents(net, NODES) as nodes:
                for agent in nodes:
                    agent.announce(*VIPS)
                await nodes.up()
                await relearned(routerd, nodes)
                over = asyncio.Event()
                churn = asyncio.create_task(_churn(nodes, random.Random(SEED), over))
                started = time.monotonic()
                for number in range(1, RELOADS + 1):
                    await asyncio.to_thread(operator.act)
                    await asyncio.sleep(operator.chance.random() * 0.3)
                    assert (await asyncio.to_thread(operator.differs)) == "", dict(operator.count)
                    assert "speaker" not in routerd.problems()
                    if number % LOOK == 0:
                        print(f"{number} reloads in {time.monotonic() - started:.0f} s: {dict(operator.count)}")
                over.set()
                await churn
                await asyncio.to_thread(operator.end)
                await nodes.up(60)
                await relearned(routerd, nodes)

                def wanted() -> dict[str, set[str]]:
                    found = {v: {(node6 if ":" in v else node)(n) for n in nodes.members(v)} for v in VIPS}
                    return {vip: gateways for vip, gateways in found.items() if gateways}

                await becomes(lambda: _fib(net), wanted(), 200)
                assert routerd.status()["fib"]["refused"] == 0
                await becomes(routerd.problems, {}, 60)
                assert routerd.cli("diff").returncode == 0
        finally:
            routerd.kill()
