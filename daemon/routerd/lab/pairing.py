"""Two routers of the lab: their configurations, how one dies and boots, and whether their kernels lead alike."""

from __future__ import annotations

import json
from pathlib import Path

from routerd.lab.daemon import LAB_CONFIG
from routerd.lab.laboratory import Laboratory, bgp_route
from routerd.lab.topology import BETWEEN, NODES_10, PAIR, Router
from routerd.lab.waiting import until

SEED = "net.ipv4.fib_multipath_hash_seed"


def paired(router: Router, directory: Path) -> str:
    """Return the configuration of a router of the two: the lab's, with a partner and the five-tuple."""
    (partner,) = (other for other in PAIR if other != router)
    key = directory / "pair.key"
    if not key.exists():
        key.write_text("the lab's two routers know it\n")
        key.chmod(0o600)
    text = LAB_CONFIG.read_text()
    text = text.replace('hash_policy = "l4"', 'hash_policy = "five-tuple"')
    text = text.replace(f'router_id = "{NODES_10.address4(200)}"', f'router_id = "{NODES_10.address4(router.host)}"')
    return f"""{text}
[pair]
router = "{router.name}"
partner = "{partner.name}"
address = "{BETWEEN.address4(partner.host)}"
listen = "{BETWEEN.address4(router.host)}"
key_file = "{key}"
"""


def switched_on(lab: Laboratory, router: Router) -> None:
    """Boot a router with nothing in its kernel, and a seed of its own, as another machine has one."""
    namespace = lab.fabric.routers[router.name]
    until(lambda: _emptied(lab, router), 10, f"{router.name}: an empty kernel")
    namespace.sysctl(SEED, str(1000 + router.host))
    for cable in lab.topology.cables(router):
        lab.fabric.plug(cable)
    lab.daemons[router.name].start()


def _emptied(lab: Laboratory, router: Router) -> str:
    lab.fabric.routers[router.name].attempt("ip", "nexthop", "flush")
    return lab.fabric.routers[router.name].run("ip", "nexthop", "show")


def killed(lab: Laboratory, router: Router) -> None:
    """Let a router die, as by a power cut: its cables first, so that no farewell gets out."""
    for cable in lab.topology.cables(router):
        lab.fabric.unplug(cable)
    lab.daemons[router.name].kill()


def layout(lab: Laboratory, router: Router, address: str) -> list[str]:
    """Return the gateway of each bucket of the route to an address, as `ip` shows them; empty without a group."""
    namespace = lab.fabric.routers[router.name]
    group = bgp_route(namespace, address).get("nhid")
    if group is None:
        return []
    done = namespace.attempt("ip", "-json", "nexthop", "bucket", "show", "id", str(group))
    objects = {
        each["id"]: each.get("gateway", "") for each in json.loads(namespace.run("ip", "-j", "nexthop", "show"))
    }
    buckets = json.loads(done.stdout or "[]") if done.returncode == 0 else []
    return [objects.get(each["bucket"]["nhid"], "") for each in buckets]


def wait_for_agreement(lab: Laboratory, timeout: float) -> float:
    """Wait until both kernels lead every flow to the VIPs to the same node; return the seconds that it took."""

    def differing() -> str:
        if len({lab.fabric.routers[router.name].sysctl(SEED) for router in PAIR}) > 1:
            return "the seeds differ"
        for vip in lab.topology.vips:
            here, there = (layout(lab, router, vip) for router in PAIR)
            if not here or here != there:
                count = sum(one != other for one, other in zip(here, there, strict=False))
                return f"{count} of {len(here)} buckets of {vip} differ"
        return ""

    return until(differing, timeout, "both routers lead alike")
