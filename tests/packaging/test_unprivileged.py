"""routerd as an ordinary user with two capabilities, as the systemd unit and the container run it."""

from __future__ import annotations

import asyncio
import grp
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routerd.api.models import StatusView
from routerd.cli.client import ApiError, Client
from routerd.config.model import LivenessSection
from routerd.kernel.neighbour import settings
from tests.support import bgp
from tests.support.netns import Namespace, namespace, needs_root, veth
from tests.support.nobody import NOBODY, as_nobody, everybodys_python

pytestmark = needs_root

ROOT = Path(__file__).parents[2]
CAPABILITIES = ("net_admin", "net_bind_service")
BIND = 1 << 10
MASK = 1 << 12 | BIND
"""The two as the kernel numbers them (linux/capability.h)."""

CONFIG = """
[router]
asn = 65000
router_id = "10.0.0.1"
networks = ["10.10.1.0/24"]
[api]
socket = "{socket}"
group = "{group}"
[drain]
state_file = ""
[peer_groups.nodes]
accept = ["172.16.0.0/16", "fd00:ac10::/64"]
advertise = ["networks"]
[[dynamic_peers]]
range = "10.0.0.0/24"
group = "nodes"
"""


@pytest.fixture
def top() -> Iterator[Path]:
    """A directory that everybody may enter, with a copy of the interpreter. /tmp may be mounted nosuid."""
    with everybodys_python() as path:
        (path / "run").mkdir(mode=0o750)
        shutil.chown(path / "run", NOBODY, NOBODY)
        config = CONFIG.format(socket=path / "run" / "routerd.sock", group=grp.getgrgid(NOBODY).gr_name)
        (path / "routerd.toml").write_text(config)
        (path / "routerd.toml").chmod(0o644)
        yield path


@contextmanager
def daemon(router: Namespace, top: Path, *privileges: str) -> Iterator[subprocess.Popen[str]]:
    """Run routerd as nobody, with `privileges` for setpriv; yield it once its API answers."""
    only = "-all," + ",".join(f"+{name}" for name in CAPABILITIES)
    user = as_nobody(top, "--bounding-set", only, *privileges, writable_sysctls=False)
    python = (str(top / "bin" / "python"), "-m", "routerd", "run", "--config", str(top / "routerd.toml"))
    command = (*user, *python)
    with (top / "log").open("w") as log:
        process = router.spawn(*command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def status(process: subprocess.Popen[str], top: Path) -> StatusView:
    """Return the status once the API answers and the speaker listens."""
    async with asyncio.timeout(20):
        while process.poll() is None:
            try:
                answer: StatusView = Client(str(top / "run" / "routerd.sock")).get("/v1/status")
                if answer["speaker"]["running"]:
                    return answer
            except ApiError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError((top / "log").read_text())


def credentials(pid: int) -> tuple[set[str], int, int]:
    """Return the four user ids, the effective and the bounding capabilities of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return set(fields["Uid"].split()), int(fields["CapEff"], 16), int(fields["CapBnd"], 16)


def privileges_of(pid: int) -> dict[str, int]:
    """Return what else a process has, and whether an exec could give it more."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(fields[name], 16) for name in ("CapPrm", "CapInh", "CapAmb", "NoNewPrivs")}


async def once(question: Callable[[], str]) -> str:
    """Return the first answer that is not empty."""
    for _ in range(500):
        if answer := question():
            return answer
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about within 10 s")


def routes(router: Namespace, family: str) -> str:
    """Return the kernel's BGP routes of a family."""
    return router.ip(family, "route", "show", "proto", "bgp")


AMBIENT = ",".join(f"+{name}" for name in CAPABILITIES)
WAYS = {
    "ambient": ("--inh-caps", f"-all,{AMBIENT}", "--ambient-caps", f"-all,{AMBIENT}", "--no-new-privs"),
    "file": ("--inh-caps", "-all"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_an_ordinary_user_with_two_capabilities(top: Path, way: str) -> None:
    """`ambient` is what systemd grants; `file` are capabilities of the interpreter, as in the container image."""
    if way == "file":
        every = ",".join(f"cap_{name}" for name in CAPABILITIES)
        subprocess.run(["setcap", f"{every}+ep", top / "bin" / "python"], check=True)
    with namespace("router") as router, namespace("node") as node:
        veth(router, "eth0", node, "eth0")
        router.address("eth0", "10.0.0.1/24", "fd00::1/64")
        node.address("eth0", "10.0.0.2/24", "fd00::2/64")
        router.run("sysctl", "-q", "-e", "-p", str(ROOT / "systemd" / "sysctl.d" / "90-routerd.conf"))
        for name, value in settings(
            LivenessSection(), [("eth0", 4), ("eth0", 6)]
        ).items():  # which routerd cannot write here
            router.run("sysctl", "-qw", f"{name}={value}")
        with daemon(router, top, *WAYS[way]) as process:
            first = await status(process, top)
            child = first["speaker"]["pid"]
            assert child is not None
            assert credentials(process.pid) == ({str(NOBODY)}, MASK, MASK)
            assert credentials(child) == ({str(NOBODY)}, BIND, MASK), "the child that reads what peers send"
            assert privileges_of(child) == {"CapPrm": BIND, "CapInh": 0, "CapAmb": 0, "NoNewPrivs": 1}
            assert (first["problems"], first["ok"]) == ([], True)
            assert {view["ok"] for view in first["sysctls"]} == {True}

            with node.enter():
                client = await _dial(process, top)
            async with client:
                await client.establish()
                client.send(bgp.update(bgp.attributes("10.0.0.2", [65001]), ["172.16.0.1/32"]))
                six = bgp.attributes(as_path=[65001]) + bgp.mp_reach("fd00::2", ["fd00:ac10::1/128"])
                client.send(bgp.update(six))
                assert "172.16.0.1 nhid" in await once(lambda: routes(router, "-4"))
                assert "fd00:ac10::1 nhid" in await once(lambda: routes(router, "-6"))
                groups = [n for n in router.ip_json("nexthop", "show") if "group" in n]
                assert {group["type"] for group in groups} == {"resilient"}
                socket = top / "run" / "routerd.sock"
                assert (socket.stat().st_uid, socket.stat().st_mode & 0o777) == (NOBODY, 0o660)
                assert (await status(process, top))["ok"]

                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 10) == 0
            assert not Path(f"/proc/{child}").exists()
            assert "172.16.0.1" in routes(router, "-4"), "the FIB stays"


async def _dial(process: subprocess.Popen[str], top: Path) -> bgp.Client:
    """Dial in once routerd listens."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await bgp.connect("10.0.0.1")
            except ConnectionRefusedError:
                assert process.poll() is None, (top / "log").read_text()
                await asyncio.sleep(0.05)
