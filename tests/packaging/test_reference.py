"""Completions, the manual page and the schemas are current, and shells and man take them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from routerd.__main__ import COMMANDS
from routerd.reference.__main__ import made
from routerd.reference.schema import PRINTED

ROOT = Path(__file__).parents[2]
BASH = ROOT / "share" / "completions" / "routerd.bash"


@pytest.mark.parametrize("place", made())
def test_what_is_made_of_the_commands_is_current(place: str) -> None:
    assert (ROOT / place).read_text() == made()[place], "run `make reference`"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("routerd fl", {"fleet", "flow", "flush"}),
        ("routerd routes --st", {"--state"}),
        ("routerd routes --state re", {"refused", "rejected"}),
        ("routerd export me", {"metallb"}),
        ("routerd lab --no-", {"--no-keep"}),
        ("routerd --ver", {"--version"}),
        ("routerd peers --limit ", set[str]()),
        ("routerd peer fd00::1", {"101", "102"}),
        ("routerd peer w", {"w0", "w1", "w2"}),
        ("routerd routes --peer fd00::1", {"101", "102"}),
        ("routerd routes --state=re", {"refused", "rejected"}),
    ],
)
def test_bash_completes(line: str, wanted: set[str]) -> None:
    """Bash breaks words at colons and at `=`."""
    form, peers = r'    "name": "%s",\n    "address": "%s",\n', "w0 fd00::101 w1 fd00::102 w2 10.0.0.65"
    script = f"routerd() {{ printf '{form}' {peers}; }}; source {BASH}; COMP_WORDBREAKS=:="
    words = f'COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}; _routerd; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", f"{script}; {words}"], capture_output=True, text=True, check=True)
    assert (set(done.stdout.split()), done.stderr) == (wanted, "")


def test_bash_goes_on_from_a_directory(tmp_path: Path) -> None:
    """At a terminal, where bash itself decides what comes behind a word."""
    (tmp_path / "etc of mine").mkdir()
    (tmp_path / "etc of mine" / "routerd.toml").touch()
    line = f"routerd check {tmp_path}/et\troute\t"
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe(
            "bash", ("bash", "--norc", "--noprofile", "-i"), os.environ | {"TERM": "dumb", "INPUTRC": os.devnull}
        )
    os.write(terminal, f"source {BASH}; routerd() {{ printf 'given <%s>\\n' \"$2\"; exit; }}\n{line}\n".encode())
    said = b""
    with contextlib.suppress(OSError):  # it has ended
        while octets := os.read(terminal, 4096):
            said += octets
    os.close(terminal)
    os.waitpid(pid, 0)
    assert f"given <{tmp_path}/etc of mine/routerd.toml>" in said.decode()


@pytest.mark.parametrize(("shell", "file"), [("zsh", "_routerd"), ("fish", "routerd.fish")])
def test_other_shells_can_read_theirs(shell: str, file: str) -> None:
    """Where they are installed; else quotes are counted, of which one too few spoils all that follows."""
    path = BASH.with_name(file)
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", path], check=True)
    text = path.read_text().replace("'\\''", "").replace("\\'", "")
    assert all(line.count("'") % 2 == 0 for line in text.splitlines())
    for name in COMMANDS:
        assert name in text


def test_the_manual_page_is_one_for_roff_and_has_every_command() -> None:
    groff = shutil.which("groff")
    page = ROOT / "share" / "man" / "routerd.8"
    text = page.read_text()
    for name, command in COMMANDS.items():
        assert f".SS routerd {name} " in text
        for code in command.exits:
            assert f"\\fB{code}\\fR of routerd {name}\n" in text
    if groff is not None:
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True, check=True
        )
        assert done.stderr == ""


def test_every_command_that_prints_json_has_a_schema() -> None:
    prints = {name for name, command in COMMANDS.items() if any("--json" in each.names for each in command.arguments)}
    assert prints == PRINTED.keys()
    assert json.loads((ROOT / "docs" / "schema.json").read_text())["$defs"].keys() >= prints
