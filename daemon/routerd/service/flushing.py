"""`routerd flush`: without what a daemon is made of, so that it starts fast."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from routerd.kernel.flush import flush
from routerd.kernel.lock import WriterLock, WriterLockedError
from routerd.service.refusing import BAD_CONFIG, read_config, refuse


def flush_kernel(path: Path, *, force: bool) -> int:
    """Remove what is routerd's from the kernel; return the exit code. Not beside a running daemon, unless `force`."""
    config = read_config(path)
    if config is None:
        return BAD_CONFIG
    try:
        with contextlib.nullcontext() if force else WriterLock():
            failures = flush(config.fib)
    except WriterLockedError as error:
        return refuse(f"{error}: its routes would go until its next audit. Stop it first, or add --force", 1)
    except PermissionError as error:
        return refuse(f"{error.strerror}; this needs CAP_NET_ADMIN, or root", 1)
    except OSError as error:
        return refuse(str(error), 1)
    for failed in failures:
        print(f"routerd: {failed.operation}: {failed.text} (errno {failed.errno})", file=sys.stderr)
    return 1 if failures else 0
