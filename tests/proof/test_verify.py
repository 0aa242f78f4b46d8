"""`make verify` on both stages of an account, as they are deployed to the embedded AWS over TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.embedded_aws import embedded_aws
from tests.deploy.prod import Prod
from tests.deploy.test_prod_over_tls import held
from tests.proof.report import Report, only_at_full_scale

SUITE = "13 verify"
needs_full_scale = only_at_full_scale("deploys stages and runs the end-to-end suite on each")


@pytest.fixture(params=["dev", "prod"])
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prod]:
    """A stage that was just deployed. The registry of dev is in DynamoDB."""
    stage = Prod(tmp_path_factory.mktemp(request.param), request.param)
    with embedded_aws(stage.settings):
        ran = stage.deploy()
        assert ran.returncode == 0, ran.stderr
        if request.param == "dev":
            moved = stage.run("operations.migrate", "--from", "s3", "--to", "dynamodb", "--yes")
            assert moved.returncode == 0, moved.stderr
        yield stage


@needs_full_scale
def test_a_deployed_stage_passes_the_suite_and_holds_afterwards_what_it_held_before(
    deployed: Prod, tmp_path: Path, report: Report
) -> None:
    before, page = held(deployed), tmp_path / "report.md"

    verified = deployed.run("tests.verify", "--yes", "--report", str(page))

    assert verified.returncode == 0, verified.stdout
    text = page.read_text(encoding="utf-8")
    tried = re.search(r"(\d+) tests passed, 0 failed", text)
    assert tried, text
    assert "Nothing that was not known." in text
    assert held(deployed) == before
    count = int(tried[1])
    report.add(SUITE, f"the end-to-end suite on a deployed {deployed.stage}", tried=count, survived=count)
