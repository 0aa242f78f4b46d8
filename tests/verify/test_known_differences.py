"""What a client can see of the differences between the embedded AWS and AWS, on the stage that is verified.

Each test says what it saw. If that is not what devstack/differences.toml says of the AWS that the stage is in, the
entry is wrong. `make verify` alone runs these: each of them is about a deployed stage.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from operations.environment import LOOPBACK
from tests.e2e.running import Api, Served
from tests.people import COMPANIES

EMBEDDED = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname in LOOPBACK


@pytest.fixture
def sees(record_property: Callable[[str, object], None]) -> Callable[[bool], None]:
    """Take whether the difference is there, and fail if it should not be. The report has what was seen."""

    def seen(as_embedded: bool) -> None:
        record_property("seen", "as on the embedded AWS" if as_embedded else "as on AWS")
        assert as_embedded == EMBEDDED, "devstack/differences.toml says otherwise"

    return seen


def access_token(stage: Served) -> str:
    answer = stage.client("cognito-idp").initiate_auth(
        ClientId=stage.running["user_pool_client_id"],
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": stage.email("amber"), "PASSWORD": stage.password("amber")},
    )
    return str(answer["AuthenticationResult"]["AccessToken"])


def test_the_path_of_an_api(apis: dict[str, Api], sees: Callable[[bool], None]) -> None:
    sees(urlsplit(apis["gateway"].base_url).path.startswith("/_aws/execute-api/"))


def test_an_encoded_slash(apis: dict[str, Api], sees: Callable[[bool], None]) -> None:
    """Refused, it is answered as what no route matches. As part of a name, it is no dragon's."""
    refused, unknown = apis["gateway"].get("/dragons/a%2Fb"), apis["gateway"].get("/unicorns")

    assert (refused.status_code, unknown.status_code) == (404, 404)
    sees(refused.json()["detail"] == unknown.json()["detail"])


def test_the_name_of_the_apps_own_challenge(
    devstack: Served, apis: dict[str, Api], sees: Callable[[bool], None]
) -> None:
    """An access token passes the authorizer, and the app refuses it."""
    headers = {"Authorization": f"Bearer {access_token(devstack)}"}
    answer = apis["gateway"].get("/dragons", None, headers=headers)

    assert answer.status_code == 401
    sees("x-amzn-Remapped-WWW-Authenticate" not in answer.headers)


def test_the_port_of_a_queue(devstack: Served, sees: Callable[[bool], None]) -> None:
    sees(urlsplit(devstack.running["outputs"]["MessageQueueUrl"]).port is not None)


def test_whether_rows_expire(devstack: Served, sees: Callable[[bool], None]) -> None:
    table = devstack.running["outputs"]["SubmissionTableName"]
    described = devstack.client("dynamodb").describe_time_to_live(TableName=table)["TimeToLiveDescription"]

    sees(described["TimeToLiveStatus"] == "DISABLED")


def test_who_may_write_the_company(devstack: Served, sees: Callable[[bool], None]) -> None:
    """A visitor writes the company that the visitor is of already."""
    idp, token = devstack.client("cognito-idp"), access_token(devstack)
    attribute = {"Name": "custom:company_id", "Value": COMPANIES["amber"]}
    written = True
    try:
        idp.update_user_attributes(AccessToken=token, UserAttributes=[attribute])
    except idp.exceptions.NotAuthorizedException:
        written = False

    sees(written)
