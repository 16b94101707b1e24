"""Kernel settings: set, read-only, absent."""

import asyncio
import sys
from pathlib import Path
from typing import Literal

import pytest

from routerd.api.views.kernel import sysctl
from routerd.config.model import FibSection
from routerd.kernel.sysctl import SettingChanges, Sysctls, hash_policy, wanted
from tests.support.netns import Namespace, needs_root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A stand-in for /proc/sys with everything off."""
    for name in wanted(FibSection(hash_policy="five-tuple")):
        path = tmp_path.joinpath(*name.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0\n")
    return tmp_path


def test_set_and_remembered(tree: Path) -> None:
    sysctls = Sysctls(FibSection(), tree)
    before = sysctls.apply(manage=False)
    assert {(view.found, view.current, view.ok) for view in before} == {("0", "0", False)}
    assert sysctl(before[0])["remedy"] == "sysctl -w net.ipv4.ip_forward=1"
    after = sysctls.apply(manage=True)
    assert {(view.found, view.current, view.ok, sysctl(view)["remedy"]) for view in after} == {("0", "1", True, "")}


def test_configured_anew(tree: Path) -> None:
    sysctls = Sysctls(FibSection(), tree)
    sysctls.apply(manage=True)
    sysctls.configure(FibSection(hash_policy="five-tuple", max_paths=500))
    views = {view.name: view for view in sysctls.apply(manage=True)}
    assert views["net.ipv4.fib_multipath_hash_policy"].current == "3"
    assert views["net.ipv4.fib_multipath_hash_policy"].found == "0"
    assert views["net.ipv6.fib_multipath_hash_fields"].current == "55"
    assert views["net.ipv4.nexthop_compat_mode"].current == "0"


@pytest.mark.parametrize("policy", ["l4", "five-tuple"])
def test_flows_are_spread_otherwise_once_the_hash_is_set_otherwise(
    tree: Path, policy: Literal["l4", "five-tuple"]
) -> None:
    sysctls = Sysctls(FibSection(), tree)
    sysctls.configure(FibSection(hash_policy=policy))
    assert not sysctls.rehashed({})
    left = {state.name: state.current for state in sysctls.apply(manage=True)}
    hashing = {name for name in left if "multipath_hash" in name}
    assert not sysctls.rehashed(left)
    for name, value in left.items():
        path = tree.joinpath(*name.split("."))
        path.write_text("2\n")
        assert sysctls.stands() is (name not in hashing)
        assert sysctls.rehashed(left) is (name in hashing)
        path.write_text(f"{value}\n")
        assert not sysctls.rehashed(left)
    assert len(hashing) == (4 if policy == "five-tuple" else 2)
    sysctls.close()


def test_interfaces_come_and_go(tree: Path) -> None:
    sysctls = Sysctls(FibSection(), tree)
    for name in ("eth0", "eth1.10"):
        directory = tree / "net/ipv4/neigh" / name
        directory.mkdir(parents=True)
        (directory / "ucast_solicit").write_text("3\n")
        sysctls.follow({f"net/ipv4/neigh/{name}/ucast_solicit": "5"})
        (view,) = (view for view in sysctls.apply(manage=True) if "neigh" in view.name)
        assert (view.name, view.found, view.ok) == (f"net/ipv4/neigh/{name}/ucast_solicit", "3", True)
    sysctls.follow({})
    assert not [view for view in sysctls.apply(manage=True) if "neigh" in view.name]


def test_absent(tmp_path: Path) -> None:
    for view in Sysctls(FibSection(), tmp_path).apply(manage=True):
        assert (view.found, view.current, view.ok) == ("", "", False)
        assert sysctl(view)["remedy"].startswith(f"sysctl -w {view.name}={view.wanted}")
        assert "cannot read it: No such file" in sysctl(view)["remedy"]


@needs_root
def test_the_real_ones(router: Namespace) -> None:
    router.sysctl(net__ipv4__ip_forward=0)
    with router.enter():
        sysctls = Sysctls(FibSection(hash_policy="five-tuple"))
        sysctls.apply(manage=True)
        views = {view.name: view for view in sysctls.apply(manage=True)}
    assert all(view.ok for view in views.values())
    assert views["net.ipv4.ip_forward"].found == "0"
    assert router.run("sysctl", "-n", "net.ipv6.fib_multipath_hash_fields").strip() in ("55", "0x0037")
    assert router.run("sysctl", "-n", "net.ipv4.fib_multipath_hash_policy") == "3\n"


@needs_root
def test_the_policy_is_called_what_the_kernel_does(router: Namespace) -> None:
    with router.enter():
        assert hash_policy() == "l3"
        for word in ("l4", "five-tuple"):
            Sysctls(FibSection(hash_policy=word)).apply(manage=True)
            assert hash_policy() == word
        router.sysctl(net__ipv6__fib_multipath_hash_fields=7)
        assert hash_policy() == "five-tuple and 3 of fields 7"
        router.sysctl(net__ipv4__fib_multipath_hash_policy=2)
        assert hash_policy() == "2 and 3 of fields 7"


def test_a_kernel_without_ipv6_has_one_policy(tmp_path: Path) -> None:
    assert hash_policy(tmp_path) == ""
    policy = tmp_path / "net/ipv4/fib_multipath_hash_policy"
    policy.parent.mkdir(parents=True)
    policy.write_text("1\n")
    assert hash_policy(tmp_path) == "l4"


@needs_root
def test_read_only(router: Namespace) -> None:
    """As in a container, or under ProtectKernelTunables."""
    script = (
        "mount -o bind,ro /proc/sys /proc/sys 2>/dev/null || (mount -o bind /proc/sys /proc/sys"
        " && mount -o remount,bind,ro /proc/sys); exec $0 -c '"
        "from routerd.kernel.sysctl import *; v = Sysctls(FibSection()).apply(True)[0];"
        "print(v.ok, v.problem)'"
    )
    router.sysctl(net__ipv4__ip_forward=0)
    output = router.run("unshare", "-m", "sh", "-c", script, sys.executable)
    assert output == "False cannot write it: Read-only file system\n"


@needs_root
async def test_changes_are_heard(router: Namespace) -> None:
    with router.enter():
        changes = SettingChanges()
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.eth0.forwarding=0"):
            waiting = asyncio.create_task(changes.heard())
            await asyncio.sleep(0)
            assert not waiting.done()
            router.run("sysctl", "-qw", setting)
            await asyncio.wait_for(waiting, 5)
        changes.close()


def test_what_flows_are_spread_by_is_read_anew_each_time(tree: Path) -> None:
    """Though the files stay open."""
    sysctls = Sysctls(FibSection(), tree)
    policy = "net.ipv4.fib_multipath_hash_policy"
    assert not sysctls.rehashed({policy: "0"})
    assert sysctls.stands()
    (tree / policy.replace(".", "/")).write_text("1\n")
    assert not sysctls.stands()
    assert sysctls.rehashed({policy: "0"})
    assert sysctls.stands()
    sysctls.close()
    assert not sysctls.rehashed({policy: "1"})
    sysctls.close()


def test_what_flows_are_spread_by_may_not_be_there(tmp_path: Path) -> None:
    sysctls = Sysctls(FibSection(), tmp_path)
    left = {state.name: state.current for state in sysctls.apply(manage=True)}
    assert not sysctls.rehashed(left)
    assert sysctls.stands()
    assert sysctls.rehashed(dict.fromkeys(left, "1"))
    sysctls.close()
