"""Every metric: its name, type, labels and meaning, and a query to begin with.

The names are an interface: dashboards and alarms stand on them, and a test keeps a list of them. Another one holds
docs/metrics.md to this table, and prints what is to be written there.
"""

from __future__ import annotations

from typing import NamedTuple

PEER = ("peer", "name", "group")
NODE = ("gateway", "interface", "family", "name")
GROUP = ("nexthop_group", "prefix", "family")


class Metric(NamedTuple):
    """A metric. `kind` is counter, gauge or histogram."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
    query: str


def _counter(name: str, labels: tuple[str, ...], meaning: str, query: str) -> Metric:
    return Metric(f"routerd_{name}", "counter", labels, meaning, query)


def _gauge(name: str, labels: tuple[str, ...], meaning: str, query: str) -> Metric:
    return Metric(f"routerd_{name}", "gauge", labels, meaning, query)


def _histogram(name: str, labels: tuple[str, ...], meaning: str, query: str) -> Metric:
    return Metric(f"routerd_{name}", "histogram", labels, meaning, query)


_PEERS = (
    _gauge("peer_up", PEER, "Whether the peer has an established session", "routerd_peer_up == 0"),
    _gauge(
        "peer_state",
        (*PEER, "state"),
        "1 for the state that routerd status shows of the peer: established, waiting, stale or shutdown",
        "count by (state) (routerd_peer_state)",
    ),
    _gauge(
        "peer_uptime_seconds",
        PEER,
        "For how long the session has been established, 0 without one",
        "routerd_peer_uptime_seconds > 0 and routerd_peer_uptime_seconds < 300",
    ),
    _counter(
        "peer_sessions_total",
        PEER,
        "Sessions that were established with the peer",
        "increase(routerd_peer_sessions_total[1h]) > 3",
    ),
    _counter(
        "peer_resets_total",
        (*PEER, "cause", "by"),
        "Established sessions that ended, by cause and by whom: router, peer, or network if nobody said anything",
        "sum by (name, cause, by) (routerd_peer_resets_total)",
    ),
    _counter(
        "peer_messages_total",
        (*PEER, "direction", "type"),
        "BGP messages received and sent, but for KEEPALIVEs",
        'sum by (name) (rate(routerd_peer_messages_total{direction="received",type="update"}[5m]))',
    ),
    _counter(
        "peer_malformed_updates_total",
        PEER,
        "Malformed UPDATEs received (RFC 7606)",
        "increase(routerd_peer_malformed_updates_total[1h]) > 0",
    ),
    _gauge(
        "peer_prefixes",
        (*PEER, "family", "state"),
        "Prefixes of the peer: received, accepted, rejected, in_fib, stale, and advertised to it",
        'sum by (name) (routerd_peer_prefixes{state="in_fib"})',
    ),
    _gauge(
        "peer_rejected_prefixes",
        (*PEER, "reason"),
        "Prefixes that import policy rejects, by the reason that routerd peers shows",
        "sum by (name, reason) (routerd_peer_rejected_prefixes)",
    ),
    _gauge(
        "peer_silent",
        PEER,
        "Whether the link layer of a gateway that the peer leads to does not answer",
        "routerd_peer_silent == 1",
    ),
    _gauge("peer_draining", PEER, "Whether the operator drains the peer", "sum(routerd_peer_draining)"),
    _gauge(
        "peer_leaving_prefixes",
        PEER,
        "Prefixes that the peer announces with GRACEFUL_SHUTDOWN (RFC 8326)",
        "routerd_peer_leaving_prefixes > 0",
    ),
    _gauge(
        "peer_buckets",
        PEER,
        "Hash buckets that lead to the peer, of all groups",
        "routerd_peer_buckets > 0 and routerd_peer_draining == 1",
    ),
)

_NODES = (
    _counter(
        "node_packets_total",
        NODE,
        "Packets for which the kernel chose the node in groups of several members, since the start (Linux "
        "6.9 and later)",
        "sum by (name) (rate(routerd_node_packets_total[5m])) / scalar(sum(rate(routerd_node_packets_total[5m])))",
    ),
    _gauge(
        "node_buckets",
        NODE,
        "Hash buckets that lead to the node, of all groups, as last read",
        "routerd_node_buckets / scalar(sum(routerd_node_buckets))",
    ),
    _counter(
        "group_member_packets_total",
        (*GROUP, *NODE[:2], "name"),
        "Packets for which the kernel chose this member of a group (Linux 6.9 and later)",
        "topk(10, sum by (prefix, name) (rate(routerd_group_member_packets_total[5m])))",
    ),
    _gauge(
        "group_members",
        GROUP,
        "Members of a nexthop group; `prefix` is empty where several prefixes share it",
        "routerd_group_members < 2",
    ),
    _gauge(
        "group_prefixes",
        GROUP,
        "Prefixes whose routes lead to a nexthop group",
        "topk(10, routerd_group_prefixes)",
    ),
)

_FIB = (
    _gauge(
        "rib_prefixes",
        (),
        "Prefixes of the Loc-RIB: what is announced and accepted, and the router's own networks",
        "routerd_rib_prefixes",
    ),
    _gauge("rib_paths", (), "Accepted paths to them", "routerd_rib_paths / routerd_rib_prefixes"),
    _gauge("fib_routes", (), "Routes of routerd's in the kernel", "delta(routerd_fib_routes[10m])"),
    _gauge("fib_nexthops", (), "Nexthop objects of routerd's, one a gateway", "routerd_fib_nexthops"),
    _gauge(
        "fib_groups",
        ("type",),
        "Nexthop groups of routerd's in the kernel: resilient or hash-threshold",
        "sum(routerd_fib_groups)",
    ),
    _gauge("fib_group_members", (), "Members of all these groups", "routerd_fib_group_members"),
    _gauge(
        "fib_buckets",
        ("state",),
        "Buckets of all groups: balanced, or held until flows in them have shown themselves",
        'routerd_fib_buckets{state="held"}',
    ),
    _gauge(
        "fib_bucket_budget",
        (),
        "What these should not exceed, [fib] bucket_budget",
        "sum(routerd_fib_buckets) / scalar(routerd_fib_bucket_budget)",
    ),
    _gauge(
        "fib_small_groups",
        (),
        "Groups with fewer buckets than [fib] buckets, for the budget's sake",
        "routerd_fib_small_groups",
    ),
    _gauge("fib_synchronised", (), "Whether the kernel was read since the start", "routerd_fib_synchronised == 0"),
    _gauge(
        "fib_unwritten",
        (),
        "Routes, and other operations, that wait to be written to the kernel",
        "min_over_time(routerd_fib_unwritten[5m])",
    ),
    _counter(
        "fib_writes_total",
        ("operation",),
        "Routes, nexthops and groups that were to be written or deleted",
        "sum by (operation) (rate(routerd_fib_writes_total[5m]))",
    ),
    _counter(
        "fib_refusals_total",
        ("operation", "errno"),
        "Those that the kernel refused",
        "routerd_fib_refusals_total > 0",
    ),
    _gauge("fib_refused", ("kind",), "What the kernel refuses now", "sum by (kind) (routerd_fib_refused)"),
    _counter(
        "fib_drift_mended_total",
        ("kind",),
        "What in the kernel was not as routerd had written it, and was mended",
        "sum by (kind) (increase(routerd_fib_drift_mended_total[1h]))",
    ),
    _gauge(
        "fib_foreign_routes",
        (),
        "Routes of protocol bgp that are not routerd's, as of the last audit",
        "routerd_fib_foreign_routes > 0",
    ),
    _gauge(
        "gateways_out",
        ("reason",),
        "Gateways that are out of all groups, by reason; one may have several",
        "sum by (reason) (routerd_gateways_out)",
    ),
)

_TIMES = (
    _histogram(
        "convergence_seconds",
        (),
        "From when the core takes in an UPDATE, not from its arrival, to the kernel's last answer because of it",
        "histogram_quantile(0.99, sum by (le) (rate(routerd_convergence_seconds_bucket[15m])))",
    ),
    _histogram(
        "failover_seconds",
        (),
        "From when the core takes in that a node is lost, not from the loss, to its nexthops being out of the kernel",
        "histogram_quantile(0.99, sum by (le) (rate(routerd_failover_seconds_bucket[1d])))",
    ),
    _histogram(
        "event_loop_stretch_seconds",
        (),
        "How long the daemon did one thing, which all else had to wait for",
        "histogram_quantile(0.999, sum by (le) (rate(routerd_event_loop_stretch_seconds_bucket[15m])))",
    ),
    _gauge(
        "event_loop_longest_stretch_seconds",
        (),
        "The longest of these since the start",
        "routerd_event_loop_longest_stretch_seconds > 0.1",
    ),
)

_HEALTH = (
    _gauge(
        "problems",
        ("kind",),
        "What routerd status names as wrong, by the first word of where, but session if it is a peer that is there; "
        "found out every 30 s while somebody scrapes",
        "sum by (instance, kind) (routerd_problems)",
    ),
    _counter(
        "liveness_probes_total",
        (),
        "Neighbours that the kernel was asked to verify",
        "rate(routerd_liveness_probes_total[5m])",
    ),
    _counter(
        "liveness_probes_lost_total",
        ("gateway", "interface"),
        "How often a gateway was out because its link layer had answered none of a probe's questions",
        "sum by (gateway) (routerd_liveness_probes_lost_total) > 0",
    ),
    _counter(
        "drains_total",
        (),
        "Drains that the operator began, or that a restart took up",
        "increase(routerd_drains_total[1d])",
    ),
    _gauge("drained", (), "Whether the operator drains the router itself", "routerd_drained == 1"),
    _counter(
        "tcp_dropped_segments_total",
        ("counter",),
        "Segments that the kernel dropped unheard, by its own counter: wrong passwords, wrong TTLs",
        "rate(routerd_tcp_dropped_segments_total[5m]) > 0",
    ),
    _gauge("sysctls_wrong", (), "Kernel settings that are not as forwarding needs them", "routerd_sysctls_wrong > 0"),
    _counter(
        "watcher_failures_total",
        ("watcher",),
        "Unforeseen errors of what watches the host, which was begun anew",
        "routerd_watcher_failures_total > 0",
    ),
    _counter(
        "log_lost_lines_total",
        (),
        "Lines of the log that could not be written",
        "increase(routerd_log_lost_lines_total[1h]) > 0",
    ),
    _counter("events_total", (), "Events that were told", "rate(routerd_events_total[5m])"),
)

_PROCESS = (
    _gauge("speaker_up", (), "Whether the ExaBGP child runs and listens", "routerd_speaker_up == 0"),
    _counter(
        "speaker_restarts_total",
        (),
        "Restarts of the ExaBGP child",
        "increase(routerd_speaker_restarts_total[1h]) > 0",
    ),
    _counter(
        "session_refusals_total",
        (),
        "Attempts at a session that came to nothing: whose and why, routerd status says",
        "rate(routerd_session_refusals_total[5m]) > 0",
    ),
    _gauge(
        "process_resident_memory_bytes",
        ("process",),
        "Resident memory of the daemon and of the ExaBGP child, the speaker",
        "sum(routerd_process_resident_memory_bytes)",
    ),
    _counter(
        "process_cpu_seconds_total",
        ("process",),
        "CPU time of both; that of a child begins anew with it",
        "sum by (process) (rate(routerd_process_cpu_seconds_total[5m]))",
    ),
    _gauge(
        "start_time_seconds", (), "When routerd started, in seconds since 1970", "time() - routerd_start_time_seconds"
    ),
    _gauge(
        "build_info",
        ("version", "exabgp", "python", "kernel", "router_id", "asn"),
        "1; versions, and who this router is",
        "count by (version) (routerd_build_info)",
    ),
    _gauge(
        "config_info",
        ("hash",),
        "1; a hash of what the routers of a site have in common in their configurations, as routerd fleet shows it",
        "count(count by (hash) (routerd_config_info)) > 1",
    ),
    _gauge(
        "config_last_change_timestamp_seconds",
        (),
        "When the running configuration was taken, in seconds since 1970",
        "time() - routerd_config_last_change_timestamp_seconds < 600",
    ),
    _counter(
        "config_reloads_total",
        ("result",),
        "Reloads and rollbacks that were asked for: taken or refused",
        'increase(routerd_config_reloads_total{result="refused"}[1h]) > 0',
    ),
    _gauge(
        "config_unconfirmed",
        (),
        "Whether the running configuration is taken back unless somebody confirms it",
        "routerd_config_unconfirmed == 1",
    ),
    _gauge(
        "config_differs",
        (),
        "Whether what runs is not what the daemon's own file said when it was last looked at, or that was refused",
        "routerd_config_differs == 1",
    ),
    _gauge(
        "scrape_seconds",
        (),
        "What the last scrape took, with all that was done in between",
        "routerd_scrape_seconds",
    ),
)

_OTHERS = (
    _gauge(
        "mqtt_connected",
        (),
        "Whether the broker of [mqtt] hears the router; of the broker there is nothing if none is configured",
        "routerd_mqtt_connected == 0",
    ),
    _counter(
        "mqtt_connections_total",
        (),
        "Connections to the broker; like all counts of it, begun anew when [mqtt] changes",
        "increase(routerd_mqtt_connections_total[1h]) > 1",
    ),
    _gauge(
        "mqtt_last_message_timestamp_seconds",
        (),
        "When the broker last took a message, in seconds since 1970; a summary is told every 30 s",
        "time() - routerd_mqtt_last_message_timestamp_seconds > 60",
    ),
    _counter(
        "mqtt_events_told_total", (), "Events that the broker has taken", "rate(routerd_mqtt_events_told_total[5m])"
    ),
    _counter(
        "mqtt_events_lost_total",
        (),
        "Events that were too many, or too old, before there was a broker to hear them, or that it refused",
        "increase(routerd_mqtt_events_lost_total[1h]) > 0",
    ),
    _gauge("mqtt_states", (), "States that the broker is told: topics that it retains", "routerd_mqtt_states"),
    _gauge(
        "mqtt_states_waiting",
        (),
        "Those of which the broker does not have the newest",
        "min_over_time(routerd_mqtt_states_waiting[5m]) > 0",
    ),
    _gauge(
        "mqtt_vips",
        ("state",),
        "Host routes with a topic (told), and those that vip_limit leaves out (left_out)",
        'routerd_mqtt_vips{state="left_out"} > 0',
    ),
    _counter(
        "mqtt_requests_total",
        ("result",),
        "Requests of routerd fleet that came by the broker: heeded or refused",
        'increase(routerd_mqtt_requests_total{result="refused"}[1h]) > 0',
    ),
    _gauge("bmp_connected", ("collector",), "Whether a BMP collector has a session", "routerd_bmp_connected == 0"),
    _counter(
        "bmp_sessions_total",
        ("collector",),
        "Sessions with a BMP collector",
        "increase(routerd_bmp_sessions_total[1h]) > 1",
    ),
    _counter(
        "bmp_dropped_sessions_total",
        ("collector",),
        "Those that ended because the collector took too little",
        "increase(routerd_bmp_dropped_sessions_total[1h]) > 0",
    ),
    _gauge(
        "bmp_waiting_bytes",
        ("collector",),
        "What waits for a BMP collector; more than buffer in [[bmp]] ends its session",
        "max_over_time(routerd_bmp_waiting_bytes[15m])",
    ),
    _counter(
        "mrt_writes_total",
        ("kind",),
        "Tables that were dumped by interval (rib), and writings of what peers announced (updates)",
        'increase(routerd_mrt_writes_total{kind="rib"}[1d])',
    ),
    _counter(
        "mrt_failures_total",
        ("kind",),
        "Those that could not be written; what peers announced meanwhile is lost",
        "increase(routerd_mrt_failures_total[1h]) > 0",
    ),
    _counter(
        "mrt_lost_records_total",
        ("kind",),
        "Records that were lost because they came faster than they could be written",
        "increase(routerd_mrt_lost_records_total[1h]) > 0",
    ),
    _gauge(
        "mrt_last_write_timestamp_seconds",
        ("kind",),
        "When the last table was dumped, or updates written, in seconds since 1970",
        'time() - routerd_mrt_last_write_timestamp_seconds{kind="rib"}',
    ),
)

_PAIR = (
    _gauge(
        "pair_up",
        ("partner",),
        "Whether the other router of [pair] is heard; of a pair there is nothing if none is configured",
        "routerd_pair_up == 0",
    ),
    _gauge(
        "pair_groups",
        ("state",),
        "Groups of both routers: equal, differs, other_nodes, only_here, only_there, other_size or not_told",
        'sum by (instance, state) (routerd_pair_groups{state!="equal"}) > 0',
    ),
    _gauge(
        "pair_buckets_differing",
        (),
        "Buckets that lead to another node on the other router",
        "routerd_pair_buckets_differing",
    ),
    _gauge(
        "pair_conflicts",
        (),
        "Those of them that carry flows on both: some break when traffic moves",
        "routerd_pair_conflicts > 0",
    ),
    _counter(
        "pair_messages_total",
        ("direction",),
        "Messages to the other router and from it: sent or received",
        "rate(routerd_pair_messages_total[5m])",
    ),
    _counter(
        "pair_bytes_total",
        ("direction",),
        "Octets of these messages",
        "sum by (instance) (rate(routerd_pair_bytes_total[5m]))",
    ),
    _gauge(
        "pair_last_agreed_timestamp_seconds",
        (),
        "When all groups were last equal on both routers, in seconds since 1970",
        "time() - routerd_pair_last_agreed_timestamp_seconds",
    ),
)

METRICS = {each.name: each for each in (*_PEERS, *_NODES, *_FIB, *_TIMES, *_HEALTH, *_PROCESS, *_OTHERS, *_PAIR)}
"""All of them by name, in the order of the page."""
