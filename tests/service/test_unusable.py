"""What members of the API's group are told of files that they name, and that routerd may read."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from routerd.api.caller import Caller
from routerd.api.endpoints import Failure, Request, endpoints
from routerd.service.live import Live
from tests.support.core import CONFIG, Simulation

GROUP, SECRET = 4711, "s3cr3t"


@pytest.mark.parametrize("method", ["check", "diff", "reload"])
@pytest.mark.parametrize(("uid", "name", "shown"), [(0, "key", True), (65534, "key", False), (65534, "own", True)])
async def test_errors_show_lines_of_another_file_to_root_alone(
    tmp_path: Path, method: str, uid: int, name: str, shown: bool
) -> None:
    (tmp_path / "key").write_text(f"{SECRET} = 1\n")
    (tmp_path / "own").write_text(f"{SECRET} = 1\n{CONFIG}")
    live, source = Live(tmp_path / "own", Simulation().router), Mock()

    async def fails(path: str, *_: object) -> object:
        return await live.check(path)

    for each in ("check", "diff", "reload"):
        setattr(source, each, fails)
    [endpoint] = [each for each in endpoints(source, GROUP) if each.path == f"/v1/config/{method}"]
    caller = Caller(1, uid, frozenset((GROUP,)))
    request = Request(endpoint.method, endpoint.path, "", {"path": str(tmp_path / name)}, caller)
    with pytest.raises(Failure) as failure:
        await endpoint.answer(request)
    assert failure.value.status == 422
    assert (SECRET in failure.value.detail) is shown
    assert str(tmp_path / name) in failure.value.detail
