"""What of the page comes from the service: which configuration runs, and of what kind problems are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from structlog.testing import capture_logs

from routerd.service.metrics import Metrics, kind


async def test_a_search_for_problems_that_fails_is_logged_and_says_nothing() -> None:
    nothing = cast("Any", None)
    metrics = Metrics(
        nothing, nothing, nothing, nothing, config=nothing, reload=nothing, stretches=nothing, failures={}
    )

    def status(*problems: Any) -> Iterator[None]:
        yield
        if not problems:
            raise KeyError("why")
        return {"problems": problems}  # type: ignore[return-value]

    await metrics._look(cast("Any", lambda: status({"where": "peer w1"})))
    known = metrics._problems
    assert known == {"peer": 1}
    with capture_logs() as logs:
        await metrics._look(cast("Any", status))
    assert metrics._problems is None
    assert [each["log_level"] for each in logs] == ["error"]


def test_kinds_of_problems_are_few() -> None:
    wheres = ("peer k8s-w0", "route 172.16.1.1/32", "ipv4 neighbours", "fib", "interface eth0")
    assert [kind(each) for each in wheres] == ["peer", "route", "neighbours", "fib", "interface"]
