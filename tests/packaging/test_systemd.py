"""What is installed beside the program: the unit, the kernel settings, the user, the example configuration."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from routerd.config.load import check, load
from routerd.config.model import FibSection, LivenessSection
from routerd.kernel import compat
from routerd.kernel.neighbour import settings
from routerd.kernel.sysctl import PROC_SYS, wanted

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "routerd.service"
EXPOSURE = 2.0
"""What `systemd-analyze security` may count at most; 1.9 of it are the network and the two capabilities."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


class _Unit(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    unit = _Unit(strict=False)
    unit.read(UNIT)
    return unit["Service"]


@pytest.fixture
def runnable(tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/routerd/bin/routerd", shutil.which("true") or "/bin/true"))
    return path


@needs_systemd
def test_unit_is_valid(runnable: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", runnable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_unit_is_confined(runnable: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(runnable)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    exposure = re.search(r"Overall exposure level .*: ([\d.]+)", output)
    assert exposure is not None, output
    assert float(exposure[1]) <= EXPOSURE, output


def test_commands_exist(service: configparser.SectionProxy) -> None:
    program = "/opt/routerd/bin/routerd"
    journal = f"/var/lib/{service['StateDirectory']}/journal.json"
    assert service["ExecStart"] == f"{program} run --config /etc/routerd/routerd.toml --journal {journal}"
    assert service["ExecReload"] == f"{program} reload"
    check(ROOT / "config" / "routerd.toml")


def test_runtime_directory_holds_the_socket(service: configparser.SectionProxy) -> None:
    socket = Path(load(ROOT / "config" / "routerd.toml").api.socket)
    assert socket.parent == Path("/run", service["RuntimeDirectory"])


def test_state_directory_holds_the_drains(service: configparser.SectionProxy) -> None:
    file = Path(load(ROOT / "config" / "routerd.toml").drain.state_file)
    assert file.parent == Path("/var/lib", service["StateDirectory"])


def test_only_the_sysctls_that_routerd_sets_are_writable(service: configparser.SectionProxy) -> None:
    assert service["ProtectKernelTunables"] == "yes"
    writable = {Path(path.removeprefix("-")) for path in service["ReadWritePaths"].split()}
    names = [
        *(name.replace(".", "/") for name in wanted(FibSection(hash_policy="five-tuple"))),
        *settings(LivenessSection(), [("eth0", 4), ("eth0", 6)]),
    ]
    written = [compat.PATH, *(PROC_SYS / name for name in names)]
    assert {next((path for path in writable if path in file.parents), file) for file in written} == writable


def test_watchdog_is_fed_in_time(service: configparser.SectionProxy) -> None:
    from routerd.service.daemon import WATCHDOG_INTERVAL

    assert float(service["WatchdogSec"]) >= 3 * WATCHDOG_INTERVAL


@pytest.mark.parametrize(
    "fib", [FibSection(), load(ROOT / "config" / "routerd.toml").fib], ids=["defaults", "example"]
)
def test_sysctls_are_those_that_routerd_verifies(fib: FibSection) -> None:
    text = (ROOT / "systemd" / "sysctl.d" / "90-routerd.conf").read_text()
    lines = [line.split("=") for line in text.splitlines() if line and not line.startswith("#")]
    assert {name.strip().lstrip("-"): value.strip() for name, value in lines} == wanted(fib) | {
        name.replace("/", "."): value
        for name, value in settings(LivenessSection(), [("default", 4), ("default", 6)]).items()
    }


def test_five_tuple_in_the_comment() -> None:
    text = (ROOT / "systemd" / "sysctl.d" / "90-routerd.conf").read_text()
    for name, value in wanted(FibSection(hash_policy="five-tuple")).items():
        if name.endswith("fields"):
            assert f"#{name} = {value}\n" in text


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_user(tmp_path: Path, service: configparser.SectionProxy) -> None:
    for name in ("passwd", "group", "shadow", "gshadow"):
        path = tmp_path / "etc" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    source = ROOT / "systemd" / "sysusers.d" / "routerd.conf"
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", source], check=True, capture_output=True)
    name, _, uid, *_ = (tmp_path / "etc" / "passwd").read_text().split(":")
    assert name == service["User"] == service["Group"]
    assert 0 < int(uid) < 1000
    assert (tmp_path / "etc" / "group").read_text().startswith(f"{name}:")
