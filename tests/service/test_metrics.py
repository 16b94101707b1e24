"""What of the page comes from the service: which configuration runs, and of what kind problems are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from structlog.testing import capture_logs

from routerd.service.metrics import Metrics, kinds


async def test_a_search_for_problems_that_fails_is_logged_and_says_nothing() -> None:
    nothing = cast("Any", None)
    metrics = Metrics(
        nothing, nothing, nothing, nothing, config=nothing, reload=nothing, stretches=nothing, failures={}
    )

    def status(*problems: Any) -> Iterator[None]:
        yield
        if not problems:
            raise KeyError("why")
        return {"problems": problems, "peers": []}  # type: ignore[return-value]

    await metrics._look(cast("Any", lambda: status({"where": "fib"})))
    known = metrics._problems
    assert known == {"fib": 1}
    with capture_logs() as logs:
        await metrics._look(cast("Any", status))
    assert metrics._problems is None
    assert [each["log_level"] for each in logs] == ["error"]


def test_kinds_of_problems_are_few() -> None:
    wheres = ("peer w0", "peer w1", "peer w2", "route 172.16.1.1/32", "ipv4 neighbours", "fib", "interface eth0")
    peers = [("w0", "established", False), ("w1", "waiting", False), ("w2", "established", True)]
    found = {
        "problems": [{"where": each} for each in wheres],
        "peers": [{"name": name, "state": state, "silent": silent} for name, state, silent in peers],
    }
    expected = ["session", "peer", "peer", "route", "neighbours", "fib", "interface"]
    assert list(kinds(cast("Any", found))) == expected, "no alarm of a peer's own tells what w0 has"
