"""The keys of a peer group that FRR's settings of a neighbor become."""

from __future__ import annotations

from typing import NamedTuple

from routerd.translate.frr.filters import Value, origin, outbound
from routerd.translate.frr.model import Frr, Neighbor, Said, Settings
from routerd.translate.frr.spaces import Space
from routerd.translate.report import Report

Keys = dict[str, Value]


class User(NamedTuple):
    """Who needs a group: a neighbor, or a peer-group with ranges."""

    neighbor: Neighbor
    settings: Settings
    families: dict[str, Settings]


def group_keys(frr: Frr, user: User, accept: Value, learned: list[Space], report: Report) -> Keys:
    """Return the keys of the group that a user needs. Where FRR's default is another one, the key is written."""
    said = user.settings
    remote = said["remote_as"]
    external = frr.is_external(remote.value)
    keys = {"remote_as": Value(remote.value, origin(remote, ""))}
    keys["hold_time"] = _hold_time(frr, said, report)
    keys |= _hops(said, external, report)
    keys |= _restart(frr, said, report)
    lines = [own["activate"].line for own in user.families.values() if "activate" in own]
    activated = ", ".join(f"line {line.number}" for line in lines if line is not None)
    default = origin(frr.setting("default_ipv6", False), "FRR's default: IPv4 unicast alone")
    keys["families"] = Value(list(user.families), activated or default)
    if (password := said.get("password")) is not None and password.line is not None:
        text = str(password.value)
        if "\ufffd" in text or len(text.encode()) > 80:
            why = "the password is longer than 80 octets" if len(text.encode()) > 80 else "the file is not UTF-8 here"
            report.add(password.line.number, password.line.shown, why, "write password by hand")
        else:
            keys["password"] = Value(text, f"line {password.line.number}")
    keys["accept"] = accept
    keys["advertise"] = outbound(frr, external, user.families, learned, report)
    return keys


def _hold_time(frr: Frr, said: Settings, report: Report) -> Value:
    profile, default = ("datacenter, ", (3, 9)) if frr.datacenter else ("", (60, 180))
    timers = said.get("timers", frr.setting("timers", default))
    keepalive, hold = timers.value
    if timers.line is not None and (0 < hold < 3 or hold > 65535):
        report.add(timers.line.number, timers.line.shown, f"{hold} s is no hold time", "write 0 or at least 3")
        timers, (keepalive, hold) = Said(default), default
    comment = origin(timers, f"FRR's default ({profile}routerd's is 90)")
    if keepalive * 3 != hold:
        comment += f"; keepalives are sent every {hold // 3} s, a third of it"
    return Value(hold, comment)


def _hops(said: Settings, external: bool, report: Report) -> Keys:
    """Return multihop and ttl_security. To internal neighbors FRR sends with the highest TTL, and routerd too."""
    security, multihop = said.get("ttl_security"), said.get("multihop")
    hops = security or multihop
    if hops is None or hops.line is None or (security is None and not external):
        return {}
    most = 254 if security else 255
    if not 1 <= hops.value <= most or (not external and hops.value != 1):
        why = f"routerd takes 1 to {most} hops" if external else "internal peers are one hop away"
        report.add(hops.line.number, hops.line.shown, why, "write multihop by hand")
        return {}
    keys = {"multihop": Value(hops.value, hops.line.origin)}
    return keys | {"ttl_security": Value(True, hops.line.origin)} if security else keys


def _restart(frr: Frr, said: Settings, report: Report) -> Keys:
    mode = said.get("graceful_restart", frr.setting("graceful_restart", "helper"))
    default = "FRR's default: the router helps a node that restarts (routerd's is false)"
    keys = {"graceful_restart": Value(mode.value != "disable", origin(mode, default))}
    if mode.value == "disable":
        return keys
    restart, stale = frr.setting("restart_time", 120), frr.setting("stale_time", 360)
    if restart.line is not None and not 1 <= restart.value <= 4095:
        report.add(restart.line.number, restart.line.shown, "restart_time is 1 to 4095", "write it by hand")
        restart = Said(120)
    keys["restart_time"] = Value(restart.value, origin(restart, "FRR's default (routerd's is 60)"))
    if stale.value <= restart.value or stale.value > 86400:
        if stale.line is not None:
            why = f"stale_time must be longer than restart_time = {restart.value}, and 86400 at most"
            report.add(stale.line.number, stale.line.shown, why, f"look at stale_time = {restart.value + 30}")
        keys["stale_time"] = Value(restart.value + 30, "must be longer than restart_time")
    else:
        keys["stale_time"] = Value(stale.value, origin(stale, "FRR's default of stalepath-time (routerd's is 120)"))
    return keys
