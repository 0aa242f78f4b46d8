"""What a person has to mend: a plain 500 that names nothing to the client and everything in the log.

Parameters that are missing are among it, for whoever asks Parameter Store for them.

Only the queue differs: whatever keeps SQS from acknowledging a message is a 503, so that its sender keeps it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.settings import Settings, Source
from operations import PROJECT, functions
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.service import Answer, Service
from tests.integration.stage import Stage
from tests.samples import MESSAGE_ID, dragon_body, message_body

CLIENT = "user_pool_client_id"
PLACE = ("dragon_store", "dragon_data_bucket_name", "dragon_data_file_name")
BUCKETS = [
    "dragon post",
    '"dragonpost-local-dragons-123456789012"',
    "'dragonpost-local-dragons-123456789012'",
    "s3://dragonpost-local-dragons-123456789012",
    "arn:aws:s3:::dragonpost-local-dragons-123456789012",
    "dragonpost-local-dragons-123456789012/",
]


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_that_no_bucket_can_be_is_a_500_that_the_log_explains(
    service: Service, stage: Stage, log: io.StringIO, bucket: str
) -> None:
    stage.put_parameters(dragon_data_bucket_name=bucket)
    answer = service.get("/dragons")

    assert answer.status == 500
    assert "Retry-After" not in answer.headers
    assert "bucket" not in answer.body.decode()
    assert "/dragonpost/local/dragon_data_bucket_name is malformed" in log.getvalue()


@pytest.fixture(params=["no region", "an unknown profile", "an endpoint that is no URL", "no credentials"])
def unusable_sdk(service: Service, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What keeps the SDK from calling AWS, once the settings are read."""
    assert service.get("/dragons").status == 200
    assert service.app.settings.message_queue_url
    variables = {
        "no region": {},
        "an unknown profile": {"AWS_PROFILE": "nope", "AWS_DEFAULT_REGION": "us-east-1"},
        "an endpoint that is no URL": {"AWS_ENDPOINT_URL": "nonsense", "AWS_DEFAULT_REGION": "us-east-1"},
        "no credentials": {"AWS_DEFAULT_REGION": "us-east-1"},
    }
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if request.param == "no credentials":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
    for name, value in variables[request.param].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(aws, "_session", None)
    monkeypatch.setattr(aws, "_clients", {})
    return str(request.param)


def test_an_sdk_that_cannot_call_is_no_outage_that_may_pass(
    unusable_sdk: str, service: Service, log: io.StringIO
) -> None:
    answer = service.get(f"/message/{MESSAGE_ID}")

    assert answer.status == 500
    assert "Retry-After" not in answer.headers
    [line] = [line for line in map(json.loads, log.getvalue().splitlines()) if line["message"] == "request failed"]
    assert "DependencyMisconfigured" in line["exception"]


def test_whatever_keeps_the_queue_from_acknowledging_is_a_503(unusable_sdk: str, service: Service) -> None:
    answer = service.post("/post-message", message_body())

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


# What each route reads from Parameter Store, beside the client's id that every token is checked against.
ROUTES: dict[str, tuple[Callable[[Service], Answer], set[str]]] = {
    "GET /health": (lambda service: service.get("/health", None), set()),
    "GET /openapi.json": (lambda service: service.get("/openapi.json", None), set()),
    "GET /": (lambda service: service.get("/", None), {CLIENT}),
    "GET /docs": (lambda service: service.get("/docs", None), {CLIENT}),
    "GET /dragons": (lambda service: service.get("/dragons"), {CLIENT, *PLACE}),
    "GET /dragons/{dragon_name}": (lambda service: service.get("/dragons/Ember"), {CLIENT, *PLACE}),
    "DELETE /dragons/{dragon_name}": (
        lambda service: service.request("DELETE", "/dragons/Ember"),
        {CLIENT, *PLACE},
    ),
    "POST /dragons": (lambda service: service.post("/dragons", dragon_body("Ash")), {CLIENT, "dragon_workflow_arn"}),
    "POST /dragons, waiting": (
        lambda service: service.post("/dragons", dragon_body("Ash"), Prefer="wait=1"),
        {CLIENT, "dragon_workflow_arn"},
    ),
    "POST /dragons, to be texted": (
        lambda service: service.post(
            "/dragons", dragon_body("Ash", reportingPhoneNumber="+15555550100", confirmationRequired=True)
        ),
        {CLIENT, "dragon_workflow_arn", "sms_allowed_prefixes"},
    ),
    "GET /submissions/{submission_id}": (
        lambda service: service.get("/submissions/00000000-0000-0000-0000-000000000000"),
        {CLIENT, "submission_table_name", "dragon_workflow_arn"},
    ),
    "POST /post-message": (
        lambda service: service.post("/post-message", message_body()),
        {CLIENT, "message_queue_url"},
    ),
    "GET /message/{message_id}": (
        lambda service: service.get(f"/message/{MESSAGE_ID}"),
        {CLIENT, "message_table_name"},
    ),
}


# Deploying with CloudFormation puts what the stack made into each function's environment; `chalice deploy` cannot.
DEPLOYING = ["with Chalice", "with CloudFormation"]
CHANGING = {name for name, setting in Settings.table().items() if setting.source is Source.PARAMETER_STORE}


def deploy(deploying: str, function: str, stage: Stage, environment: pytest.MonkeyPatch) -> None:
    """Give this process the environment that a function has which was deployed this way."""
    overrides = json.loads((PROJECT / "infrastructure" / "app-overrides.json").read_text(encoding="utf-8"))
    properties = overrides["Resources"][functions.logical_id(function)]["Properties"]
    if deploying == "with CloudFormation":
        parameters = stage.parameters()
        for name in properties["Environment"]["Variables"]:
            environment.setenv(name, parameters.get(name.removeprefix("DRAGONPOST_").lower(), ""))


@pytest.fixture
def reads(service: Service) -> Iterator[list[None]]:
    """Gets an item for each time that Parameter Store is asked."""
    made: list[None] = []
    events = aws.ssm().meta.events

    def note(**_: Any) -> None:
        made.append(None)

    events.register("before-call.ssm", note, unique_id="reads")
    yield made
    events.unregister("before-call.ssm", unique_id="reads")


@pytest.mark.parametrize("deploying", DEPLOYING)
@pytest.mark.parametrize(
    "missing", [name for name, setting in Settings.table().items() if setting.source is not Source.ENVIRONMENT]
)
def test_a_missing_parameter_breaks_only_the_routes_that_ask_for_it(
    service: Service, stage: Stage, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, missing: str, deploying: str
) -> None:
    deploy(deploying, functions.API, stage, monkeypatch)
    stage.put_document(f"[{dragon_body('Ember').decode()}]".encode())
    aws.ssm().delete_parameter(Name=f"/dragonpost/local/{missing}")

    broken = {name for name, (ask, _) in ROUTES.items() if ask(service).status >= 500}
    asked_for = missing in CHANGING or deploying == "with Chalice"
    assert broken == {name for name, (_, used) in ROUTES.items() if missing in used and asked_for}
    assert not broken or f"/dragonpost/local/{missing}" in log.getvalue()


@pytest.mark.parametrize("deploying", DEPLOYING)
@pytest.mark.parametrize("route", ROUTES)
def test_a_new_function_asks_parameter_store_once_for_each_kind_of_setting_that_it_lacks(
    service: Service,
    stage: Stage,
    step_functions: FakeStepFunctions,
    reads: list[None],
    monkeypatch: pytest.MonkeyPatch,
    route: str,
    deploying: str,
) -> None:
    step_functions.run = None  # its steps are other functions
    deploy(deploying, functions.API, stage, monkeypatch)
    stage.put_document(f"[{dragon_body('Ember').decode()}]".encode())
    reads.clear()

    ask, used = ROUTES[route]
    assert ask(service).status < 500
    assert len(reads) == bool(used & CHANGING) + (deploying == "with Chalice" and bool(used - CHANGING))


@pytest.mark.parametrize("deploying", DEPLOYING)
def test_a_new_consumer_asks_parameter_store_once_for_each_kind_of_setting_that_it_lacks(
    service: Service, stage: Stage, reads: list[None], monkeypatch: pytest.MonkeyPatch, deploying: str
) -> None:
    """It stores one message, and buries the other. For how long messages are kept may change while it runs."""
    deploy(deploying, "store_messages", stage, monkeypatch)
    for body in (message_body().decode(), "hopeless"):
        aws.sqs().send_message(QueueUrl=stage.queue_url, MessageBody=body)
    waiting = stage.received(stage.queue_url)
    reads.clear()

    service.consume(waiting)
    assert len(reads) == (1 if deploying == "with CloudFormation" else 2)
    assert (len(stage.archive_keys()), len(stage.rows()), stage.waiting(stage.dead_letter_queue_url)) == (1, 1, 1)


@pytest.mark.parametrize("url", ["", "dragonpost-local-messages", "arn:aws:sqs:us-east-1:123456789012:messages"])
def test_a_queue_that_is_not_named_does_not_acknowledge_either(
    service: Service, stage: Stage, log: io.StringIO, url: str
) -> None:
    if url:
        stage.put_parameters(message_queue_url=url)
    else:
        aws.ssm().delete_parameter(Name="/dragonpost/local/message_queue_url")

    assert service.post("/post-message", message_body()).status == 503
    assert "/dragonpost/local/message_queue_url" in log.getvalue()
