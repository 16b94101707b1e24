"""`routerd peer`: all of one peer, for a screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from routerd.cli.render import count, duration, shutdown
from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:
    from routerd.api.inspection import GracefulRestartView, OpenView, PeerDetailView, RejectedView
    from routerd.api.models import RefusalView

_STATES = {"established": "green", "stale": "yellow", "waiting": "red", "shutdown": "yellow"}
_NAMES = {
    5: "Extended Next Hop Encoding",
    7: "BGPsec",
    9: "BGP Role",
    66: "Dynamic Capability (deprecated)",
    67: "Dynamic Capability",
    68: "Multisession",
    69: "ADD-PATH",
    70: "Enhanced Route Refresh",
    71: "Long-Lived Graceful Restart",
    73: "FQDN",
    75: "Software Version",
}
"""IANA, Capability Codes: what nodes' speakers offer, and routerd does not use."""


def lines(screen: Screen, view: PeerDetailView) -> list[str]:
    """All of one peer."""
    peer = view["peer"]
    who = peer["name"] if peer["name"] == peer["address"] else f"{peer['name']}  {peer['address']}"
    state = screen.paint(peer["state"], _STATES.get(peer["state"], ""))
    return [
        f"{screen.paint(who, 'bold')}  AS{peer['asn'] or ' unknown'}  {state} for {duration(peer['since_seconds'])}",
        *(line for head, text in _facts(view) for line in screen.paragraph(text, f"{head:12} ")),
        "",
        *_capabilities(screen, view["sent"], view["received"], peer["state"] == "established"),
        "",
        *_counts(screen, view),
        *_rejected(screen, view),
    ]


def _facts(view: PeerDetailView) -> Iterator[tuple[str, str]]:
    peer, timers, last = view["peer"], view["timers"], view["last_error"]
    kind = "" if view["external"] is None else "external, " if view["external"] else "internal, "
    yield "group", f"{peer['group']}, {kind}{'of a range' if peer['dynamic'] else 'configured'}"
    if view["local"]:
        yield "local", f"{view['local']}, {count(peer['sessions'], 'session')} so far"
    if peer["reason"]:
        yield "reason", peer["reason"]
    if peer["shutdown"]:
        yield "shut down", shutdown(peer["shutdown"])
    if peer["silent"]:
        yield "silent", "its link layer does not answer: it is out of the FIB"
    if peer["drain"]:
        yield "drained", f"by the {peer['drain']}; {count(peer['buckets'], 'bucket')} lead to it"
    if timers["hold_seconds"] is not None:
        heard = timers["update_seconds"]
        last_update = "" if heard is None else f", last UPDATE {duration(heard)} ago"
        yield "timers", f"hold {timers['hold_seconds']} s, keepalive {timers['keepalive_seconds']:g} s{last_update}"
    if timers["stale_seconds"] is not None:
        yield "stale", f"what it announced stays for {timers['stale_seconds']:.0f} s more"
    if view["awaiting_end_of_rib"]:
        yield "End-of-RIB", f"awaited for {', '.join(view['awaiting_end_of_rib'])}"
    said = f" ({last['notification']})" if last and last["notification"] else ""
    yield "last error", f"{last['reason']}{said}, {duration(last['seconds'])} ago" if last else "none"
    for refusal in view["refusals"]:
        yield "no session", _refusal(refusal)
    if messages := view["messages"]:
        yield (
            "messages",
            f"{messages['updates_received']} UPDATEs in, {messages['updates_sent']} out; "
            f"{messages['refreshes_received']} ROUTE-REFRESHes in, {messages['refreshes_sent']} out",
        )
    if peer["faults"]:
        yield "malformed", count(peer["faults"], "UPDATE")


def _refusal(view: RefusalView) -> str:
    said = f" ({view['notification']})" if view["notification"] else ""
    return f"{view['reason']}{said}, {count(view['count'], 'time')}, last {duration(view['last_seconds'])} ago"


def _capabilities(screen: Screen, sent: OpenView | None, received: OpenView | None, up: bool) -> list[str]:
    if sent is None or received is None:
        return ["no OPEN was exchanged yet"]
    both = [("AS", "asn"), ("router id", "router_id"), ("hold time", "hold_time")]
    rows = [[name, str(sent[key]), str(received[key])] for name, key in both]  # type: ignore[literal-required]
    rows.append(["families", ", ".join(sent["families"]), ", ".join(received["families"])])
    flags = [("4-octet AS", "four_octet_as"), ("route refresh", "route_refresh")]
    flags.append(("extended message", "extended_message"))
    rows += [[name, _yes(sent[key]), _yes(received[key])] for name, key in flags]  # type: ignore[literal-required]
    rows.append(["graceful restart", _graceful(sent), _graceful(received)])
    rows.append(["not used", _others(sent), _others(received)])
    columns = [Column("Capability"), Column("Sent", fold=True), Column("Received", fold=True)]
    when = [] if up else ["of the last session:"]
    return [*when, *screen.table(columns, rows, {})]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _graceful(said: OpenView) -> str:
    view: GracefulRestartView | None = said["graceful_restart"]
    if view is None:
        return "no"
    kept = [f"{family}{'' if forwarding else ' (not forwarding)'}" for family, forwarding in view["families"].items()]
    marks = [mark for mark, on in (("restarting", view["restarting"]), ("N bit", view["notification"])) if on]
    return ", ".join([f"{view['time_seconds']} s", *kept, *marks])


def _others(said: OpenView) -> str:
    return ", ".join(f"{code} {_NAMES[code]}" if code in _NAMES else str(code) for code in said["others"]) or "-"


def _counts(screen: Screen, view: PeerDetailView) -> list[str]:
    kinds = ("received", "accepted", "rejected", "in_fib", "stale", "advertised")
    columns = [Column("Family"), *(Column(t, right=True) for t in ("Recv", "Acc", "Rej", "In FIB", "Stale", "Sent"))]
    rows = [
        [family, *(str(dict(counts)[kind]) for kind in kinds)] for family, counts in view["peer"]["by_family"].items()
    ]
    return screen.table(columns, rows, {})


def _rejected(screen: Screen, view: PeerDetailView) -> list[str]:
    if not view["rejected_total"]:
        return []
    shown: list[RejectedView] = view["rejected"]
    columns = [Column("Rejected"), Column("Reason", fold=True), Column("Next hop", below="titled")]
    columns.append(Column("AS path", fold=True, below="titled"))
    rows = [[each["prefix"], each["reason"], each["next_hop"] or "-", each["as_path"] or "-"] for each in shown]
    more = [f"{len(shown)} of {view['rejected_total']} rejected prefixes"] * (len(shown) < view["rejected_total"])
    return ["", *(screen.table(columns, rows, {}) if rows else []), *more]
