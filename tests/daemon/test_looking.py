"""The commands that look closer, of the real daemon: a peer, routes by filters, differences, packets; and what they
print with --json is what the schema says."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from routerd.__main__ import COMMANDS
from routerd.cli import fib, flow, peer, top
from routerd.cli.arguments import run
from routerd.cli.screen import Screen
from routerd.reference.schema import PRINTED, document
from tests.daemon.harness import CLI, Network, Routerd, announcement, becomes, cli, network, node, running
from tests.support import bgp
from tests.support.bgp import end_of_rib
from tests.support.netns import needs_root
from tests.support.schema import undescribed, wrong

pytestmark = needs_root

VIP, OTHER, ALONE = "172.16.1.1", "172.16.1.2", "172.16.2.1"
FQDN = bytes([73, 4, 2, *b"w1", 0])
SCHEMAS = document()


class Lab(NamedTuple):
    """The daemon, its network, and the nodes' speakers."""

    daemon: Routerd
    network: Network
    clients: list[bgp.Client]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """Three nodes: two with a VIP in common, of which one has more to say; the third comes again after an error."""
    tagged = bgp.attributes(next_hop=node(0), as_path=[65001, 65007]) + bgp.attribute(
        8, struct.pack("!II", 65001 << 16 | 7, 0xFFFF0000), 0xC0
    )
    said = (
        announcement(0, VIP) + bgp.update(tagged, [f"{ALONE}/32"]) + announcement(0, "fd00:ac10::1"),
        announcement(1, VIP, f"{OTHER}/32") + announcement(1, "10.99.0.0/16", "10.98.0.0/16", as_path=[65001, 65009]),
        announcement(2, OTHER),
    )
    async with AsyncExitStack() as stack:
        made = stack.enter_context(network())
        daemon = stack.enter_context(running(made.router, tmp_path_factory.mktemp("daemon")))
        first = await stack.enter_async_context(await made.establish(2, hold=0))
        first.send(announcement(2, "172.16.9.9"))  # of a VIP that comes back routerd keeps where its flows went
        await becomes(lambda: daemon.count(2, "received"), 1)
        first.send(bgp.notification(6, 4))
        await becomes(lambda: daemon.peer(2)["state"], "waiting")
        clients: list[bgp.Client] = []
        for number, octets in enumerate(said):
            graceful = bgp.Graceful(notification=True) if number == 0 else None
            options = {"graceful": graceful, "capabilities": FQDN if number == 0 else b""}
            client = await stack.enter_async_context(await made.establish(number, hold=90, **options))
            client.send(octets + end_of_rib())
            clients.append(client)
        await becomes(lambda: [daemon.count(n, "received") for n in range(3)], [3, 4, 1])
        await becomes(lambda: daemon.count(0, "accepted"), 3)  # the IPv6 next hop waits for a neighbour's answer
        await made.has(VIP, 0, 1)
        await made.has(OTHER, 1, 2)
        await becomes(lambda: all(group["balanced"] for group in daemon.get("/v1/groups")))
        yield Lab(daemon, made, clients)


class Run:
    """Runs commands in the test's own process: it is not to wait for twenty interpreters."""

    def __init__(self, daemon: Routerd, capture: pytest.CaptureFixture[str]) -> None:
        self._daemon = daemon
        self._capture = capture

    def __call__(self, *words: str, ask: bool = True) -> tuple[int, str, str]:
        """Return the exit code, and what was printed to standard output and to standard error."""
        socket = ("--socket", str(self._daemon.socket)) if ask else ()
        try:
            code = run("routerd", "", "", COMMANDS, [*words, *socket])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *self._capture.readouterr()


@pytest.fixture
def ran(lab: Lab, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(lab.daemon, capsys)


def test_a_peer_is_told_of_whole(ran: Run) -> None:
    view = json.loads(ran("peer", node(0), "--json")[1])
    assert (view["local"], view["external"], view["last_error"]) == ("10.0.0.1", True, None)
    assert view["received"]["others"] == [73]
    assert view["received"]["graceful_restart"] == {
        "restarting": False, "notification": True, "time_seconds": 120, "families": {"ipv4": True},
    }  # fmt: skip
    assert (view["sent"]["extended_message"], view["received"]["extended_message"]) == (True, False)
    assert (view["timers"]["hold_seconds"], view["timers"]["keepalive_seconds"]) == (90, 30.0)
    assert view["timers"]["update_seconds"] < 60
    assert view["messages"]["updates_received"] == 4
    assert view["messages"]["updates_sent"] >= 1
    assert view["messages"]["octets_received"] > 100
    assert view["rejected"] == []
    shown = ran("peer", node(0))[1]
    assert "73 FQDN" in shown
    assert "\x1b" not in shown


def test_what_was_rejected_is_told_with_its_reason(ran: Run) -> None:
    view = json.loads(ran("peer", node(1), "--json")[1])
    assert [(each["prefix"], each["reason"], each["as_path"]) for each in view["rejected"]] == [
        ("10.98.0.0/16", "6 not in accept", "65001 65009"),
        ("10.99.0.0/16", "6 not in accept", "65001 65009"),
    ]
    few = json.loads(ran("peer", node(1), "--json", "--limit", "1")[1])
    assert (len(few["rejected"]), few["rejected_total"]) == (1, 2)
    assert "1 of 2 rejected prefixes" in ran("peer", node(1), "--limit", "1")[1]


def test_how_the_last_session_ended_is_told_of_one_that_is_back(ran: Run) -> None:
    view = json.loads(ran("peer", node(2), "--json")[1])
    assert view["peer"]["state"] == "established"
    assert view["last_error"]["notification"] == "6/4 received"
    assert "6/4 received" in ran("peer", node(2))[1]


@pytest.mark.parametrize("command", ["peer", "flow", "fib", "top"])
def test_an_error_is_one_line_with_the_remedy(lab: Lab, command: str) -> None:
    words = {"peer": ("nobody",), "flow": ("10.9.9.9:1", VIP)}.get(command, ())
    options = ("--once",) if command == "top" else ()
    away = cli(command, *words, *options, "--socket", "/nowhere")
    assert (away.returncode, away.stdout, away.stderr.count("\n")) == (1, "", 1)
    assert "start it, or name the socket" in away.stderr
    told = json.loads(cli(command, *words, *options, "--json", "--socket", "/nowhere").stdout)
    assert not told["ok"]
    if words:
        done = lab.daemon.cli(command, *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert {"peer": "no peer has the name", "flow": "--interface"}[command] in done.stderr


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (("--longer", "172.16.1.0/24"), [f"{VIP}/32", f"{OTHER}/32"]),
        (("--longer", f"{VIP}/32"), [f"{VIP}/32"]),
        (("--longer", "0.0.0.0/0", "--peer", node(0)), [f"{VIP}/32", f"{ALONE}/32"]),
        (("--shorter", "10.10.1.128/25"), ["10.10.1.0/24"]),
        (("--shorter", f"{VIP}/32"), [f"{VIP}/32"]),
        (("--state", "local"), ["10.10.1.0/24"]),
        (("--state", "rejected"), ["10.98.0.0/16", "10.99.0.0/16"]),
        (("--state", "rejected", "--peer", node(0)), []),
        (("--state", "rejected", "--as-path", "65009$", "--longer", "10.99.0.0/16"), ["10.99.0.0/16"]),
        (("--state", "in-fib", "--peer", node(2)), [f"{OTHER}/32"]),
        (("--state", "out"), []),
        (("--state", "stale"), []),
        (("--state", "refused"), []),
        (("--community", "65001:7"), [f"{ALONE}/32"]),
        (("--community", "graceful-shutdown"), [f"{ALONE}/32"]),
        (("--community", "65001:7", "--as-path", "65001 65007"), [f"{ALONE}/32"]),
        (("--community", "65001:7", "--as-path", "^65007"), []),
        (("--community", "1:2:3"), []),
        (("--as-path", "^$"), ["10.10.1.0/24"]),
        (("--as-path", "^65001$", "--peer", node(1)), [f"{VIP}/32", f"{OTHER}/32"]),
    ],
)
def test_routes_are_filtered(ran: Run, filters: tuple[str, ...], wanted: list[str]) -> None:
    code, shown, wrong = ran("routes", "--json", *filters)
    assert (code, wrong) == (0, "")
    found = json.loads(shown)
    assert [route["prefix"] for route in found["routes"]] == wanted
    assert found["total"] == len(wanted)


def test_pages_of_filtered_routes(ran: Run) -> None:
    page = json.loads(ran("routes", "--json", "--as-path", "65001", "--limit", "1", "--offset", "1")[1])
    assert (page["total"], [route["prefix"] for route in page["routes"]]) == (4, [f"{OTHER}/32"])


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (("--longer", "172.16.1.1/24"), "longer is a prefix such as 172.16.0.0/12, without host bits"),
        (("--community", "70000:1"), "community is A:B"),
        (("--as-path", ".*"), "as_path is AS numbers in a row"),
        (("--as-path", "^"), "as_path is AS numbers in a row"),
    ],
)
def test_a_filter_that_is_none_is_told(ran: Run, filters: tuple[str, ...], said: str) -> None:
    code, shown, wrong = ran("routes", *filters)
    assert (code, shown, wrong.count("\n")) == (1, "", 1)
    assert said in wrong


async def test_the_kernel_against_what_is_wanted(lab: Lab) -> None:
    """Somebody's route in place of one of routerd's stays, for it is not routerd's to replace."""
    same = lab.daemon.cli("fib")
    assert (same.returncode, same.stdout) == (0, "the kernel has what is wanted: 4 routes, 4 groups, 4 nexthops\n")
    lab.network.router.ip("route", "replace", ALONE, "via", node(1), "metric", "20", "proto", "static")
    done = await asyncio.to_thread(lab.daemon.cli, "fib", "--json")
    assert done.returncode == 3
    view = json.loads(done.stdout)
    assert not view["same"]
    assert [(row["kind"], row["name"]) for row in view["differences"]] == [("route", f"{ALONE}/32")]
    assert view["differences"][0]["kernel"] == "a route of protocol static, metric 20"
    assert "refused" in view["differences"][0]["why"]
    assert f"{ALONE}/32" in lab.daemon.cli("fib").stdout
    assert json.loads(lab.daemon.cli("routes", "--json", "--state", "refused").stdout)["total"] == 1
    lab.network.router.ip("route", "del", ALONE, "via", node(1), "metric", "20", "proto", "static")
    await becomes(lambda: lab.daemon.cli("fib").returncode, 0)


async def test_packets_by_node_and_vip(lab: Lab) -> None:
    """Of a group of two members; those of one member the kernel does not count, which is said."""

    def send() -> None:
        with lab.network.router.enter():
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(60)]
            for each in sockets:
                each.sendto(b"x", (VIP, 9))
                each.close()

    counting = asyncio.create_task(asyncio.to_thread(lab.daemon.cli, "top", "--once", "--json"))
    sent = 0
    while not counting.done():
        send()
        sent += 60
        await asyncio.sleep(0.05)
    view = json.loads((await counting).stdout)
    rates = {each["name"]: each["packets_per_second"] for each in view["nodes"]}
    assert rates[node(0)] > 0
    assert rates[node(1)] > 0
    assert rates[node(2)] == 0
    assert 0 < view["packets_per_second"] * view["seconds"] <= sent
    busiest = view["groups"][0]
    assert busiest["prefixes"] == [f"{VIP}/32"]
    parts = [each["packets_per_second"] for each in busiest["members"]]
    assert sum(parts) == pytest.approx(busiest["packets_per_second"])
    alone = next(each for each in view["groups"] if each["prefixes"] == [f"{ALONE}/32"])
    assert not alone["counted"]
    assert view["uncounted"] == 2
    assert "2 groups of one member" in lab.daemon.cli("top", "--once", "--interval", "0.2").stdout
    few = json.loads(lab.daemon.cli("top", "--once", "--json", "--interval", "0.2", "--limit", "1").stdout)
    assert (len(few["nodes"]), len(few["groups"]), few["nodes_total"], few["groups_total"]) == (1, 1, 3, 4)
    assert lab.daemon.cli("top", "--interval", "9").returncode == 2


def test_packets_again_and_again_until_ctrl_c(lab: Lab) -> None:
    """With --json a line each."""
    # A script's background jobs ignore SIGINT, and so would what they start.
    command = ["env", "--default-signal=INT", *CLI, "top", "--json", "--socket", str(lab.daemon.socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(2):
            assert json.loads(child.stdout.readline())["groups_total"] == 4
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 0


def test_tables_fit_80_columns(lab: Lab) -> None:
    screen = Screen(80, colours=False)
    where = {"source": "fd00::100", "source_port": 1, "destination": "fd00:ac10::1", "destination_port": 2}
    for number in range(3):
        assert _long(peer.lines(screen, lab.daemon.get(f"/v1/peers/{node(number)}"))) == []
    assert _long(flow.lines(screen, lab.daemon.get("/v1/flow", **where))) == []
    assert _long(fib.lines(screen, lab.daemon.get("/v1/fib"))) == []
    assert _long(top.lines(screen, lab.daemon.get("/v1/traffic", milliseconds=200))) == []


def _long(lines: list[str]) -> list[str]:
    return [line for text in lines for line in text.splitlines() if len(line) > 80]


WORDS: dict[str, tuple[str, ...]] = {
    "peer": (node(1),),
    "route": (VIP,),
    "flow": (f"{node(5)}:40000", f"{VIP}:80"),
    "top": ("--once", "--interval", "0.2"),
    "drain": (node(2),),
    "undrain": (node(2),),
    "clear": (node(2), "--soft", "in"),
    "shutdown": (node(9), "away"),
    "enable": (node(9),),
    "config": ("history",),
}


def test_what_is_printed_is_as_the_schema_says(lab: Lab, ran: Run) -> None:
    """Every command with --json: its answer has what the schema has, and nothing else; and so have errors."""
    for command in [each for each in PRINTED if each != "fleet"]:  # which asks a broker: test_fleet.py
        operands = (str(lab.daemon.config),) if command == "check" else WORDS.get(command, ())
        _, shown, _ = ran(command, *operands, "--json")
        documents = shown.splitlines() if command == "events" else [shown]
        for text in documents:
            _is_described(command, json.loads(text))


def _is_described(command: str, answer: Any) -> None:
    schema = SCHEMAS["$defs"][command]
    assert list(wrong(answer, schema, SCHEMAS)) == [], command
    # With fields of the event's own; there is nothing to confirm, and no pair.
    if command in ("events", "confirm", "rollback", "pair"):
        return
    rows = answer if isinstance(answer, list) else [answer]
    inner = schema["anyOf"][0]
    for row in rows:
        assert undescribed(row, inner.get("items", inner), SCHEMAS) == set(), command


def test_a_schema_refuses_what_is_otherwise() -> None:
    answer = {"same": True, "routes": 1, "nexthops": 1, "groups": "1", "unwritten": 0, "total": 0, "differences": []}
    assert list(wrong(answer, SCHEMAS["$defs"]["DifferencesView"], SCHEMAS)) == [
        "$.groups is '1', not of type integer"
    ]
    del answer["total"]
    assert "$.total is missing" in wrong(answer, SCHEMAS["$defs"]["DifferencesView"], SCHEMAS)
