"""A stage's resources, as infrastructure/resources.yaml makes them, on whichever AWS the clients reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib import aws
from chalicelib.dragons.dynamodb import fences
from tests.fakes.step_functions import STATE_MACHINE_ARN
from tests.lambda_events import AUDIENCE

DRAGON_BUCKET = "dragonpost-local-dragons-123456789012"
DRAGON_FILE = "dragons.json"
MESSAGE_BUCKET = "dragonpost-local-messages-123456789012"
TABLE = "dragonpost-local-messages"
SUBMISSIONS = "dragonpost-local-submissions"
DRAGONS = "dragonpost-local-dragons"


def make_prods_stores(clients: Callable[[str], Any]) -> str:
    """Make what stage prod keeps when its stack is deleted, beside another pool. Return its user pool's id."""
    s3, dynamodb, cognito = clients("s3"), clients("dynamodb"), clients("cognito-idp")
    for store in ("dragons", "messages"):
        bucket = f"dragonpost-prod-{store}-123456789012"
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_policy(Bucket=bucket, Policy='{"Version": "2012-10-17", "Statement": []}')
    for table, key in (("messages", "message_id"), ("submissions", "sub"), ("dragons", "part")):
        dynamodb.create_table(
            TableName=f"dragonpost-prod-{table}",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        )
    for suffix in ("", "-dead"):
        clients("sqs").create_queue(QueueName=f"dragonpost-prod-messages{suffix}")
    cognito.create_user_pool(PoolName="dragonpost-prod-of-others")
    pool: str = cognito.create_user_pool(PoolName="dragonpost-prod")["UserPool"]["Id"]
    cognito.create_group(UserPoolId=pool, GroupName="operators")
    return pool


@dataclass(frozen=True)
class Stage:
    """What the tests look at behind the service's back."""

    queue_url: str
    dead_letter_queue_url: str

    @classmethod
    def created(cls) -> Stage:
        """Make everything, with an empty registry, as deploying does."""
        for bucket in (DRAGON_BUCKET, MESSAGE_BUCKET):
            aws.s3().create_bucket(Bucket=bucket)
        aws.dynamodb().create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"}
                for name in ("message_id", "company_id", "company_part", "accepted_at_id")
            ],
            KeySchema=_key("message_id", "company_id"),
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-acceptance",
                    "KeySchema": _key("company_part", "accepted_at_id"),
                    "Projection": {
                        "ProjectionType": "INCLUDE",
                        "NonKeyAttributes": ["message_time", "order_id", "order_time", "order_amount", "expires_at"],
                    },
                }
            ],
        )
        aws.dynamodb().create_table(
            TableName=SUBMISSIONS,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("sub", "started_at_id", "id")
            ],
            KeySchema=_key("sub", "started_at_id"),
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-id",
                    "KeySchema": _key("id", "started_at_id"),
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        aws.dynamodb().create_table(
            TableName=DRAGONS,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("part", "sort_key")],
            KeySchema=_key("part", "sort_key"),
        )
        stage = cls.with_new_queues()
        stage.put_parameters(
            dragon_data_bucket_name=DRAGON_BUCKET,
            dragon_data_file_name=DRAGON_FILE,
            message_archive_bucket_name=MESSAGE_BUCKET,
            message_table_name=TABLE,
            message_queue_url=stage.queue_url,
            message_dead_letter_queue_url=stage.dead_letter_queue_url,
            dragon_store="s3",
            dragon_table_name=DRAGONS,
            submission_table_name=SUBMISSIONS,
            dragon_workflow_arn=STATE_MACHINE_ARN,
            user_pool_client_id=AUDIENCE,
            sms_allowed_prefixes="+1,+44",
            archive_retention_days="0",
        )
        stage.put_document(b"[]")
        return stage

    @classmethod
    def with_new_queues(cls) -> Stage:
        """Make the queues. There is everything else already."""
        queues = [
            aws.sqs().create_queue(QueueName=name)["QueueUrl"]
            for name in ("dragonpost-local-messages", "dragonpost-local-messages-dead")
        ]
        return cls(*queues)

    def put_parameters(self, **values: str) -> None:
        """Set parameters of the stage."""
        for name, value in values.items():
            path = f"/dragonpost/local/{name}"
            aws.ssm().put_parameter(Name=path, Value=value, Type="String", Overwrite=True)

    def parameters(self) -> dict[str, str]:
        """Return the stage's parameters by their settings' names."""
        pages = aws.ssm().get_paginator("get_parameters_by_path").paginate(Path="/dragonpost/local/")
        listed = [entry for page in pages for entry in page["Parameters"]]
        return {entry["Name"].rpartition("/")[2]: entry["Value"] for entry in listed}

    def put_document(self, body: bytes) -> None:
        """Replace the dragon document."""
        aws.s3().put_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE, Body=body)

    def delete_document(self) -> None:
        """Delete the dragon document."""
        aws.s3().delete_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE)

    def open_table(self, place: str = "dynamodb") -> None:
        """Say in the table of dragons that the registry is in a place."""
        for fence in fences(place):
            aws.dynamodb().put_item(TableName=DRAGONS, Item=fence)

    def has_document(self) -> bool:
        """Tell whether there is a dragon document."""
        return aws.s3().list_objects_v2(Bucket=DRAGON_BUCKET, Prefix=DRAGON_FILE)["KeyCount"] > 0

    def document(self) -> bytes:
        """Return the dragon document."""
        return aws.s3().get_object(Bucket=DRAGON_BUCKET, Key=DRAGON_FILE)["Body"].read()

    def dragons(self) -> list[dict[str, Any]]:
        """Return the dragon document's entries."""
        return list(json.loads(self.document()))

    def archived(self, key: str) -> bytes:
        """Return an archived message."""
        return aws.s3().get_object(Bucket=MESSAGE_BUCKET, Key=key)["Body"].read()

    def archive_keys(self) -> list[str]:
        """Return the keys of all archived messages."""
        return [entry["Key"] for entry in aws.s3().list_objects_v2(Bucket=MESSAGE_BUCKET).get("Contents", [])]

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows of the index."""
        return list(aws.dynamodb().scan(TableName=TABLE)["Items"])

    def received(self, queue_url: str) -> list[dict[str, Any]]:
        """Receive the messages that the queue can deliver now."""
        found: list[Any] = []
        while True:
            answer = aws.sqs().receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=10,
                AttributeNames=["SentTimestamp"],
                MessageAttributeNames=["All"],
                WaitTimeSeconds=0,
            )
            if not answer.get("Messages"):
                return found
            found += answer["Messages"]

    def waiting(self, queue_url: str) -> int:
        """Return how many messages the queue holds, those in flight included."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = aws.sqs().get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(names))["Attributes"]
        return sum(int(found[name]) for name in names)


def _key(hashed: str, sorted_by: str) -> list[Any]:
    return [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": sorted_by, "KeyType": "RANGE"}]
