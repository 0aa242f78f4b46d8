"""Forgetting and restoring on the embedded AWS, as an operator does it: with the commands, beside the service."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.messages import a_message, post, stored
from tests.e2e.operating import run
from tests.e2e.running import Api, Devstack
from tests.e2e.waiting import until
from tests.people import COMPANIES


def a_time_between() -> str:
    """Return a time after everything so far, and wait until it has passed: S3 tells times in whole seconds."""
    to = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    until(lambda: datetime.now(UTC) >= to + timedelta(seconds=1))
    return to.isoformat()


class OneCompany:
    """A company that only this test knows, with two stored messages."""

    def __init__(self, devstack: Devstack, api: Api) -> None:
        self.id = str(uuid.uuid4())
        self._devstack = devstack
        messages = [a_message().replace(COMPANIES["amber"].upper(), self.id) for _ in "12"]
        self.places = [post(api, message, "operator").headers["Location"] for message in messages]
        for place in self.places:
            stored(api, place, "operator")
        self.bucket = devstack.running["outputs"]["MessageBucketName"]
        self.table = devstack.running["outputs"]["MessageTableName"]

    def keys(self) -> list[str]:
        """Return the keys of its archived messages."""
        listed = self._devstack.client("s3").list_objects_v2(Bucket=self.bucket, Prefix=self.id)
        return [each["Key"] for each in listed.get("Contents", [])]

    def rows(self) -> list[dict[str, Any]]:
        """Return its rows of the index."""
        pages = self._devstack.client("dynamodb").get_paginator("scan").paginate(TableName=self.table)
        return [row for page in pages for row in page["Items"] if row["company_id"]["S"] == self.id]


@pytest.fixture
def company(devstack: Devstack, apis: dict[str, Api]) -> OneCompany:
    return OneCompany(devstack, apis["gateway"])


def test_a_company_is_forgotten_in_the_index_and_the_archive(
    devstack: Devstack, apis: dict[str, Api], company: OneCompany
) -> None:
    would = run(devstack, "forget", "--company", company.id)
    assert "would go: 2 rows" in would
    assert "would go: 2 versions" in would
    assert len(company.rows()) == 2

    run(devstack, "forget", "--company", company.id, "--yes")

    assert {apis["gateway"].get(place).status_code for place in company.places} == {404}
    left = devstack.client("s3").list_object_versions(Bucket=company.bucket, Prefix=company.id)
    assert (left.get("Versions"), left.get("DeleteMarkers")) == (None, None)


def test_a_person_is_forgotten_in_the_pool_and_among_the_submissions(devstack: Devstack) -> None:
    cognito, pool = devstack.client("cognito-idp"), devstack.running["outputs"]["UserPoolId"]
    dynamodb, table = devstack.client("dynamodb"), devstack.running["outputs"]["SubmissionTableName"]
    address = f"{uuid.uuid4()}@dragonpost.example"
    user = cognito.admin_create_user(
        UserPoolId=pool,
        Username=address,
        UserAttributes=[{"Name": "email", "Value": address}],
        MessageAction="SUPPRESS",
    )["User"]
    [sub] = [each["Value"] for each in user["Attributes"] if each["Name"] == "sub"]
    key = {"sub": {"S": sub}, "started_at_id": {"S": "2026-01-01T00:00:00.000Z#x"}}
    dynamodb.put_item(TableName=table, Item={**key, "id": {"S": "x"}})

    would = run(devstack, "forget", "--person", address)
    assert "would go: 1 user" in would
    assert "would go: 1 rows of submissions" in would
    run(devstack, "forget", "--person", address, "--yes")

    assert "Item" not in dynamodb.get_item(TableName=table, Key=key)
    assert cognito.list_users(UserPoolId=pool, Filter=f'email = "{address}"')["Users"] == []
    assert cognito.list_users(UserPoolId=pool)["Users"]


def test_deleted_archive_objects_come_back(devstack: Devstack, company: OneCompany) -> None:
    keys, to = company.keys(), a_time_between()
    for key in keys:
        devstack.client("s3").delete_object(Bucket=company.bucket, Key=key)
    assert company.keys() == []

    assert "2 deleted objects would come back" in run(devstack, "restore", "--what", "archive", "--to", to)
    run(devstack, "restore", "--what", "archive", "--to", to, "--yes")

    assert company.keys() == keys


def test_lost_rows_come_back(devstack: Devstack, apis: dict[str, Api], company: OneCompany) -> None:
    """The embedded AWS recovers a table as it is now, so the copy is made before the loss, as by an interrupted run."""
    dynamodb, to = devstack.client("dynamodb"), datetime.now(UTC).replace(microsecond=0)
    copy = f"{company.table}-restored-{to:%Y%m%dT%H%M%SZ}"
    dynamodb.restore_table_to_point_in_time(SourceTableName=company.table, TargetTableName=copy, RestoreDateTime=to)
    before = company.rows()
    for row in before:
        key = {name: row[name] for name in ("message_id", "company_id")}
        dynamodb.delete_item(TableName=company.table, Key=key)
    assert company.rows() == []

    run(devstack, "restore", "--what", "table", "--to", to.isoformat(), "--yes")

    assert sorted(company.rows(), key=str) == sorted(before, key=str)
    assert copy not in dynamodb.list_tables()["TableNames"]
    assert {apis["gateway"].get(place).status_code for place in company.places} == {200}


def test_the_dragon_document_is_as_it_was(devstack: Devstack, apis: dict[str, Api]) -> None:
    place = {"Bucket": devstack.running["outputs"]["DragonBucketName"], "Key": "dragons.json"}
    s3, before, to = devstack.client("s3"), apis["gateway"].get("/dragons").json(), a_time_between()
    s3.put_object(**place, Body=b"{")

    run(devstack, "restore", "--what", "dragons", "--to", to, "--yes")

    assert apis["gateway"].get("/dragons").json() == before
