"""What has a row or a few: the FIB in numbers, times, the host, the process. The library's types, with our names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from routerd.core.fib.drift import KINDS
from routerd.core.gateway_health import Reason
from routerd.core.histogram import Histogram
from routerd.core.route import format_address
from routerd.core.router import Router
from routerd.telemetry.metrics.catalogue import METRICS
from routerd.telemetry.metrics.figures import Figures, PairFigures
from routerd.telemetry.metrics.surroundings import Surroundings
from routerd.telemetry.metrics.tally import OPERATIONS, Tally

Samples = Iterable[tuple[tuple[str, ...], float]]
"""The values of the labels, and of the metric."""


def family(name: str, samples: Samples | float | Histogram) -> Metric:
    """Return one metric, by its name in the catalogue less the prefix."""
    known = METRICS[f"routerd_{name}"]
    if isinstance(samples, Histogram):
        bounds = [*map(str, samples.bounds), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(samples.counts)), strict=True))
        return HistogramMetricFamily(known.name, known.meaning, buckets=buckets, sum_value=samples.total)
    kind = CounterMetricFamily if known.kind == "counter" else GaugeMetricFamily
    made = kind(known.name, known.meaning, labels=known.labels)
    for values, value in [((), samples)] if isinstance(samples, int | float) else samples:
        made.add_metric(values, value)
    return made


def _by(counts: Mapping[str, float], *keys: str) -> Samples:
    """Return counts with one label; those `keys` are there even if they are 0."""
    return [((key,), counts.get(key, 0)) for key in dict.fromkeys((*keys, *counts))]


def fib(router: Router, tally: Tally, unwritten: int) -> Iterator[Metric]:
    """Yield the kernel's side in numbers, and what the RIB has."""
    groups, refusals = router.fib.groups, router.refusals
    there = [group for group in groups if group.legs]
    held = sum(group.buckets for group in there if group in groups.settling)
    resilient = sum(1 for group in there if group.buckets)
    yield family("rib_prefixes", len(router.rib.loc_rib.table))
    yield family("rib_paths", sum(sum(hops.values()) for hops in router.rib.loc_rib.hops.values()))
    yield family("fib_routes", router.fib.installed)
    yield family("fib_nexthops", len(groups.nexthops))
    types = {"resilient": resilient, "hash-threshold": len(there) - resilient}
    yield family("fib_groups", _by(types))
    yield family("fib_group_members", sum(len(group.legs) for group in there))
    yield family("fib_buckets", _by({"balanced": groups.buckets - held, "held": held}))
    yield family("fib_bucket_budget", router.config.fib.bucket_budget)
    yield family("fib_small_groups", sum(1 for each in there if 0 < each.buckets < router.config.fib.buckets))
    yield family("fib_synchronised", int(router.synchronised))
    yield family("fib_unwritten", unwritten)
    yield family("fib_writes_total", _by(tally.writes, *OPERATIONS.values()))
    yield family("fib_refusals_total", tally.refusals.items())
    now = {
        "route": len(refusals.routes),
        "group": len(refusals.groups),
        "nexthop": len(refusals.nexthops),
        "deletion": len(refusals.deletions),
    }
    yield family("fib_refused", _by(now))
    yield family("fib_drift_mended_total", _by(router.reconciliation.drift, *KINDS))
    yield family("fib_foreign_routes", router.reconciliation.foreign_bgp.routes)
    out = {reason.name.lower(): len(router.health.having(reason)) for reason in Reason}
    yield family("gateways_out", _by(out))


def times(tally: Tally, stretches: Histogram) -> Iterator[Metric]:
    """Yield how long things take."""
    yield family("convergence_seconds", tally.convergence.histogram)
    yield family("failover_seconds", tally.failover)
    yield family("event_loop_stretch_seconds", stretches)
    yield family("event_loop_longest_stretch_seconds", stretches.largest)


def health(router: Router, tally: Tally, found: Surroundings) -> Iterator[Metric]:
    """Yield what else may be wrong."""
    if found.problems is not None:
        yield family("problems", _by(found.problems))
    yield family("liveness_probes_total", tally.probes)
    name_of = router.rib.nexthops.name_of
    lost = [
        ((format_address(each.address), name_of(each.ifindex)), n)
        for each, n in tally.losses.items()
        if router.rib.leads.peers(each)
    ]
    yield family("liveness_probes_lost_total", lost)
    yield family("drains_total", tally.drains)
    yield family("drained", int(router.drains.own is not None))
    yield family("tcp_dropped_segments_total", _by(found.dropped_segments))
    yield family("sysctls_wrong", found.sysctls_wrong)
    yield family("watcher_failures_total", _by(found.watcher_failures))
    yield family("log_lost_lines_total", found.lost_lines)
    yield family("events_total", found.events)


def process(found: Surroundings) -> Iterator[Metric]:
    """Yield what there is to say of the daemon, its child and its configuration."""
    yield family("speaker_up", int(found.speaker_up))
    yield family("speaker_restarts_total", found.speaker_restarts)
    yield family("session_refusals_total", found.session_refusals)
    yield family("process_resident_memory_bytes", [((each.name,), each.resident) for each in found.processes])
    yield family("process_cpu_seconds_total", [((each.name,), each.cpu) for each in found.processes])
    yield family("start_time_seconds", found.started)
    yield family("build_info", [(tuple(found.build.values()), 1)])
    yield family("config_info", [((found.config_hash,), 1)])
    yield family("config_last_change_timestamp_seconds", found.config_changed)
    yield family("config_reloads_total", _by(found.reloads, "taken", "refused"))
    yield family("config_unconfirmed", int(found.config_unconfirmed))
    yield family("config_differs", int(found.config_differs))
    yield family("scrape_seconds", found.last_scrape)


def others(found: Figures) -> Iterator[Metric]:
    """Yield what the broker, collectors and files were told; a broker that is not configured has no samples."""
    brokers = [] if found.broker is None else [found.broker]
    yield family("mqtt_connected", [((), int(each.connected)) for each in brokers])
    yield family("mqtt_connections_total", [((), each.connections) for each in brokers])
    heard = [((), each.last_message) for each in brokers if each.last_message]
    yield family("mqtt_last_message_timestamp_seconds", heard)
    yield family("mqtt_events_told_total", [((), each.events_told) for each in brokers])
    yield family("mqtt_events_lost_total", [((), each.events_lost) for each in brokers])
    yield family("mqtt_states", [((), each.states) for each in brokers])
    yield family("mqtt_states_waiting", [((), each.states_waiting) for each in brokers])
    vips = [(("told",), each.vips_told) for each in brokers] + [
        (("left_out",), each.vips_left_out) for each in brokers
    ]
    yield family("mqtt_vips", vips)
    requests = [(("heeded",), each.requests_heeded) for each in brokers]
    yield family("mqtt_requests_total", requests + [(("refused",), each.requests_refused) for each in brokers])
    collectors, dumps = found.collectors, found.dumps
    yield family("bmp_connected", [((each.name,), int(each.connected)) for each in collectors])
    yield family("bmp_sessions_total", [((each.name,), each.sessions) for each in collectors])
    yield family("bmp_dropped_sessions_total", [((each.name,), each.dropped) for each in collectors])
    yield family("bmp_waiting_bytes", [((each.name,), each.waiting) for each in collectors])
    yield family("mrt_writes_total", [((each.kind,), each.written) for each in dumps])
    yield family("mrt_failures_total", [((each.kind,), each.failed) for each in dumps])
    yield family("mrt_lost_records_total", [((each.kind,), each.lost) for each in dumps])
    yield family("mrt_last_write_timestamp_seconds", [((each.kind,), each.last) for each in dumps if each.last])


def pair(found: PairFigures | None) -> Iterator[Metric]:
    """Yield how this router stands with the other one of its pair; without a pair there are no samples."""
    pairs = [] if found is None else [found]
    yield family("pair_up", [((each.partner,), int(each.up)) for each in pairs])
    states = [((state.replace(" ", "_"),), count) for each in pairs for state, count in each.groups.items()]
    yield family("pair_groups", states)
    yield family("pair_buckets_differing", [((), each.differing) for each in pairs])
    yield family("pair_conflicts", [((), each.conflicts) for each in pairs])
    channels = [each.channel for each in pairs]
    messages = [(("sent",), each.messages_sent) for each in channels]
    yield family("pair_messages_total", messages + [(("received",), each.messages_received) for each in channels])
    octets = [(("sent",), each.octets_sent) for each in channels]
    yield family("pair_bytes_total", octets + [(("received",), each.octets_received) for each in channels])
    agreed = [((), each.last_agreed) for each in pairs if each.last_agreed]
    yield family("pair_last_agreed_timestamp_seconds", agreed)
