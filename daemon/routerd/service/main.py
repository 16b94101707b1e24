"""Starting and ending the process: configuration, log, the daemon, and exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from pathlib import Path

import structlog

from routerd.api.server import SocketInUseError
from routerd.config.load import ConfigError, load
from routerd.config.model import Config
from routerd.core.histogram import Histogram
from routerd.kernel.flush import flush
from routerd.kernel.lock import WriterLock, WriterLockedError
from routerd.service.daemon import Daemon
from routerd.service.stretches import Stretches
from routerd.telemetry import log


def start(path: Path, log_level: str, log_format: str, record: Path | None, *, flush_on_exit: bool) -> int:
    """Run the daemon until it is told to stop; return the exit code: 0 stopped, 1 failed, 2 bad configuration.

    One daemon runs in a network namespace: another one fails, before it writes anything.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which would end it, and means something else to most daemons
    if log_level not in log.LEVELS or log_format not in log.FORMATS:
        return _refuse(f"--log-level is one of {', '.join(log.LEVELS)}, --log-format one of {', '.join(log.FORMATS)}")
    log.configure(log_level, log_format)
    config = _load(path)
    if config is None:
        return 2
    # The tables hold few objects that could be garbage, but many to look at: a full collection takes 0.1 s at
    # 500,000 prefixes, and the default looks often.
    gc.set_threshold(100_000, 50, 1000)
    try:
        with WriterLock():
            stretches = Stretches()
            with asyncio.Runner(loop_factory=stretches.loop) as runner:
                runner.run(_run(config, stretches.histogram, record, flush_on_exit=flush_on_exit))
    except WriterLockedError as error:
        return _refuse(
            f"{error}; two would delete each other's routes. Stop it first, or run this one in a network "
            "namespace of its own",
            1,
        )
    except SocketInUseError as error:
        return _refuse(str(error), 1)
    except PermissionError as error:
        return _refuse(f"{error}; routerd needs CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, or root", 1)
    except OSError as error:
        return _refuse(str(error), 1)
    except ExceptionGroup as errors:
        structlog.get_logger().critical("crashed; the FIB stays", exc_info=errors)
        return 1
    return 0


async def _run(config: Config, stretches: Histogram, record: Path | None, *, flush_on_exit: bool) -> None:
    with contextlib.ExitStack() as stack:
        file = None if record is None else stack.enter_context(record.open("w", encoding="utf-8"))
        await Daemon(config, stretches, file).run(flush_on_exit=flush_on_exit)


def flush_kernel(path: Path, *, force: bool) -> int:
    """Remove what is routerd's from the kernel; return the exit code. Not beside a running daemon, unless `force`."""
    config = _load(path)
    if config is None:
        return 2
    try:
        with contextlib.nullcontext() if force else WriterLock():
            failures = flush(config.fib)
    except WriterLockedError as error:
        return _refuse(f"{error}: its routes would go until its next audit. Stop it first, or add --force", 1)
    except PermissionError as error:
        return _refuse(f"{error.strerror}; this needs CAP_NET_ADMIN, or root", 1)
    except OSError as error:
        return _refuse(str(error), 1)
    for failed in failures:
        print(f"routerd: {failed.operation}: {failed.text} (errno {failed.errno})", file=sys.stderr)
    return 1 if failures else 0


def _load(path: Path) -> Config | None:
    try:
        return load(path)
    except ConfigError as error:
        _refuse(str(error))
        return None


def _refuse(text: str, code: int = 2) -> int:
    for line in text.splitlines():
        print(f"routerd: {line}", file=sys.stderr)
    return code
