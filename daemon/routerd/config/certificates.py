"""The certificates of a router of a pair: read, and tried out. Loaded where they are configured, as TLS is."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import NamedTuple

from routerd.config.pair import Files
from routerd.config.unreadable import unreadable

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_NEEDED = "both routers need one of this CA, valid now, for servers and for clients"


class Certificates(NamedTuple):
    """What the files make of TLS 1.3, for who dials and who is dialled, and this router's own certificate (DER)."""

    dialler: ssl.SSLContext
    listener: ssl.SSLContext
    own: bytes


def read(files: Files) -> Certificates:
    """Return what the files hold; ValueError, with the key and what to do, if the partner could make nothing of it.

    That is tried: whatever the partner would refuse by the same CA is refused here, before there is a connection.
    """
    own = _CERTIFICATE.search(_text("certificate_file", files.certificate))
    if own is None:
        raise ValueError(f"certificate_file: {files.certificate} has no certificate; write the name of a PEM file")
    for key, path in (("private_key_file", files.private_key), ("ca_file", files.ca)):
        _text(key, path)
    found = Certificates(
        _context(files, ssl.PROTOCOL_TLS_CLIENT),
        _context(files, ssl.PROTOCOL_TLS_SERVER),
        ssl.PEM_cert_to_DER_cert(own[0]),
    )
    try:
        _try_out(found)
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason
        raise ValueError(
            f"certificate_file: {files.certificate} is not valid by ca_file {files.ca}: {why}; {_NEEDED}"
        ) from error
    return found


def _text(key: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ValueError(f"{key}: {path}: {unreadable(error, path)}") from error


def _context(files: Files, side: int) -> ssl.SSLContext:
    """Return what one side verifies the other one by. The names in a certificate do not matter: who has the pair's
    key is the partner."""
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(files.ca)
    except (OSError, ValueError) as error:
        raise ValueError(f"ca_file: {files.ca} has no certificate; write the name of a PEM file") from error
    try:
        context.load_cert_chain(files.certificate, files.private_key, password=_no_password)
    except (OSError, ValueError) as error:
        why = str(error) if isinstance(error, ValueError) else getattr(error, "reason", "") or error
        raise ValueError(
            f"private_key_file: {files.private_key} is not the key of {files.certificate}, or no PEM: {why}"
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("it is encrypted, and nobody is there to be asked for its password")


def _try_out(found: Certificates) -> None:
    """Have the router meet itself."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [found.dialler.wrap_bio(back, there), found.listener.wrap_bio(there, back, server_side=True)]
    while sides:
        for side in tuple(sides):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            sides.remove(side)
