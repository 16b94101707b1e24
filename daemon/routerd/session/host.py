"""The child process: ExaBGP's reactor with routerd's overrides, between the peers and the parent's socket.

`python -m routerd.session.host STREAM URGENT`, where both are inherited file descriptors. The parent begins with
the SHUTDOWNs that are in force, and a CONFIGURE whose generation is the number before the first session's.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import signal
import socket
import sys
from types import SimpleNamespace
from typing import Any

from routerd.bare import without
from routerd.memory import collect_seldom, give_back
from routerd.session import privileges
from routerd.session.configuration import SpeakerConfig, unpack_config
from routerd.session.exabgp.uplink import Uplink

_PR_SET_PDEATHSIG = 1

_ENVIRONMENT = {
    "daemon_drop": "false",
    "daemon_daemonize": "false",
    "daemon_pid": "",
    "api_cli": "false",
    "log_level": "WARNING",
    "tcp_attempts": "0",
    "tcp_delay": "0",
    "bgp_passive": "true",
    "reactor_speed": "1.0",
}


def main() -> None:
    """Serve until the parent says stop or is gone; exit code 1 when the sessions cannot be served."""
    stream, urgent = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:3])
    for end in (stream, urgent):
        end.setblocking(False)
    privileges.drop()
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's ^C is the parent's to answer
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    uplink = Uplink(stream, urgent)
    first = uplink.first()
    if first is None:
        return
    _, generation, payload = first
    try:
        code = _serve(uplink, generation, unpack_config(payload))
    except (OSError, ValueError, RuntimeError) as error:
        # OSError keeps its number apart from its text
        uplink.failed((error.strerror if isinstance(error, OSError) else None) or str(error))
        code = 1
    uplink.drain(2.0)
    sys.exit(code)


def _serve(uplink: Uplink, generation: int, config: SpeakerConfig) -> int:
    """Run the reactor and return its exit code. ExaBGP is imported here, after its environment is set."""
    for name in [name for name in os.environ if name.lower().startswith("exabgp")]:
        del os.environ[name]
    user = pwd.getpwuid(os.getuid()).pw_name if os.getuid() == 0 else "root"
    os.environ.update({f"exabgp_{key}": value for key, value in (_ENVIRONMENT | {"daemon_user": user}).items()})

    # 3 MB: what its API alone runs, a debugger, and the names of ports that a FlowSpec would be configured with.
    without("asyncio")
    without("pdb")
    without("exabgp.protocol.ip.port", Port=int)
    from exabgp.logger import log
    from exabgp.logger.option import option

    from routerd.session.exabgp.contract import assert_contract
    from routerd.session.exabgp.reactor import Reactor

    assert_contract()
    _send_log_up(log, option, uplink)
    reactor = Reactor(uplink, generation)
    reactor.configure(config)
    uplink.received()  # who is shut down, before anybody is dialled
    give_back()
    collect_seldom()
    return int(reactor.run())


def _send_log_up(log: Any, option: Any, uplink: Uplink) -> None:
    """Make ExaBGP's warnings and errors log frames; its debug lines are not even built."""

    def line(severity: str) -> Any:
        def write(message: Any, source: str = "", level: str = "") -> None:
            uplink.log(severity, f"{source}: {message()}")

        return staticmethod(write)

    def quiet(*_: Any, **__: Any) -> None:
        """Say nothing."""

    option.logger = SimpleNamespace()
    for name in ("debug", "info", "init"):
        setattr(log, name, staticmethod(quiet))
    for name in ("warning", "critical", "fatal"):  # ExaBGP says "critical" of an ordinary shutdown
        setattr(log, name, line("warning"))
    log.error = line("error")


def _die_with_parent() -> None:
    """Ask the kernel to end us with the parent; the end of the stream tells it too."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


if __name__ == "__main__":
    main()
