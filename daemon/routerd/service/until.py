"""Work that goes on until something else comes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def until(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` until it ends, or until the event comes, whatever it waits for then; raise what it raises."""
    working, coming = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({working, coming}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        coming.cancel()
        await asyncio.gather(working, coming, return_exceptions=True)
