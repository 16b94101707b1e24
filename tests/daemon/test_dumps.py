"""MRT files of the real daemon, read by bgpdump and compared with what the API says."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.daemon.harness import CLI, CONFIG, Network, Routerd, announcement, becomes, node, node6, running
from tests.daemon.test_metrics import page
from tests.support import bgp
from tests.support.netns import needs_root
from tests.support.prometheus import value

pytestmark = needs_root

WIDE = 4200000001
"""An AS number of four octets."""


def communities(*pairs: tuple[int, int]) -> bytes:
    return bgp.attribute(8, b"".join(struct.pack("!HH", *pair) for pair in pairs), 0xC0)


def large(*triples: tuple[int, int, int]) -> bytes:
    return bgp.attribute(32, b"".join(struct.pack("!III", *triple) for triple in triples), 0xC0)


def read(file: Path, *options: str) -> list[str]:
    """Return the lines that bgpdump makes of a file."""
    done = subprocess.run(["bgpdump", *options, str(file)], capture_output=True, text=True, check=True)
    assert "error" not in done.stderr.lower(), done.stderr
    return done.stdout.splitlines()


def rows(file: Path) -> set[tuple[str, ...]]:
    """Return prefix, peer, peer's AS, AS path, next hop and MED of each path of a dump."""
    fields = [line.split("|") for line in read(file, "-m")]
    assert all(each[0] == "TABLE_DUMP2" for each in fields)
    return {(each[5], each[3], each[4], each[6], each[8], each[10]) for each in fields}


def expected(daemon: Routerd) -> set[tuple[str, ...]]:
    """Return the same of the Loc-RIB as the API has it."""
    found: set[tuple[str, ...]] = set()
    for route in daemon.get("/v1/routes", limit=1000)["routes"]:
        detail: dict[str, Any] = daemon.get(f"/v1/routes/{route['prefix']}")
        for path in detail["paths"]:
            local = path["peer"] == "local"
            hop = ("::" if ":" in route["prefix"] else "0.0.0.0") if local else path["next_hop"]
            asn = "65000" if local else path["as_path"].split()[0]
            med = str(path["med"] or 0)
            peer = "0.0.0.0" if local else path["peer"]
            found.add((route["prefix"], peer, asn, path["as_path"], hop, med))
    return found


async def announced(network: Network, clients: list[bgp.Client]) -> None:
    """Three nodes, one of them with two-octet AS numbers, announce prefixes of both families."""
    for number, asn, options in ((0, 65001, {}), (1, WIDE, {}), (2, 65001, {"as4": False})):
        clients.append(await network.establish(number, asn=asn, **options))
    first, second, third = clients[-3:]
    rich = bgp.attributes(next_hop=node(0), as_path=(65001, WIDE), med=70)
    first.send(bgp.update(rich + communities((65001, 7), (65001, 8)) + large((WIDE, 1, 2)), ["172.16.1.0/24"]))
    first.send(announcement(0, "172.16.2.0/25", "172.16.3.0/32"))
    first.send(announcement(0, "fd00:ac10::1/128", med=5))
    second.send(announcement(1, "172.16.1.0/24", as_path=(WIDE,)))
    second.send(announcement(1, "fd00:ac10::1/128", as_path=(WIDE, 65010)))
    path = bgp.attribute(1, b"\0") + bgp.attribute(2, struct.pack("!BBH", 2, 1, 65001))
    third.send(bgp.update(path + bgp.attribute(3, bytes([10, 0, 0, 67])), ["172.16.1.0/24"]))


async def test_a_dump_on_demand_is_the_rib(network: Network, tmp_path: Path, clients: list[bgp.Client]) -> None:
    with running(network.router, tmp_path) as daemon:
        await announced(network, clients)
        await becomes(lambda: len(expected(daemon)), 8)
        file = tmp_path / "table.mrt"
        done = daemon.cli("dump", str(file))
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{file}: ")
        assert rows(file) == expected(daemon)
        assert not file.with_name("table.mrt.part").exists()
        verbose = "\n".join(read(file))
        assert "COMMUNITY: 65001:7 65001:8" in verbose
        assert f"LARGE_COMMUNITIES: {WIDE}:1:2" in verbose.replace("LARGE_COMMUNITY:", "LARGE_COMMUNITIES:")
        assert f"{node6(0)}" in verbose
        assert f"{WIDE} 65010" in verbose


async def test_a_dump_that_cannot_be_written_leaves_nothing(network: Network, tmp_path: Path) -> None:
    with running(network.router, tmp_path) as daemon:
        kept = tmp_path / "kept"
        kept.mkdir()
        done = daemon.cli("dump", str(kept))
        assert done.returncode == 1
        assert done.stderr == f"routerd: {kept} cannot be written: Is a directory\n"
        done = daemon.cli("dump", "/dev/full")
        assert done.stderr == "routerd: /dev/full cannot be written: No space left on device\n"
        assert Path("/dev/full").is_char_device()
        command = [*CLI, "dump", "/dev/stdout", "--socket", str(daemon.socket)]
        piped = subprocess.run(command, capture_output=True, check=True)
        (tmp_path / "piped").write_bytes(piped.stdout)
        assert rows(tmp_path / "piped") == expected(daemon)
        done = daemon.cli("dump", "/dev/null/x")
        assert done.returncode == 1
        assert "Not a directory" in done.stderr
        daemon.kill()
        done = daemon.cli("dump", str(tmp_path / "file"))
        assert done.returncode == 1
        assert "routerd is not running" in done.stderr
        assert {each.name for each in tmp_path.iterdir()} >= {"kept"}
        assert not list(tmp_path.glob("*.part"))


async def test_files_by_interval_and_of_updates(network: Network, tmp_path: Path, clients: list[bgp.Client]) -> None:
    """Switched on by a reload, rotated, and what is old goes."""
    directory = tmp_path / "mrt"
    with running(network.router, tmp_path) as daemon:
        clients.append(await network.establish(0))
        await becomes(lambda: "established" in [each["state"] for each in daemon.get("/v1/peers")])
        section = f'\n[mrt]\ndirectory = "{directory}"\ninterval = 1\nupdates = true\nrotate = 604800\nkeep = 2\n'
        daemon.config.write_text(daemon.config.read_text() + section)
        done = daemon.cli("reload")
        assert done.returncode == 0, done.stderr
        await becomes(lambda: list(directory.glob("updates.*.mrt")))
        clients[0].send(announcement(0, "172.16.1.0/24", "172.16.2.0/24", med=9))
        clients[0].send(announcement(0, "fd00:ac10::1/128"))
        clients.append(await network.establish(1, asn=WIDE))
        await becomes(lambda: "established" in [each["state"] for each in daemon.get("/v1/peers")[1:]])
        await clients.pop().close()

        def heard() -> list[list[str]]:
            lines = (line.split("|") for file in sorted(directory.glob("updates.*.mrt")) for line in read(file, "-m"))
            return [line for line in lines if line[0] == "BGP4MP_ET"]

        await becomes(lambda: len(heard()) >= 5)
        found = heard()
        announcements = {(line[3], line[4], line[5], line[8], line[10]) for line in found if line[2] == "A"}
        assert announcements == {
            (node(0), "65001", "172.16.1.0/24", node(0), "9"),
            (node(0), "65001", "172.16.2.0/24", node(0), "9"),
            (node(0), "65001", "fd00:ac10::1/128", node6(0), "0"),
        }
        states = [(line[3], line[4], line[5], line[6]) for line in found if line[2] == "STATE"]
        assert states == [(node(1), str(WIDE), "5", "6"), (node(1), str(WIDE), "6", "1")]

        def tables() -> list[Path]:
            return sorted(directory.glob("rib.*.mrt"))

        first = (await becomes(tables))[0]
        await becomes(lambda: not first.exists() and len(tables()) == 2)

        def newest() -> set[tuple[str, ...]] | None:
            try:
                return rows(tables()[-1])
            except subprocess.CalledProcessError:
                return None  # it had its day while it was read

        await becomes(newest, expected(daemon))
        [long] = directory.glob("updates.*.mrt")
        daemon.config.write_text(daemon.config.read_text().replace("rotate = 604800", "rotate = 1"))
        assert daemon.cli("reload").returncode == 0
        await becomes(lambda: not long.exists())
        assert len(list(directory.glob("updates.*.mrt"))) <= 3  # one more for a moment


async def test_what_cannot_be_written_is_a_problem(
    network: Network, tmp_path: Path, clients: list[bgp.Client]
) -> None:
    """A full disk, and a directory that is none: routing goes on, and so do the dumps once there is room."""
    directory = tmp_path / "full"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], check=True)
    try:
        filler = directory / "filler"
        filler.write_bytes(bytes(1 << 16))
        section = f'\n[mrt]\ndirectory = "{directory}"\ninterval = 1\nupdates = true\n'
        with running(network.router, tmp_path, CONFIG + section) as daemon:
            clients.append(await network.establish(0))
            clients[0].send(announcement(0, "172.16.1.0/24"))
            await network.has("172.16.1.0/24", 0)
            await becomes(lambda: "No space left on device" in daemon.problems().get("mrt rib", ""))
            await becomes(lambda: "No space left on device" in daemon.problems().get("mrt updates", ""))
            assert not list(directory.glob("*.part"))
            failed = {
                kind: value(page(daemon), "routerd_mrt_failures_total", kind=kind) for kind in ("rib", "updates")
            }
            assert min(failed.values()) >= 1
            assert value(page(daemon), "routerd_mrt_writes_total") == 0
            assert "routerd_mrt_last_write_timestamp_seconds{" not in page(daemon)
            filler.unlink()
            clients[0].send(announcement(0, "172.16.2.0/24"))
            await network.has("172.16.2.0/24", 0)
            await becomes(lambda: not {"mrt rib", "mrt updates"} & daemon.problems().keys())
            for kind in failed:
                assert value(page(daemon), "routerd_mrt_writes_total", kind=kind) >= 1
                last = value(page(daemon), "routerd_mrt_last_write_timestamp_seconds", kind=kind)
                assert abs(time.time() - last) < 5
            text = daemon.config.read_text().replace(str(directory), "/dev/null/mrt")
            daemon.config.write_text(text)
            os.kill(daemon.pid, signal.SIGHUP)
            await becomes(lambda: "Not a directory" in daemon.problems().get("mrt rib", ""))
            assert daemon.stop() == 0
            await asyncio.sleep(0)
            assert "Traceback" not in daemon.log.read_text()
    finally:
        subprocess.run(["umount", str(directory)], check=True)
