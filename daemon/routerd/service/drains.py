"""The operator's drains, kept in a file so that they outlive routerd."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

log = structlog.get_logger()


class Drains:
    """The addresses of the drained peers. Without a path, or where it cannot be written, they are kept in memory."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self.peers: set[str] = self._load()

    def mark(self, peer: str, *, on: bool) -> None:
        """Remember that a peer is drained, or no longer."""
        (self.peers.add if on else self.peers.discard)(peer)
        if self._path is None:
            return
        scratch = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            scratch.write_text(json.dumps(sorted(self.peers)) + "\n", encoding="utf-8")
            scratch.replace(self._path)
        except OSError as error:
            log.warning("drains are not kept over a restart", file=str(self._path), reason=error.strerror)

    def _load(self) -> set[str]:
        if self._path is None or not self._path.exists():
            return set()
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(peer) for peer in found}
        except (OSError, ValueError, TypeError) as error:
            log.error(
                "the file of drains cannot be read: nothing is drained", file=str(self._path), reason=str(error)
            )
            return set()
