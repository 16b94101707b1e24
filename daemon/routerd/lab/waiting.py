"""Waiting for a condition with a deadline, and the lab's one error."""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_INTERVAL = 0.05
"""Seconds between two looks at a condition."""


class LabError(Exception):
    """The lab cannot go on; the text says what was expected, what was found and what to do."""


def until(condition: Callable[[], str], timeout: float, what: str) -> float:
    """Wait until `condition` answers "" and return the seconds that it took.

    Any other answer says what is still missing. LabError with the last answer after `timeout` seconds.
    """
    start = time.monotonic()
    while missing := condition():
        if time.monotonic() - start > timeout:
            raise LabError(f"{what}: not within {timeout:g} s: {missing}")
        time.sleep(POLL_INTERVAL)
    return time.monotonic() - start
