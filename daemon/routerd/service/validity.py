"""Until when a certificate is good. Loaded where TLS is configured."""

from __future__ import annotations

import ssl
from math import inf


def valid_until(certificate: str, shown: ssl.SSLContext) -> float:
    """Return until when, in seconds since 1970, those who trust a certificate believe a server that shows it; 0 if
    they do not even now, and infinity if that cannot be told.

    OpenSSL decides, as it does for them: a client meets the server in memory.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whoever has signed it
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.load_verify_locations(certificate)
        dialler, listener = client.wrap_bio(back, there), shown.wrap_bio(there, back, server_side=True)
        for side in (dialler, listener):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        dialler.do_handshake()
        return ssl.cert_time_to_seconds(str((dialler.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        return 0.0 if error.verify_code in _NOT_NOW else inf
    except (OSError, KeyError, ValueError):
        return inf


_NOT_NOW = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED: verify(1) of OpenSSL."""
