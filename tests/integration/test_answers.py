"""What all answers have in common, and the parts that are not Dragonpost's own."""

from __future__ import annotations

import io
import json
from types import ModuleType
from typing import Any

import pytest

from chalicelib import aws
from chalicelib.dragons.model import report_from
from chalicelib.dragons.submissions import Origin
from chalicelib.dragons.workflow import DragonWorkflow, IdempotencyKeyReused
from chalicelib.settings import SettingError, Settings
from tests.bad_input import Case
from tests.fakes.settings import FakeSettings
from tests.fakes.step_functions import FakeStepFunctions
from tests.integration.service import OPERATOR, Service
from tests.integration.stage import Stage
from tests.lambda_events import proxy_event
from tests.samples import MESSAGE_ID, dragon_body, dragon_members, message_body

ANSWERS = [
    ("GET", "/health", 200),
    ("GET", "/dragons", 200),
    ("GET", "/dragons?limit=0", 400),
    ("GET", "/dragons/nobody", 404),
    ("PUT", "/dragons", 405),
    ("POST", "/dragons", 415),
    ("GET", f"/message/{MESSAGE_ID}", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_has_the_common_headers(service: Service, method: str, path: str, status: int) -> None:
    answer = service.request(method, path, headers={"x-request-ID": "my-request-1"})

    assert answer.status == status
    assert answer.headers["X-Request-Id"] == "my-request-1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"].split(",")
    assert {"ETag", "Link", "Location", "Retry-After", "X-Request-Id"} <= set(exposed)


@pytest.mark.parametrize("path", ["/health", "/dragons", "/dragons/Ember", "/dragons/nobody", f"/message/{MESSAGE_ID}"])
def test_head_answers_as_get_without_the_body(service: Service, stage: Stage, path: str) -> None:
    stage.put_document(json.dumps([dragon_members()]).encode())
    request = {"headers": {"X-Request-Id": "my-request-1"}}
    get, head = service.get(path, **request), service.request("HEAD", path, **request)

    assert head.body == b""
    assert (head.status, head.headers) == (get.status, get.headers)


def test_health_needs_no_token_and_no_aws(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was asked for")

    monkeypatch.setattr(aws, "_client", refuse)
    answer = Service(app).get("/health", None)

    assert (answer.status, answer.json()["status"]) == (200, "ok")


@pytest.mark.parametrize("given", ["short", "x" * 65, "new\nline-123", "with space", ""])
def test_a_request_id_that_is_not_well_formed_is_replaced(service: Service, given: str) -> None:
    answer = service.get("/health", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"] == "0e1f2a3b-4c5d-4e6f-8a9b-0c1d2e3f4a5b"


@pytest.mark.parametrize("order", [1, -1])
class TestSeveralLines:
    """RFC 9110 §5.3: the lines of a list header are one list. AWS's event has only the last of them in `headers`."""

    def test_of_if_none_match_are_all_compared(self, service: Service, stage: Stage, order: int) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())
        lines = ['"other"', service.get("/dragons/Ember").headers["ETag"]][::order]

        assert service.get("/dragons/Ember", headers={"If-None-Match": lines}).status == 304
        assert service.get("/dragons/Ember", headers={"If-None-Match": ["other", *lines]}).status == 200

    def test_of_if_match_are_all_compared(self, service: Service, stage: Stage, order: int) -> None:
        stage.put_document(json.dumps([dragon_members("Ember")]).encode())
        lines = ['"other"', service.get("/dragons/Ember").headers["ETag"]][::order]

        for tags, status in ((["*", "*"], 400), (lines, 204)):
            assert service.request("DELETE", "/dragons/Ember", headers={"If-Match": tags}).status == status

    def test_of_prefer_are_all_read(self, service: Service, stage: Stage, order: int) -> None:
        stage.put_document(b"[]")
        lines = ["respond-async", "wait=10"][::order]
        headers = {"Content-Type": "application/json", "Prefer": lines}

        assert service.request("POST", "/dragons", headers=headers, body=dragon_body()).status == 201

    def test_of_accept_encoding_are_all_read(self, service: Service, order: int) -> None:
        answer = service.get("/openapi.json", headers={"Accept-Encoding": ["br", "gzip"][::order]})

        assert answer.headers["Content-Encoding"] == "gzip"

    @pytest.mark.parametrize("name", ["Content-Type", "Idempotency-Key"])
    def test_of_what_may_be_given_once_are_a_fault(self, service: Service, order: int, name: str) -> None:
        given = {"Content-Type": ["application/json"], "Idempotency-Key": ["a"]}
        headers = given | {name: [*given[name], "b/c"][::order]}

        answer = service.request("POST", "/dragons", headers=headers, body=dragon_body())

        assert (answer.status, Case.places_in(answer.json())) == (400, (f"header {name}",))


@pytest.mark.parametrize("accept", [None, "", "application/json", "text/html", "image/png;q=0.5", "*/*"])
def test_what_the_client_accepts_changes_nothing(service: Service, accept: str | None) -> None:
    event = proxy_event("GET", "/health", "/health")
    del event["headers"]["Accept"]
    if accept is not None:
        event["headers"]["Accept"] = accept

    assert service.app.app(event, None)["statusCode"] == 200


class TestWhenSomethingBreaks:
    @pytest.fixture
    def broken(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
        """A service with a defect that nobody expected."""

        def crash(*_: Any) -> None:
            raise KeyError("secret-inside")

        monkeypatch.setattr(service.app.dragons, "page", crash)
        return service

    def test_the_client_gets_a_problem_without_details(self, broken: Service) -> None:
        answer = broken.get("/dragons", headers={"X-Request-Id": "my-request-1"})

        assert answer.status == 500
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == "my-request-1"
        assert "secret" not in answer.body.decode()
        assert "Traceback" not in answer.body.decode()

    def test_the_log_has_the_details_under_the_request_id(self, broken: Service, log: io.StringIO) -> None:
        broken.get("/dragons", headers={"X-Request-Id": "my-request-1"})
        lines = [json.loads(line) for line in log.getvalue().splitlines()]

        (error,) = [line for line in lines if line["level"] == "ERROR"]
        assert error["correlation_id"] == "my-request-1"
        assert "secret-inside" in error["exception"]

    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"requestContext": {}},
            {"requestContext": {"resourcePath": "/dragons"}},
            {**proxy_event("GET", "/dragons/x", "/dragons/{dragon_name}"), "pathParameters": None},
            {**proxy_event("POST", "/dragons", "/dragons", headers={"Content-Type": "application/json"}, body=b"{}",
                           token_claims=OPERATOR), "body": "not base64 é"},
        ],
    )  # fmt: skip
    def test_a_crash_outside_the_view_is_the_same_problem(self, service: Service, event: dict[str, Any]) -> None:
        answer = service.app.app(event, None)

        assert answer["statusCode"] == 500
        problem = json.loads(answer["body"])
        assert (problem["status"], problem["title"]) == (500, "Internal Server Error")
        assert answer["headers"]["Content-Type"] == "application/problem+json"
        assert answer["headers"]["Access-Control-Allow-Origin"] == "*"


def test_an_event_without_headers_is_answered(service: Service) -> None:
    assert service.app.app({**proxy_event("GET", "/health", "/health"), "headers": None}, None)["statusCode"] == 200


def test_no_log_line_holds_a_phone_number_a_token_or_a_body(
    service: Service, stage: Stage, log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    body = dragon_body("Ember", reportingPhoneNumber="+15555550100", description_str="Body-Of-Ember")
    for _ in range(2):
        service.post("/dragons", body, Prefer="wait=1", Authorization="Bearer Header-Token")
    service.post("/post-message", message_body(data={"note": '"Body-Of-Message"'}))
    service.consume(stage.received(stage.queue_url))
    printed = capsys.readouterr()
    output = log.getvalue() + printed.out + printed.err

    assert "DragonsAdded" in output
    assert "message settled" in output
    for secret in ("5555550100", "Body-Of-Ember", "Header-Token", "Body-Of-Message"):
        assert secret not in output


class TestSettingsInParameterStore:
    def test_those_of_the_stage_are_used(self, stage: Stage) -> None:
        settings = Settings({})

        assert settings.message_queue_url == stage.queue_url
        assert settings.sms_allowed_prefixes == "+1,+44"

    @pytest.mark.usefixtures("stage")
    def test_those_of_another_stage_are_not_used(self) -> None:
        with pytest.raises(SettingError, match="/dragonpost/dev/dragon_data_bucket_name"):
            _ = Settings({"DRAGONPOST_STAGE": "dev"}).dragon_data_bucket_name

    def test_a_missing_one_is_named_in_the_log_but_not_to_the_client(self, service: Service, log: io.StringIO) -> None:
        aws.ssm().delete_parameter(Name="/dragonpost/local/user_pool_client_id")
        answer = service.get("/dragons")

        assert answer.status == 500
        assert "user_pool_client_id" not in answer.body.decode()
        assert "/dragonpost/local/user_pool_client_id" in log.getvalue()


@pytest.mark.usefixtures("stage")
class TestStepFunctionsClient:
    """The calls as botocore checks them, on moto's Step Functions, which runs nothing."""

    @pytest.fixture
    def workflow(self) -> DragonWorkflow:
        created = aws.stepfunctions().create_state_machine(
            name="dragonpost-local-dragons",
            definition='{"StartAt":"Added","States":{"Added":{"Type":"Pass","End":true}}}',
            roleArn="arn:aws:iam::123456789012:role/states",
        )
        return DragonWorkflow(FakeSettings(dragon_workflow_arn=created["stateMachineArn"]))

    def test_a_started_submission_is_found_with_its_steps(self, workflow: DragonWorkflow) -> None:
        report = report_from(dragon_members("Ember"))
        started = workflow.start(report, Origin("sub", "correlation"), may_text=False)
        found = workflow.find(started.submission_id)

        assert found is not None
        assert (found.status, found.dragon, found.requested_by) == ("pending", report.dragon, "sub")
        assert found.execution_arn == started.execution_arn
        assert workflow.steps(found)

    def test_a_repeated_key_gets_the_first_submission_and_another_dragon_is_refused(
        self, workflow: DragonWorkflow
    ) -> None:
        first = workflow.start(report_from(dragon_members()), Origin("sub", "c1", "key"), may_text=False)
        again = workflow.start(report_from(dragon_members()), Origin("sub", "c2", "key"), may_text=True)

        assert again.execution_arn == first.execution_arn
        with pytest.raises(IdempotencyKeyReused):
            workflow.start(report_from(dragon_members("Ash")), Origin("sub", "c3", "key"), may_text=False)

    def test_an_unknown_submission_is_not_found(self, workflow: DragonWorkflow) -> None:
        assert workflow.find("no-such-submission") is None


def test_the_fake_of_step_functions_is_used_everywhere_else(
    service: Service, step_functions: FakeStepFunctions
) -> None:
    service.post("/dragons", dragon_body())

    assert len(step_functions.executions) == 1
