"""Why the daemon, which is not root, cannot read files."""

from __future__ import annotations


def unreadable(error: OSError, *files: str) -> str:
    """Return it in words, with what helps if they are somebody else's. `files` are those that it may be about."""
    named = " ".join(filter(None, files))
    remedy = f"; let routerd's user read it: chgrp routerd {named}; chmod 0640 {named}"
    return f"{error.strerror}{remedy if isinstance(error, PermissionError) else ''}"
