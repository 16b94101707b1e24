"""What befell others in sessions with FRR, BIRD and GoBGP, as they reported: tried with the real ones."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import CONFIG, ROUTER, Network, Routerd, announcement, becomes, node, running
from tests.session.test_speaker_daemons import daemon as command
from tests.session.test_speaker_daemons import installed
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

VIP, OTHER = "172.16.1.1", "172.16.2.2"
NETWORK = "10.10.1.0/24"
RESTARTS = CONFIG.replace(
    "graceful_restart = true", "graceful_restart = true\nrestart_time = 10\nstale_time = 40\nhold_time = 9"
)

FRR = f"""
router bgp 65001
 bgp router-id {node(0)}
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart restart-time 20
 bgp graceful-restart preserve-fw-state
 neighbor {ROUTER} remote-as 65000
 neighbor {ROUTER} timers connect 1
 {{neighbor}}
 address-family ipv4 unicast
  network {VIP}/32
  {{family}}
 exit-address-family
"""

BIRD = f"""
router id {node(0)};
log "{{directory}}/bird.log" all;
protocol device {{{{ }}}}
protocol static vips {{{{ ipv4; route {VIP}/32 blackhole; route {OTHER}/32 blackhole; }}}}
protocol bgp upstream {{{{
  local {node(0)} as 65001;
  neighbor {ROUTER} as 65000;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  graceful restart on;
  long lived graceful restart on;
  {{options}}
  ipv4 {{{{ export all; import all; add paths on; }}}};
}}}}
"""

GOBGP = f"""
[global.config]
  as = 65001
  router-id = "{node(0)}"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{ROUTER}"
    peer-as = 65000
  [neighbors.transport.config]
    local-address = "{node(0)}"
  [neighbors.timers.config]
    connect-retry = 1
    hold-time = 9
    keepalive-interval = 3
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = {{restart}}
    notification-enabled = true
    long-lived-enabled = true
"""
FAMILY = """
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "{name}"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"""


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, RESTARTS) as made:
        yield made


class Speaker:
    """A real speaker at the first node's address."""

    def __init__(self, network: Network, name: str, directory: Path) -> None:
        if not installed(name):
            pytest.skip(f"{name} is not installed")
        self.name = name
        self.directory = directory
        self._nodes = network.nodes
        self._process: subprocess.Popen[str] | None = None

    def start(self, text: str, *options: str) -> None:
        shown = [*command(self.name, self.directory, text), *options]
        with (self.directory / "speaker.log").open("a") as output:
            self._process = self._nodes.spawn(*shown, stdout=output, stderr=output)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def ask(self, *words: str) -> str:
        """Return what the speaker says on its command line."""
        at = {"bgpd": ("vtysh", "--vty_socket", str(self.directory), "-c"), "gobgpd": ("gobgp",)}
        found = at.get(self.name, ("birdc", "-s", str(self.directory / "bird.ctl")))
        return self._nodes.run(*found, *words, check=False)


@pytest.fixture
def speaker(network: Network, tmp_path: Path) -> Iterator[Callable[[str], Speaker]]:
    made: list[Speaker] = []

    def make(name: str) -> Speaker:
        made.append(Speaker(network, name, tmp_path))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def state(daemon: Routerd) -> str:
    return next((peer["state"] for peer in daemon.get("/v1/peers") if peer["address"] == node(0)), "")


async def test_a_node_of_a_range_that_restarts_never_to_return_is_forgotten(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """gobgp#1939: the paths of dynamic neighbours stayed for ever."""
    gobgp = speaker("gobgpd")
    gobgp.start(GOBGP.format(restart=3) + FAMILY.format(name="ipv4-unicast"))
    await becomes(lambda: state(daemon), "established", 20)
    gobgp.ask("global", "rib", "add", f"{VIP}/32")
    await network.has(VIP, 0)
    gobgp.kill()
    await becomes(lambda: state(daemon), "stale")
    assert network.legs(VIP) == {node(0)}
    await becomes(lambda: network.route(VIP), "")
    assert state(daemon) == "waiting"


async def test_families_of_graceful_restart_that_we_do_not_speak(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """gobgp#1682: a peer that lists route target constraints broke the session."""
    gobgp = speaker("gobgpd")
    families = "".join(
        FAMILY.format(name=name) for name in ("rtc", "l3vpn-ipv4-unicast", "ipv4-unicast", "l2vpn-evpn")
    )
    gobgp.start(GOBGP.format(restart=30) + families)
    await becomes(lambda: state(daemon), "established", 20)
    gobgp.ask("global", "rib", "add", f"{VIP}/32")
    await network.has(VIP, 0)
    gobgp.kill()
    await becomes(lambda: state(daemon), "stale")
    gobgp.start(GOBGP.format(restart=30) + families)
    await becomes(lambda: state(daemon), "established", 25)
    await becomes(lambda: network.route(VIP), "", 20)  # without -r it has preserved nothing
    assert daemon.peer(0)["families"] == ["ipv4"]


async def test_long_lived_graceful_restart_and_add_paths_of_bird(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """gobgp#2399: with both, the NLRI of BIRD were read one path identifier off."""
    bird = speaker("bird")
    bird.start(BIRD.format(directory=bird.directory, options=""))
    for vip in (VIP, OTHER):
        await becomes(lambda vip=vip: network.legs(vip), {node(0)}, 20)  # type: ignore[misc]
    await becomes(lambda: NETWORK in bird.ask("show", "route"), True)
    assert (daemon.peer(0)["faults"], daemon.count(0, "accepted")) == (0, 2)


async def test_a_restart_of_bird_is_not_seen_in_the_kernel(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker], tmp_path: Path
) -> None:
    """calico-node#79: the peer dialled into the restart of BIRD, which ended it: the routes flapped."""
    bird = speaker("bird")
    text = BIRD.format(directory=bird.directory, options="")
    bird.start(text)
    await becomes(lambda: network.legs(VIP), {node(0)}, 20)
    await becomes(lambda: NETWORK in bird.ask("show", "route"), True)
    sessions = daemon.peer(0)["sessions"]
    heard = tmp_path / "monitor"
    with heard.open("w") as sink, network.router.spawn("ip", "-o", "monitor", "route", stdout=sink) as monitor:
        bird.kill()
        await becomes(lambda: state(daemon), "stale")
        bird.start(text, "-R")
        await becomes(lambda: daemon.peer(0)["sessions"], sessions + 1, 20)
        await becomes(lambda: daemon.peer(0)["totals"]["stale"], 0, 40)
        monitor.kill()
    assert [line for line in heard.read_text().splitlines() if VIP in line] == []
    assert network.legs(VIP) == {node(0)}


async def test_the_router_restarts_and_its_dynamic_peers_return_in_time(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """frr#6523, frr#10310: a router that is restarted does not know its dynamic peers, and theirs ran out of time."""
    frr = speaker("bgpd")
    frr.start(FRR.format(neighbor="", family=""))
    await network.has(VIP, 0)
    await becomes(lambda: NETWORK in frr.ask("show ip bgp"), True)
    before = network.route(VIP)
    daemon.kill()
    await becomes(lambda: "S" in _row(frr.ask("show ip bgp"), NETWORK)[:3], True)  # stale, and kept
    assert network.route(VIP) == before
    daemon.start()
    await becomes(lambda: state(daemon), "established", 40)
    await becomes(
        lambda: bool(_row(frr.ask("show ip bgp"), NETWORK)) and "S" not in _row(frr.ask("show ip bgp"), NETWORK)[:3],
        True,
        20,
    )
    assert network.route(VIP) == before


def _row(shown: str, prefix: str) -> str:
    return next((line for line in shown.splitlines() if f" {prefix}" in line or f">{prefix}" in line), "")


async def test_route_refresh_is_negotiated_beside_graceful_restart(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """exabgp#1371: the capability was in the log, and not in the OPEN."""
    frr = speaker("bgpd")
    frr.start(FRR.format(neighbor="", family=""))
    await network.has(VIP, 0)
    shown = _neighbor(frr)["neighborCapabilities"]
    assert "advertisedAndReceived" in str(shown["routeRefresh"])
    assert "advertisedAndReceived" in str(shown["gracefulRestart"])
    before = _neighbor(frr)["messageStats"]["updatesRecv"]
    frr.ask("clear bgp ipv4 unicast * in")
    await becomes(lambda: _neighbor(frr)["messageStats"]["routeRefreshSent"] > 0)
    await becomes(lambda: _neighbor(frr)["messageStats"]["updatesRecv"] > before)
    assert daemon.peer(0)["sessions"] == 1


def _neighbor(frr: Speaker) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(frr.ask("show bgp neighbors json"))
    return dict(found[ROUTER])


async def test_dynamic_capabilities_and_filters_of_frr(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """frr#15585: what its datacenter profile turns on must cost no session."""
    frr = speaker("bgpd")
    frr.start(
        FRR.format(
            neighbor=f"neighbor {ROUTER} capability dynamic",
            family=f"neighbor {ROUTER} capability orf prefix-list both",
        )
    )
    await network.has(VIP, 0)
    for change in ("no neighbor {} activate", "neighbor {} activate"):
        lines = ("configure terminal", "router bgp 65001", "address-family ipv6 unicast", change.format(ROUTER))
        frr.ask(lines[0], *(word for line in lines[1:] for word in ("-c", line)))
    await becomes(lambda: state(daemon), "established", 20)
    await network.has(VIP, 0)
    assert daemon.peer(0)["faults"] == 0


@pytest.mark.long
async def test_a_node_whose_network_card_was_off_returns_once(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """metallb#2803: the session came back, and went once more when the timers of the old one ran out."""
    frr = speaker("bgpd")
    frr.start(FRR.format(neighbor=f"neighbor {ROUTER} timers 3 9", family="").replace(" bgp graceful-restart\n", ""))
    await network.has(VIP, 0)
    network.nodes.ip("link", "set", "eth0", "down")
    await becomes(lambda: state(daemon) == "established", False, 20)
    network.nodes.ip("link", "set", "eth0", "up")
    await has_within(network, 40)
    sessions = daemon.peer(0)["sessions"]
    since = daemon.peer(0)["since_seconds"]
    await becomes(lambda: daemon.peer(0)["since_seconds"] > since + 12, True, 20)  # longer than any hold timer
    assert (state(daemon), daemon.peer(0)["sessions"]) == ("established", sessions)
    assert daemon.problems() == {}


async def has_within(network: Network, seconds: float) -> None:
    await becomes(lambda: network.legs(VIP), {node(0)}, seconds)


@pytest.mark.parametrize("text", ["Wartung: Kernel-Update für Gerät 7, bis später", "\x1b[2Jgone"])
async def test_what_an_operator_writes_into_a_shutdown_is_shown(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker], text: str
) -> None:
    """exabgp#912: a NOTIFICATION with octets beyond ASCII ended more than the session."""
    frr = speaker("bgpd")
    frr.start(FRR.format(neighbor="", family=""))
    await network.has(VIP, 0)
    frr.ask("configure terminal", "-c", "router bgp 65001", "-c", f"neighbor {ROUTER} shutdown message {text}")
    await becomes(lambda: state(daemon) == "established", False)
    await becomes(lambda: daemon.peer(0)["reason"] != "")
    reason = daemon.peer(0)["reason"]
    assert re.match(r"NOTIFICATION 6/(2|9) received", reason)
    assert text in reason or not text.isprintable()
    assert "\x1b" not in reason + daemon.log.read_text()
    assert daemon.status()["speaker"]["restarts"] == 0


async def test_an_open_of_exactly_255_octets_of_parameters_is_no_extended_one(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    """frr#22355: the length 255 alone was taken for the mark of RFC 9072."""
    bare = bgp.open_message(router_id=node(0))
    room = 255 - bare[28]
    unknown = bytes([239, room - 2]) + bytes(room - 2)
    opened = bgp.open_message(router_id=node(0), capabilities=unknown)
    assert (opened[28], opened[29]) == (255, 2)
    clients.append(await network.establish(0, capabilities=unknown))
    clients[0].send(announcement(0, f"{VIP}/32"))
    await network.has(VIP, 0)


async def test_a_peer_in_open_confirm_is_no_session_and_no_obstacle(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    """frr#6959, frr#6090: a session that stuck in OpenConfirm kept every other one out."""
    async with await network.connect(0, hold=0) as stuck:
        stuck.introduce()
        await stuck.expect(bgp.KEEPALIVE)
        frr = speaker("bgpd")
        frr.start(FRR.format(neighbor="", family=""))
        await network.has(VIP, 0)


async def test_the_text_of_a_shutdown_is_shown_on_both_sides(
    daemon: Routerd, network: Network, speaker: Callable[[str], Speaker]
) -> None:
    frr = speaker("bgpd")
    frr.start(FRR.format(neighbor="", family=""))
    await becomes(lambda: state(daemon), "established", 20)
    await network.has(VIP, 0)
    assert daemon.cli("shutdown", node(0), "disk swap, back at 15:00").returncode == 0
    await becomes(lambda: network.route(VIP), "")

    def heard() -> dict[str, Any]:
        shown = json.loads(frr.ask(f"show bgp neighbors {ROUTER} json") or "{}")
        found: dict[str, Any] = shown.get(ROUTER, {})
        return found

    await becomes(lambda: heard().get("lastShutdownDescription"), "disk swap, back at 15:00", 20)
    assert heard()["bgpState"] != "Established"
    await becomes(lambda: sum(each["count"] for each in daemon.status()["refusals"]) > 1, seconds=20)
    assert daemon.problems() == {}
    assert daemon.cli("enable", node(0)).returncode == 0
    await becomes(lambda: state(daemon), "established", 20)
    await network.has(VIP, 0)
    frr.ask("configure terminal", "-c", "router bgp 65001", "-c", f"neighbor {ROUTER} shutdown message rack 7 moves")
    await becomes(lambda: daemon.peer(0)["reason"].count('Administrative Shutdown ("rack 7 moves")'), 1)
