"""What the router announces, octet by octet and as it is read back."""

from __future__ import annotations

import pytest

from routerd.core.message import Advertise, Update
from routerd.core.route import Attributes, Family, Prefix, SegmentType, Unknown, parse_address
from routerd.session import encode
from tests.session.wire import (
    GLOBAL,
    LINK_LOCAL,
    NLRI,
    NLRI6,
    PREFIX,
    PREFIX6,
    attribute,
    decoder,
    encoder,
    mp_reach,
    mp_unreach,
    opened,
    prefixes,
)

PATH = ((SegmentType.SEQUENCE, (65001,)),)
CLASSIC = Attributes(as_path=PATH, next_hop=parse_address("10.0.0.1"))
MODERN = Attributes(as_path=PATH, next_hop=parse_address("2001:db8::ff"))
ORIGIN_AND_PATH = "40010100 400206 02010000fde9"


def messages(octets: bytes) -> list[bytes]:
    """Cut a stream of UPDATEs into bodies, checking every header."""
    bodies = []
    while octets:
        assert octets[:16] == b"\xff" * 16
        size = int.from_bytes(octets[16:18], "big")
        assert octets[18] == 2
        bodies.append(octets[19:size])
        octets = octets[size:]
    return bodies


def read_back(octets: bytes, **options: bool) -> list[Update]:
    session = decoder(opened(extended_message=True), **options)
    return [session.decode(part) for part in messages(octets)]


def expected(withdrawn: str = "", attributes: str = "", nlri: str = "") -> list[bytes]:
    gone, octets = bytes.fromhex(withdrawn), bytes.fromhex(attributes)
    return [len(gone).to_bytes(2, "big") + gone + len(octets).to_bytes(2, "big") + octets + bytes.fromhex(nlri)]


@pytest.mark.parametrize(
    ("change", "bodies"),
    [
        pytest.param(Advertise("peer"), [], id="nothing"),
        pytest.param(
            Advertise("peer", announced=((CLASSIC, (PREFIX,)),)),
            expected("", ORIGIN_AND_PATH + "400304 0a000001", NLRI),
            id="IPv4",
        ),
        pytest.param(
            Advertise("peer", announced=((MODERN, (PREFIX6,)),)),
            expected("", mp_reach() + ORIGIN_AND_PATH),
            id="IPv6",
        ),
        pytest.param(
            Advertise("peer", announced=((MODERN, (PREFIX,)),)),
            expected("", mp_reach(nlri=NLRI, afi=1) + ORIGIN_AND_PATH),
            id="IPv4 with an IPv6 next hop",
        ),
        pytest.param(
            Advertise("peer", announced=((MODERN._replace(link_local=parse_address("fe80::ff")), (PREFIX6,)),)),
            expected("", mp_reach(GLOBAL + LINK_LOCAL) + ORIGIN_AND_PATH),
            id="link-local next hop",
        ),
        pytest.param(
            Advertise("peer", announced=((CLASSIC, (PREFIX6,)),)),
            expected("", mp_reach("00" * 10 + "ffff0a000001") + ORIGIN_AND_PATH),
            id="IPv6 with an IPv4 next hop",
        ),
        pytest.param(Advertise("peer", withdrawn=(PREFIX,)), expected(NLRI), id="IPv4 withdrawn"),
        pytest.param(Advertise("peer", withdrawn=(PREFIX6,)), expected("", mp_unreach()), id="IPv6 withdrawn"),
        pytest.param(
            Advertise("peer", end_of_rib=(Family.IPV6, Family.IPV4)),
            expected("", mp_unreach("")) + expected(),
            id="End-of-RIB",
        ),
    ],
)
def test_octets(change: Advertise, bodies: list[bytes]) -> None:
    assert messages(encoder().encode(change)) == bodies


def test_order_of_messages() -> None:
    change = Advertise(
        "peer",
        withdrawn=(PREFIX6, PREFIX),
        announced=((CLASSIC, (PREFIX,)), (MODERN, (PREFIX6,))),
        end_of_rib=(Family.IPV4,),
    )
    updates = read_back(encoder().encode(change))
    assert [update.withdrawn for update in updates] == [[PREFIX], [PREFIX6], [], [], []]
    assert [update.announced for update in updates[2:4]] == [[(CLASSIC, [PREFIX])], [(MODERN, [PREFIX6])]]
    assert updates[4].end_of_rib is Family.IPV4


def test_attributes_are_in_ascending_order() -> None:
    rich = CLASSIC._replace(
        med=5,
        atomic_aggregate=True,
        communities=(1,),
        extended_communities=(b"12345678",),
        large_communities=((1, 2, 3),),
        originator_id=parse_address("10.0.0.9"),
        cluster_list=(parse_address("10.0.0.8"),),
        unknown=(Unknown(0xC0, 25, b"x"), Unknown(0xC0, 99, b"y")),
    )
    octets = encoder(external=False).encode(Advertise("peer", announced=((rich, (PREFIX,)),)))
    body, codes, at = octets[23 : -len(PREFIX)], [], 0
    while at < len(body):
        codes.append(body[at + 1])
        at += 3 + body[at + 2]
    assert codes == [1, 2, 3, 4, 5, 6, 8, 9, 10, 16, 25, 32, 99]
    assert bytes.fromhex(attribute(0xC0, 99, b"y")) in octets  # Partial is for who decides what is passed on


def test_local_pref_is_for_internal_peers() -> None:
    change = Advertise("peer", announced=((CLASSIC._replace(local_pref=200), (PREFIX,)), (CLASSIC, (PREFIX,))))
    internal = read_back(encoder(external=False).encode(change), external=False)
    assert [update.announced[0][0].local_pref for update in internal] == [200, 100]
    external = read_back(encoder().encode(change), external=False)
    assert [update.announced[0][0].local_pref for update in external] == [None, None]


@pytest.mark.parametrize("families", [frozenset({Family.IPV4}), frozenset({Family.IPV6}), frozenset()])
def test_families_that_are_not_negotiated_are_left_out(families: frozenset[Family]) -> None:
    change = Advertise(
        "peer",
        withdrawn=(PREFIX, PREFIX6),
        announced=((CLASSIC, (PREFIX,)), (MODERN, (PREFIX6,))),
        end_of_rib=tuple(Family),
    )
    assert len(messages(encoder(opened(families)).encode(change))) == 3 * len(families)


MANY = tuple(Prefix(b"\x20" + number.to_bytes(4, "big")) for number in range(0x0A000000, 0x0A000000 + 5000))
MIXED = tuple(
    Prefix(bytes((bits,)) + (0x0A000000 + (number << (32 - bits))).to_bytes(4, "big"))
    for number in range(1000)
    for bits in (23, 24, 32)
)
MANY6 = tuple(Prefix(b"\x80" + bytes(12) + number.to_bytes(4, "big")) for number in range(3000))
MIXED6 = MANY6[:1000] + tuple(Prefix(b"\x40" + number.to_bytes(8, "big") + bytes(8)) for number in range(1000))


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("chosen", [MANY, MIXED, MANY6, MIXED6, MANY[:10] + MANY6[:10]])
def test_packing(chosen: tuple[Prefix, ...], *, extended: bool) -> None:
    limit = 65535 if extended else 4096
    session = encoder(opened(extended_message=extended))
    attributes = CLASSIC if len(chosen[0]) == 5 else MODERN
    octets = session.encode(Advertise("peer", announced=((attributes, chosen),)))
    bodies = messages(octets)
    assert all(len(part) + 19 <= limit for part in bodies)
    assert all(len(part) + 19 > limit - 18 for part in bodies[:-1]) or len(bodies) == 2
    announced = [prefix for update in read_back(octets) for _, found in update.announced for prefix in found]
    assert tuple(announced) == chosen
    octets = session.encode(Advertise("peer", withdrawn=chosen))
    assert all(len(part) + 19 <= limit for part in messages(octets))
    assert tuple(prefix for update in read_back(octets) for prefix in update.withdrawn) == chosen


def test_multiprotocol_withdrawals_fill_a_message_to_its_last_octet() -> None:
    """Of 4096 octets 30 are what stands around them."""
    chosen = MANY6[:236] + MIXED6[1000:1006]
    assert sum(17 if prefix[0] == 128 else 9 for prefix in chosen) == 4096 - 30
    [body] = messages(encoder().encode(Advertise("peer", withdrawn=chosen)))
    assert len(body) + 19 == 4096


@pytest.mark.parametrize("count", [1100, 17000])
def test_attributes_that_do_not_fit_withdraw(count: int) -> None:
    swollen = CLASSIC._replace(communities=tuple(range(count)))
    change = Advertise("peer", announced=((swollen, (PREFIX, PREFIX6)),))
    updates = read_back(encoder().encode(change))
    assert [update.withdrawn for update in updates] == [[PREFIX], [PREFIX6]]
    assert all(update.announced == [] for update in updates)


def test_large_attributes_fit_into_extended_messages() -> None:
    swollen = CLASSIC._replace(communities=tuple(range(1100)))
    octets = encoder(opened(extended_message=True)).encode(
        Advertise("peer", announced=((swollen, tuple(prefixes("192.0.2.1/32"))),))
    )
    assert [update.announced for update in read_back(octets)] == [[(swollen, [PREFIX])]]


def test_octets_of_prefixes_are_read_back() -> None:
    assert bytes.fromhex(NLRI6) == PREFIX6


def test_what_is_remembered_is_bounded_in_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large attributes count twice: as they are known, and as they were encoded."""
    monkeypatch.setattr(encode, "MEMO_LIMIT", 400_000)
    made = encode.AttributeEncoder(four_octet_as=True, external=True)
    for number in range(100):
        large = CLASSIC._replace(unknown=(Unknown(0xD0, 99, number.to_bytes(4000, "big")),))
        assert len(made.encode(large, classic=True)) > 4000
        assert len(made._memo) * 2 * 4000 <= 400_000


def filled(octets: int) -> Attributes:
    """Return attributes of which one has so many octets."""
    return CLASSIC._replace(unknown=(Unknown(0xC0, 99, bytes(octets)),))


def test_a_route_is_announced_if_a_message_has_just_room_for_it() -> None:
    session = encoder()
    room = 4096 - len(session.encode(Advertise("peer", announced=((filled(300), (PREFIX,)),))))
    octets, withheld = session.routes(Advertise("peer", announced=((filled(300 + room), (PREFIX,)),)))
    assert (len(octets), withheld) == (4096, ())
    octets, withheld = session.routes(Advertise("peer", announced=((filled(301 + room), (PREFIX,)),)))
    assert messages(octets) == expected(NLRI)
    assert [(each.prefixes, each.octets, each.limit) for each in withheld] == [((PREFIX,), 4097, 4096)]


@pytest.mark.parametrize("size", [255, 256])
def test_a_length_takes_two_octets_where_one_does_not_do(size: int) -> None:
    """RFC 4271 section 4.3: the Extended Length bit."""
    octets = encoder().encode(Advertise("peer", announced=((filled(size), (PREFIX,)),)))
    head = "c0 63 ff" if size == 255 else "d0 63 0100"
    assert octets.endswith(bytes.fromhex(head) + bytes(size) + bytes.fromhex(NLRI))
    [update] = read_back(octets)
    assert update.announced[0][0].unknown == (Unknown(0xC0, 99, bytes(size)),)


def test_a_peer_is_asked_to_announce_families_again() -> None:
    """RFC 2918 section 3: AFI, a reserved octet, SAFI."""
    head = b"\xff" * 16 + bytes.fromhex("0017 05")
    assert encode.route_refresh(Family) == head + bytes.fromhex("0001 00 01") + head + bytes.fromhex("0002 00 01")
    assert encode.route_refresh(()) == b""


def test_sessions_of_a_kind_remember_together_what_they_have_encoded() -> None:
    one, same, other = encoder(), encoder(), encoder(external=False)
    assert one._attributes is same._attributes is not other._attributes
