"""`[pair]`: what keeps two routers from being one, and what is doubtful."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.config.fingerprint import fingerprint
from routerd.config.live import unreachable
from routerd.config.load import check, parse
from routerd.config.pair import Files
from routerd.config.pairing import TLS
from routerd.config.source import ConfigError
from tests.support.certificates import authority, signed

ROUTER = '[router]\nasn = 65000\nrouter_id = "192.0.2.1"\n'
PAIR = '[pair]\npartner = "gw2"\nrouter = "gw1"\naddress = "10.255.0.2"\nkey_file = "/nowhere/pair.key"\n'
FITTING = '[fib]\nhash_policy = "five-tuple"\n'
BROKER = '[mqtt]\nbroker = "mqtt://127.0.0.1"\nrouter = "gw1"\n'


def _tls(files: Files) -> str:
    return "".join(f'{key} = "{path}"\n' for key, path in zip(TLS, files, strict=True))


def test_nothing_else_is_needed() -> None:
    config = parse(ROUTER + FITTING + PAIR)
    assert (config.pair.channel, config.pair.port, config.pair.hold_time) == ("link", 7179, 3.0)
    assert parse(ROUTER + PAIR.replace('address = "10.255.0.2"', 'channel = "mqtt"') + BROKER).pair.partner == "gw2"
    assert not parse(ROUTER).pair.partner


def test_a_name_is_that_of_the_site_unless_there_is_another() -> None:
    unnamed = PAIR.replace('router = "gw1"\n', "")
    assert parse(ROUTER + PAIR).name_in_pair == "gw1"
    assert parse(ROUTER + unnamed).name_in_pair == "192.0.2.1"
    assert parse(ROUTER + unnamed + BROKER.replace("gw1", "gw7")).name_in_pair == "gw7"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('"gw1"', '"gw2"', "c.toml:6: pair.router: gw2 is this router and its partner; write router ="),
        (
            'partner = "gw2"\nrouter = "gw1"',
            'partner = "192.0.2.1"',
            "c.toml:5: pair.partner: 192.0.2.1 is",
        ),
        ('partner = "gw2"', 'partner = "gw/2"', "pair.partner: write a name of letters, digits"),
        (
            'key_file = "/nowhere/pair.key"\n',
            "",
            'c.toml:4: pair.key_file: the two have no key; write key_file = "/etc',
        ),
        ('"/nowhere/pair.key"', '"pair.key"', "pair.key_file: write an absolute path"),
        ('address = "10.255.0.2"\n', "", "c.toml:4: pair.address: where gw2 is is not said"),
        ("10.255.0.2", "gw2", "c.toml:7: pair.address: 'gw2' is not an IPv4 or IPv6 address; write one such as"),
        ("10.255.0.2", "10.255.0.2/24", 'has a length; write "10.255.0.2" alone'),
        ("10.255.0.2", "192.0.2.1", "pair.address: 192.0.2.1 is this router's own address; write that of gw2"),
        ("10.255.0.2", "224.0.0.1", "pair.address: 224.0.0.1 is no address of a router; write one"),
        ("10.255.0.2", "fe80::2", 'is link-local, and says not on which link; write such as "fe80::2%eth0"'),
        ("[pair]", '[pair]\nlisten = "10.255.0.2"', "10.255.0.2 is this router's own address"),
        ("[pair]", '[pair]\nlisten = "fd00::1"', "nobody dials 10.255.0.2 from fd00::1; write an IPv6"),
        ("[pair]", '[pair]\nlisten = "0.0.0.0"', "pair.listen: 0.0.0.0 is no address of a router"),
        (
            "[pair]",
            "[pair]\nport = 179",
            "pair.port: port 179 is that of [router]; write another",
        ),
        ("[pair]", '[metrics]\nlisten = "127.0.0.1:7179"\n[pair]', "port 7179 is that of [metrics]"),
        ("[pair]", '[looking_glass]\nlisten = ["::"]\nport = 7179\n[pair]', "port 7179 is that of [looking_glass]"),
        ("[pair]", '[pair]\nchannel = "tcp"', "pair.channel: write 'link' or 'mqtt' (found 'tcp')"),
        ("[pair]", '[pair]\nchannel = "mqtt"', "pair.channel: there is no broker; write broker ="),
        (
            "[pair]",
            BROKER.replace("gw1", "gw7") + '[pair]\nchannel = "mqtt"',
            "at the broker this router is gw7, and so it is for its partner; remove it here",
        ),
        (
            "[pair]",
            '[pair]\nca_file = "/etc/hostname"',
            "pair.ca_file: TLS takes three files; write certificate_file and private_key_file as well",
        ),
        ("[pair]", '[fib]\ngroups = "hash-threshold"\n[pair]', "c.toml:5: fib.groups: a pair agrees on the buckets"),
        ("[pair]", "[pair]\nhash_seed = 4294967296", "pair.hash_seed: write a whole number from 0 to 4294"),
        (
            "[pair]",
            "[pair]\nhold_time = 0.1",
            "pair.hold_time: write a number of seconds, from 0.3 to 60",
        ),
        ("partner =", "peer =", "pair.peer: is not a known key; known keys: partner, router, channel"),
    ],
)
def test_errors_say_where_and_what_to_write(old: str, new: str, error: str) -> None:
    assert old in PAIR
    with pytest.raises(ConfigError) as found:
        parse(ROUTER + PAIR.replace(old, new, 1), "c.toml")
    assert error in str(found.value)


def test_ports_of_other_addresses_do_not_collide() -> None:
    apart = PAIR.replace("[pair]", '[pair]\nlisten = "10.255.0.1"')
    parse(f'{ROUTER}[metrics]\nlisten = "127.0.0.1:7179"\n{apart}')


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (PAIR, 'fib.hash_policy: in a pair "l4" may send'),
        (FITTING + "unbalanced_timer = 9.0\n" + PAIR, "c.toml:6: fib.unbalanced_timer: has no effect in a pair"),
        (
            FITTING + "manage_sysctls = false\n" + PAIR,
            "c.toml:6: fib.manage_sysctls: so the seed of the",
        ),
        (
            FITTING + PAIR.replace("/pair.key", "/no.key"),
            "/no.key: No such file or directory; openssl rand -hex 32 makes one",
        ),
        (FITTING + PAIR.replace("pair.key", "open.key"), "open.key is open to everybody on this machine: chmod o="),
        (FITTING + PAIR.replace("pair.key", "short.key"), "short.key: its first line is the key, 16 octets at least"),
        (FITTING + PAIR + 'listen = "203.0.113.7"\n', "pair.listen: this host has no address 203.0.113.7"),
        (FITTING + BROKER + PAIR + 'channel = "mqtt"\n', "pair.address: is of no use over the broker"),
        (
            FITTING + PAIR + _tls(Files("/nowhere-else/gw1.pem", "/etc/hostname", "/etc/hostname")),
            "c.toml:11: pair.certificate_file: /nowhere-else/gw1.pem: No such file or directory",
        ),
        (
            FITTING + PAIR + _tls(Files(*["/etc/hostname"] * 3)),
            "pair.certificate_file: /etc/hostname has no certificate",
        ),
        ('[pair]\nkey_file = "/etc/hostname"\n', "c.toml:5: pair.key_file: there is no pair without a partner"),
    ],
)
def test_what_is_doubtful(text: str, doubt: str, tmp_path: Path) -> None:
    path = _written(tmp_path, text)
    (found,) = _doubts(path)
    assert doubt in found


def test_a_pair_that_fits_is_beyond_doubt(tmp_path: Path) -> None:
    assert not _doubts(_written(tmp_path, FITTING + PAIR))


def test_certificates_are_tried_out(tmp_path: Path) -> None:
    """Not where the link needs none."""
    files = signed(authority(tmp_path), "gw1")
    path = _written(tmp_path, FITTING + PAIR + _tls(files))
    assert not _doubts(path)
    files = signed(Path(files.ca), "gw1", days=-1)
    (found,) = _doubts(path)
    assert f"c.toml:11: pair.certificate_file: {files.certificate} is not valid by ca_file {files.ca}: " in found
    assert "certificate has expired; both routers need one of this CA, valid now" in found
    _written(tmp_path, FITTING + PAIR + _tls(files._replace(private_key=files.ca)))
    (found,) = _doubts(path)
    assert f"c.toml:12: pair.private_key_file: {files.ca} is not the key of {files.certificate}" in found
    _written(tmp_path, FITTING + BROKER + PAIR.replace('address = "10.255.0.2"', 'channel = "mqtt"') + _tls(files))
    assert [line.partition("pair.")[2] for line in _doubts(path)] == [
        f'{key}: is of no use over the broker; write channel = "link", or remove it' for key in TLS
    ]


def _written(directory: Path, text: str) -> Path:
    """Return a file with a configuration, whose keys of the pair are in the same directory."""
    for name, mode, key in (("pair", 0o640, "0" * 32), ("open", 0o644, "0" * 32), ("short", 0o640, "0" * 15)):
        made = directory / f"{name}.key"
        made.touch(0o600)
        made.write_text(f"{key}\n")
        made.chmod(mode)
    path = directory / "c.toml"
    path.write_text(ROUTER + text.replace("/nowhere/", f"{directory}/"))
    return path


def _doubts(path: Path) -> list[str]:
    return [line for line in check(path) if " pair." in line or " fib." in line]


def test_the_partner_is_another_router() -> None:
    config = parse(ROUTER + FITTING + PAIR)
    assert [where for where, _ in unreachable(config, {"10.255.0.2"}, [])] == [("pair", "address")]
    assert not list(unreachable(config, {"10.255.0.1"}, []))


def test_a_pair_is_configured_alike() -> None:
    other = PAIR.replace("gw2", "gw0").replace("255.0.2", "255.0.1")
    assert fingerprint(parse(ROUTER + PAIR)) == fingerprint(parse(ROUTER + other))
