"""What whoever has the key of the fleet may have this router do: drain nodes, and tell how far that has come."""

from __future__ import annotations

from typing import Any

from routerd.service.answers import Answers
from routerd.session.printable import printable

ACTIONS = ("drain", "undrain", "look")
_LONGEST = 200


class Orders:
    """Carries out requests that are signed."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def heed(self, said: dict[str, Any]) -> dict[str, Any]:
        """Do what a request says; return how far the drain has come, or why not."""
        action, node = said.get("action"), said.get("node")
        if action not in ACTIONS or not isinstance(node, str):
            return {"error": f"this version of routerd knows {', '.join(ACTIONS)}, and a node by its name or address"}
        if action == "look":
            view = await self._answers.drain(node)
        else:
            by = (
                f"{printable(str(said.get('by', ''))[:_LONGEST].encode(errors='replace')) or 'nobody'}, by the broker"
            )
            view = await self._answers.set_drain(node, on=action == "drain", by=by)
        return {"drain": view}
