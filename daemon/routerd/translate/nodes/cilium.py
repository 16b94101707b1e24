"""Cilium's BGP control plane: cilium.io/v2, which Cilium 1.18 and later have."""

from __future__ import annotations

from collections.abc import Sequence

from routerd.config.model import Config
from routerd.translate.nodes.session import LABEL, Session, sessions
from routerd.translate.nodes.yaml import Value, documents
from routerd.translate.report import Report

API = "cilium.io/v2"
_RETRY = 5
"""Seconds until a node dials again; Cilium's default is 120."""


def export(config: Config, report: Report, *, asn: int | None = None, routers: Sequence[str] = ()) -> str:
    """Return a CiliumBGPClusterConfig, PeerConfig and Advertisement for each peer group."""
    found = [each for session in sessions(config, asn, routers) for each in _objects(session, report)]
    return documents(found)


def _objects(session: Session, report: Report) -> list[tuple[list[str], Value]]:
    name, group = session.object_name, session.group
    peer: dict[str, Value] = {
        "name": "routerd",
        "peerASN": session.router_asn,
        "peerAddress": session.router,
        "peerConfigRef": {"name": name},
    }
    instance: Value = {"name": name, "localASN": session.asn, "peers": [peer]}
    cluster: dict[str, Value] = (
        {} if session.alone else {"nodeSelector": {"matchLabels": {LABEL: session.object_name}}}
    )
    cluster["bgpInstances"] = [instance]
    return [
        (
            ["For Cilium 1.18 and later; up to 1.17 write cilium.io/v2alpha1.", *session.notes()],
            _object("CiliumBGPClusterConfig", name, cluster),
        ),
        (
            session.secret("kube-system") if group.password is not None else [],
            _object("CiliumBGPPeerConfig", name, _peer_config(session, report)),
        ),
        (
            ["All LoadBalancer services. Narrow the selector for less; routerd accepts:", *_accepted(session)],
            _object("CiliumBGPAdvertisement", name, _ADVERTISEMENT, {"routerd": session.object_name}),
        ),
    ]


_ADVERTISEMENT: Value = {
    "advertisements": [
        {
            "advertisementType": "Service",
            "service": {"addresses": ["LoadBalancerIP"]},
            # Without a selector none is announced, and this one fits all.
            "selector": {"matchExpressions": [{"key": "routerd/never", "operator": "NotIn", "values": ["never"]}]},
        }
    ]
}


def _peer_config(session: Session, report: Report) -> Value:
    group, name = session.group, session.object_name
    where = f"peer_groups.{session.name}"
    spec: dict[str, Value] = {}
    if session.port != 179:
        spec["transport"] = {"peerPort": session.port}
    hold = group.hold_time
    if not hold:
        report.add(
            0, f"{where}.hold_time", "Cilium has no sessions without keepalives", "write a hold time of at least 3"
        )
        hold = 90
    spec["timers"] = {
        "connectRetryTimeSeconds": _RETRY,
        "holdTimeSeconds": hold,
        "keepAliveTimeSeconds": hold // 3,
    }
    if group.password is not None:
        spec["authSecretRef"] = name
    if session.external:
        # GTSM takes no packets but those that were sent with TTL 255 (RFC 5082).
        spec["ebgpMultihop"] = 255 if group.ttl_security else group.multihop
    if group.graceful_restart:
        spec["gracefulRestart"] = {"enabled": True, "restartTimeSeconds": group.restart_time}
    if group.ttl_security:
        why = "Cilium does not check the TTL of what it receives"
        remedy = "nothing: it sends with TTL 255 because of ebgpMultihop, and routerd checks that"
        if not session.external:
            why, remedy = (
                "Cilium sets no TTL for internal peers, so no session comes up",
                "write ttl_security = false",
            )
        report.add(0, f"{where}.ttl_security", why, remedy)
    wanted: Value = {"matchLabels": {"routerd": name}}
    spec["families"] = [{"afi": each, "safi": "unicast", "advertisements": wanted} for each in group.families]
    return spec


def _accepted(session: Session) -> list[str]:
    if session.group.accept == "any":
        return ["  anything"]
    return [f"  {each}" for each in session.accepted] or ["  nothing, until accept is written"]


def _object(kind: str, name: str, spec: Value, labels: dict[str, Value] | None = None) -> Value:
    metadata: dict[str, Value] = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}
