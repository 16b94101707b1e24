"""The operator's hand on single peers: sessions are reset, shut down, and let in again."""

from __future__ import annotations

import time

import structlog

from routerd.api.endpoints import Failure
from routerd.api.models import ClearView, OrderView
from routerd.api.views.shutdowns import shutdown_of
from routerd.core.message import Shutdown, SoftReset
from routerd.core.route import format_address, parse_address
from routerd.service.engine import Engine
from routerd.service.shutdowns import Order, Shutdowns, checked
from routerd.session.printable import printable

log = structlog.get_logger()


class Peering:
    """Finds the peer that is meant, and has it done. What is asked of a peer that nobody knows is a Failure."""

    def __init__(self, engine: Engine, shutdowns: Shutdowns) -> None:
        self.shutdowns = shutdowns
        self._engine = engine
        self._router = engine.router

    def begin(self) -> None:
        """Have in force again what was kept."""
        for address, order in self.shutdowns.orders.items():
            self._engine.shut(_message(address, order), order.text)

    async def clear(self, peer: str, soft: str, by: str) -> ClearView:
        """Reset the session of a peer, or dial one without at once, if it is one that is dialled; or, if `soft` is
        `in` or `out`, have a peer announce or hear all again."""
        address = self._find(peer)
        known = self._router.rib.peers.get(address)
        up = None if known is None else known.session
        dialled = (
            up is None
            and not soft
            and self._router.config.is_dialled(address)
            and address not in self.shutdowns.orders
        )
        log.info("clear", peer=self._name(address), soft=soft or None, by=by, changed=up is not None or dialled)
        if up is not None and soft:
            self._engine.take(SoftReset(address, soft == "in"))
            self._engine.wake.set()
        elif up is not None:
            self._engine.reset(up)
        elif dialled:
            self._engine.dial(address)
        return ClearView(
            name=self._name(address),
            address=address,
            soft=soft,
            session=up is not None,
            dialled=dialled,
            refreshed=soft == "in" and up is not None and up.received.route_refresh and up.sent.route_refresh,
            stale_seconds=0.0 if known is None else known.group.stale_time,
        )

    async def shutdown(self, peer: str, text: str, by: str) -> OrderView:
        """Shut a peer down, until `enable`: another text replaces the one that it is told."""
        try:
            checked(text)
        except ValueError as error:
            raise Failure(422, str(error)) from error
        address = self._find(peer)
        before = self.shutdowns.orders.get(address)
        changed = before is None or text not in ("", before.text)
        known = self._router.rib.peers.get(address)
        ended = known is not None and known.session is not None
        if changed:
            order = self.shutdowns.orders[address] = Order(by, time.time(), text)
            self._engine.shut(_message(address, order), text)
        log.info("shutdown", peer=self._name(address), text=printable(text.encode()), by=by, changed=changed)
        await self.shutdowns.store()
        return self._view(address, changed=changed, ended=ended)

    async def enable(self, peer: str, by: str) -> OrderView:
        """Let a peer have a session again."""
        address = self._find(peer)
        changed = self.shutdowns.orders.pop(address, None) is not None
        if changed:
            self._engine.enable(address)
        log.info("enable", peer=self._name(address), by=by, changed=changed)
        await self.shutdowns.store()
        return self._view(address, changed=changed, ended=False)

    def _find(self, peer: str) -> str:
        """Return the address of a peer by its name or address: there, or configured, or one of a range."""
        config = self._router.config
        named = next((each.address for each in config.peers if each.name == peer), peer)
        try:
            address = format_address(parse_address(named))
        except ValueError:
            raise Failure(404, f"no peer has the name or address {peer}") from None
        known = address in self._router.rib.peers or address in self.shutdowns.orders
        if not known and config.group_of(address) is None:
            raise Failure(404, f"no peer has the address {address}, and it is in none of the ranges")
        return address

    def _name(self, address: str) -> str:
        return self._router.config.name_of(address)

    def _view(self, address: str, *, changed: bool, ended: bool) -> OrderView:
        return OrderView(
            name=self._name(address),
            address=address,
            changed=changed,
            ended=ended,
            shutdown=shutdown_of(self._router, address),
            unstored=self.shutdowns.unstored,
        )


def _message(address: str, order: Order) -> Shutdown:
    return Shutdown(address, order.by, order.time, printable(order.text.encode()))
