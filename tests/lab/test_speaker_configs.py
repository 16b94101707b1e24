"""What the lab writes for each kind of speaker: the facts are in the text, and the program accepts it."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from routerd.lab.namespaces import PATH
from routerd.lab.speakers import Bird, Session, bird, embedded, frr, gobgp
from routerd.lab.waiting import LabError

SESSION = Session(
    asn=65001,
    router_id="192.168.10.100",
    local="192.168.10.100",
    next_hops=("192.168.10.100", "fd00:10::100"),
    routers=("192.168.10.200",),
    router_asn=65000,
)
SECRET = replace(SESSION, password="hello1")
INTERNAL = replace(SESSION, asn=65000, restart_time=0)
PREFIXES = ["172.16.1.1/32", "fd00:ac10::1/128"]
PAIR = replace(SECRET, routers=("192.168.10.201", "192.168.10.202"))
SESSIONS = pytest.mark.parametrize(
    "session", [SESSION, SECRET, INTERNAL, PAIR], ids=["external", "password", "internal", "two routers"]
)


def _accepts(*argv: str) -> None:
    if shutil.which(argv[0], path=PATH) is None:
        pytest.skip(f"{argv[0]} is not installed")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gobgp_is_set_up_as_cilium_does() -> None:
    text = gobgp.configuration(SESSION)
    for line in (
        "as = 65001",
        "port = -1",
        "hold-time = 9",
        "keepalive-interval = 3",
        "multihop-ttl = 2",
        "restart-time = 15",
        "notification-enabled = true",
    ):
        assert line in text.splitlines()


@SESSIONS
def test_gobgp_accepts_its_configuration(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "gobgpd.toml"
    file.write_text(gobgp.configuration(session))
    _accepts("gobgpd", "-d", "-f", str(file))


def test_frr_announces_ipv6_with_the_nodes_own_next_hop() -> None:
    lines = frr.configuration(SESSION, PREFIXES).splitlines()
    assert "  network 172.16.1.1/32" in lines
    assert "  network fd00:ac10::1/128" in lines
    assert " set ipv6 next-hop global fd00:10::100" in lines


@SESSIONS
def test_frr_accepts_its_configuration(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "bgpd.conf"
    file.write_text(frr.configuration(session, PREFIXES))
    _accepts(frr.BGPD, "-C", "-S", "-f", str(file), "--vty_socket", str(tmp_path))


def test_bird_exports_its_static_routes_only() -> None:
    text = bird.configuration(SESSION, PREFIXES)
    assert "protocol static own6 { ipv6; route fd00:ac10::1/128 blackhole; }" in text
    assert text.count("export where source = RTS_STATIC") == 2


@SESSIONS
def test_bird_accepts_its_configuration(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "bird.conf"
    file.write_text(bird.configuration(session, PREFIXES))
    _accepts("bird", "-p", "-c", str(file))


@SESSIONS
def test_exabgp_accepts_its_configuration(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "exabgp.conf"
    file.write_text(embedded.configuration(session, PREFIXES, tmp_path / "commands"))
    _accepts(sys.executable, "-m", "exabgp", "validate", str(file))


@pytest.mark.parametrize(
    "text",
    [
        gobgp.configuration(SESSION),
        frr.configuration(SESSION, []),
        bird.configuration(SESSION, []),
        embedded.configuration(SESSION, [], Path("/commands")),
    ],
    ids=["gobgp", "frr", "bird", "embedded"],
)
def test_no_password_unless_there_is_one(text: str) -> None:
    assert "password" not in text


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bird, "programs", ("bird-of-paradise",))
    with pytest.raises(LabError, match="bird-of-paradise is not installed; it is in the Debian package bird2"):
        Bird.require()
