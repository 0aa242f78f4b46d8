"""Removing a stage, with a CloudFormation that is as strict about buckets as AWS's is."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import aws
from operations import destroy, stores, versions
from operations.deploy import commands, stack
from operations.deploy.commands import DeployError
from operations.deploy.target import Target
from operations.destroy import DestroyError
from operations.stores import BUCKET, TABLE, WORKFLOW
from tests.fakes.stacks import FakeCloudFormation, FakeStack
from tests.integration.stage import DRAGON_BUCKET, MESSAGE_BUCKET, Stage, make_prods_stores
from tests.integration.stage import TABLE as TABLE_NAME

STORES = {
    "DragonBucket": (BUCKET, DRAGON_BUCKET),
    "MessageBucket": (BUCKET, MESSAGE_BUCKET),
    "MessageTable": (TABLE, TABLE_NAME),
}
LOGS = (
    "/aws/lambda/dragonpost-dev",
    "/aws/lambda/dragonpost-dev-add_dragon",
    "/aws/vendedlogs/states/dragonpost-dev-dragons",
)
OTHERS_LOGS = ("/aws/lambda/dragonpost-dev2", "/aws/lambda/dragonpost-device-x", "/aws/lambda/dragonpost-prod")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "POLL_S", 0)


@pytest.fixture
def stacks(stage: Stage) -> FakeCloudFormation:
    """Both stacks of a stage that was used: its buckets hold versions and delete markers."""
    s3 = aws.s3()
    for bucket in (DRAGON_BUCKET, MESSAGE_BUCKET):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for number in range(3):
            s3.put_object(Bucket=bucket, Key=f"key-{number}", Body=b"1")
            s3.put_object(Bucket=bucket, Key=f"key-{number}", Body=b"2")
            s3.delete_object(Bucket=bucket, Key=f"key-{number}")
    return FakeCloudFormation(
        s3,
        {
            f"dragonpost-{name}-{part}": FakeStack(
                dict(resources),
                frozenset(resources if name == "prod" else ()),
                parameters={"KeepData": str(name == "prod").lower()},
            )
            for name in ("dev", "prod")
            for part, resources in (("app", {}), ("resources", STORES))
        },
    )


@pytest.fixture
def clients(stacks: FakeCloudFormation) -> Callable[[str], Any]:
    made = {name: boto3.client(name, region_name="us-east-1") for name in ("logs", "lambda", "sts", "cognito-idp")}  # type: ignore[call-overload]
    return {
        **made,
        "s3": aws.s3(),
        "dynamodb": aws.dynamodb(),
        "sqs": aws.sqs(),
        "cloudformation": stacks,
    }.__getitem__


def target(folder: Path, stage: str = "dev") -> Target:
    return Target(stage, folder / "build", "the-artefacts", dict(os.environ), project=folder)


def held(bucket: str) -> int:
    return versions.count(aws.s3(), bucket)


def test_versioned_and_filled_buckets_are_emptied_before_their_stack_is_deleted(
    tmp_path: Path, stacks: FakeCloudFormation, clients: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    destroy.destroy(target(tmp_path), clients)

    assert stacks.deleted == ["dragonpost-dev-app", "dragonpost-dev-resources"]
    assert {name: stacks.stacks[name].status for name in stacks.deleted} == dict.fromkeys(
        stacks.deleted, "DELETE_COMPLETE"
    )
    said = capsys.readouterr().err
    assert f"{MESSAGE_BUCKET}: 9 versions deleted" in said
    assert "stays: s3://the-artefacts, with templates and packages in dragonpost-dev/" in said
    assert said.count("stays:") == 1


def test_a_bucket_that_is_filled_again_meanwhile_fails_with_cloudformations_reason_and_the_next_run_finishes(
    tmp_path: Path, stacks: FakeCloudFormation, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patching:
        patching.setattr(destroy, "_empty", lambda *_: None)
        with pytest.raises(DeployError, match=r"DELETE_FAILED:\nDragonBucket: The bucket .* is not empty"):
            destroy.destroy(target(tmp_path), clients)

    destroy.destroy(target(tmp_path), clients)

    assert stacks.stacks["dragonpost-dev-resources"].status == "DELETE_COMPLETE"


@pytest.mark.parametrize("done", [1, 2, 3])
def test_an_interrupted_run_is_finished_by_the_next(
    tmp_path: Path,
    stacks: FakeCloudFormation,
    clients: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    done: int,
) -> None:
    """Ctrl-C comes after so many of the versions' rounds and stacks' ends."""
    left = [done]

    def interrupting(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return step(*arguments, **named)

        return stepped

    with monkeypatch.context() as patching:
        patching.setattr(destroy, "_empty", interrupting(destroy._empty))
        patching.setattr(FakeCloudFormation, "delete_stack", interrupting(FakeCloudFormation.delete_stack))
        with pytest.raises(KeyboardInterrupt):
            destroy.destroy(target(tmp_path), clients)

    destroy.destroy(target(tmp_path), clients)
    destroy.destroy(target(tmp_path), clients)  # nothing is left, which is no error

    assert (held(DRAGON_BUCKET), held(MESSAGE_BUCKET)) == (0, 0)
    assert stacks.stacks["dragonpost-dev-resources"].status == "DELETE_COMPLETE"


def test_log_groups_that_outlive_the_stacks_go_and_other_stages_stay(
    tmp_path: Path, clients: Callable[[str], Any]
) -> None:
    for group in (*LOGS, *OTHERS_LOGS):
        clients("logs").create_log_group(logGroupName=group)

    destroy.destroy(target(tmp_path), clients)

    left = {group["logGroupName"] for group in clients("logs").describe_log_groups()["logGroups"]}
    assert left == set(OTHERS_LOGS)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("prod", {"KeepData": "false"}),  # its data would go, although the operator was told that it stays
        ("prod", {}),  # of version 0.1.0
        ("dev", {"KeepData": "true"}),  # its stores would stay, and be empty
        ("dev", {}),
    ],
)
def test_nothing_is_done_to_a_stage_whose_stack_does_with_data_what_the_file_does_not_say(
    tmp_path: Path, stacks: FakeCloudFormation, clients: Callable[[str], Any], name: str, parameters: dict[str, str]
) -> None:
    stacks.stacks[f"dragonpost-{name}-resources"].parameters = parameters

    with pytest.raises(DestroyError, match=f"run `make deploy STAGE={name}` first"):
        destroy.destroy(target(tmp_path, name), clients)

    assert stacks.deleted == []
    assert (held(DRAGON_BUCKET), held(MESSAGE_BUCKET)) == (10, 9)


class TestProd:
    def test_its_stores_stay_filled_and_are_listed(
        self,
        tmp_path: Path,
        stacks: FakeCloudFormation,
        clients: Callable[[str], Any],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        destroy.destroy(target(tmp_path, "prod"), clients)

        said = capsys.readouterr().err
        assert (held(DRAGON_BUCKET), held(MESSAGE_BUCKET)) == (10, 9)  # the stage's own document among them
        assert f"stays: MessageBucket {MESSAGE_BUCKET} (the archived messages)" in said
        assert f"stays: MessageTable {TABLE_NAME} (the messages' index)" in said
        assert stacks.stacks["dragonpost-prod-resources"].status == "DELETE_COMPLETE"

    def test_a_run_that_finds_no_stack_any_more_lists_what_stands(
        self,
        tmp_path: Path,
        stacks: FakeCloudFormation,
        clients: Callable[[str], Any],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """An operator whose first run was interrupted after its last step sees what is left to know."""
        pool = make_prods_stores(clients)
        stacks.stacks.clear()

        destroy.destroy(target(tmp_path, "prod"), clients)

        gone_app, gone_resources, *stays = capsys.readouterr().err.splitlines()
        assert gone_app == "  prod: dragonpost-prod-app is gone"
        assert gone_resources == "  prod: dragonpost-prod-resources is gone"
        assert "  prod: stays: MessageBucket dragonpost-prod-messages-123456789012 (the archived messages)" in stays
        assert "  prod: stays: MessageTable dragonpost-prod-messages (the messages' index)" in stays
        assert f"  prod: stays: UserPool {pool} (users)" in stays
        # and the pool's group, and the artefact bucket
        assert len(stays) == len([store for store in stores.STORES.values() if store.type != WORKFLOW]) + 2

    def test_a_run_that_finds_nothing_lists_no_store(
        self,
        tmp_path: Path,
        stacks: FakeCloudFormation,
        clients: Callable[[str], Any],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        stacks.stacks.clear()

        destroy.destroy(target(tmp_path, "prod"), clients)

        assert capsys.readouterr().err.count("stays:") == 1

    @pytest.mark.parametrize(("typed", "status"), [("prod\n", 0), ("dev\n", 1), ("yes\n", 1), ("", 1)])
    def test_nothing_happens_until_its_name_is_typed(
        self,
        tmp_path: Path,
        stacks: FakeCloudFormation,
        clients: Callable[[str], Any],
        monkeypatch: pytest.MonkeyPatch,
        typed: str,
        status: int,
    ) -> None:
        monkeypatch.setattr(sys, "stdin", StringIO(typed))
        monkeypatch.setattr(destroy, "_target", lambda stage: target(tmp_path, stage))

        assert destroy.main(["--stage", "prod"], clients) == status
        assert bool(stacks.deleted) == (status == 0)


class TestChalice:
    def test_what_chalice_deployed_from_here_is_deleted_by_chalice_first(
        self,
        tmp_path: Path,
        stacks: FakeCloudFormation,
        clients: Callable[[str], Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        record = tmp_path / ".chalice" / "deployed" / "dev.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"resources": [{"name": "api_handler"}]}), encoding="utf-8")
        ran: list[tuple[str, ...]] = []
        monkeypatch.setattr(commands, "run", lambda *command, **_: ran.append((*command, *stacks.deleted)) or "")

        destroy.destroy(target(tmp_path), clients)

        assert ran == [("chalice", "delete", "--stage", "dev")]

    def test_what_chalice_deployed_from_another_folder_is_named_and_nothing_of_the_resources_is_deleted(
        self, tmp_path: Path, stacks: FakeCloudFormation, clients: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(destroy, "_functions", lambda *_: ["dragonpost-dev-add_dragon"])

        with pytest.raises(DestroyError, match=r"no stack holds dragonpost-dev-add_dragon.*chalice delete --stage dev"):
            destroy.destroy(target(tmp_path), clients)

        assert stacks.deleted == ["dragonpost-dev-app"]
        assert held(MESSAGE_BUCKET) == 9


def test_the_stage_of_make_run_is_left_to_make_reset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        destroy.main(["--stage", "local"])

    assert "make reset" in capsys.readouterr().err
