"""docs/metrics.md, the alarms and their pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from routerd.telemetry.metrics.catalogue import METRICS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
RULES = yaml.safe_load((ROOT / "config" / "prometheus" / "alerts.yml").read_text())
ALARMS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]

FROZEN = """
routerd_peer_up routerd_peer_state routerd_peer_uptime_seconds routerd_peer_sessions_total routerd_peer_resets_total
routerd_peer_messages_total routerd_peer_malformed_updates_total routerd_peer_prefixes routerd_peer_rejected_prefixes
routerd_peer_silent routerd_peer_draining routerd_peer_leaving_prefixes routerd_peer_buckets
routerd_node_packets_total routerd_node_buckets routerd_group_member_packets_total routerd_group_members
routerd_group_prefixes
routerd_rib_prefixes routerd_rib_paths routerd_fib_routes routerd_fib_nexthops routerd_fib_groups
routerd_fib_group_members routerd_fib_buckets routerd_fib_bucket_budget routerd_fib_small_groups
routerd_fib_synchronised routerd_fib_unwritten routerd_fib_writes_total routerd_fib_refusals_total
routerd_fib_refused routerd_fib_drift_mended_total routerd_fib_foreign_routes routerd_gateways_out
routerd_convergence_seconds routerd_failover_seconds routerd_event_loop_stretch_seconds
routerd_event_loop_longest_stretch_seconds
routerd_problems routerd_liveness_probes_total routerd_liveness_probes_lost_total routerd_drains_total
routerd_drained
routerd_tcp_dropped_segments_total routerd_sysctls_wrong routerd_watcher_failures_total routerd_log_lost_lines_total
routerd_events_total
routerd_speaker_up routerd_speaker_restarts_total routerd_session_refusals_total
routerd_process_resident_memory_bytes
routerd_process_cpu_seconds_total routerd_start_time_seconds routerd_build_info routerd_config_info
routerd_config_last_change_timestamp_seconds routerd_config_reloads_total routerd_config_unconfirmed
routerd_config_differs routerd_scrape_seconds
routerd_mqtt_connected routerd_mqtt_connections_total routerd_mqtt_last_message_timestamp_seconds
routerd_mqtt_events_told_total routerd_mqtt_events_lost_total routerd_mqtt_states routerd_mqtt_states_waiting
routerd_mqtt_vips routerd_mqtt_requests_total
routerd_bmp_connected routerd_bmp_sessions_total routerd_bmp_dropped_sessions_total routerd_bmp_waiting_bytes
routerd_mrt_writes_total routerd_mrt_failures_total routerd_mrt_lost_records_total
routerd_mrt_last_write_timestamp_seconds
routerd_pair_up routerd_pair_groups routerd_pair_buckets_differing routerd_pair_conflicts routerd_pair_messages_total
routerd_pair_bytes_total routerd_pair_last_agreed_timestamp_seconds
"""
"""Dashboards and alarms stand on these names: one may come, none may go."""


def metrics() -> str:
    """Return the table of all metrics."""
    rows = ["| metric | type | labels | |", "|---|---|---|---|"]
    for each in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in each.labels)
        rows.append(
            f"| `{each.name}` | {each.kind} | {labels} | {each.meaning}. `{each.query.replace('|', chr(92) + '|')}` |"
        )
    return "\n".join(rows)


def alarms() -> str:
    """Return the table of the alarms."""
    rows = ["| alarm | severity | |", "|---|---|---|"]
    for each in ALARMS:
        name, about = each["alert"], re.sub(r"\{\{ \$labels\.(\w+) }}", r"*\1*", each["annotations"]["summary"])
        about = re.sub(r"\{\{ \$value.*? }}", "*so much* ", about)
        rows.append(f"| [{name}](runbooks/{name}.md) | {each['labels']['severity']} | {about} |")
    return "\n".join(rows)


def test_the_names_are_frozen() -> None:
    assert list(METRICS) == FROZEN.split()


@pytest.mark.parametrize(("mark", "table"), [("metrics", metrics()), ("alarms", alarms())])
def test_the_page_has_all_of_them(mark: str, table: str) -> None:
    found = re.search(rf"<!-- {mark}: [^>]*-->\n(.*?)(?=\n<!--|\Z)", PAGE, re.DOTALL)
    assert found is not None
    assert found[1].strip() == table, f"write after the mark:\n{table}"


def test_each_metric_is_named_as_prometheus_wants_it() -> None:
    for each in METRICS.values():
        assert re.fullmatch(r"routerd_[a-z][a-z0-9_]*[a-z]", each.name)
        assert each.name.endswith("_total") == (each.kind == "counter"), each.name
        assert each.kind in ("counter", "gauge", "histogram")
        assert each.name in each.query
        assert not each.meaning.endswith(".")


def test_each_alarm_has_its_page() -> None:
    pages = {path.stem: path.read_text() for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages.keys() == {each["alert"] for each in ALARMS}
    for each in ALARMS:
        name = each["alert"]
        assert each["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert each["labels"]["severity"] in ("page", "ticket")
        assert pages[name].startswith(f"# {name}\n\n")
        assert "\n## What to do\n\n1. " in pages[name]


LATE = ("peer_resets", "fib_refusals", "liveness_probes_lost", "watcher_failures")
"""Counters of which a series is there from its first time on, at 1: rate() and increase() know nothing of that."""


def test_nobody_asks_how_a_counter_has_grown_that_begins_at_1() -> None:
    pages = [ROOT / "config" / "grafana" / "routerd.json", ROOT / "config" / "prometheus" / "alerts.yml"]
    pages += [ROOT / "docs" / "metrics.md", *(ROOT / "docs" / "runbooks").iterdir()]
    grown = re.compile(rf"(?:rate|increase)\(routerd_({'|'.join(LATE)})_total")
    assert {page.name: found for page in pages if (found := grown.findall(page.read_text()))} == {}
