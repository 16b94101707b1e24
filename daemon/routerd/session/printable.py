"""Text that somebody else wrote, made fit for a terminal and a log."""

from __future__ import annotations

_SURROGATES = 0xDC00
"""What surrogateescape adds to an octet that is not UTF-8."""


def printable(raw: bytes) -> str:
    """Return UTF-8 as one readable line in which nothing acts on a terminal or misleads a reader.

    Octets that are not UTF-8, control and format characters (bidirectional marks among them) and separators other
    than the space are written as escapes, as in a Python string.
    """
    return "".join(map(_escaped, raw.decode("utf-8", "surrogateescape")))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if 0 < ord(character) - _SURROGATES < 256:
        return f"\\x{ord(character) - _SURROGATES:02x}"
    return character.encode("unicode_escape").decode()


def quoted(raw: bytes) -> str:
    """Return UTF-8 as `printable` does, in double quotes, and so that it cannot look like more than it is."""
    escaped = raw.replace(b"\\", rb"\\").replace(b'"', rb"\"")
    return f'"{printable(escaped)}"'
