"""MetalLB in FRR mode: BGPPeer v1beta2 and BGPAdvertisement v1beta1, MetalLB 0.15 and later."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from routerd.config.model import Config
from routerd.translate.nodes.session import LABEL, Session, sessions
from routerd.translate.nodes.yaml import Value, documents
from routerd.translate.report import Report

NAMESPACE = "metallb-system"
_RETRY = "5s"
_FRR_RESTART_TIME = 120


def export(config: Config, report: Report, *, asn: int | None = None, routers: Sequence[str] = ()) -> str:
    """Return a BGPPeer for each peer group and one BGPAdvertisement; pools are comments, for they may be there."""
    found = sessions(config, asn, routers)
    objects = [_peer(each, report) for each in found]
    names: list[Value] = [each.object_name for each in found]
    spec: Value = {"aggregationLength": 32, "aggregationLengthV6": 128, "peers": names}
    objects.append((_pools(found), _object("metallb.io/v1beta1", "BGPAdvertisement", "routerd", spec)))
    return documents(objects)


def _peer(session: Session, report: Report) -> tuple[list[str], Value]:
    group = session.group
    comments = ["For MetalLB 0.15 and later, FRR or FRR-K8s mode.", *session.notes()]
    spec: dict[str, Value] = {
        "myASN": session.asn,
        "peerASN": session.router_asn,
        "peerAddress": session.router,
    }
    if session.port != 179:
        if session.port > 16384:
            why = f"MetalLB takes ports up to 16384, not {session.port}"
            report.add(0, "router.port", why, "write another port")
        spec["peerPort"] = session.port
    spec |= {"holdTime": f"{group.hold_time}s", "keepaliveTime": f"{session.keepalive}s", "connectTime": _RETRY}
    if not group.hold_time:
        spec["keepaliveTime"] = "0s"
    if session.external and (group.multihop > 1 or group.ttl_security):
        spec["ebgpMultiHop"] = True
    if group.graceful_restart:
        spec["enableGracefulRestart"] = True
        comments.append(
            f"FRR asks for {_FRR_RESTART_TIME} s to restart; routerd keeps paths for {group.stale_time} s at most."
        )
        comments.append("enableGracefulRestart cannot be changed later: delete the BGPPeer and make it anew.")
    if group.password is not None:
        spec["passwordSecret"] = {"name": session.object_name, "namespace": NAMESPACE}
        comments += session.secret(NAMESPACE, "kubernetes.io/basic-auth")
    if len(group.families) == 2:
        spec["dualStackAddressFamily"] = True
        comments.append(
            "FRR names a next hop of the session's other family if the node's interface has such an address."
        )
    elif group.families[0] != f"ipv{ipaddress.ip_address(session.router).version}":
        spec["dualStackAddressFamily"] = True
        comments.append(f"routerd negotiates {group.families[0]} alone, over this session of the other family.")
    if not session.alone:
        spec["nodeSelectors"] = [{"matchLabels": {LABEL: session.object_name}}]
    if group.ttl_security:
        where, why = f"peer_groups.{session.name}.ttl_security", "MetalLB does not check the TTL of what it receives"
        remedy = "nothing: it sends with TTL 255, and routerd checks that"
        report.add(0, where, why, remedy)
    return comments, _object("metallb.io/v1beta2", "BGPPeer", session.object_name, spec)


def _pools(found: list[Session]) -> list[str]:
    prefixes = list(dict.fromkeys(prefix for each in found for prefix in each.accepted))
    lines = ["Every pool is announced, unless ipAddressPools names some."]
    if not prefixes:
        return [*lines, "accept names no prefixes of which a pool could be made."]
    return [
        *lines,
        "routerd accepts these. A pool of all of them, if there is none yet:",
        "  apiVersion: metallb.io/v1beta1",
        "  kind: IPAddressPool",
        "  metadata:",
        "    name: routerd",
        f"    namespace: {NAMESPACE}",
        "  spec:",
        "    addresses:",
        *(f'    - "{prefix}"' for prefix in prefixes),
    ]


def _object(api: str, kind: str, name: str, spec: Value) -> Value:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
