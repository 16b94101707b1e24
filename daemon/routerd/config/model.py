"""The configuration's models: every key, its type, its default and its limits.

Unknown keys and wrong types are refused. What a key means is said in config/routerd.toml.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from routerd.config.impact import live, restart, session
from routerd.config.metrics import MetricsSection
from routerd.config.monitoring import BmpCollector, LookingGlassSection, MrtSection
from routerd.config.mqtt import MqttSection
from routerd.config.pair import PairSection
from routerd.config.ranges import narrowest
from routerd.config.section import Flag, IpText, IpTexts, Model, Name, parsed, unique


def _network(text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError('write a prefix as a string, such as "192.168.10.0/24"')
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, and no prefix has one; write it without")
    if (address := parsed(text)) is not None:
        raise ValueError(f'{text!r} has no length; write "{address}/{128 if ":" in address else 32}" for it alone')
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        try:
            hint = str(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise ValueError(f'{text!r} is not a prefix; write one such as "192.168.10.0/24"') from None
        raise ValueError(f'{text!r} has host bits set; write "{hint}"') from error


def _families(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted(unique(values)))  # their order means nothing


NetworkText = Annotated[str, BeforeValidator(_network)]
Asn = Annotated[int, Field(ge=1, le=4294967295, strict=True)]
FamilyName = Literal["ipv4", "ipv6"]
RemoteAs = Asn | Literal["external", "internal"]
HashPolicy = Literal["l3", "l4", "five-tuple"]


def _router_id(value: str) -> str:
    if ":" in value or value == "0.0.0.0":
        raise ValueError(f"{value!r} must be an IPv4 address other than 0.0.0.0")
    return value


def _remote_as(value: Any) -> Any:
    named = isinstance(value, str) and value in ("external", "internal")
    number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4294967295
    if named or number:
        return value
    digits = value.upper().removeprefix("AS").strip() if isinstance(value, str) else ""
    hint = f"; write {digits}, without quotes" if digits.isdecimal() else ""
    raise ValueError(f'{value!r} is not an AS number (1 to 4294967295), "external" or "internal"{hint}')


def _hold_time(value: int) -> int:
    if 0 < value < 3:
        raise ValueError(f"a hold time of {value} s is not allowed (RFC 4271 section 4.2); write 0 or at least 3")
    return value


def _password(value: str | None) -> str | None:
    if value is not None and len(value.encode()) > 80:
        raise ValueError(f"it has {len(value.encode())} octets in UTF-8, and TCP MD5 takes 80 at most")
    return value


def _accept(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and "any" in value:
        raise ValueError('write accept = "any", without brackets, or prefixes alone')
    if value == "any" or isinstance(value, (list, tuple)):
        return value
    raise ValueError('write "any", or a list of prefixes such as ["172.16.0.0/16"]')


OWNED = "what was written with the old value would be foreign: stop routerd, `routerd flush`, change it, start"
OPENED = "the socket is opened when routerd starts"
NEXT_DIAL = "for the next connection; a session that there is stays"


class RouterSection(Model):
    """`[router]`: who this router is, and where it listens."""

    asn: Annotated[Asn, session("the OPEN carries it: all sessions")]
    router_id: Annotated[IpText, AfterValidator(_router_id), session("the OPEN carries it: all sessions")]
    listen: IpTexts = Field(default=("0.0.0.0", "::"), min_length=1)
    port: int = Field(default=179, ge=1, le=65535, strict=True)
    networks: Annotated[tuple[NetworkText, ...], AfterValidator(unique)] = ()


LinkBandwidth = Literal["all", "skip-missing", "default-weight-for-missing", "ignore"]
"""What becomes of the link bandwidth that nodes announce (RFC 10005)."""


class FibSection(Model):
    """`[fib]`: how routes stand in the kernel. Times are seconds."""

    max_paths: int = Field(default=64, ge=1, le=4000, strict=True)  # what 32 KB of a nexthop dump hold
    metric: Annotated[int, restart(OWNED)] = Field(default=20, ge=1, le=4294967295, strict=True)
    nexthop_id_base: Annotated[int, restart(OWNED)] = Field(default=900_000_000, ge=1, strict=True)
    nexthop_id_count: Annotated[int, restart(OWNED)] = Field(default=100_000_000, ge=1 << 20, strict=True)
    hash_policy: Annotated[
        HashPolicy, live("all flows are hashed anew: those that then go to another node break")
    ] = "l4"
    groups: Annotated[
        Literal["resilient", "hash-threshold"],
        live("groups of the other type take the place of those that there are: flows break"),
    ] = "resilient"
    buckets: Annotated[int, live("groups that there are keep their buckets")] = Field(
        default=1024, ge=1, le=16384, strict=True
    )
    bucket_budget: Annotated[int, live("groups that there are keep their buckets")] = Field(
        default=1048576, ge=1024, le=268435456, strict=True
    )
    idle_timer: float = Field(default=120.0, gt=0, le=42949672, strict=True)
    unbalanced_timer: float = Field(default=0.0, ge=0, le=42949672, strict=True)
    multipath_relax: Flag = True
    ignore_origin: Flag = False
    always_compare_med: Flag = False
    link_bandwidth: LinkBandwidth = "all"
    nexthop_compat_mode: Flag | None = None
    manage_sysctls: Flag = True
    audit_interval: float = Field(default=60.0, ge=1, le=86400, strict=True)

    @property
    def ids(self) -> range:
        """The ids of nexthops and groups that are routerd's own, and those routes that lead there."""
        return range(self.nexthop_id_base, self.nexthop_id_base + self.nexthop_id_count)

    @property
    def spare_ids(self) -> range:
        """The last of `ids`: for what the writer makes and deletes within one operation."""
        return self.ids[-64:]

    @property
    def compat_mode(self) -> bool:
        """net.ipv4.nexthop_compat_mode: on, unless groups may be too large for a route dump to carry."""
        return self.max_paths <= 128 if self.nexthop_compat_mode is None else self.nexthop_compat_mode


class LivenessSection(Model):
    """`[liveness]`: how the silent death of a node is noticed. Times are seconds."""

    method: Literal["neighbour", "off"] = "neighbour"
    interval: float = Field(default=0.25, ge=0.02, le=60, strict=True)
    retransmit: float = Field(default=0.1, ge=0.02, le=10, strict=True)
    retries: int = Field(default=5, ge=1, le=20, strict=True)


class DrainSection(Model):
    """`[drain]`: where the operator's drains are kept over a restart; an empty path keeps them in memory only."""

    state_file: str = Field(default="/var/lib/routerd/drains.json", pattern=r"^(/.{0,200}[^/])?$")


class ApiSection(Model):
    """`[api]`: the Unix socket that `routerd status` and its sisters talk to, and one for those who may only look."""

    socket: Annotated[str, restart(OPENED)] = Field(default="/run/routerd/routerd.sock", pattern=r"^/.{1,100}$")
    group: Annotated[str, restart(OPENED)] = Field(default="routerd", min_length=1)
    readers: Annotated[str | None, restart(OPENED)] = Field(default=None, min_length=1)
    readers_socket: Annotated[str, restart(OPENED)] = Field(default="/run/routerd/read.sock", pattern=r"^/.{1,100}$")


class PeerGroup(Model):
    """`[peer_groups.NAME]`: what the peers of a group have in common."""

    remote_as: Annotated[RemoteAs, BeforeValidator(_remote_as), session("who may be there is judged by the OPEN")] = (
        "external"
    )
    hold_time: Annotated[
        int, Field(ge=0, le=65535, strict=True), AfterValidator(_hold_time), session("the OPEN carries it")
    ] = 90
    multihop: Annotated[int, session("the TTL of a connection is set as it begins")] = Field(
        default=1, ge=1, le=255, strict=True
    )
    ttl_security: Annotated[Flag, session("the TTL of a connection is set as it begins")] = False
    graceful_restart: Annotated[Flag, session("the OPEN carries it")] = False
    restart_time: Annotated[int, session("the OPEN carries it")] = Field(default=60, ge=1, le=4095, strict=True)
    stale_time: int = Field(default=120, ge=1, le=86400, strict=True)
    families: Annotated[tuple[FamilyName, ...], AfterValidator(_families), session("the OPEN carries them")] = Field(
        default=("ipv4", "ipv6"), min_length=1
    )
    password: Annotated[str | None, AfterValidator(_password), session("the other end has to change it too")] = Field(
        default=None, min_length=1, repr=False
    )
    accept: Annotated[tuple[NetworkText, ...] | Literal["any"] | None, BeforeValidator(_accept)] = None
    advertise: Annotated[tuple[Literal["networks", "default", "learned"], ...], AfterValidator(unique)] = ()
    next_hop: Literal["peer", "any"] = "peer"

    @property
    def least_ttl(self) -> int:
        """The lowest TTL of a packet that was sent with 255 and crossed no more hops than multihop (RFC 5082)."""
        return 256 - self.multihop


class Peer(Model):
    """`[[peers]]`: a node with a known address. `addresses` are others of its own, which it may name as next hops.

    With `connect` the router dials it as well: its `port`, from `local_address`, if that is given.
    """

    name: Name
    address: IpText
    group: Name
    addresses: IpTexts = ()
    connect: Annotated[Flag, live("a session that there is stays, whoever dialled")] = False
    port: Annotated[int, live(NEXT_DIAL)] = Field(default=179, ge=1, le=65535, strict=True)
    local_address: Annotated[IpText | None, live(NEXT_DIAL)] = None


class DynamicPeers(Model):
    """`[[dynamic_peers]]`: nodes that dial in from `range` become peers of the group, at most `limit` at once.

    Fewer than `expected` with a session are a problem.
    """

    range: NetworkText
    group: Name
    limit: int = Field(default=100, ge=1, le=100000, strict=True)
    expected: int = Field(default=0, ge=0, le=100000, strict=True)


class Config(Model):
    """The whole file. `include` is a directory, as seen from the file's: its *.toml files are parts of it too."""

    include: str = Field(default="", max_length=4000)
    router: RouterSection
    fib: FibSection = FibSection()
    api: ApiSection = ApiSection()
    liveness: LivenessSection = LivenessSection()
    drain: DrainSection = DrainSection()
    metrics: MetricsSection = MetricsSection()
    mqtt: MqttSection = MqttSection()
    pair: PairSection = PairSection()
    mrt: MrtSection = MrtSection()
    looking_glass: LookingGlassSection = LookingGlassSection()
    peer_groups: dict[Name, PeerGroup] = Field(default_factory=dict)
    peers: tuple[Peer, ...] = ()
    dynamic_peers: tuple[DynamicPeers, ...] = ()
    bmp: tuple[BmpCollector, ...] = ()

    @property
    def name_at_broker(self) -> str:
        """The router's name in its site."""
        return self.mqtt.router or self.router.router_id

    @property
    def name_in_pair(self) -> str:
        """The router's name for its partner."""
        return self.pair.router or self.name_at_broker

    @cached_property
    def _static(self) -> dict[str, Peer]:
        """The peers by their addresses: a change of the configuration asks for every one."""
        return {peer.address: peer for peer in self.peers}

    def group_of(self, address: str) -> tuple[str, PeerGroup] | None:
        """Return the name and group of the peer at `address`: a static one first, else the narrowest range."""
        wanted = self._static.get(address) or self.range_of(address)
        return None if wanted is None else (wanted.group, self.peer_groups[wanted.group])

    def range_of(self, address: str) -> DynamicPeers | None:
        """Return the narrowest dynamic range that holds `address`."""
        return narrowest(self.dynamic_peers, address)

    def is_dialled(self, address: str) -> bool:
        """Tell whether the router dials the peer at `address`."""
        peer = self._static.get(address)
        return peer is not None and peer.connect

    def addresses_of(self, address: str) -> tuple[str, ...]:
        """Return the further addresses that are configured for the peer at `address`."""
        peer = self._static.get(address)
        return () if peer is None else peer.addresses

    def name_of(self, address: str) -> str:
        """Return the configured name of the peer at `address`; a dynamic peer's name is its address."""
        peer = self._static.get(address)
        return address if peer is None else peer.name
