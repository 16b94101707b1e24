"""The client that docs/api.md makes of the API's description: made, held to its types, and used as is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.daemon.harness import CONFIG, announcement, becomes, network, node, running
from tests.packaging.test_documented_commands import ROOT, _run, commands
from tests.support.bgp import end_of_rib
from tests.support.netns import needs_root

PAGE = ROOT / "docs" / "api.md"
SOCKET = '"/run/routerd/routerd.sock"'


@needs_root
async def test_the_documented_client_works(tmp_path: Path) -> None:
    peer = f'\n[[peers]]\nname = "k8s-w0"\naddress = "{node(0)}"\ngroup = "nodes"\n'
    (making,) = [command for command in commands(PAGE) if "routerd_client.py" in command]
    (shown,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert SOCKET in shown
    with network() as made, running(made.router, tmp_path, CONFIG + peer) as daemon:
        async with await made.establish(0, hold=0) as client:
            client.send(announcement(0, "172.16.1.1") + end_of_rib())
            await made.has("172.16.1.1", 0)
            await becomes(daemon.problems, {})
            done = _run(made, daemon, f"cd {tmp_path}; {making}")
            assert done.returncode == 0, done.stderr
            (tmp_path / "shown.py").write_text(shown.replace(SOCKET, f'"{daemon.socket}"'))
            typed = _python(tmp_path, "-m", "mypy", "--strict", "--config-file=", "shown.py", "routerd_client.py")
            assert typed.returncode == 0, typed.stdout
            used = _python(tmp_path, "shown.py")
            assert used.returncode == 0, used.stderr
            assert (lines := used.stdout.splitlines())[0] == "k8s-w0 established 1"
            assert lines[1] == "1 ['172.16.1.1/32']"
            assert lines[2].endswith(" buckets still carry flows")
            assert {line.partition(" ")[2] for line in lines[3:]} >= {"peer up", "drain", "undrain"}
            refused = "import routerd_client as c; c.Routerd(" + repr(str(daemon.socket)) + ").get_peer('k8s/w9')"
            assert "Refused: 404: no peer has the name or address k8s/w9" in _python(tmp_path, "-c", refused).stderr


def _python(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
