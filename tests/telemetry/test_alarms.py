"""Each alarm rings for what it is for, and for nothing else: promtool plays it."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.support.prometheus import needs_prometheus, ringing

pytestmark = needs_prometheus

ALARMS = Path(__file__).parents[2] / "config" / "prometheus" / "alerts.yml"
NAMES = [rule["alert"] for group in yaml.safe_load(ALARMS.read_text())["groups"] for rule in group["rules"]]
JOB = 'job="routerd",instance="r1"'
PEER = f'{JOB},peer="192.0.2.7",name="w0",group="nodes"'
VIP = f'{JOB},nexthop_group="1",prefix="172.16.1.1/32",family="ipv4"'

FORGOTTEN = {"RouterdDrainForgotten", "RouterdOwnDrainForgotten"}

Series = dict[str, str]
"""Values by metric and labels, in promtool's notation: a value a minute, `AxN` is A and N times A again."""

WELL: Series = {
    f"up{{{JOB}}}": "1x60",
    f"routerd_speaker_up{{{JOB}}}": "1x60",
    f"routerd_speaker_restarts_total{{{JOB}}}": "1x60",
    f"routerd_peer_up{{{PEER}}}": "1x60",
    f'routerd_peer_state{{{PEER},state="established"}}': "1x60",
    f"routerd_peer_sessions_total{{{PEER}}}": "3x60",
    f'routerd_peer_resets_total{{{PEER},cause="cease",by="peer"}}': "3x60",
    f"routerd_peer_silent{{{PEER}}}": "0x60",
    f"routerd_peer_draining{{{PEER}}}": "0x60",
    f"routerd_group_members{{{VIP}}}": "3x60",
    f"routerd_fib_routes{{{JOB}}}": "100x60",
    f'routerd_fib_refused{{{JOB},kind="route"}}': "0x60",
    f'routerd_fib_drift_mended_total{{{JOB},kind="route_missing"}}': "7x60",
    f"routerd_fib_unwritten{{{JOB}}}": "0 900 0 0 800 0x60",
    f'routerd_convergence_seconds_bucket{{{JOB},le="0.01"}}': "0+60x60",
    f'routerd_convergence_seconds_bucket{{{JOB},le="1.0"}}': "0+60x60",
    f'routerd_convergence_seconds_bucket{{{JOB},le="10.0"}}': "0+60x60",
    f'routerd_convergence_seconds_bucket{{{JOB},le="+Inf"}}': "0+60x60",
    f'routerd_failover_seconds_bucket{{{JOB},le="0.1"}}': "0+1x60",
    f'routerd_failover_seconds_bucket{{{JOB},le="1.0"}}': "0+1x60",
    f'routerd_failover_seconds_bucket{{{JOB},le="+Inf"}}': "0+1x60",
    f'routerd_event_loop_stretch_seconds_bucket{{{JOB},le="0.1"}}': "0+6000x60",
    f"routerd_event_loop_stretch_seconds_count{{{JOB}}}": "0+6000x60",
    f"routerd_sysctls_wrong{{{JOB}}}": "0x60",
    f"routerd_mqtt_connected{{{JOB}}}": "1x10 0 1x50",
    f"routerd_mqtt_events_lost_total{{{JOB}}}": "4x60",
    f'routerd_pair_up{{{JOB},partner="gw2"}}': "1x10 0 1x50",
    f'routerd_pair_groups{{{JOB},state="equal"}}': "9x60",
    f'routerd_pair_groups{{{JOB},state="differs"}}': "0 3 2 0x60",
    f"routerd_pair_conflicts{{{JOB}}}": "0x10 4 4 4 0x60",
    f"routerd_config_differs{{{JOB}}}": "0x60",
    f'routerd_config_reloads_total{{{JOB},result="refused"}}': "0x60",
    f'routerd_process_resident_memory_bytes{{{JOB},process="daemon"}}': "50000000x60",
    f'routerd_process_resident_memory_bytes{{{JOB},process="speaker"}}': "30000000x60",
}
"""A router that is well: now and then something waits to be written, and a node fails over each minute."""

ILL: dict[str, tuple[int, Series]] = {
    "RouterdDown": (20, {f"up{{{JOB}}}": "1x15 0x100"}),
    "RouterdSpeakerDown": (20, {f"routerd_speaker_up{{{JOB}}}": "1x15 0x100"}),
    "RouterdSpeakerRestarts": (20, {f"routerd_speaker_restarts_total{{{JOB}}}": "0x14 1 2 3 4 4x100"}),
    "RouterdProblem": (30, {f'routerd_problems{{{JOB},kind="firewall"}}': "_x15 1x100"}),
    "RouterdPeerDown": (
        30,
        {
            f"routerd_peer_up{{{PEER}}}": "1x15 0x100",
            f'routerd_peer_state{{{PEER},state="established"}}': "1x15",
            f'routerd_peer_state{{{PEER},state="waiting"}}': "_x16 1x100",
        },
    ),
    "RouterdPeersLost": (
        18,
        {
            f'routerd_peer_up{{{JOB},peer="{number}",name="{number}",group="nodes"}}': "1x15 0x100"
            for number in range(8)
        },
    ),
    "RouterdPeerFlaps": (
        20,
        {  # what ends for a new reason has a series that begins at 1
            f"routerd_peer_sessions_total{{{PEER}}}": "1x10 1+1x4 5x100",
            f'routerd_peer_resets_total{{{PEER},cause="hold_timer_expired",by="router"}}': "_x10 1 1 2x100",
            f'routerd_peer_resets_total{{{PEER},cause="connection_lost",by="network"}}': "_x11 1 1 2x100",
        },
    ),
    "RouterdNodeSilent": (20, {f"routerd_peer_silent{{{PEER}}}": "0x15 1x100"}),
    "RouterdPathsRejected": (
        30, {f'routerd_peer_rejected_prefixes{{{PEER},reason="6 not in accept"}}': "_x15 5x100"},
    ),
    "RouterdPrefixAlone": (40, {f"routerd_group_members{{{VIP}}}": "3x15 1x100"}),
    "RouterdRoutesLost": (20, {f"routerd_fib_routes{{{JOB}}}": "100x15 40x100"}),
    "RouterdKernelRefuses": (20, {f'routerd_fib_refused{{{JOB},kind="route"}}': "0x15 2x100"}),
    "RouterdDrift": (20, {f'routerd_fib_drift_mended_total{{{JOB},kind="route_missing"}}': "0x15 12x100"}),
    "RouterdBacklog": (20, {f"routerd_fib_unwritten{{{JOB}}}": "0x15 30000x100"}),
    "RouterdSlowConvergence": (
        40, {f'routerd_convergence_seconds_bucket{{{JOB},le="{le}"}}': "0x60" for le in ("0.01", "1.0")},
    ),
    "RouterdSlowFailover": (20, {f'routerd_failover_seconds_bucket{{{JOB},le="0.1"}}': "0x60"}),
    "RouterdEventLoopStalls": (
        20, {f'routerd_event_loop_stretch_seconds_bucket{{{JOB},le="0.1"}}': "0+5999x60"},
    ),
    "RouterdSysctlWrong": (20, {f"routerd_sysctls_wrong{{{JOB}}}": "0x15 1x100"}),
    "RouterdConfigUnsettled": (40, {f"routerd_config_differs{{{JOB}}}": "0x15 1x100"}),
    "RouterdMemory": (
        40, {f'routerd_process_resident_memory_bytes{{{JOB},process="daemon"}}': "50000000x15 3000000000x100"},
    ),
    "RouterdBrokerLost": (30, {f"routerd_mqtt_connected{{{JOB}}}": "1x15 0x100"}),
    "RouterdPairDown": (20, {f'routerd_pair_up{{{JOB},partner="gw2"}}': "1x15 0x100"}),
    "RouterdPairDiffers": (30, {f'routerd_pair_groups{{{JOB},state="only_there"}}': "0x15 1x100"}),
    "RouterdPairConflicts": (50, {f"routerd_pair_conflicts{{{JOB}}}": "0x15 1x100"}),
    "RouterdEventsLost": (20, {f"routerd_mqtt_events_lost_total{{{JOB}}}": "4x15 204x100"}),
}  # fmt: skip
"""What rings each alarm but two, after how many minutes; all else is well."""


def series(values: Series) -> list[dict[str, str]]:
    return [{"series": name, "values": each} for name, each in values.items()]


def test_nothing_rings_while_all_is_well(tmp_path: Path) -> None:
    assert ringing(ALARMS, tmp_path, (20, series(WELL), NAMES), (50, series(WELL), NAMES)) == set()


def test_each_rings_for_what_it_is_for(tmp_path: Path) -> None:
    played = [(minutes, series(WELL | changed), [name]) for name, (minutes, changed) in ILL.items()]
    assert ringing(ALARMS, tmp_path, *played) == {*NAMES} - FORGOTTEN == ILL.keys()


def test_nothing_else_rings(tmp_path: Path) -> None:
    """But what follows from it: a node that is lost with the only session is more than half of the peers."""
    follows = {("RouterdPeerDown", "RouterdPeersLost")}
    played = [
        (minutes, series(WELL | changed), [each for each in NAMES if each != name and (name, each) not in follows])
        for name, (minutes, changed) in ILL.items()
    ]
    assert ringing(ALARMS, tmp_path, *played) == set()


def test_groups_of_a_partner_that_is_not_heard_are_no_alarm_of_their_own(tmp_path: Path) -> None:
    lost = {
        f'routerd_pair_up{{{JOB},partner="gw2"}}': "0x100",
        f'routerd_pair_groups{{{JOB},state="not_told"}}': "9x100",
    }
    assert ringing(ALARMS, tmp_path, (50, series(WELL | lost), NAMES)) == {"RouterdPairDown"}


def test_what_is_drained_or_shut_down_is_forgotten_after_a_day(tmp_path: Path) -> None:
    peer, own = sorted(FORGOTTEN)
    for name, rings in (
        (f"routerd_peer_draining{{{PEER}}}", peer),
        (f'routerd_peer_state{{{PEER},state="shutdown"}}', peer),
        (f"routerd_drained{{{JOB}}}", own),
    ):
        found = series({name: "0 1x80"})
        assert ringing(ALARMS, tmp_path, (1400, found, [peer, own]), step="20m") == set()
        assert ringing(ALARMS, tmp_path, (1500, found, [peer, own]), step="20m") == {rings}


def test_whatever_status_calls_a_problem_rings(tmp_path: Path) -> None:
    """A range that lacks nodes of which nothing is known, a peer whose routes lead nowhere, a history that is lost;
    what a peer that is away costs its range rings once."""
    few = {f'routerd_problems{{{JOB},kind="range"}}': "1x100"}
    away = {f"routerd_peer_up{{{PEER}}}": "0x100", f'routerd_peer_state{{{PEER},state="established"}}': "_x100"}
    for changed, rings in (
        (few, {"RouterdProblem"}),
        (few | away, {"RouterdPeerDown"}),
        ({f'routerd_problems{{{JOB},kind="session"}}': "1x100"}, {"RouterdProblem"}),
        ({f'routerd_problems{{{JOB},kind="configuration"}}': "1x100"}, {"RouterdConfigUnsettled"}),
    ):
        assert ringing(ALARMS, tmp_path, (50, series(WELL | changed), NAMES)) == rings


def test_a_message_that_had_to_wait_after_a_restart_is_no_slow_convergence(tmp_path: Path) -> None:
    """Where little happens it is more than one in ten: its prefix waits for a node that has not returned."""
    quiet = {
        f'routerd_convergence_seconds_bucket{{{JOB},le="{le}"}}': f"0x15 {number}x100"
        for le, number in (("0.01", 2), ("1.0", 2), ("10.0", 2), ("+Inf", 3))
    }
    played = [(minutes, series(quiet), ["RouterdSlowConvergence"]) for minutes in range(16, 30)]
    assert ringing(ALARMS, tmp_path, *played) == set()


def _peers(**values: str) -> Series:
    """Return whether peers are up, by their names."""
    return {f'routerd_peer_up{{{JOB},peer="{each}",name="{each}",group="nodes"}}': up for each, up in values.items()}


def test_nodes_that_are_replaced_one_by_one_are_not_lost(tmp_path: Path) -> None:
    """Each has another address than the one whose place it takes, which is remembered for an hour."""
    old = {f"old{number}": f"1x{10 + number} 0x100" for number in range(6)}
    new = {f"new{number}": f"_x{13 + number} 1x100" for number in range(6)}
    played = [(minutes, series(_peers(**old, **new)), ["RouterdPeersLost"]) for minutes in range(10, 30)]
    assert ringing(ALARMS, tmp_path, *played) == set()


def test_peers_that_do_not_return_after_a_restart_are_lost(tmp_path: Path) -> None:
    """Those of a range are not even known any more. Some of their speakers dial every two minutes alone."""
    found = series(
        _peers(**{f"w{number}": "1x15 stale" for number in range(4)})
        | {f"routerd_start_time_seconds{{{JOB}}}": "0x15 960x100"}
    )
    assert ringing(ALARMS, tmp_path, (18, found, ["RouterdPeersLost"])) == set()
    assert ringing(ALARMS, tmp_path, (21, found, ["RouterdPeersLost"])) == {"RouterdPeersLost"}


def test_a_peer_that_was_shut_down_is_not_down(tmp_path: Path) -> None:
    shut = {
        f"routerd_peer_up{{{PEER}}}": "0x100",
        f'routerd_peer_state{{{PEER},state="established"}}': "_x100",
        f'routerd_peer_state{{{PEER},state="shutdown"}}': "1x100",
    }
    assert ringing(ALARMS, tmp_path, (50, series(WELL | shut), NAMES)) == set()
