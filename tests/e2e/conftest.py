"""The devstack that all e2e tests share, on free ports and with a state folder of its own.

`make verify` runs these tests against a deployed stage instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operations import PROJECT
from tests.e2e.running import TARGETS, Api, Devstack, Served, free_ports
from tests.e2e.stage import Stage
from tests.people import verified_stage


@pytest.fixture(scope="session")
def devstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The devstack that all e2e tests share, in a folder whose name needs care. At the end it leaves nothing behind."""
    if verified := verified_stage():
        yield Stage(verified)
        return
    shared = Devstack(PROJECT, tmp_path_factory.mktemp("a dévstack") / "its state", free_ports())
    try:
        yield shared.until_ready()
        assert shared.end() == 0, shared.output
        shared.assert_nothing_left()
    finally:
        shared.kill()


@pytest.fixture(scope="session")
def apis(devstack: Served) -> dict[str, Api]:
    """A client for each target. They last for the session, so that each user logs in only once."""
    tokens: dict[str, str] = {}
    return {target: Api(devstack, target, _tokens=tokens) for target in TARGETS}


@pytest.fixture(params=TARGETS)
def api(request: pytest.FixtureRequest, apis: dict[str, Api]) -> Api:
    """Both targets in turn: the local server, and the deployed API."""
    return apis[request.param]
