"""What a change means for the agreement of a pair, as far as two configurations tell. Pure."""

from __future__ import annotations

from routerd.config.model import Config

_UNHEARD = "until then there is no channel, and what changes is not agreed on"
_RESIZED = "until then new groups have another number of buckets there, and all of their flows move with the traffic"
_SAME = {
    "fib.hash_policy": "until then flows go to other nodes when traffic moves",
    "fib.buckets": _RESIZED,
    "fib.bucket_budget": _RESIZED,
    "fib.idle_timer": "until then the shorter one counts for the flows of both",
    "fib.link_bandwidth": "until then the weights of the router that leads count for both, and all flows of shared "
    "groups move when traffic moves",
    "pair.channel": _UNHEARD,
    "pair.port": _UNHEARD,
    "pair.hash_seed": "set on one router alone, it has flows go to other nodes when traffic moves",
}
"""By key that is the same on both: what comes of it while it is not."""
_OTHER_SEED = (
    "another key makes another seed of the hash, too, and set on one router alone that has flows go to other nodes "
    "when traffic moves"
)
_NAMES = ("pair.router", "mqtt.router", "router.router_id")


def for_partner(key: str, before: Config, after: Config) -> str:
    """Return what a changed key means for the agreement with the partner; empty for nothing, or without one."""
    if key == "pair.partner":
        return _partner(before, after)
    partner = after.pair.partner
    if not partner or (not before.pair.partner and not key.startswith("fib.")):
        return ""  # of a pair that comes all is said with the partner's name
    if key in _SAME:
        return f"{partner} has to get the same: {_SAME[key]}"
    if key in _NAMES and before.name_in_pair != after.name_in_pair:
        return f'{partner} has to get partner = "{after.name_in_pair}": {_UNHEARD}'
    if key == "pair.key_file":
        seed = "" if after.pair.hash_seed else f"; {_OTHER_SEED}"
        return f"{partner} has to get the same key: {_UNHEARD}{seed}"
    if key == "pair.ca_file" and before.pair.tls != after.pair.tls:
        return f"{partner} has to talk {'over' if after.pair.tls else 'without'} TLS as well: {_UNHEARD}"
    if key == "mqtt.site" and after.pair.channel == "mqtt":
        return f"{partner} has to get the same: {_UNHEARD}"
    return ""


def _partner(before: Config, after: Config) -> str:
    """Return what it means that there is another partner, or none any more."""
    gone, come = before.pair.partner, after.pair.partner
    parted = f"with {gone} nothing is agreed on any more: flows break when traffic moves there, or back"
    until = "until both agree flows break when traffic moves"
    met = f"{come} has to have the same key, and {after.name_in_pair} for its partner: {until}"
    return "; ".join(each for each, name in ((met, come), (parted, gone)) if name)
