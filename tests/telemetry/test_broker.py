"""What ends a connection to a real broker before it stands is named as what it is, at once."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.broker import connection
from routerd.telemetry.mqtt.errors import BrokerError, explained
from tests.support.certificates import authority, signed
from tests.support.mosquitto import free_port, mosquitto, needs_mosquitto

AT_ONCE = 5.0
"""Seconds, half of those that a broker may take for an answer."""


@pytest.fixture(name="at", scope="module")
def _at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The authority of a broker that asks for certificates, and its port."""
    directory = tmp_path_factory.mktemp("broker")
    ca, port = authority(directory), free_port()
    its = signed(ca, "localhost")
    tls = f"cafile {ca}\ncertfile {its.certificate}\nkeyfile {its.private_key}\nrequire_certificate true"
    with mosquitto(directory, more=f"allow_anonymous true\nlistener {port} 127.0.0.1\n{tls}"):
        yield ca, port


async def refused(access: Access) -> BrokerError:
    with pytest.raises(BrokerError) as found:
        async with asyncio.timeout(AT_ONCE), connection(access, None):
            pass
    return found.value


@needs_mosquitto
async def test_a_certificate_of_the_routers_that_the_broker_refuses(at: tuple[Path, int]) -> None:
    """TLS 1.3 says so only once the router takes the connection for made."""
    ca, port = at
    access = Access(f"mqtts://localhost:{port}", ca_file=str(ca))
    found = await refused(access)
    assert "wants a certificate" in str(found)
    assert "certificate_file" in found.remedy
    cases = ("expired", signed(ca, "old", days=-1)), ("unknown ca", signed(authority(ca.parent, "other"), "foreign"))
    for name, files in cases:
        own = access._replace(certificate_file=files.certificate, key_file=files.private_key)
        found = await refused(own)
        if "no answer" in str(
            found
        ):  # the broker's word is lost where the router's came to a connection it had closed
            assert f"it may refuse {files.certificate}" in found.remedy
        else:
            assert f"refuses {files.certificate}" in str(found)
            assert name in str(found)
    good = signed(ca, "gw1")
    taken = access._replace(certificate_file=good.certificate, key_file=good.private_key)
    async with connection(taken, None) as made:
        assert await made.publish("a", b"b")


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol (_ssl.c:1006)"),
        aiomqtt.MqttError("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:1006)"),
        ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)),
    ],
)
def test_a_broker_that_goes_without_a_word_may_have_refused_a_certificate_or_speak_no_tls(error: Exception) -> None:
    for certificate, remedy in (
        ("/etc/routerd/gw1.pem", "it may refuse /etc/routerd/gw1.pem"),
        ("", "it may want a"),
    ):
        access = Access("mqtts://broker", certificate_file=certificate)
        assert remedy in explained(access, error).remedy
        assert "without TLS there it is mqtt://" in explained(access, error).remedy
        assert "mqtts://" not in explained(access, error).remedy


@needs_mosquitto
async def test_a_port_that_speaks_tls(at: tuple[Path, int]) -> None:
    _, port = at
    assert "mqtts://" in (await refused(Access(f"mqtt://localhost:{port}"))).remedy


def test_nobody_is_asked_for_the_password_of_a_key(tmp_path: Path) -> None:
    """A router that runs at a terminal would wait for it."""
    ca = authority(tmp_path)
    files = signed(ca, "gw1")
    key = tmp_path / "encrypted.key"
    encrypt = ("openssl", "ec", "-in", files.private_key, "-aes128", "-passout", "pass:x", "-out", str(key))
    subprocess.run(encrypt, check=True, capture_output=True)
    code = (
        "import asyncio\nfrom routerd.telemetry.mqtt.broker import *\n"
        "from routerd.telemetry.mqtt.access import Access\nfrom routerd.telemetry.mqtt.errors import BrokerError\n"
        f"access = Access('mqtts://localhost:1', '', '', {str(ca)!r}, {files.certificate!r}, {str(key)!r})\n"
        "async def main():\n    async with connection(access, None): pass\n"
        "try:\n    asyncio.run(main())\nexcept BrokerError as error:\n    print(error)\n"
    )
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, (sys.executable, "-c", code))
    said = b""
    while b"encrypted" not in said and b"pass phrase" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    os.waitpid(pid, 0)
    assert b"the key is encrypted, and nobody is there to be asked" in said
