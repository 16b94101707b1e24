"""Why there is no connection to a broker, in an operator's words and with what helps. Pure."""

from __future__ import annotations

import errno
import os
import re

from routerd.config.broker import place
from routerd.telemetry.mqtt.access import Access

ENDED, _RESET = "it ends the connection before it has answered", os.strerror(errno.ECONNRESET)
_EOF = "EOF occurred in violation of protocol"
"""So OpenSSL says that the other side went without a word of TLS: it speaks none, or the word was lost on the way."""

_BAD_CREDENTIALS, _NOT_AUTHORIZED = 134, 135


class BrokerError(Exception):
    """There is no connection, or it is no more: what is wrong, and what helps."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.remedy = remedy


def explained(access: Access, error: Exception) -> BrokerError:
    """Return an error in the operator's words."""
    at = place(access.url)
    known: BaseException | None = error
    while known is not None:
        code = getattr(known, "rc", None)
        number = getattr(code, "value", code if isinstance(code, int) else None)
        if number in (_BAD_CREDENTIALS, _NOT_AUTHORIZED, 4, 5):
            return BrokerError(
                f"the broker {at} refuses user {access.user!r}: {code}", "put user and password_file right"
            )
        known = known.__cause__
    text = text_of(error)
    if " alert " in text and ("certificate" in text or "unknown ca" in text):
        own = access.certificate_file
        return BrokerError(
            f"the broker {at} refuses {own}: {text}" if own else f"the broker {at} wants a certificate: {text}",
            "give it, in certificate_file and key_file, one for clients that is valid now, by an authority it trusts",
        )
    if text in (ENDED, _RESET) or text.startswith(_EOF):
        own = f"it may refuse {access.certificate_file}" if access.certificate_file else "it may want a certificate"
        why = f"without TLS there it is mqtt://; {own}" if at.tls else "with TLS there it is mqtts://"
        return BrokerError(
            f"the broker {at} gives no answer: {text}",
            f"see its log: {why}; it may allow no more clients, or no MQTT 5",
        )
    if "certificate" in text:
        return BrokerError(
            f"the broker {at} and the router do not trust each other: {text}",
            "see whether ca_file has signed the broker's certificate, and whether that is for this name and time",
        )
    if "Name or service" in text or "name resolution" in text or "No address associated" in text:
        return BrokerError(f"the name of the broker {at} is not known: {text}", "see to DNS, or write its address")
    if "timed out" in text:
        return BrokerError(f"the broker {at} does not answer", "see whether it runs, and whether packets reach it")
    return BrokerError(f"there is no connection to the broker {at}: {text}", "see whether it runs and listens there")


def text_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return re.sub(r"^\[(Errno -?\d+|\w+: \w+)\] | \(_ssl\.c:\d+\)$", "", str(error)) or type(error).__name__
