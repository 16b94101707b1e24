"""What a change of the configuration does, as the API shows it."""

from __future__ import annotations

from collections.abc import Iterable

from routerd.api.models import ChangeView, ReloadView, ResetView
from routerd.config.diff import Change, resets
from routerd.config.model import Config
from routerd.core.rib.rib import Rib


def reload(
    rib: Rib,
    before: Config,
    after: Config,
    found: Iterable[Change],
    *,
    dry: bool,
    files: Iterable[str],
    confirm_seconds: float | None,
) -> ReloadView:
    """Return what a change does, without its forecast; `dry` if it was only asked."""
    up = [address for address, peer in rib.peers.items() if peer.session is not None]
    lost = resets(before, after, up)
    return ReloadView(
        files=list(files),
        applied=not dry,
        changes=[change(each) for each in found],
        resets=[ResetView(peer=rib.peers[address].name, keys=keys) for address, keys in lost.items()],
        forecast=None,
        unforeseen="",
        confirm_seconds=confirm_seconds,
    )


def change(found: Change) -> ChangeView:
    """Return a key that differs."""
    return ChangeView(
        key=found.key,
        before=_plain(found.before),
        after=_plain(found.after),
        impact=found.cost.impact.words,
        why=found.cost.why,
    )


def _plain(value: object) -> str:
    """Return a value as the file has it, more or less; empty for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_plain(each)}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
