"""Running routerd as an ordinary user, wherever the checkout and the interpreter lie.

In mounts of its own, so that an ordinary user reaches a checkout in somebody's home, and an interpreter in a
directory that has no way in for others at its own path, which its libraries are linked to.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import routerd

NOBODY = 65534

_SCRIPT = """
set -e
top=$1 prefix=$2 site=$3 package=$4 hidden=$5 sysctls=$6
shift 6
mount --bind "$site" "$top/site"
mount --bind "$package" "$top/package/routerd"
if [ -n "$hidden" ]; then
    mount --bind "$prefix" "$top/prefix"
    mount -t tmpfs -o mode=755 none "$hidden"
    mkdir -p "$prefix"
    mount --bind "$top/prefix" "$prefix"
fi
if [ "$sysctls" = ro ]; then
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
fi
cd /
export PYTHONHOME="$prefix" PYTHONPATH="$top/package:$top/site" PYTHONDONTWRITEBYTECODE=1
exec "$@"
"""


@contextmanager
def everybodys_python() -> Iterator[Path]:
    """Make a directory that everybody may enter, with the interpreter as `bin/python`. /tmp may be nosuid."""
    top = Path(tempfile.mkdtemp(prefix="routerd-", dir="/var/tmp"))
    try:
        top.chmod(0o755)
        for name in ("bin", "prefix", "site", "package/routerd"):
            (top / name).mkdir(parents=True)
        shutil.copy(Path(sys._base_executable).resolve(), top / "bin" / "python")  # type: ignore[attr-defined]
        yield top
    finally:
        shutil.rmtree(top)


def open_way(path: Path) -> None:
    """Let everybody enter the directories above a path, as far as they are this test run's own."""
    for each in path.parents:
        if each.is_relative_to(Path(tempfile.gettempdir())) and each != Path(tempfile.gettempdir()):
            each.chmod(each.stat().st_mode | 0o055)


def as_nobody(top: Path, *privileges: str, writable_sysctls: bool) -> list[str]:
    """Return the command that runs the one behind it as nobody, in a mount namespace that the caller has made.

    `privileges` are options of setpriv. Without `writable_sysctls`, /proc/sys is read-only as under
    ProtectKernelTunables and in a container.
    """
    prefix = Path(sys.base_prefix).resolve()
    hidden = next((str(p) for p in reversed((prefix, *prefix.parents)) if not p.stat().st_mode & 1), "")
    places = (top, prefix, sysconfig.get_path("purelib"), routerd.__path__[0], hidden)
    mode = "rw" if writable_sysctls else "ro"
    user = ("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
    return ["sh", "-c", _SCRIPT, "sh", *map(str, places), mode, "setpriv", *user, *privileges]
