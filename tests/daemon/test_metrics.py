"""Metrics of the real daemon: over the Unix socket and TCP, scraped by the real Prometheus, checked by promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from routerd.telemetry.metrics.catalogue import METRICS
from tests.daemon.harness import CONFIG, ROUTER, Network, Routerd, announcement, becomes, node, running
from tests.daemon.test_reload import reload, written
from tests.support import bgp
from tests.support.netns import needs_root
from tests.support.prometheus import (
    names_in,
    needs_prometheus,
    prometheus,
    promtool,
    ringing,
    self_signed,
    series,
    value,
)

pytestmark = [needs_root, needs_prometheus]

ROOT = Path(__file__).parents[2]
VIP, VIP6 = "172.16.1.1/32", "fd00:ac10::1/128"
PLACE = f"{ROUTER}:9179"
LISTENING = f'{CONFIG}\n[metrics]\nlisten = "{PLACE}"\n'


def page(daemon: Routerd) -> str:
    """Return the metrics as the API's socket has them."""
    command = ["curl", "-sSf", "--unix-socket", str(daemon.socket), "http://routerd/metrics"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def remote(network: Network, *options: str, scheme: str = "http", path: str = "/metrics") -> tuple[int, str]:
    """Return status and answer of the TCP listener, asked from a node; 0 if there is none."""
    command = ["curl", "-sS", "-m", "5", "-w", "\n%{http_code}", *options, f"{scheme}://{PLACE}{path}"]
    process = network.nodes.spawn(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    answer, _ = process.communicate(timeout=20)
    body, _, status = answer.rpartition("\n")
    return int(status or 0), body


def status_of(network: Network, *options: str, scheme: str = "http", path: str = "/metrics") -> Callable[[], int]:
    return lambda: remote(network, *options, scheme=scheme, path=path)[0]


async def announce(network: Network, clients: list[bgp.Client], *numbers: int, prefix: str = VIP) -> None:
    """Have nodes come and announce an address."""
    for number in numbers:
        clients.append(await network.establish(number))
        clients[-1].send(announcement(number, prefix) + bgp.end_of_rib())
    await network.has(prefix, *numbers)


def send_packets(network: Network, count: int, address: str) -> None:
    """Send packets through the router, each a flow of its own."""
    script = (
        "import socket, sys\n"
        "address, count = sys.argv[1], int(sys.argv[2])\n"
        "family = socket.AF_INET6 if ':' in address else socket.AF_INET\n"
        "for port in range(count):\n"
        "    with socket.socket(family, socket.SOCK_DGRAM) as sock:\n"
        "        sock.sendto(b'x', (address, 1024 + port))\n"
    )
    network.router.run("python3", "-c", script, address, str(count))


async def test_prometheus_scrapes_it_over_tcp_and_over_nothing_else(
    network: Network, tmp_path: Path, clients: list[bgp.Client]
) -> None:
    certificate, key = self_signed(tmp_path, ROUTER)
    token = tmp_path / "token"
    token.write_text("a-secret\n")
    config = f'{LISTENING}token_file = "{token}"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    scrape = f"""\
- job_name: routerd
  scheme: https
  authorization: {{credentials_file: {token}}}
  tls_config: {{ca_file: {certificate}}}
  static_configs: [{{targets: ["{PLACE}"]}}]
"""
    with running(network.router, tmp_path, config) as daemon:
        await announce(network, clients, 0, 1)
        # Nothing but the cable leads from Prometheus to the router: it is in the nodes' namespace, as another user.
        with prometheus(network.nodes, tmp_path, scrape, [ROOT / "config/prometheus/alerts.yml"]) as scraper:
            await becomes(lambda: scraper.query("up"), {PLACE: 1.0})
            up = "routerd_peer_up == 1"
            await becomes(lambda: scraper.query(up).keys(), {node(0), node(1)})
            await clients.pop().close()
            await becomes(lambda: scraper.query(up).keys(), {node(0)})
            metadata = scraper.ask("targets/metadata", match_target='{job="routerd"}')
            kinds = {each["metric"]: each["type"] for each in metadata if each["metric"].startswith("routerd_")}
            assert kinds == {name: each.kind for name, each in METRICS.items()}
            assert {each["name"] for group in scraper.ask("rules")["groups"] for each in group["rules"]}
        assert remote(network, "-k", scheme="https")[0] == 401
        assert remote(network, "-k", "-H", "Authorization: Bearer a-secre", scheme="https")[0] == 401
        assert remote(network)[0] == 0
        assert daemon.problems() == {}


def expressions() -> list[str]:
    """Return every expression of the dashboard and of the catalogue, as Prometheus can be asked."""
    dashboard = (ROOT / "config/grafana/routerd.json").read_text()
    found = [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel.get("targets", ())]
    found += [each["expr"] for each in json.loads(dashboard)["annotations"]["list"]]
    found += [each.query for each in METRICS.values()]
    return [each.replace("$instance", ".*").replace("$__rate_interval", "1m") for each in found]


def test_dashboard_alarms_and_examples_name_metrics_that_exist(tmp_path: Path) -> None:
    alarms = yaml.safe_load((ROOT / "config/prometheus/alerts.yml").read_text())
    found = [*expressions(), *(rule["expr"] for group in alarms["groups"] for rule in group["rules"])]
    assert len(found) > 100
    for text in found:
        assert names_in(text) <= METRICS.keys(), text
    rules = tmp_path / "rules.yml"
    records = [{"record": f"a:number:{number}", "expr": text} for number, text in enumerate(found)]
    rules.write_text(yaml.dump({"groups": [{"name": "all", "rules": records}]}))
    for path in (rules, ROOT / "config/prometheus/alerts.yml"):
        checked = promtool("check", "rules", str(path))
        assert checked.returncode == 0, checked.stderr
        assert "FAILED" not in checked.stdout + checked.stderr


def test_the_dashboard_is_one() -> None:
    dashboard = json.loads((ROOT / "config/grafana/routerd.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert {panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"} >= {
        "Peers", "Traffic", "Convergence", "Drains", "Kernel", "Fleet",
    }  # fmt: skip
    assert all(target["expr"] for panel in panels for target in panel["targets"])


async def test_a_real_scrape_is_as_prometheus_wants_it(
    network: Network, tmp_path: Path, clients: list[bgp.Client]
) -> None:
    """Of a life with most kinds of events, which is checked by promtool and counted by name."""
    lacking = CONFIG.replace("[[dynamic_peers]]", "[[dynamic_peers]]\nexpected = 9")
    with running(network.router, tmp_path, f"{lacking}\n[fib]\nidle_timer = 1\n") as daemon:
        await announce(network, clients, 0, 1, 2)
        for number in (0, 1):
            clients[number].send(announcement(number, VIP6))
        await network.has(VIP6, 0, 1)
        clients[0].send(announcement(0, "10.99.0.0/24"))  # not accepted
        await becomes(lambda: daemon.count(0, "rejected"), 1)
        await becomes(lambda: all(group["balanced"] for group in daemon.get("/v1/groups")))
        send_packets(network, 50, "172.16.1.1")
        send_packets(network, 40, "fd00:ac10::1")
        before = page(daemon)  # the kernel counts anew when a group is written
        assert daemon.cli("drain", node(1)).returncode == 0
        clients[2].send(bgp.notification(6, 2))
        await network.has(VIP, 0, 1)
        network.router.ip("route", "del", VIP)
        await becomes(lambda: value(page(daemon), "routerd_fib_drift_mended_total", kind="route_missing") >= 1)
        daemon.config.write_text("nonsense")
        assert daemon.cli("reload").returncode == 1
        await becomes(lambda: value(page(daemon), "routerd_problems"))
        found = page(daemon)
        checked = promtool("check", "metrics", text=found)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")

        def is_(name: str, **labels: str) -> float:
            return value(found, f"routerd_{name}", **labels)

        assert is_("peer_up") == 2
        assert is_("peer_state", state="established") == 2
        assert 0 < is_("peer_uptime_seconds", peer=node(0)) < 60
        assert is_("peer_prefixes", state="accepted", family="ipv4", peer=node(0)) == 1
        assert is_("peer_prefixes", state="in_fib", family="ipv6") == 2
        assert is_("peer_rejected_prefixes", reason="6 not in accept", peer=node(0)) == 1
        assert is_("peer_resets_total", cause="administrative_shutdown", by="peer", peer=node(2)) == 1
        assert is_("peer_messages_total", direction="received", type="notification") == 1
        assert is_("peer_messages_total", direction="received", type="update", peer=node(0)) == 4
        assert is_("peer_messages_total", direction="sent", type="update", peer=node(0)) >= 2
        assert is_("peer_draining", peer=node(1)) == is_("peer_draining") == is_("drains_total") == 1
        assert value(before, "routerd_node_packets_total", family="ipv4") >= 50
        assert value(before, "routerd_node_packets_total", family="ipv6") >= 40
        kept = {"gateway": node(0), "family": "ipv4"}
        assert is_("node_packets_total", **kept) >= value(before, "routerd_node_packets_total", **kept) > 0
        assert value(before, "routerd_group_member_packets_total", prefix=VIP) >= 50
        share = [value(before, "routerd_node_packets_total", gateway=node(number)) for number in (0, 1, 2)]
        assert min(share) > 0
        assert is_("group_members", prefix=VIP6) == 2
        assert is_("fib_routes") == 2
        assert is_("fib_writes_total", operation="set_route") >= 3
        assert is_("fib_buckets") == 2048
        assert is_("convergence_seconds_count") >= 1  # one is followed at a time
        assert is_("failover_seconds_count") >= 1
        assert 0 < is_("failover_seconds_sum") < 1
        assert is_("event_loop_stretch_seconds_count") > 20
        assert is_("liveness_probes_total") > 0
        assert is_("speaker_up") == 1
        assert is_("process_resident_memory_bytes", process="daemon") > 1e7
        assert is_("process_resident_memory_bytes", process="speaker") > 1e7
        assert is_("config_reloads_total", result="refused") == 1
        assert is_("problems", kind="range") == 1
        assert is_("events_total") > 5


async def test_the_listener_follows_the_configuration(network: Network, tmp_path: Path) -> None:
    """It comes and goes live, and what cannot be had is refused, or told, while the rest goes on."""
    with running(network.router, tmp_path) as daemon:
        good = daemon.config.read_text()
        assert remote(network)[0] == 0
        reload(daemon, written(good, "metrics.listen", f'"{PLACE}"'))
        await becomes(status_of(network), 200)
        assert remote(network, path="/v1/status")[0] == 404
        assert remote(network, "-X", "POST")[0] == 405
        assert "frr_bgp" not in remote(network)[1]
        both = written(daemon.config.read_text(), "metrics.compatibility", '["frr_exporter", "gobgp"]')
        reload(daemon, both)
        await becomes(lambda: "frr_bgp_peers_count_total" in remote(network)[1])
        daemon.config.write_text(written(both, "metrics.listen", '"192.0.2.1:9179"'))
        refused = daemon.cli("reload")
        assert refused.returncode == 1
        assert "metrics.listen: nobody could scrape at 192.0.2.1:9179: Cannot assign" in refused.stderr
        daemon.config.write_text(written(both, "metrics.token_file", '"/nowhere"'))
        assert "metrics.token_file: /nowhere: No such file" in daemon.cli("reload").stderr
        assert remote(network)[0] == 200
        reload(daemon, good)
        await becomes(status_of(network), 0)
        assert daemon.problems() == {}
        assert "Traceback" not in daemon.log.read_text()


async def test_what_happens_rings_the_right_alarms(
    network: Network, tmp_path: Path, clients: list[bgp.Client]
) -> None:
    """The pages of a real life are played to promtool, a scrape a minute: all is well, then things go wrong."""
    with running(network.router, tmp_path) as daemon:
        await announce(network, clients, 0, 1, 2)
        well = page(daemon)
        network.nodes.ip("address", "del", f"{node(2)}/24", "dev", "eth0")
        await becomes(lambda: value(page(daemon), "routerd_peer_silent"), 1)
        clients[1].send(announcement(1, "10.99.0.0/24"))
        await becomes(lambda: daemon.count(1, "rejected"), 1)
        await clients[0].close()
        network.router.ip("route", "del", VIP)
        await becomes(lambda: value(page(daemon), "routerd_fib_drift_mended_total") >= 1)
        await network.has(VIP, 1)
        ill = page(daemon)
    job = {"job": "routerd", "instance": PLACE}
    up = {"series": f'up{{job="routerd",instance="{PLACE}"}}', "values": "1x60"}
    played = [*series([(30, well), (30, ill)], job), up]
    alarms = ROOT / "config/prometheus/alerts.yml"
    names = [rule["alert"] for group in yaml.safe_load(alarms.read_text())["groups"] for rule in group["rules"]]
    for minutes, rung in (
        (25, set()),
        (32, {"RouterdDrift", "RouterdNodeSilent"}),
        (50, {"RouterdPeerDown", "RouterdNodeSilent", "RouterdPathsRejected", "RouterdPrefixAlone"}),
    ):
        assert ringing(alarms, tmp_path, (minutes, played, names)) == rung
