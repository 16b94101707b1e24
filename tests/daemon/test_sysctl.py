"""The kernel settings that the daemon needs: set, reported with what was found before, and explained if it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, running
from tests.support.netns import needs_root

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
    with running(network.router, tmp_path) as daemon:
        network.router.sysctl(net__ipv4__ip_forward=0)
        assert daemon.problems() == {"sysctl": "net.ipv4.ip_forward is 0, wanted 1"}
        shown = daemon.cli("status")
        assert shown.returncode == 1
        assert "1 not as wanted: net.ipv4.ip_forward" in shown.stdout
        assert "do  sysctl -w net.ipv4.ip_forward=1" in shown.stdout
        network.router.sysctl(net__ipv4__ip_forward=1)
        assert daemon.cli("status").returncode == 0


async def test_a_read_only_proc_sys_is_told_and_routing_goes_on(network: Network, tmp_path: Path) -> None:
    network.router.sysctl(net__ipv4__ip_forward=0, net__ipv4__fib_multipath_hash_policy=0)
    daemon = Routerd(network.router, tmp_path)
    try:
        daemon.start(wrapper=readonly("/proc/sys"))
        wrong = {view["name"]: view for view in daemon.status()["sysctls"] if not view["ok"]}
        assert wrong.keys() >= {"net.ipv4.ip_forward", "net.ipv4.fib_multipath_hash_policy"}
        remedy = "sysctl -w net.ipv4.ip_forward=1  # cannot write it: Read-only file system"
        assert [p["remedy"] for p in daemon.status()["problems"] if "net.ipv4.ip_forward" in p["what"]] == [
            "sysctl -w net.ipv4.ip_forward=1"
        ]
        logged = [json.loads(line) for line in daemon.log.read_text().splitlines()]
        assert remedy in [line.get("remedy") for line in logged if line["event"] == "sysctl"]
        shown = daemon.cli("status")
        assert shown.returncode == 1
        assert "problem  sysctl: net.ipv4.ip_forward is 0, wanted 1" in shown.stdout
        assert "do  sysctl -w net.ipv4.ip_forward=1" in shown.stdout
        async with await network.establish(0) as client:
            client.send(announcement(0, "172.16.1.1"))
            await network.has("172.16.1.1", 0)
    finally:
        daemon.kill()


def test_settings_are_left_alone_if_asked(network: Network, tmp_path: Path) -> None:
    network.router.sysctl(net__ipv4__ip_forward=0)
    with running(network.router, tmp_path, config("manage_sysctls = false")) as daemon:
        assert network.router.run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"
        assert "net.ipv4.ip_forward is 0, wanted 1" in [problem["what"] for problem in daemon.status()["problems"]]
