"""What the two processes of the daemon load: memory that they need before there is a route."""

from __future__ import annotations

import subprocess
import sys

LISTED = "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "


def packages(program: str, *words: str) -> set[str]:
    """Return the packages, and the parts of pyroute2 and ExaBGP, that a program has loaded at its end."""
    command = [sys.executable, "-c", LISTED + program, *words]
    last = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()[-1]
    return {name if name.startswith(("pyroute2", "exabgp")) else name.partition(".")[0] for name in last.split()}


def test_the_daemon_loads_messages_of_pyroute2_alone_and_nothing_for_people() -> None:
    found = packages("from routerd.__main__ import main; main()", "run", "--config", "/nowhere")
    assert {"pydantic", "structlog", "uvicorn", "pyroute2.netlink"} <= found
    assert {name for name in found if name.startswith("pyroute2")} == {
        "pyroute2.common", "pyroute2.netlink", "pyroute2.netlink.exceptions", "pyroute2.netlink.rtnl",
        "pyroute2.netlink.rtnl.rtmsg",
    }  # fmt: skip
    assert {"pygments", "markdown_it", "fastapi", "starlette", "typer", "click"}.isdisjoint(found)
    assert {"csv", "zipfile", "socketserver"}.isdisjoint(found), "by importlib.metadata, and by logging.config"
    assert {name for name in found if name.startswith("exabgp")} == {"exabgp", "exabgp.version"}


def test_pyroute2_is_whole_for_whoever_imports_it_later() -> None:
    program = "import routerd.kernel.messages, pyroute2; pyroute2.IPRoute"
    assert "pyroute2" in packages(program)


def test_the_bgp_child_loads_neither_pydantic_nor_what_the_daemon_alone_needs() -> None:
    found = packages("import routerd.session.host, routerd.session.exabgp.reactor")
    assert "exabgp" in found
    assert {"pydantic", "pydantic_core", "structlog", "uvicorn", "h11", "rich", "pyroute2.netlink"}.isdisjoint(found)


PAIR = ("service.paired", "api.views.pair", "api.views.partner", "api.views.problems.pair", "api.models.pair")


def test_what_is_switched_off_is_not_loaded() -> None:
    listed = "import sys, routerd.service.daemon; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    packages = ("telemetry.mrt", "telemetry.bmp", "api.lookingglass", "service.dumps", "service.tables")
    off = tuple(f"routerd.{each}" for each in (*packages, "service.bmp", "service.glass", *PAIR))
    assert [name for name in found if name.startswith(off)] == []
