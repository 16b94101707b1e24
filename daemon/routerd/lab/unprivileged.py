"""Being root enough: an ordinary user runs the lab as root of a user namespace."""

from __future__ import annotations

import os
import subprocess
import sys

from routerd.lab.waiting import LabError

_AS_ROOT = ("unshare", "--user", "--map-root-user")
_MARK = "ROUTERD_LAB_USER_NAMESPACE"


def become_root() -> None:
    """Make sure that network namespaces can be made: if not, run this program again in a user namespace.

    LabError when the machine forbids that too.
    """
    if _refusal("unshare", "--net", "true") is None:
        return
    if (refusal := _refusal(*_AS_ROOT, "unshare", "--net", "true")) is not None:
        raise LabError(
            f"an ordinary user cannot have network namespaces on this machine ({refusal}). Run the lab as root, "
            "or allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone (Debian) "
            "and kernel.apparmor_restrict_unprivileged_userns (Ubuntu)"
        )
    os.environ[_MARK] = "1"
    os.execvp(_AS_ROOT[0], [*_AS_ROOT, sys.executable, *sys.orig_argv[1:]])


def enter_options() -> str:
    """Return what `nsenter` needs besides the namespace's process to enter the lab from another terminal."""
    return "--user --preserve-credentials --net" if _MARK in os.environ else "--net"


def _refusal(*argv: str) -> str | None:
    """Return why a command fails; None if it works."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{argv[0]} is not installed; it is in the Debian package util-linux"
    return None if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"
