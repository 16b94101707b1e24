"""The endpoints of a pair. Their views are named by text: nobody loads them before somebody asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from routerd.api.endpoints import Endpoint, Failure, Number, Request, admit
from routerd.api.slices import Slices

if TYPE_CHECKING:
    from routerd.api.models.pair import PairView, SeedView


class Paired(Protocol):
    """Where the answers come from."""

    def view(self, *, whole: bool) -> Slices[PairView]: ...
    async def set_seed(self, by: str) -> SeedView: ...


def endpoints(paired: Callable[[], Paired | None], writers: int | None = 0) -> tuple[Endpoint, ...]:
    """Return the endpoints; `paired` returns None where no pair is configured."""
    switch = Number(0, 1, 0)

    def there() -> Paired:
        found = paired()
        if found is None:
            raise Failure(
                404, "this router has no partner: [pair] in the configuration names one, docs/pair.md says how"
            )
        return found

    async def pair(request: Request) -> Slices[PairView]:
        whole = switch.read("all", request.query.get("all"))
        return there().view(whole=whole == 1)

    async def set_seed(request: Request) -> SeedView:
        by = await admit(request, writers)
        return await there().set_seed(by)

    about = "The other router of the pair, and the groups that are not equal on both; with `all`, all groups."
    seed = "Give the kernel's hash the seed of the pair: each flow through this router moves once."
    module = "routerd.api.models.pair"
    return (
        Endpoint("GET", "/v1/pair", f"{module}:PairView", about, pair, {"all": switch}),
        Endpoint("POST", "/v1/pair/seed", f"{module}:SeedView", seed, set_seed, whole=True),
    )
