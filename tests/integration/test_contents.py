"""What deploying and `make run` put where it is missing, and what they leave to a person."""

from __future__ import annotations

from typing import Any

import pytest
from moto.core.models import MockAWS

from chalicelib import aws
from chalicelib.dragons.document import left_for
from chalicelib.settings import Settings, Source
from operations import contents, resources
from operations.deploy.commands import DeployError
from tests.integration.stage import DRAGON_BUCKET, DRAGON_FILE, Stage

PATH = "/dragonpost/local/"
NAMES = [name for name, setting in Settings.table().items() if setting.source is not Source.ENVIRONMENT]


class CloudFormation:
    """The resources stack, on two pages: moto cannot deploy its user pool."""

    def __init__(self, stage: Stage) -> None:
        before = stage.parameters()
        self.pages = [
            {
                "DragonBucket": before["dragon_data_bucket_name"],
                "MessageBucket": before["message_archive_bucket_name"],
                "MessageTable": before["message_table_name"],
                "SubmissionTable": before["submission_table_name"],
                "DragonTable": before["dragon_table_name"],
                "MessageQueue": before["message_queue_url"],
            },
            {
                "MessageDeadLetterQueue": before["message_dead_letter_queue_url"],
                "DragonWorkflow": before["dragon_workflow_arn"],
                "UserPoolClient": before["user_pool_client_id"],
            },
        ]
        self.parameters = {
            "Stage": "local",
            "SmsAllowedPrefixes": before["sms_allowed_prefixes"],
            "ArchiveRetentionDays": before["archive_retention_days"],
        }
        self.asked = 0

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_stack_resources"
        return self

    def paginate(self, *, StackName: str) -> Any:  # noqa: N803
        assert StackName == "dragonpost-local-resources"
        self.asked += 1
        for page in self.pages:
            listed = [{"LogicalResourceId": name, "PhysicalResourceId": value} for name, value in page.items()]
            yield {"StackResourceSummaries": listed}

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        assert StackName == "dragonpost-local-resources"
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()]
        return {"Stacks": [{"Parameters": given}]}


@pytest.fixture
def stage(moto_aws: MockAWS) -> Stage:
    """A stage as the stack makes it: a versioned bucket, and no document yet."""
    moto_aws.reset()
    stage = Stage.created()
    stage.delete_document()
    aws.s3().put_bucket_versioning(Bucket=DRAGON_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return stage


@pytest.fixture
def stack(stage: Stage) -> CloudFormation:
    return CloudFormation(stage)


def complete(stack: CloudFormation, document: bytes = b"[]") -> list[str]:
    clients = {"ssm": aws.ssm(), "s3": aws.s3(), "cloudformation": stack}
    return list(contents.complete("local", clients.__getitem__, document))


class TestDocument:
    def test_a_new_stage_gets_an_empty_registry_once(self, stage: Stage, stack: CloudFormation) -> None:
        assert complete(stack) == [f"the dragon document s3://{DRAGON_BUCKET}/{DRAGON_FILE}"]
        assert stage.document() == b"[]"
        assert complete(stack) == []
        assert stack.asked == 0

    def test_a_document_that_is_there_is_left_alone(self, stage: Stage, stack: CloudFormation) -> None:
        for body in (b'[{"a": 1}]', b"", b"{}"):
            stage.put_document(body)

            assert complete(stack) == []
            assert stage.document() == body

    def test_it_is_put_where_parameter_store_says(self, stage: Stage, stack: CloudFormation) -> None:
        aws.s3().create_bucket(Bucket="elsewhere")
        stage.put_parameters(dragon_data_bucket_name="elsewhere", dragon_data_file_name=" a folder/dragons.json\n")

        assert complete(stack, b"[1]") == ["the dragon document s3://elsewhere/a folder/dragons.json"]
        assert aws.s3().get_object(Bucket="elsewhere", Key="a folder/dragons.json")["Body"].read() == b"[1]"
        assert not stage.has_document()

    def test_another_object_whose_key_begins_alike_is_not_the_document(
        self, stage: Stage, stack: CloudFormation
    ) -> None:
        aws.s3().put_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE + ".bak", Body=b"[2]")
        complete(stack)

        assert stage.document() == b"[]"

    def test_a_document_that_was_deleted_is_brought_back_by_what_the_refusal_says(
        self, stage: Stage, stack: CloudFormation
    ) -> None:
        stage.put_document(b"[1]")
        stage.delete_document()
        with pytest.raises(DeployError, match="was deleted, and an empty one would hide its dragons") as refused:
            complete(stack)
        assert not stage.has_document()
        assert "make restore WHAT=dragons" in str(refused.value)

        command = str(refused.value).partition("Bring it back: ")[2].splitlines()[0].split()
        assert command[:3] == [".venv/bin/aws", "s3api", "delete-object"]
        given = dict(zip(command[3::2], command[4::2], strict=True))
        aws.s3().delete_object(Bucket=given["--bucket"], Key=given["--key"].strip("'"), VersionId=given["--version-id"])
        assert stage.document() == b"[1]"
        assert complete(stack) == []

    def test_a_deletion_whose_earlier_versions_have_expired_makes_no_new_stage_either(
        self, stage: Stage, stack: CloudFormation
    ) -> None:
        stage.put_document(b"[1]")
        stage.delete_document()
        versions = contents._versions(aws.s3(), DRAGON_BUCKET, DRAGON_FILE)
        aws.s3().delete_object(
            Bucket=DRAGON_BUCKET,
            Key=DRAGON_FILE,
            VersionId=next(item["VersionId"] for item in versions if "Size" in item),
        )

        with pytest.raises(DeployError, match="was deleted"):
            complete(stack)
        assert not stage.has_document()

    def test_one_that_somebody_else_puts_meanwhile_is_kept(
        self, stage: Stage, stack: CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def put_meanwhile(*_: Any) -> list[Any]:
            stage.put_document(b"[3]")
            return []

        monkeypatch.setattr(contents, "_versions", put_meanwhile)

        assert complete(stack) == []
        assert stage.document() == b"[3]"

    def test_a_bucket_that_is_not_there_is_named_with_the_parameter(self, stage: Stage, stack: CloudFormation) -> None:
        stage.put_parameters(dragon_data_bucket_name="dragonpost-no-such-bucket")

        with pytest.raises(DeployError) as refused:
            complete(stack)
        said = str(refused.value)
        assert said.startswith("the bucket dragonpost-no-such-bucket, which the parameter dragon_data_bucket_name ")
        assert "(NoSuchBucket)" in said
        assert "correct it" in said


class TestParameters:
    @pytest.fixture(autouse=True)
    def _document(self, stage: Stage) -> None:
        stage.put_document(b"[]")

    @pytest.mark.parametrize("name", NAMES)
    def test_one_that_was_deleted_is_put_back_as_the_stack_made_it(
        self, stage: Stage, stack: CloudFormation, name: str
    ) -> None:
        before = stage.parameters()
        aws.ssm().delete_parameter(Name=PATH + name)

        assert complete(stack) == [f"the parameter {PATH}{name}"]
        assert stage.parameters() == before

    def test_all_are_put_back_at_once_and_those_that_somebody_changed_stay(
        self, stage: Stage, stack: CloudFormation
    ) -> None:
        before = stage.parameters()
        stage.put_parameters(sms_allowed_prefixes="+43")
        for name in set(NAMES) - {"sms_allowed_prefixes"}:
            aws.ssm().delete_parameter(Name=PATH + name)
        complete(stack)

        assert stage.parameters() == before | {"sms_allowed_prefixes": "+43"}

    def test_the_registry_is_where_the_document_says_and_not_where_the_template_says(
        self, stage: Stage, stack: CloudFormation
    ) -> None:
        """A stack that is made anew over the stores that stayed has the parameter as for a new stage."""
        stage.put_document(left_for("dynamodb"))
        said = f"the parameter {PATH}dragon_store: the registry is in dynamodb"

        assert complete(stack) == [said]
        assert stage.parameters()["dragon_store"] == "dynamodb"
        assert complete(stack) == []
        aws.ssm().delete_parameter(Name=PATH + "dragon_store")
        assert complete(stack) == [f"the parameter {PATH}dragon_store", said]

    def test_a_move_that_is_not_finished_is_left_to_whoever_moves(self, stage: Stage, stack: CloudFormation) -> None:
        stage.put_document(left_for("dynamodb", "a version"))

        assert complete(stack) == []
        assert stage.parameters()["dragon_store"] == "s3"

    def test_a_blank_one_counts_as_missing(self, stage: Stage, stack: CloudFormation) -> None:
        before = stage.parameters()
        stage.put_parameters(message_table_name=" ")

        assert complete(stack) == [f"the parameter {PATH}message_table_name"]
        assert stage.parameters() == before

    def test_malformed_ones_are_all_named_and_left_as_they_are(self, stage: Stage, stack: CloudFormation) -> None:
        stage.put_parameters(dragon_data_bucket_name="s3://bucket", message_queue_url="a queue")
        before = stage.parameters()

        with pytest.raises(DeployError) as refused:
            complete(stack)
        assert f"{PATH}dragon_data_bucket_name is malformed" in str(refused.value)
        assert f"{PATH}message_queue_url is malformed" in str(refused.value)
        assert stage.parameters() == before

    def test_one_that_the_template_does_not_have_is_named(
        self, stack: CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resources, "template", lambda: {"Resources": {}})
        aws.ssm().delete_parameter(Name=PATH + "message_table_name")

        with pytest.raises(DeployError, match=f"lacks {PATH}message_table_name"):
            complete(stack)

    @pytest.mark.parametrize("name", contents.PLACE)
    def test_a_place_that_was_put_back_gets_no_document_before_somebody_has_looked(
        self, stage: Stage, stack: CloudFormation, name: str
    ) -> None:
        """The dragons may be somewhere else: only the parameter said where."""
        aws.s3().create_bucket(Bucket="elsewhere")
        stack.pages[0]["DragonBucket"] = "elsewhere"
        for each in contents.PLACE:
            aws.ssm().delete_parameter(Name=PATH + each)
        if name == "dragon_data_file_name":
            stage.put_parameters(dragon_data_bucket_name="elsewhere")

        with pytest.raises(DeployError, match=r"never been a dragon document at s3://elsewhere/dragons\.json"):
            complete(stack)
        assert complete(stack) == ["the dragon document s3://elsewhere/dragons.json"]


class TestCommand:
    def test_says_what_it_put_and_fails_with_what_to_do(
        self, stage: Stage, stack: CloudFormation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        clients: dict[str, Any] = {"ssm": aws.ssm(), "s3": aws.s3(), "cloudformation": stack}
        monkeypatch.setattr(contents, "of_this_environment", clients.__getitem__)

        assert contents.main(["--stage", "local"]) == 0
        assert capsys.readouterr().out == f"put the dragon document s3://{DRAGON_BUCKET}/{DRAGON_FILE}\n"
        stage.delete_document()
        assert contents.main(["--stage", "local"]) == 1
        assert capsys.readouterr().err.startswith("error: the dragon document s3://")


@pytest.mark.usefixtures("stage")
def test_every_parameter_that_the_service_needs_has_a_value_in_the_template(stack: CloudFormation) -> None:
    assert contents._meanings("local", stack).keys() == set(NAMES)
