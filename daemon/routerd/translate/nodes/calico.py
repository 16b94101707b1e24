"""Calico's BIRD: projectcalico.org/v3, Calico 3.29 and later."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from routerd.config.model import Config
from routerd.translate.nodes.session import LABEL, Session, sessions
from routerd.translate.nodes.yaml import Value, documents
from routerd.translate.report import Report

API = "projectcalico.org/v3"
_DEFAULTS = {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}


def export(config: Config, report: Report, *, asn: int | None = None, routers: Sequence[str] = ()) -> str:
    """Return a BGPPeer and a BGPFilter for each peer group, and the BGPConfiguration."""
    found = sessions(config, asn, routers)
    objects = [_configuration(found)]
    for each in found:
        objects += [_filter(config, each), *_peers(each, found[0].asn, report)]
    return documents(objects)


def _configuration(found: list[Session]) -> tuple[list[str], Value]:
    comments = [
        "For Calico 3.29 and later. If there is a BGPConfiguration default, merge this into it: asNumber is that of",
        "all nodes, and a change of it resets all their sessions, the node-to-node mesh included.",
    ]
    prefixes: dict[str, None] = dict.fromkeys(prefix for each in found for prefix in each.accepted)
    spec: dict[str, Value] = {"asNumber": found[0].asn}
    if prefixes:
        comments.append("serviceLoadBalancerIPs are what routerd accepts; what the cluster does not use, take out.")
        spec["serviceLoadBalancerIPs"] = [{"cidr": each} for each in prefixes]
    return comments, _object("BGPConfiguration", "default", spec)


def _filter(config: Config, session: Session) -> tuple[list[str], Value]:
    """Announce what is accepted, and take what is advertised."""
    spec: dict[str, Value] = {}
    for family in session.group.families:
        reject = _all("Reject", family)
        mine = [each for each in session.accepted if _family(each) == family]
        rules: list[Value] = [{"action": "Accept", "matchOperator": "In", "cidr": each} for each in mine]
        everything = session.group.accept == "any"
        spec[f"export{family[2:].upper()}"] = [_all("Accept", family)] if everything else [*rules, reject]
        advertise = session.group.advertise
        heard = [each for each in config.router.networks if _family(each) == family and "networks" in advertise]
        heard += [_DEFAULTS[family]] if "default" in advertise else []
        taken: list[Value] = [{"action": "Accept", "matchOperator": "Equal", "cidr": each} for each in heard]
        spec[f"import{family[2:].upper()}"] = [_all("Accept", family)] if "learned" in advertise else [*taken, reject]
    return ["What routerd accepts is announced to it, and what it advertises is taken."], _object(
        "BGPFilter", session.object_name, spec
    )


def _all(action: str, family: str) -> Value:
    """Return the rule for all that no rule before it was for: without one, Calico accepts it."""
    return {"action": action, "matchOperator": "In", "cidr": _DEFAULTS[family]}


def _peers(session: Session, asn: int, report: Report) -> list[tuple[list[str], Value]]:
    """Return a BGPPeer for each family: a session of Calico carries one. `asn` is that of the BGPConfiguration."""
    addresses = {f"ipv{ipaddress.ip_address(each).version}": each for each in reversed(session.routers)}
    objects = []
    for family in session.group.families:
        if family in addresses:
            objects.append(_peer(session, asn, family, addresses[family]))
        else:
            why = f"a session of Calico carries the family of its addresses, and no {family} address is known"
            report.add(0, f"peer_groups.{session.name}.families", why, "give one more --router-address")
    return objects


def _peer(session: Session, asn: int, family: str, address: str) -> tuple[list[str], Value]:
    group = session.group
    comments = session.notes()
    host = f"[{address}]" if family == "ipv6" else address
    spec: dict[str, Value] = {
        "peerIP": address if session.port == 179 else f"{host}:{session.port}",
        "asNumber": session.router_asn,
        "nodeSelector": "all()" if session.alone else f"{LABEL} == '{session.object_name}'",
        "filters": [session.object_name],
    }
    if session.asn != asn:
        spec["localASNumber"] = session.asn
        comments.append("localASNumber needs Calico 3.31 or later.")
    comments.append(f"BIRD asks for 240 s; the hold time is the lower of both, {group.hold_time or 'none (0)'}.")
    if group.graceful_restart:
        spec["maxRestartTime"] = f"{group.restart_time}s"
    else:
        comments.append("BIRD offers graceful restart always; it is not used, for routerd does not offer it.")
    if group.ttl_security:
        spec["ttlSecurity"] = group.multihop
    if group.password is not None:
        spec["password"] = {"secretKeyRef": {"name": session.object_name, "key": "password"}}
        comments += session.secret("calico-system")
        comments.append(
            "(kube-system without Calico's operator.) calico-node needs a Role that lets it get this Secret."
        )
    return comments, _object("BGPPeer", f"{session.object_name}-{family}", spec)


def _family(prefix: str) -> str:
    return f"ipv{ipaddress.ip_network(prefix).version}"


def _object(kind: str, name: str, spec: Value) -> Value:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
