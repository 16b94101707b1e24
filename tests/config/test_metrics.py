"""`[metrics]`: what is a place, and what is doubtful about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.config.load import check, parse
from routerd.config.source import ConfigError

ROUTER = '[router]\nasn = 65000\nrouter_id = "192.0.2.1"\n[metrics]\n'


@pytest.mark.parametrize(
    ("text", "place", "local"),
    [
        ("192.0.2.1:9179", ("192.0.2.1", 9179), False),
        ("[::1]:9179", ("::1", 9179), True),
        ("127.0.0.1:1", ("127.0.0.1", 1), True),
        ("[2001:DB8::1]:9179", ("2001:db8::1", 9179), False),
        ("0.0.0.0:9179", ("0.0.0.0", 9179), False),
    ],
)
def test_a_place(text: str, place: tuple[str, int], local: bool) -> None:
    found = parse(f'{ROUTER}listen = "{text}"').metrics
    assert (found.place, found.local) == (place, local)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('listen = "192.0.2.1"', "metrics.listen: '192.0.2.1' is no place to listen at; write an address and a port"),
        ('listen = "::1:9179"', "'::1:9179' is no place to listen at"),
        ('listen = "router:9179"', "'router:9179' is no place to listen at"),
        ('listen = "192.0.2.1:0"', "is no place to listen at"),
        ('listen = "192.0.2.300:9179"', "'192.0.2.300:9179' has no IPv4 or IPv6 address"),
        ('listen = "[fe80::1]:9179"', "fe80::1 is link-local, and says not on which link"),
        ('listen = "[ff02::1]:9179"', "ff02::1 is none that anybody could dial"),
        ('listen = "192.0.2.1:179"', "port 179 is where nodes dial in; write another one"),
        ('token_file = "token"', "metrics.token_file: write an absolute path"),
        ('compatibility = ["bird"]', "metrics.compatibility[0]: write 'frr_exporter' or 'gobgp' (found 'bird')"),
        ('token = "secret"', "metrics.token: is not a known key; did you mean 'token_file'?"),
    ],
)
def test_errors_say_where_and_what_to_write(line: str, error: str) -> None:
    with pytest.raises(ConfigError) as found:
        parse(ROUTER + line)
    assert error in str(found.value)


@pytest.mark.parametrize(
    ("lines", "doubt"),
    [
        ('token_file = "/etc/hostname"', "metrics are served on the Unix socket alone"),
        ('listen = "127.0.0.1:9179"\nkey = "/etc/hostname"', "without its certificate it is of no use"),
        ('listen = "0.0.0.0:9179"\ntoken_file = "/etc/hostname"', "whoever can listen on the way reads the token"),
        ('listen = "192.0.2.1:9179"', "this host has no address 192.0.2.1: nobody could scrape there"),
        ('listen = "127.0.0.1:9179"\ntoken_file = "/nowhere/token"', "this host has no file /nowhere/token"),
    ],
)
def test_doubts(tmp_path: Path, lines: str, doubt: str) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(ROUTER + lines)
    assert sum(doubt in warning for warning in check(file)) == 1


def test_what_is_sound_is_not_doubted(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(f'{ROUTER}listen = "127.0.0.1:9179"\ntoken_file = "/etc/hostname"')
    assert not [warning for warning in check(file) if "metrics" in warning]
