"""What deploying would change, in words, and that nothing of the question is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from operations.deploy import diff
from operations.deploy.adoption import Kept
from operations.deploy.commands import DeployError
from operations.deploy.diff import Comparison, told
from operations.deploy.target import Target
from operations.stores import QUEUE, TABLE

STACK = "dragonpost-dev-resources"
SMALL = {"Parameters": {"Stage": {}, "AlarmEmail": {}, "New": {}}, "Resources": {}}
LARGE = {"Resources": {"x" * 60_000: {"Type": "AWS::SNS::Topic"}}}


def change(action: str, name: str, kind: str = "AWS::SNS::Topic", *properties: str, replaced: str = "False") -> Any:
    details = [{"Target": {"Attribute": "Properties", "Name": each}} for each in properties]
    resource = {"Action": action, "LogicalResourceId": name, "ResourceType": kind, "Details": details}
    return {"ResourceChange": {**resource, **({"Replacement": replaced} if action == "Modify" else {})}}


def words(*changes: Any) -> list[str]:
    return [" ".join(line.split()) for line in told(STACK, {"Changes": changes}, "dev")]


class TestTheWords:
    def test_nothing_to_do_is_said(self) -> None:
        assert words() == [f"{STACK}: nothing would change"]

    def test_the_worst_comes_first_and_each_change_names_its_properties(self) -> None:
        assert words(
            change("Add", "B"),
            change("Modify", "C", "AWS::SQS::Queue", "VisibilityTimeout", "Tags"),
            change("Modify", "D", "AWS::SNS::Topic", "TopicName", replaced="True"),
            change("Modify", "E", "AWS::SNS::Topic", "TopicName", replaced="Conditional"),
            change("Remove", "A"),
        ) == [
            f"{STACK}: 1 to add, 1 to change, 1 to perhaps REPLACE, 1 to REPLACE, 1 to REMOVE",
            "REMOVE A AWS::SNS::Topic",
            "REPLACE D AWS::SNS::Topic: TopicName",
            "may REPLACE E AWS::SNS::Topic: TopicName",
            "change C AWS::SQS::Queue: VisibilityTimeout, Tags",
            "add B AWS::SNS::Topic",
        ]

    @pytest.mark.parametrize(
        "lossy", [change("Remove", "T", TABLE), change("Modify", "T", TABLE, "KeySchema", replaced="True")]
    )
    def test_what_would_lose_data_is_marked_with_what_deploying_asks_for(self, lossy: Any) -> None:
        said = words(lossy)

        assert "! its data would be lost. Deploying refuses that without --replace T" in said
        assert said[-1].startswith("`make deploy STAGE=dev` changes nothing")

    def test_a_store_that_stands_already_is_taken_in_and_not_made(self) -> None:
        template = {
            "Resources": {"T": {"Type": TABLE}, "Q": {"Type": QUEUE}, "D": {"Type": "AWS::X", "Condition": "C"}}
        }

        assert list(diff._made(STACK, template, {"T": Kept(TABLE, "t", {"TableName": "t"})})) == [
            f"{STACK}: everything in it would be new, but for what stands already",
            "  add          D  AWS::X (depends on a parameter)",
            f"  add          Q  {QUEUE}",
            f"  take in      T  {TABLE}",
        ]


class FakeCloudFormation:
    """Makes change sets of one stack, which has a status, or does not exist."""

    def __init__(self, status: str | None, *, says: str = "", refuses: bool = False) -> None:
        self.status = status
        self.change_sets: list[str] = []
        self.asked: dict[str, Any] = {}
        self._says = says
        self._refuses = refuses
        self.on_describe: Callable[[], object] = lambda: None

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        if self.status is None:
            message = f"Stack with id {StackName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")
        parameters = [{"ParameterKey": "AlarmEmail", "ParameterValue": "a@b"}]
        return {"Stacks": [{"StackId": "id", "StackStatus": self.status, "Parameters": parameters}]}

    def create_change_set(self, **asked: Any) -> None:
        if self._refuses:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no"}}, "CreateChangeSet")
        self.asked = asked
        self.change_sets.append(asked["ChangeSetName"])
        self.status = self.status or "REVIEW_IN_PROGRESS"

    def describe_change_set(self, *, NextToken: str = "", **_: str) -> Any:  # noqa: N803
        self.on_describe()
        if self._says:
            return {"Status": "FAILED", "StatusReason": self._says, "Changes": []}
        page = {"Changes": [change("Add", NextToken or "first")], "Status": "CREATE_COMPLETE"}
        return page if NextToken else {**page, "NextToken": "second"}

    def delete_change_set(self, *, ChangeSetName: str, **_: str) -> None:  # noqa: N803
        if ChangeSetName not in self.change_sets:
            message = f"ChangeSet [{ChangeSetName}] does not exist"
            raise ClientError({"Error": {"Code": "ChangeSetNotFound", "Message": message}}, "DeleteChangeSet")
        self.change_sets.remove(ChangeSetName)

    def delete_stack(self, **_: str) -> None:
        self.status = None


class FakeS3:
    """A bucket that exists, or not."""

    def __init__(self, *, exists: bool = True) -> None:
        self.exists = exists
        self.keys: set[str] = set()
        self.put: list[str] = []

    def put_object(self, *, Key: str, **_: Any) -> None:  # noqa: N803
        if not self.exists:
            raise ClientError({"Error": {"Code": "NoSuchBucket", "Message": ""}}, "PutObject")
        self.keys.add(Key)
        self.put.append(Key)

    def delete_object(self, *, Key: str, **_: Any) -> None:  # noqa: N803
        self.keys.remove(Key)

    meta = SimpleNamespace(endpoint_url="https://s3.eu-west-1.amazonaws.com")


def compared(
    cloudformation: FakeCloudFormation, folder: Path, template: dict[str, Any] = SMALL, s3: FakeS3 | None = None
) -> list[str]:
    target = Target("dev", folder, "artefacts", {}, artifacts_owner="123456789012")
    clients = {"cloudformation": cloudformation, "s3": s3 or FakeS3()}
    return list(Comparison(target, clients.__getitem__)._of(STACK, template, {"Stage": "dev"}))


class TestWhatIsLeftBehind:
    @pytest.mark.parametrize("status", ["UPDATE_COMPLETE", "REVIEW_IN_PROGRESS"])
    def test_the_change_set_is_deleted_and_the_stack_that_stood_stays(self, tmp_path: Path, status: str) -> None:
        cloudformation = FakeCloudFormation(status)

        said = compared(cloudformation, tmp_path)

        assert [line.split()[1] for line in said[1:]] == ["first", "second"]
        assert (cloudformation.change_sets, cloudformation.status) == ([], status)

    def test_of_a_new_stage_no_empty_stack_is_left(self, tmp_path: Path) -> None:
        cloudformation = FakeCloudFormation(None)

        compared(cloudformation, tmp_path)

        assert cloudformation.asked["ChangeSetType"] == "CREATE"
        assert (cloudformation.change_sets, cloudformation.status) == ([], None)

    def test_nothing_is_left_when_cloudformation_refuses_or_fails(self, tmp_path: Path) -> None:
        failing, s3 = FakeCloudFormation(None, says="Transform failed"), FakeS3()
        with pytest.raises(DeployError, match="could not be deployed so: Transform failed"):
            compared(failing, tmp_path, LARGE, s3)
        refusing = FakeCloudFormation("CREATE_COMPLETE", refuses=True)
        with pytest.raises(ClientError, match="CreateChangeSet"):
            compared(refusing, tmp_path, LARGE, s3)

        assert (failing.change_sets, failing.status, s3.keys, len(s3.put)) == ([], None, set(), 2)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_nothing_is_left_when_it_is_interrupted(self, tmp_path: Path, number: int) -> None:
        cloudformation, s3 = FakeCloudFormation(None), FakeS3()
        cloudformation.on_describe = lambda: os.kill(os.getpid(), number)

        with pytest.raises(KeyboardInterrupt):
            compared(cloudformation, tmp_path, LARGE, s3)

        assert (cloudformation.change_sets, cloudformation.status, s3.keys) == ([], None, set())

    def test_a_change_set_without_a_change_is_no_failure(self, tmp_path: Path) -> None:
        for says in ("The submitted information didn't contain changes. …", "No updates are to be performed."):
            assert compared(FakeCloudFormation("CREATE_COMPLETE", says=says), tmp_path)[0].endswith(
                "nothing would change"
            )

    def test_a_change_set_that_is_never_made_ends_in_words(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(diff, "MADE_WITHIN_S", -1)
        cloudformation = FakeCloudFormation("CREATE_COMPLETE")
        monkeypatch.setattr(cloudformation, "describe_change_set", lambda **_: {"Status": "CREATE_IN_PROGRESS"})

        with pytest.raises(DeployError, match=f"did not make a change set of {STACK}"):
            compared(cloudformation, tmp_path)

        assert cloudformation.change_sets == []


class TestWhatIsSent:
    def test_values_that_are_not_given_stay_as_the_stack_has_them(self, tmp_path: Path) -> None:
        cloudformation = FakeCloudFormation("CREATE_COMPLETE")

        compared(cloudformation, tmp_path)

        assert cloudformation.asked["Parameters"] == [
            {"ParameterKey": "Stage", "ParameterValue": "dev"},
            {"ParameterKey": "AlarmEmail", "UsePreviousValue": True},
        ]

    def test_a_small_template_is_not_uploaded(self, tmp_path: Path) -> None:
        cloudformation, s3 = FakeCloudFormation("CREATE_COMPLETE"), FakeS3()

        compared(cloudformation, tmp_path, SMALL, s3)

        assert "TemplateBody" in cloudformation.asked
        assert s3.put == []

    def test_a_large_one_is_uploaded_said_and_deleted(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        cloudformation, s3 = FakeCloudFormation("CREATE_COMPLETE"), FakeS3()

        compared(cloudformation, tmp_path, LARGE, s3)

        [key] = s3.put
        assert cloudformation.asked["TemplateURL"] == f"https://s3.eu-west-1.amazonaws.com/artefacts/{key}"
        assert f"uploaded {key} to artefacts; it is deleted again" in capsys.readouterr().err
        assert s3.keys == set()

    def test_without_the_bucket_a_large_template_tells_by_itself(self, tmp_path: Path) -> None:
        said = compared(FakeCloudFormation(None), tmp_path, LARGE, FakeS3(exists=False))

        assert said[0] == "bucket artefacts: deploying would make it. Without it, the template tells:"
        assert len(said) == 3

    @pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED"])
    def test_a_first_create_that_failed_is_made_anew(self, tmp_path: Path, status: str) -> None:
        cloudformation = FakeCloudFormation(status)

        assert compared(cloudformation, tmp_path)[0].startswith(f"{STACK} is {status}: deploying deletes it first")
        assert cloudformation.asked == {}
