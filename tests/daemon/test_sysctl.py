"""The kernel settings that the daemon needs: set, reported with what was found before, and explained if it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, node, node6, running
from tests.failover.agents import logged
from tests.support.netns import needs_root, veth

pytestmark = needs_root

COMMON = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.nexthop_compat_mode": "1",
}
FIELDS = {f"net.ipv{v}.fib_multipath_hash_fields": "55" for v in (4, 6)}


def policy(number: str) -> dict[str, str]:
    return {f"net.ipv{v}.fib_multipath_hash_policy": number for v in (4, 6)}


def config(fib: str) -> str:
    return CONFIG.replace("[api]", f"[fib]\n{fib}\n\n[api]")


def readonly(mount: str) -> list[str]:
    """A command that runs another one with a part of /proc/sys mounted read-only."""
    script = f'mount --bind {mount} {mount} && mount -o remount,bind,ro {mount} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("l3", policy("0")), ("l4", policy("1")), ("five-tuple", policy("3") | FIELDS)],
)
def test_settings_are_made_and_reported(network: Network, tmp_path: Path, name: str, wanted: dict[str, str]) -> None:
    wanted = wanted | COMMON
    before = {"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"}
    before |= dict.fromkeys(policy(""), "2") | {"net.ipv4.nexthop_compat_mode": "0"}
    network.router.sysctl(**{key.replace(".", "__"): value for key, value in before.items()})
    before |= {key: network.router.run("sysctl", "-n", key).strip() for key in wanted.keys() - before.keys()}
    with running(network.router, tmp_path, config(f'hash_policy = "{name}"')) as daemon:
        assert {key: network.router.run("sysctl", "-n", key).strip() for key in wanted} == wanted
        found = {view["name"]: view for view in daemon.status()["sysctls"]}
        assert {key: view["wanted"] for key, view in found.items()} == wanted
        assert {key: view["current"] for key, view in found.items()} == wanted
        assert {key: view["found"] for key, view in found.items()} == before
        assert all(view["ok"] and not view["remedy"] for view in found.values())
        shown = daemon.cli("status")
        assert shown.returncode == 0
        number = wanted["net.ipv4.fib_multipath_hash_policy"]
        assert f"{len(wanted)} as wanted (fib_multipath_hash_policy = {number})" in shown.stdout
        logged = [json.loads(line) for line in daemon.log.read_text().splitlines()]
        assert {line["name"] for line in logged if line["event"] == "sysctl"} == set(wanted)


def test_what_somebody_changes_later_is_told(network: Network, tmp_path: Path) -> None:
    network.router.sysctl(**{key.replace(".", "__"): value for key, value in (COMMON | policy("1")).items()})
    with running(network.router, tmp_path, config("manage_sysctls = false")) as daemon:
        assert daemon.problems() == {}
        network.router.sysctl(net__ipv4__ip_forward=0)
        assert daemon.problems() == {"sysctl": "net.ipv4.ip_forward is 0, wanted 1"}
        shown = daemon.cli("status")
        assert shown.returncode == 1
        assert "1 not as wanted: net.ipv4.ip_forward" in shown.stdout
        assert "do  sysctl -w net.ipv4.ip_forward=1" in shown.stdout
        network.router.sysctl(net__ipv4__ip_forward=1)
        assert daemon.cli("status").returncode == 0


async def test_what_somebody_changes_later_is_set_again(network: Network, tmp_path: Path) -> None:
    """By event if it is of an interface, or of all; at once if it is of the hash; else at the next audit."""
    with running(network.router, tmp_path) as daemon:
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.fib_multipath_hash_policy"):
            network.router.run("sysctl", "-qw", f"{name}=0")
            await becomes(lambda name=name: network.router.run("sysctl", "-n", name).strip(), "1")
            await becomes(lambda name=name: told(daemon, name), [("0", "1", "warning")])
        assert daemon.problems() == {}


def told(daemon: Routerd, name: str) -> list[tuple[str, str, str]]:
    """What the log says of a setting that was changed: its value then and now, and the level."""
    entries = [entry for entry in logged(daemon, "sysctl was changed by someone else") if entry["name"] == name]
    return [(entry["was"], entry["current"], entry["level"]) for entry in entries]


async def test_settings_follow_the_interfaces(network: Network, tmp_path: Path) -> None:
    """An interface that is made anew, under the same name, has the kernel's defaults."""
    router, nodes = network.router, network.nodes

    def probing() -> set[str]:
        names = [f"net.ipv{v}.neigh.eth0.mcast_solicit" for v in (4, 6)]
        return set(router.run("sysctl", "-n", *names, check=False).split())

    def shown() -> set[str]:
        return {view["name"] for view in daemon.status()["sysctls"] if "neigh" in view["name"]}

    with running(router, tmp_path) as daemon:
        for anew in (False, True):
            if anew:
                router.ip("link", "delete", "eth0")
                await becomes(shown, set())
                assert daemon.problems().keys() <= {"range 10.0.0.64/26"}  # its one node has left
                veth(router, "eth0", nodes, "eth0")
                router.address("eth0", "10.0.0.1/24", "fd00::1/64")
                nodes.address("eth0", f"{node(0)}/24", f"{node6(0)}/64")
                assert probing() == {"3"}
            async with await network.establish(0) as client:
                client.send(announcement(0, "172.16.1.1") + announcement(0, "fd00:ac10::1"))
                await network.has("172.16.1.1", 0)
                await network.has("fd00:ac10::1", 0)
                await becomes(probing, {"5"})
                assert len(shown()) == 9
                assert daemon.problems() == {}
        router.ip("link", "set", "eth0", "down")
        router.ip("link", "set", "eth0", "name", "lan.10")  # a dot, as VLANs have it
        router.ip("link", "set", "lan.10", "up")
        async with await network.establish(0) as client:
            client.send(announcement(0, "172.16.1.1"))
            await network.has("172.16.1.1", 0)
            await becomes(
                shown,
                {f"net/ipv4/neigh/lan.10/{n}" for n in ("ucast_solicit", "mcast_solicit", "mcast_resolicit")}
                | {f"net/ipv4/neigh/lan.10/{n}" for n in ("retrans_time_ms", "locktime")},
            )
            assert "sysctl" not in daemon.problems()


async def test_a_read_only_proc_sys_is_told_and_routing_goes_on(network: Network, tmp_path: Path) -> None:
    network.router.sysctl(net__ipv4__ip_forward=0, net__ipv4__fib_multipath_hash_policy=0)
    daemon = Routerd(network.router, tmp_path, config("audit_interval = 1"))
    try:
        daemon.start(wrapper=readonly("/proc/sys"))
        wrong = {view["name"]: view for view in daemon.status()["sysctls"] if not view["ok"]}
        assert wrong.keys() >= {"net.ipv4.ip_forward", "net.ipv4.fib_multipath_hash_policy"}
        remedy = "sysctl -w net.ipv4.ip_forward=1  # cannot write it: Read-only file system"
        assert [p["remedy"] for p in daemon.status()["problems"] if "net.ipv4.ip_forward" in p["what"]] == [
            "sysctl -w net.ipv4.ip_forward=1"
        ]
        lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
        assert remedy in [line.get("remedy") for line in lines if line["event"] == "sysctl"]
        shown = daemon.cli("status")
        assert shown.returncode == 1
        assert "problem  sysctl: net.ipv4.ip_forward is 0, wanted 1" in shown.stdout
        assert "do  sysctl -w net.ipv4.ip_forward=1" in shown.stdout
        async with await network.establish(0) as client:
            client.send(announcement(0, "172.16.1.1"))
            await network.has("172.16.1.1", 0)
        # They are verified again and again: somebody has changed this one, the others nobody.
        network.router.sysctl(net__ipv4__fib_multipath_hash_policy=2)
        await becomes(lambda: logged(daemon, "sysctl was changed by someone else"))
        changed = {line["name"] for line in logged(daemon, "sysctl was changed by someone else")}
        assert changed == {"net.ipv4.fib_multipath_hash_policy"}
    finally:
        daemon.kill()


def test_settings_are_left_alone_if_asked(network: Network, tmp_path: Path) -> None:
    network.router.sysctl(net__ipv4__ip_forward=0)
    with running(network.router, tmp_path, config("manage_sysctls = false")) as daemon:
        assert network.router.run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"
        assert "net.ipv4.ip_forward is 0, wanted 1" in [problem["what"] for problem in daemon.status()["problems"]]
