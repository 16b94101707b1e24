"""What whoever has the key of the fleet may have this router do: drain nodes, and tell how far that has come."""

from __future__ import annotations

from typing import Any

from routerd.core.route import parse_address
from routerd.core.router import Router
from routerd.service.answers import Answers
from routerd.session.printable import printable

ACTIONS = ("drain", "undrain", "look")
_LONGEST = 200


class Orders:
    """Carries out requests that are signed."""

    def __init__(self, answers: Answers, router: Router) -> None:
        self._answers = answers
        self._router = router

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
        return {"drain": view} if view is not None else {"drain": None, "groups": self._leading_to(node)}

    def _leading_to(self, node: str) -> int | None:
        """Return how many groups lead to who is no peer: flows do, too, after a restart, until it dials in. None if
        that is not known, as of a name."""
        try:
            address = parse_address(node)
        except ValueError:
            return None
        if not self._router.synchronised:
            return None
        groups = self._router.fib.groups
        return sum(len(groups.having(gateway)) for gateway in groups.nexthops if gateway.address == address)
