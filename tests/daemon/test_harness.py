"""The harness itself: a test that waits for nothing cannot fail."""

from __future__ import annotations

import pytest

from tests.daemon.harness import becomes


@pytest.mark.parametrize("answer", [None, "", 0, [], {}])
async def test_an_answer_that_is_not_true_is_waited_out(answer: object) -> None:
    answers = iter([answer, answer, "there"])
    assert await becomes(lambda: next(answers)) == "there"
    with pytest.raises(AssertionError, match="wanted something true"):
        await becomes(lambda: answer, seconds=0)


async def test_none_can_be_waited_for() -> None:
    answers = iter(["there", None])
    assert await becomes(lambda: next(answers), None) is None
    with pytest.raises(AssertionError, match="wanted None"):
        await becomes(lambda: "there", None, seconds=0)
