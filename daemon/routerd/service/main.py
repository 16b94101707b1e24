"""Starting and ending the process: configuration, log, the daemon, and exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO

import structlog

from routerd.api.server import SocketInUseError
from routerd.config.source import ConfigError
from routerd.kernel.lock import WriterLock, WriterLockedError
from routerd.memory import collect_seldom, give_back
from routerd.service.beginning import begin
from routerd.service.daemon import Daemon
from routerd.service.journal import Journal
from routerd.service.refusing import refuse
from routerd.service.stretches import Stretches
from routerd.telemetry import log


def start(
    path: Path, log_level: str, log_format: str, record: Path | None, journal: Path | None, *, flush_on_exit: bool
) -> int:
    """Run the daemon until it is told to stop; return the exit code: 0 stopped, 1 failed, 2 bad configuration.

    One daemon runs in a network namespace: another one fails, before it writes anything.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which would end it, until it can be heeded
    if log_level not in log.LEVELS or log_format not in log.FORMATS:
        return refuse(f"--log-level is one of {', '.join(log.LEVELS)}, --log-format one of {', '.join(log.FORMATS)}")
    log.configure(log_level, log_format)
    collect_seldom()
    try:
        with WriterLock():
            kept = Journal(journal)
            beginning = begin(path, kept)
            give_back()
            stretches = Stretches()
            with asyncio.Runner(loop_factory=stretches.loop) as runner:
                daemon = partial(Daemon, path, beginning, kept, stretches)
                runner.run(_run(daemon, record, flush_on_exit=flush_on_exit))
    except WriterLockedError as error:
        return refuse(
            f"{error}; two would delete each other's routes. Stop it first, or run this one in a network "
            "namespace of its own",
            1,
        )
    except ConfigError as error:
        return refuse(str(error))
    except SocketInUseError as error:
        return refuse(str(error), 1)
    except PermissionError as error:
        return refuse(f"{error}; routerd needs CAP_NET_ADMIN and CAP_NET_BIND_SERVICE, or root", 1)
    except OSError as error:
        return refuse(str(error), 1)
    except ExceptionGroup as errors:
        structlog.get_logger().critical("crashed; the FIB stays", exc_info=errors)
        return 1
    return 0


async def _run(make: Callable[[TextIO | None], Daemon], record: Path | None, *, flush_on_exit: bool) -> None:
    with contextlib.ExitStack() as stack:
        file = None if record is None else stack.enter_context(record.open("w", encoding="utf-8"))
        await make(file).run(flush_on_exit=flush_on_exit)
