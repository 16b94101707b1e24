"""The seed of the kernel's hash: the same for all who share a secret, shown to nobody, set and kept."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from operator import ne
from pathlib import Path

import pytest
import structlog

from routerd.api.views.kernel import sysctl
from routerd.config.model import FibSection
from routerd.core.message import Member
from routerd.core.route import Address
from routerd.kernel.hash_seed import PATH, HashSeed, derived, fingerprint, hash_seed
from routerd.kernel.writer import KernelWriter
from routerd.service import settings
from routerd.service.settings import Settings
from tests.kernel.scenario import FIB
from tests.kernel.test_arranging import arrange, made, shuffled
from tests.support.netns import Namespace, needs_root, router, routing

__all__ = ["router"]

NAME = "net.ipv4.fib_multipath_hash_seed"
POLICIES = [
    *((f"net.{family}.fib_multipath_hash_policy", "3", "1") for family in ("ipv4", "ipv6")),
    ("net.ipv4.fib_multipath_hash_fields", "55", "7"),
]


def test_a_secret_has_one_seed() -> None:
    assert derived(b"a secret") == derived(b"a secret") == 0x3F2CF069
    assert derived(b"another") != derived(b"a secret")
    assert all(0 < derived(str(number).encode()) < 1 << 32 for number in range(1000))


def test_a_seed_that_would_be_zero_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bytes] = []

    def digest(_: bytes, text: bytes, __: str) -> bytes:
        said.append(text)
        return bytes(32) if len(said) < 3 else bytes([0, 0, 0, 7]) + bytes(28)

    monkeypatch.setattr("hmac.digest", digest)
    assert derived(b"") == 7
    assert len(set(said)) == 3


def test_a_kernel_without_it_is_told_of(tmp_path: Path) -> None:
    seed = HashSeed(7, tmp_path / "none")
    view = sysctl(seed.set())
    assert (view["current"], view["ok"]) == ("", False)
    assert view["remedy"].startswith("use Linux 6.11 or newer")


@needs_root
def test_it_is_set_where_nothing_moves_and_kept(router: Namespace) -> None:
    with router.enter():
        wanted = Settings(FIB)
        wanted.begin()
        wanted.want_seed(12345)
        assert PATH.read_text() == "12345\n"
        (view,) = [sysctl(state) for state in wanted.read() if state.name == NAME]
        assert view["ok"]
        assert (view["found"], view["current"]) == ("random", fingerprint(12345))
        assert "12345" not in str(view)
        PATH.write_text("6\n")
        with structlog.testing.capture_logs() as logs:
            wanted.verify()
        assert PATH.read_text() == "12345\n"
        assert [line["event"] for line in logs] == ["sysctl was changed by someone else"]
        assert "12345" not in str(logs)


@needs_root
@pytest.mark.parametrize(("name", "was", "other"), [(NAME, "12345", "6"), *POLICIES])
async def test_another_one_is_noticed_though_nobody_tells(
    router: Namespace, monkeypatch: pytest.MonkeyPatch, name: str, was: str, other: str
) -> None:
    """So is another policy, as when somebody has the files of sysctl.d set again: each moves flows."""
    monkeypatch.setattr(settings, "HASH_LOOK", 0.01)
    path = Path("/proc/sys", *name.split("."))
    with router.enter():
        wanted = Settings(FibSection(nexthop_id_base=1, hash_policy="five-tuple"))
        wanted.begin()
        wanted.want_seed(12345)
        keeping = asyncio.create_task(wanted.keep())
        await asyncio.sleep(0.05)
        assert path.read_text() == f"{was}\n"
        path.write_text(f"{other}\n")
        for _ in range(50):
            if path.read_text() == f"{was}\n":
                break
            await asyncio.sleep(0.01)
        keeping.cancel()
        assert path.read_text() == f"{was}\n"


@needs_root
def test_under_flows_it_is_set_on_request_alone(router: Namespace) -> None:
    with router.enter():
        writer = KernelWriter(FIB)
        made(writer, 4)
        wanted = Settings(FIB)
        wanted.begin()
        wanted.want_seed(12345)
        wanted.verify()
        assert PATH.read_text() == "0\n"
        assert wanted.unset == "there were flows when it was to be set, and each moves once"
        (view,) = [sysctl(state) for state in wanted.read() if state.name == NAME]
        assert (view["ok"], view["wanted"], view["current"]) == (False, fingerprint(12345), "random")
        assert view["remedy"] == "routerd pair --set-seed  # moves every flow once"
        state = wanted.set_seed()
        assert state is not None
        assert state.ok
        assert not wanted.unset
        assert (PATH.read_text(), hash_seed()) == ("12345\n", fingerprint(12345))
        again = Settings(FIB)
        again.want_seed(12345)
        assert all(state.ok for state in again.read() if state.name == NAME)
        assert not again.unset
        again.want_seed(0)
        assert not [state for state in again.read() if state.name == NAME]
        writer.close()


@needs_root
def test_whom_it_does_not_manage_it_leaves_alone(router: Namespace) -> None:
    with router.enter():
        wanted = Settings(FibSection(nexthop_id_base=1, manage_sysctls=False))
        wanted.want_seed(12345)
        wanted.verify()
        assert PATH.read_text() == "0\n"
        assert wanted.unset == "[fib] manage_sysctls is false"


@needs_root
def test_a_seed_that_cannot_be_written_is_not_put_down_to_flows(router: Namespace, tmp_path: Path) -> None:
    """As in a container, whose /proc/sys is read-only."""
    text = (
        "from routerd.config.model import FibSection; from routerd.service.settings import Settings; "
        "wanted = Settings(FibSection()); wanted.want_seed(7); print(wanted.unset)"
    )
    script = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"'
    shown = router.run("unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", text)
    assert shown.splitlines()[-1] == "cannot write it: Read-only file system"


@needs_root
@pytest.mark.parametrize("family", [4, 6])
def test_two_routers_of_one_seed_and_layout_lead_each_flow_alike(family: int) -> None:
    first = chosen(family, seed=12345, layout=1)
    alike = chosen(family, seed=12345, layout=1, members=(3, 1, 2))
    assert alike == first
    assert len(set(first)) == 3
    for other in (chosen(family, seed=54321, layout=1), chosen(family, seed=12345, layout=2)):
        assert 100 < sum(map(ne, first, other)) < 300


def chosen(family: int, seed: int, layout: int, members: tuple[int, ...] = (1, 2, 3)) -> list[Address]:
    """Return the gateways of 300 flows on a router with this seed, whose group began with members in this order."""
    with routing() as router, router.enter():
        router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        wanted = Settings(FibSection(nexthop_id_base=1, hash_policy="five-tuple"))
        wanted.want_seed(seed)
        wanted.begin()
        writer = KernelWriter(FIB)
        group, traffic = made(writer, family)
        if members != (1, 2, 3):
            others = replace(group, members=tuple(map(Member, members)), known=True)
            assert writer.write([others]) == []
        arrange(writer, shuffled(group, layout))
        found = [traffic.send(port).address for port in range(1000, 1300)]
        writer.close()
        return found
