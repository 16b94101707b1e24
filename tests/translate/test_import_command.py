"""`routerd import frr`: exit codes, what goes where, and who can read it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from routerd.translate import command
from tests.daemon.harness import CLI, cli

PLACE = Path(__file__).parent / "frr"
SECRET = (
    "router bgp 65000\n bgp router-id 10.0.0.1\n neighbor 10.0.0.2 remote-as 65001\n neighbor 10.0.0.2 password s3\n"
)


def test_all_is_translated() -> None:
    done = cli("import", "frr", str(PLACE / "cilium-lab.conf"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (PLACE / "cilium-lab.toml").read_text()


def test_what_is_left_out_is_listed_with_its_line() -> None:
    file = PLACE / "range.conf"
    done = cli("import", "frr", str(file))
    assert done.returncode == 3
    assert done.stdout == (PLACE / "range.toml").read_text()
    assert f"{file}:37: redistribute connected: routerd originates no routes of the kernel; " in done.stderr


def test_standard_input_is_read() -> None:
    done = subprocess.run(
        [*CLI, "import", "frr", "-"], input=SECRET, capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'password = "s3"' in done.stdout
    assert "password s3" not in done.stdout


def test_a_new_file_is_its_owners_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, made = tmp_path / "frr.conf", tmp_path / "routerd.toml"
    source.write_text(SECRET)
    assert cli("import", "frr", str(source), "--output", str(made)).returncode == 0
    assert made.stat().st_mode & 0o777 == 0o600
    assert cli("check", str(made)).returncode == 0
    assert command.import_frr(str(source), "", str(made)) == 1
    assert "not overwritten" in capsys.readouterr().err


def test_a_file_that_others_can_read_is_told_of(tmp_path: Path) -> None:
    source, made = tmp_path / "frr.conf", tmp_path / "routerd.toml"
    source.write_text(SECRET)
    for mode, told in ((0o644, True), (0o640, False)):
        made.touch()
        made.chmod(mode)
        with made.open("w") as sink:
            done = subprocess.run(
                [*CLI, "import", "frr", str(source)], stdout=sink, stderr=subprocess.PIPE, text=True, check=False
            )
        assert ("passwords" in done.stderr) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hostname x\n", "there is no `router bgp`"),
        ("", "there is no `router bgp`"),
        ("router bgp 65000\n", "--router-id"),
        ("router bgp x\n", "there is no `router bgp`"),
    ],
)
def test_what_nothing_can_be_made_of(
    tmp_path: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "frr.conf"
    source.write_text(text)
    assert command.import_frr(str(source), "", None) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err


def test_the_router_id_can_be_given(tmp_path: Path) -> None:
    source = tmp_path / "frr.conf"
    source.write_text("router bgp 65000\n")
    done = cli("import", "frr", str(source), "--router-id", "10.0.0.9")
    assert 'router_id = "10.0.0.9"' in done.stdout
    assert cli("import", "frr", str(source), "--router-id", "fd00::1").returncode == 2


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.import_frr(str(tmp_path / "none"), "", None) == 1
    assert capsys.readouterr().err == f"routerd: {tmp_path}/none: No such file or directory\n"
    assert command.import_frr(str(tmp_path), "", None) == 1
    assert capsys.readouterr().err == f"routerd: {tmp_path}: Is a directory\n"
    odd = tmp_path / "odd"
    odd.write_bytes(
        SECRET.encode() + b" neighbor 10.0.0.2 description M\xfcller\n neighbor 10.0.0.3 remote-as 5\n"
        b" neighbor 10.0.0.3 password \xff\n"
    )
    done = cli("import", "frr", str(odd))
    assert done.returncode == 3
    assert "neighbor 10.0.0.3 password ***: the file is not UTF-8 here" in done.stderr
