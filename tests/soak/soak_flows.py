"""Random storms with connections through the router: no flow of a node that lives breaks, and the kernel becomes what
the nodes want, in as many groups as there are prefixes.

SOAK_SEED and SOAK_SECONDS choose the story and how long it lasts.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory

import pytest

from routerd.cli.client import Client
from routerd.kernel import lookup
from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import GRACEFUL_SHUTDOWN, Node, Site, cluster, configuration, inside
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(7200)]

NODES, VIPS = 5, [*(f"172.16.2.{i}" for i in range(1, 5)), *(f"fd00:ac10::2:{i}" for i in range(1, 5))]
SEED = int(os.environ.get("SOAK_SEED", "1"))
SECONDS = float(os.environ.get("SOAK_SECONDS", "300"))
ONLY = os.environ.get("SOAK_ONLY", "").split(",") if os.environ.get("SOAK_ONLY") else []
FIB = os.environ.get("SOAK_FIB", "")
TABLE = int(os.environ.get("SOAK_TABLE", "0"))
"""Prefixes of each family that every node announces along with its VIPs: from 513 on they share a group."""
PLACES = int(os.environ.get("SOAK_PLACES", "64"))
IDLE = 3.0
EACH = 12
"""Flows that are opened at a time to each address."""
CROWD = [*(f"172.20.{i // 250}.{i % 250}" for i in range(TABLE)), *(f"fd00:ac10::3:{i:x}" for i in range(TABLE))]
GRACEFUL = bgp.Graceful(time=60, families={bgp.IPV4: True, bgp.IPV6: True})


class Story:
    """What the nodes announce, and which flows may break."""

    def __init__(self, site: Site, client: flows.Flows, seed: int) -> None:
        self.site, self.client = site, client
        self.chance = random.Random(seed)
        self.said: dict[Node, set[str]] = {node: set() for node in site.nodes}
        self.leaving: dict[Node, set[str]] = {node: set() for node in site.nodes}
        self.graceful = {node: index % 2 == 0 for index, node in enumerate(site.nodes)}
        self.silent: set[Node] = set()
        self.away: set[Node] = set()
        self.drained: set[Node] = set()
        self.open: dict[str, tuple[str, set[str]]] = {}
        self.meddled: Counter[str] = Counter()
        self.count: Counter[str] = Counter()
        self.past: list[str] = []
        self.labels = 0
        self.flap_pending = False

    # ------------------------------------------------------------------------------------------ what may break

    def doom(self, node: Node, vips: set[str] | None = None) -> None:
        for vip, doomed in self.open.values():
            if vips is None or vip in vips:
                doomed.add(node.name)

    def doom_all_of(self, id_: int) -> None:
        """Somebody takes a member away: until routerd notices, its flows go elsewhere, and are reset there."""
        gateway = next((entry.get("gateway") for entry in self.site.nexthops() if entry["id"] == id_), None)
        for node in self.site.nodes:
            if gateway in (node.ipv4, node.ipv6):
                self.doom(node)

    def open_flows(self) -> None:
        for vip in VIPS:
            if not self.members(vip):
                continue
            while len(mine := [label for label, (to, _) in self.open.items() if to == vip]) >= 3:
                self.client.close(mine[0])
                del self.open[mine[0]]
            self.labels += 1
            label = f"{vip}#{self.labels}"
            self.open[label] = (vip, set())
            found = self.client.open(label, vip, EACH, pause=(0.1, 0.4))
            assert not found.broken, f"{label}: {found}"
            members = {node.name for node in self.members(vip)}
            drained = {node.name for node in self.members(vip) if node in self.drained or vip in self.leaving[node]}
            assert set(found.alive) <= members, f"{label}: {found} but {members}, {drained} drained"

    def check(self, *, wait: bool) -> None:
        for label, (_, doomed) in list(self.open.items()):
            report = (self.client.settle if wait else self.client.report)(label)
            wrong = {node: count for node, count in report.broken.items() if node not in doomed}
            # While somebody deletes object by object, packets that pass go to the wrong nodes.
            if sum(wrong.values()) <= self.meddled.get(label, 0):
                continue
            assert not wrong, f"{label}: {wrong} broken, doomed {doomed}: {report}\n" + "\n".join(self.past[-25:])

    # ------------------------------------------------------------------------------------------ what should be

    def members(self, vip: str) -> list[Node]:
        return [
            node
            for node in self.site.nodes
            if vip in self.said[node] and node not in self.silent and node not in self.away
        ]

    def differs(self) -> str:
        for vip in VIPS:
            found, wanted = self.site.next_hops(vip), {node.name for node in self.members(vip)}
            if not found <= wanted or len(found) != min(PLACES, len(wanted)):
                return f"{vip}: {sorted(found)} instead of {sorted(wanted)}"
        return ""

    def request(self, method: str, path: str, **query: str) -> object:
        return Client(str(self.site.daemon.socket)).request(method, path, **query)

    # ------------------------------------------------------------------------------------------ the changes

    def some(self) -> set[str]:
        return set(self.chance.sample(VIPS, self.chance.randint(1, 4)))

    def present(self, *, graceful: bool | None = None) -> list[Node]:
        return [
            node
            for node in self.site.nodes
            if node not in self.away and node not in self.silent and graceful in (None, self.graceful[node])
        ]

    def announce(self) -> None:
        node = self.chance.choice(self.present())
        vips = self.some()
        self.said[node] |= vips
        self.leaving[node] -= vips
        self.note(f"announce {node} {sorted(vips)}")
        node.announce(*vips)

    def gshut(self) -> None:
        node = self.chance.choice(self.present())
        if vips := self.some() & self.said[node]:
            self.leaving[node] |= vips
            self.note(f"gshut {node} {sorted(vips)}")
            node.announce(*vips, community=GRACEFUL_SHUTDOWN)

    def withdraw(self) -> None:
        node = self.chance.choice(self.present())
        vips = {vip for vip in self.some() & self.said[node] if len(self.members(vip)) > 1}
        if vips:
            self.said[node] -= vips
            self.leaving[node] -= vips
            self.doom(node, vips)
            self.note(f"withdraw {node} {sorted(vips)}")
            node.withdraw(*vips)

    def drain(self) -> None:
        node = self.chance.choice(self.site.nodes)
        self.drained ^= {node}
        self.note(f"{'drain' if node in self.drained else 'undrain'} {node}")
        self.request("PUT" if node in self.drained else "DELETE", f"/v1/peers/{node.ipv4}/drain")

    def dial(self, node: Node, *, restarting: bool = False) -> None:
        options = {}
        if self.graceful[node]:
            options = {"graceful": bgp.Graceful(time=60, restarting=restarting, families=GRACEFUL.families)}
        until(lambda: self.connects(node, **options), 10, f"{node} dials in")
        rest = self.said[node]
        if CROWD:
            rest = self.leaving[node]
            node.announce(*sorted(self.said[node] - rest), *CROWD)
        for vip in sorted(rest, key=lambda _: self.chance.random()):
            leaving = vip in self.leaving[node]
            node.announce(vip, community=GRACEFUL_SHUTDOWN if leaving else None)
        node.end_of_rib()
        self.away.discard(node)

    @staticmethod
    def connects(node: Node, **options: bgp.Graceful) -> str:
        """Dial in; while the router has no speaker nobody listens."""
        try:
            node.dial(**options)
        except ConnectionRefusedError as error:
            return str(error)
        return ""

    def restart(self) -> None:
        if nodes := self.present(graceful=True):
            node = self.chance.choice(nodes)
            self.note(f"graceful restart {node}")
            node.close()
            time.sleep(self.chance.uniform(0, 1))
            self.dial(node, restarting=self.chance.random() < 0.5)

    def die(self) -> None:
        if len(nodes := self.present()) > 2:
            node = self.chance.choice(nodes)
            self.note(f"cease {node}")
            self.doom(node)
            self.away.add(node)
            node.notify(6, 2)

    def back(self) -> None:
        if self.away:
            node = self.chance.choice(sorted(self.away, key=str))
            self.note(f"back {node}")
            self.dial(node)

    def silence(self) -> None:
        if len(nodes := self.present()) > 2:
            node = self.chance.choice(nodes)
            self.note(f"silent {node}")
            self.doom(node)
            self.silent.add(node)
            self.site.silence(node)
            if self.chance.random() < 0.5:
                time.sleep(self.chance.uniform(0, 1))

    def speak(self) -> None:
        for node in sorted(self.silent, key=str):
            self.note(f"speaks {node}")
            self.site.revive(node)
            self.silent.discard(node)
            if not node.connected:
                self.dial(node)

    def redial(self) -> None:
        for node in self.chance.sample(self.site.nodes, NODES):
            if node not in self.away and node not in self.silent:
                self.dial(node, restarting=self.chance.random() < 0.5)
                time.sleep(self.chance.uniform(0, 0.3))

    def kill(self) -> None:
        if self.silent:
            return
        self.note("kill routerd")
        self.site.daemon.kill()
        time.sleep(self.chance.uniform(0, 0.5))
        self.site.start_daemon()
        self.redial()

    def child(self) -> None:
        if self.silent:
            return
        pid = self.site.daemon.process.pid
        children = self.site.router.attempt("ps", "-eo", "pid,ppid,args").stdout.splitlines()
        found = [line.split()[0] for line in children if "session.host" in line]
        mine = [each for each in found if _descends(int(each), pid)]
        assert mine, children
        self.note("kill the BGP child")
        os.kill(int(mine[0]), 9)
        time.sleep(0.3)
        self.redial()

    def flush(self) -> None:
        self.note("ip nexthop flush")
        for label in self.open:
            self.meddled[label] += 2
        self.site.router.attempt("ip", "nexthop", "flush")

    def delete(self) -> None:
        if ids := [entry["id"] for entry in self.site.nexthops()]:
            id_ = self.chance.choice(ids)
            self.note(f"ip nexthop del id {id_}")
            self.doom_all_of(id_)
            self.site.router.attempt("ip", "nexthop", "del", "id", str(id_))

    def routes(self) -> None:
        family = self.chance.choice(["-4", "-6"])
        self.note(f"ip {family} route flush proto bgp")
        self.site.router.attempt("ip", family, "route", "flush", "proto", "bgp")

    def meddle(self) -> None:
        groups = [entry for entry in self.site.nexthops() if "group" in entry and len(entry["group"]) > 1]
        if groups:
            group = self.chance.choice(groups)
            left = "/".join(str(each["id"]) for each in group["group"][1:])
            self.doom_all_of(group["group"][0]["id"])
            self.note(f"ip nexthop replace id {group['id']} group {left}")
            self.site.router.attempt(
                "ip", "nexthop", "replace", "id", str(group["id"]), "group", left, "type", "resilient",
                "proto", "bgp",
            )  # fmt: skip

    def flap(self) -> None:
        """The link goes, and comes back; routerd had time to read the buckets."""
        if self.silent or self.away:
            return
        self.settled()
        time.sleep(2.5)
        self.note("unplug, plug")
        place = self.site.fabric.topology.nodes[0].network.attachment("router", 200)
        self.site.fabric.unplug(place)
        time.sleep(self.chance.uniform(0.05, 0.6))
        self.site.fabric.plug(place)
        self.settled()

    def pause(self) -> None:
        time.sleep(self.chance.uniform(0, 1.5 * IDLE))

    # ------------------------------------------------------------------------------------------ the story

    def note(self, what: str) -> None:
        self.count[what.split(maxsplit=1)[0]] += 1
        self.past.append(f"{time.monotonic():.3f} {what}")

    def settled(self) -> None:
        try:
            until(self.differs, 30, "the kernel has what is wanted")
        except Exception as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.past[-25:])) from error

    def step(self) -> None:
        weighed: list[tuple[Callable[[], None], int]] = [
            (self.announce, 6), (self.withdraw, 4), (self.drain, 4), (self.gshut, 3), (self.restart, 2),
            (self.die, 2), (self.back, 4), (self.silence, 1), (self.speak, 3), (self.kill, 1), (self.child, 1),
            (self.flush, 1), (self.delete, 2), (self.routes, 1), (self.meddle, 1), (self.flap, 1), (self.pause, 2),
        ]  # fmt: skip
        if ONLY:
            weighed = [(what, weight) for what, weight in weighed if what.__name__ in ONLY]
        what = self.chance.choices([each for each, _ in weighed], [weight for _, weight in weighed])[0]
        what()
        time.sleep(self.chance.choice([0, 0, 0.02, 0.1, 0.5]))

    def calm(self) -> None:
        """All is quiet: every flow has ended, and each member has its share one idle timer later."""
        self.settled()
        self.check(wait=True)
        until(self.truthful, 10, "what routerd tells")
        for label in list(self.open):
            self.client.close(label)
        self.open.clear()
        until(self.uneven, 3 * IDLE + 3, "shares\n" + "\n".join(self.past[-25:]))
        until(self.truthful, 10, "what routerd tells")

    def uneven(self) -> str:
        if PLACES < NODES:
            return ""
        for vip in VIPS:
            if not (members := self.members(vip)):
                continue
            drained = {node for node in members if node in self.drained or vip in self.leaving[node]}
            if drained == set(members):
                drained = set()
            counts = self.site.buckets(vip)
            full = [counts[node.name] for node in members if node not in drained]
            if any(counts[node.name] for node in drained) or max(full) - min(full) > 1:
                return f"{vip}: {counts}, drained {drained}"
        return ""

    def truthful(self) -> str:
        groups = {group["id"]: group for group in self.request("GET", "/v1/groups")}  # type: ignore[attr-defined]
        found = {entry["id"]: entry for entry in self.site.nexthops()}
        kernel = {id_ for id_, entry in found.items() if "group" in entry}
        if kernel != groups.keys():
            return f"groups: kernel {sorted(kernel)}, routerd {sorted(groups)}"
        routes = sum(bool(self.members(vip)) for vip in VIPS)
        if not CROWD and len(kernel) != routes:
            return f"{len(kernel)} groups for {routes} prefixes"
        singles = {id_ for id_ in found if id_ not in kernel}
        wanted = {m["nexthop_id"] for group in groups.values() for m in group["members"]}
        if singles != wanted:
            return f"nexthops: kernel {sorted(singles)}, routerd {sorted(wanted)}"
        for id_, group in groups.items():
            with inside(self.site.router):
                counts = Counter(owner for _, owner, _ in lookup.buckets(id_))
            told = {m["nexthop_id"]: m["buckets"] for m in group["members"]}
            if {member: count for member, count in told.items() if count} != counts:
                return f"group {id_}: kernel {counts}, routerd {told}"
        peers = {peer["address"]: peer["state"] for peer in self.request("GET", "/v1/peers")}  # type: ignore[attr-defined]
        for node in self.present():
            if peers.get(node.ipv4) != "established":
                return f"{node} is {peers.get(node.ipv4)}"
        return ""


def _descends(pid: int, from_: int) -> bool:
    while pid > 1:
        if pid == from_:
            return True
        try:
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rsplit(")", 1)[1].split()[1])
        except FileNotFoundError:
            return False
    return False


@pytest.fixture
def built() -> Iterator[Site]:
    fib = f"idle_timer = {IDLE:g}\naudit_interval = 2\n{FIB}"
    with TemporaryDirectory() as kept, cluster(configuration(fib=fib, state_file=f"{kept}/drains"), NODES) as site:
        site.router.run("sysctl", "-qw", "net.ipv6.conf.all.keep_addr_on_down=1")
        for node in site.nodes:
            for vip in VIPS:
                node.namespace.ip(f"address add {vip} dev lo" + (" nodad" if ":" in vip else ""))
        site.start()
        yield site


@pytest.fixture
def client(built: Site) -> Iterator[flows.Flows]:
    with flows.client(built.fabric.client) as running:
        yield running


def test_no_flow_breaks(built: Site, client: flows.Flows) -> None:
    story = Story(built, client, SEED)
    for node in built.nodes:
        story.said[node] = set(VIPS if CROWD else story.chance.sample(VIPS, 5))
        story.dial(node)
    end, rounds = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end:
            rounds += 1
            story.settled()
            story.open_flows()
            for _ in range(story.chance.randint(1, 20)):
                story.step()
                story.check(wait=False)
            story.settled()
            story.check(wait=True)
            if rounds % 5 == 0:
                story.calm()
    except BaseException:
        print("\n".join(story.past[-40:]))
        print(built.daemon.log.read_text()[-12000:])
        raise
    finally:
        print(f"seed {SEED}: {rounds} rounds, {dict(story.count)}")
