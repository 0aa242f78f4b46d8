"""The dragon registry's routes."""

import gzip
import io
import json
from typing import Any
from urllib.parse import quote

import pytest

from chalicelib import aws
from chalicelib.dragons.model import ALIASES
from chalicelib.dragons.s3 import DocumentMissing
from chalicelib.web.problems import (
    DRAGON_REFUSED,
    DUPLICATE_DRAGON,
    IDEMPOTENCY_KEY_REUSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    SUBMISSION_FAILED,
)
from tests.bad_input import BODY_BYTES_MAX, ONE_NAME, Case
from tests.fakes.aws_errors import client_error
from tests.fakes.step_functions import STATE_MACHINE_ARN, FakeStepFunctions
from tests.integration.service import CLERK, OPERATOR, VISITOR, Service
from tests.integration.stage import Stage
from tests.lambda_events import AUDIENCE
from tests.samples import dragon_body, dragon_members

PHONE = "+15555550100"


@pytest.fixture
def registry(stage: Stage) -> list[dict[str, Any]]:
    """Five dragons of two families, in the order of their names."""
    dragons = [
        dragon_members(name, family_str=("red", "Grün")[number % 2])
        for number, name in enumerate(["Amber", "ash 2", "D'Arcy", "Zed", "Élan"])
    ]
    stage.put_document(json.dumps(dragons[::-1]).encode())
    return dragons


class TestListing:
    def test_an_empty_registry_is_an_empty_array(self, service: Service) -> None:
        answer = service.get("/dragons")

        assert (answer.status, answer.body) == (200, b"[]")
        assert "Link" not in answer.headers

    def test_every_dragon_has_all_fields_and_no_other(self, service: Service, registry: list[dict[str, Any]]) -> None:
        answer = service.get("/dragons", VISITOR)

        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == registry

    def test_the_id_of_the_submission_that_added_a_dragon_stays_inside(self, service: Service, stage: Stage) -> None:
        stage.put_document(json.dumps([dragon_members() | {"submission_id": "s1", "other": 1}]).encode())

        assert service.get("/dragons").json() == [dragon_members()]
        assert service.get("/dragons/Ember").json() == dragon_members()

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("family=red", ["Amber", "D'Arcy", "Élan"]),
            ("family=%20GRU%CC%88N", ["ash 2", "Zed"]),
            ("dragonName=%C3%89LAN", ["Élan"]),
            ("dragonName=D%27Arcy", ["D'Arcy"]),
            ("dragonName=ash+2", ["ash 2"]),
            ("dragonName=ash%202&family=gr%C3%BCn", ["ash 2"]),
            ("dragonName=Zed&family=red", []),
            ("dragonName=Ze", []),
            ("family=%25", []),
            ("namePrefix=A", ["Amber", "ash 2"]),
            ("namePrefix=%C3%89L", ["Élan"]),
            ("namePrefix=ash%20", ["ash 2"]),
            ("namePrefix=a&family=red", ["Amber"]),
            ("namePrefix=e", []),
        ],
    )
    @pytest.mark.usefixtures("registry")
    def test_filters_compare_normalised_names(self, service: Service, query: str, names: list[str]) -> None:
        assert [found["dragon_name_str"] for found in service.get(f"/dragons?{query}").json()] == names

    @pytest.mark.parametrize("stage_name", ["prod", ""])
    def test_following_links_shows_every_dragon_once(
        self, service: Service, registry: list[dict[str, Any]], stage_name: str
    ) -> None:
        seen: list[Any] = []
        reference: str | None = "/dragons?limit=2"
        while reference is not None:
            answer = service.get(reference, stage=stage_name)
            seen += answer.json()
            reference = _next_of(answer.headers, stage_name)

        assert seen == registry

    @pytest.mark.usefixtures("registry")
    def test_the_next_link_keeps_filter_and_limit(self, service: Service) -> None:
        link = service.get("/dragons?limit=2&family=GR%C3%9CN").headers.get("Link")
        assert link is None, "the last page, although it is full"

        reference = _next_of(service.get("/dragons?limit=1&family=GR%C3%9CN").headers, "prod")
        assert reference is not None
        assert [found["dragon_name_str"] for found in service.get(reference).json()] == ["Zed"]

    @pytest.mark.usefixtures("registry")
    def test_the_first_link_leads_back_to_the_first_page(self, service: Service) -> None:
        first = service.get("/dragons?limit=2")
        second = service.get(_next_of(first.headers, "prod") or "")
        link = second.headers["Link"].split(", ")[1]

        assert link == '</prod/dragons?limit=2>; rel="first"'

    def test_a_hundred_dragons_make_a_page(self, service: Service, stage: Stage) -> None:
        stage.put_document(json.dumps([dragon_members(f"dragon {number}") for number in range(101)]).encode())

        assert len(service.get("/dragons").json()) == 100
        assert len(service.get("/dragons?limit=1000").json()) == 101


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("reference", ["/dragons", "/dragons?family=red&limit=1"])
def test_a_page_that_has_not_changed_is_neither_decoded_nor_encoded_nor_compressed_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.setattr("chalicelib.web.compression.SIZE_MIN_BYTES", 1)
    first = service.get(reference, headers={"Accept-Encoding": "gzip"})
    for made_by in ("dragons.document._decoded", "dragons.repository.msgspec", "representation.etag_of"):
        monkeypatch.setattr(f"chalicelib.{made_by}", None)
    monkeypatch.setattr("chalicelib.representation.gzip", None)
    again = service.get(reference, headers={"Accept-Encoding": "gzip"})

    assert (first.headers["Content-Encoding"], again.status) == ("gzip", 200)
    assert (again.body, again.headers["ETag"]) == (first.body, first.headers["ETag"])


def _next_of(headers: Any, stage_name: str) -> str | None:
    if "Link" not in headers:
        return None
    target, relation = headers["Link"].split(", ")[0].split("; ")
    assert relation == 'rel="next"'
    prefix = f"</{stage_name}/dragons?" if stage_name else "</dragons?"
    assert target.startswith(prefix)
    return "/dragons?" + target[len(prefix) : -1]


class TestOneDragon:
    @pytest.mark.parametrize("path", ["/dragons/%C3%89lan", "/dragons/E%CC%81LAN", "/dragons/%20%C3%A9lan%20"])
    def test_is_found_by_any_spelling_of_its_name(
        self, service: Service, registry: list[dict[str, Any]], path: str
    ) -> None:
        answer = service.get(path)

        assert (answer.status, answer.json()) == (200, registry[-1])

    @pytest.mark.parametrize("path", ["/dragons/nobody", "/dragons/%FF", "/dragons/a%2Fb", "/dragons/%00"])
    @pytest.mark.usefixtures("registry")
    def test_an_unknown_one_is_a_404_problem(self, service: Service, path: str) -> None:
        answer = service.get(path)

        assert answer.status == 404
        assert answer.json()["type"] == "about:blank"


@pytest.mark.usefixtures("registry")
class TestConditionalRequests:
    @pytest.mark.parametrize("path", ["/dragons", "/dragons?family=red&limit=1", "/dragons/Amber"])
    def test_a_version_that_the_client_has_is_not_sent_again(self, service: Service, path: str) -> None:
        first = service.get(path)
        etag = first.headers["ETag"]
        again = service.get(path, headers={"If-None-Match": f'"other", W/{etag}'})

        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-cache"
        assert again.headers.get("Link") == first.headers.get("Link")

    def test_a_new_dragon_makes_a_new_version(self, service: Service) -> None:
        etag = service.get("/dragons").headers["ETag"]
        service.post("/dragons", dragon_body("Ember"), Prefer="wait=5")

        assert service.get("/dragons", headers={"If-None-Match": etag}).status == 200

    def test_a_change_elsewhere_is_not_a_new_version_of_a_page(self, service: Service) -> None:
        etag = service.get("/dragons/Amber").headers["ETag"]
        service.post("/dragons", dragon_body("Ember"), Prefer="wait=5")

        assert service.get("/dragons/Amber", headers={"If-None-Match": etag}).status == 304


class TestReporting:
    def test_without_preference_it_is_accepted_and_pending(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        answer = service.post("/dragons", dragon_body("Ember"))

        assert answer.status == 202
        submission_id = answer.json()["submission_id"]
        assert answer.json() == {
            "submission_id": submission_id,
            "status": "pending",
            "execution_arn": STATE_MACHINE_ARN.replace(":stateMachine:", ":execution:") + ":" + submission_id,
            "started_at": "2026-11-24T07:20:01.500Z",
        }
        assert answer.headers["Location"] == f"/prod/submissions/{submission_id}"
        assert "Preference-Applied" not in answer.headers
        assert step_functions.described == 0

    def test_the_execution_gets_the_dragon_and_its_reporter(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        body = dragon_body(" E\u0301lan ", reportingPhoneNumber=PHONE, confirmationRequired=True)
        service.post("/dragons", body, CLERK, X_Request_Id="my-request-1")

        assert step_functions.only_input() == {
            "submission_id": next(iter(step_functions.executions)),
            "dragon": dragon_members("Élan"),
            "reporter": {"phone_number": PHONE, "text": True},
            "confirmation_required": True,
            "requested_by": "clerk",
            "correlation_id": "my-request-1",
        }

    def test_a_report_under_the_web_clients_names_is_the_same_dragon(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        members = dragon_members()
        named = {alias: members[field] for alias, field in ALIASES.items()}
        service.post("/dragons", json.dumps(named).encode())

        assert step_functions.only_input()["dragon"] == dragon_members()

    def test_the_course_web_clients_own_report_is_taken_and_its_number_kept_as_sent(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        members = dragon_members()
        named = {alias: members[field] for alias, field in ALIASES.items()}
        sent = named | {"reportingPhoneNumber": "15555555555", "confirmationRequired": False}
        answer = service.post("/dragons", json.dumps(sent).encode(), Prefer="wait=9")

        assert answer.status == 201
        assert "15555555555" not in answer.body.decode()
        assert step_functions.only_input()["reporter"] == {"phone_number": "15555555555", "text": False}

    def test_a_name_with_typographic_characters_is_kept_and_found_under_plain_ones(self, service: Service) -> None:
        report = dragon_body("O\u2019Brien Jean\u2011Luc")
        assert service.post("/dragons", report, Prefer="wait=9").status == 201

        answer = service.get("/dragons/O'BRIEN%20jean-luc")

        assert (answer.status, answer.json()["dragon_name_str"]) == (200, "O\u2019Brien Jean\u2011Luc")
        plain = service.post("/dragons", dragon_body("O'Brien Jean-Luc"), Prefer="wait=9")
        assert (plain.status, plain.json()["type"]) == (409, DUPLICATE_DRAGON)

    @pytest.mark.parametrize(
        ("prefixes", "texted"), [("+1,+44", True), (" +44 , +1 ", True), ("+44", False), ("none", False)]
    )
    def test_texts_go_only_where_the_stage_allows_them(
        self, service: Service, stage: Stage, step_functions: FakeStepFunctions, prefixes: str, texted: bool
    ) -> None:
        stage.put_parameters(sms_allowed_prefixes=prefixes)
        service.post("/dragons", dragon_body(reportingPhoneNumber=PHONE, confirmationRequired=True))

        assert step_functions.only_input()["reporter"]["text"] is texted

    def test_no_text_is_sent_unless_a_confirmation_is_required(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        service.post("/dragons", dragon_body(reportingPhoneNumber=PHONE))

        assert step_functions.only_input()["reporter"] == {"phone_number": PHONE, "text": False}

    def test_a_client_that_waits_gets_the_added_dragon(self, service: Service, stage: Stage) -> None:
        answer = service.post("/dragons", dragon_body("D'Élan the 2nd"), Prefer="respond-async, wait=99")

        assert (answer.status, answer.json()) == (201, dragon_members("D'Élan the 2nd"))
        assert answer.headers["Preference-Applied"] == "wait=10"
        assert answer.headers["Location"] == "/prod/dragons/" + quote("D'Élan the 2nd", safe="")
        assert service.get(answer.headers["Location"].removeprefix("/prod")).json() == answer.json()
        assert len(stage.dragons()) == 1

    def test_a_client_that_waits_in_vain_gets_a_202(self, service: Service, step_functions: FakeStepFunctions) -> None:
        step_functions.run = None
        answer = service.post("/dragons", dragon_body(), Prefer="wait=5")

        assert answer.status == 202
        assert answer.headers["Preference-Applied"] == "wait=5"
        assert step_functions.described == 1

    def test_throttling_while_a_client_waits_is_a_202(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        step_functions.failures = [None, client_error("ThrottlingException")]

        assert service.post("/dragons", dragon_body(), Prefer="wait=5").status == 202

    @pytest.mark.parametrize("second", ONE_NAME)
    def test_a_client_that_waits_learns_of_a_duplicate(self, service: Service, stage: Stage, second: str) -> None:
        service.post("/dragons", dragon_body("Élan"), Prefer="wait=5")
        answer = service.post("/dragons", dragon_body(second), Prefer="wait=5")

        assert answer.status == 409
        assert answer.json()["type"] == DUPLICATE_DRAGON
        assert answer.headers["Location"].startswith("/prod/submissions/")
        assert answer.headers["Preference-Applied"] == "wait=5"
        assert len(stage.dragons()) == 1

    @pytest.mark.parametrize(
        ("output", "status", "problem_type"),
        [
            (
                {"status": "rejected", "outcome": "invalid", "reason": "family_str: must not be blank"},
                422,
                DRAGON_REFUSED,
            ),
            ({"status": "nobody knows"}, 500, SUBMISSION_FAILED),
        ],
    )
    def test_a_client_that_waits_learns_of_any_other_end_of_the_workflow(
        self,
        service: Service,
        step_functions: FakeStepFunctions,
        output: dict[str, str],
        status: int,
        problem_type: str,
    ) -> None:
        step_functions.run = lambda _: output
        answer = service.post("/dragons", dragon_body(), Prefer="wait=5")

        assert (answer.status, answer.json()["type"]) == (status, problem_type)

    @pytest.mark.parametrize("body", [dragon_body("Ember"), dragon_body("Ash")])
    def test_reports_without_a_key_are_separate_submissions(
        self, service: Service, step_functions: FakeStepFunctions, body: bytes
    ) -> None:
        service.post("/dragons", dragon_body("Ember"))
        service.post("/dragons", body)

        assert len(step_functions.executions) == 2

    def test_a_workflow_that_cannot_be_started_is_a_503_that_says_when_to_retry(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        step_functions.failures = [client_error("ExecutionLimitExceeded")]
        answer = service.post("/dragons", dragon_body())

        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0


class TestIdempotencyKey:
    def test_a_repeated_report_is_answered_as_the_first(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        first = service.post("/dragons", dragon_body("Élan"), Idempotency_Key="key-1")
        again = service.post("/dragons", dragon_body(" E\u0301lan "), Idempotency_Key='"key-1"')

        assert (again.status, again.body) == (first.status, first.body) == (202, first.body)
        assert again.headers["Location"] == first.headers["Location"]
        assert len(step_functions.executions) == 1

    def test_it_is_answered_as_the_first_even_once_that_is_finished(self, service: Service, stage: Stage) -> None:
        first = service.post("/dragons", dragon_body(), Idempotency_Key="key-1", Prefer="wait=5")
        again = service.post("/dragons", dragon_body(), Idempotency_Key="key-1", Prefer="wait=5")

        assert (again.status, again.body) == (first.status, first.body) == (201, first.body)
        assert len(stage.dragons()) == 1

    @pytest.mark.parametrize(
        "other",
        [
            dragon_body("Ash"),
            dragon_body(family_str="Red"),
            dragon_body(reportingPhoneNumber=PHONE),
            dragon_body(reportingPhoneNumber="+447700900123", confirmationRequired=True),
        ],
    )
    def test_another_report_under_the_key_is_refused(self, service: Service, other: bytes) -> None:
        service.post("/dragons", dragon_body(), Idempotency_Key="key-1")
        answer = service.post("/dragons", other, Idempotency_Key="key-1")

        assert (answer.status, answer.json()["type"]) == (422, IDEMPOTENCY_KEY_REUSED)

    def test_a_malformed_key_is_reported_with_all_that_is_wrong_with_the_body(
        self, service: Service, step_functions: FakeStepFunctions
    ) -> None:
        answer = service.post("/dragons", dragon_body("a/b", family_str=""), Idempotency_Key="not a key")

        assert (answer.status, answer.json()["type"]) == (400, INVALID_REQUEST)
        assert Case.places_in(answer.json()) == (
            "header Idempotency-Key",
            "pointer #/dragon_name_str",
            "pointer #/family_str",
        )
        assert step_functions.executions == {}

    @pytest.mark.parametrize(
        ("body", "headers", "status", "places"),
        [
            (dragon_body(), {"Idempotency_Key": "not a key"}, 400, ("header Idempotency-Key",)),
            (dragon_body(""), {"Idempotency_Key": "key-1"}, 400, ("pointer #/dragon_name_str",)),
            (b"{", {"Idempotency_Key": "not a key"}, 400, ("pointer #",)),
            (b"{}", {"Idempotency_Key": "not a key", "Content_Type": "text/plain"}, 415, ()),
            (b" " * (BODY_BYTES_MAX + 1), {"Idempotency_Key": "not a key"}, 413, ()),
        ],
        ids=["the key alone", "the body alone", "no JSON", "another type", "too large"],
    )
    def test_a_fault_of_the_key_or_the_body_alone_is_reported_as_usual(
        self, service: Service, body: bytes, headers: dict[str, str], status: int, places: tuple[str, ...]
    ) -> None:
        answer = service.post("/dragons", body, **headers)

        assert (answer.status, Case.places_in(answer.json())) == (status, places)

    def test_a_key_is_the_callers_own(self, service: Service, step_functions: FakeStepFunctions) -> None:
        service.post("/dragons", dragon_body("Ember"), OPERATOR, Idempotency_Key="key-1")
        answer = service.post("/dragons", dragon_body("Ash"), CLERK, Idempotency_Key="key-1")

        assert answer.status == 202
        assert len(step_functions.executions) == 2

    def test_a_changed_sms_policy_does_not_make_it_another_report(self, service: Service, stage: Stage) -> None:
        body = dragon_body(reportingPhoneNumber=PHONE, confirmationRequired=True)
        service.post("/dragons", body, Idempotency_Key="key-1")
        stage.put_parameters(sms_allowed_prefixes="none")
        service.app.settings.read_anew()

        assert service.post("/dragons", body, Idempotency_Key="key-1").status == 202


def test_a_compressed_listing_is_revalidated_by_its_own_tag(service: Service, stage: Stage) -> None:
    stage.put_document(json.dumps([dragon_members(f"dragon {number}") for number in range(20)]).encode())
    plain = service.get("/dragons")
    packed = service.get("/dragons", headers={"Accept-Encoding": "gzip"})
    again = service.get("/dragons", headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})

    assert gzip.decompress(packed.body) == plain.body
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == packed.headers["ETag"] != plain.headers["ETag"]


class TestBrokenDocument:
    def test_an_empty_one_is_an_empty_registry(self, service: Service, stage: Stage) -> None:
        stage.put_document(b"[]")

        assert service.get("/dragons").json() == []
        assert service.post("/dragons", dragon_body(), Prefer="wait=1").status == 201

    @pytest.mark.parametrize(
        "document", [b"", b" \n", b"{}", b"[", b"null", b'[{"dragon_name_str":"x"}]', b"[]]", b"\xff", b"[1]"]
    )
    def test_a_corrupt_one_is_a_500_that_reveals_nothing_and_is_left_as_it_is(
        self, service: Service, stage: Stage, document: bytes
    ) -> None:
        stage.put_document(document)
        answer = service.get("/dragons")

        assert answer.status == 500
        assert "dragons.json" not in answer.body.decode()
        with pytest.raises(Exception, match="not a JSON array of dragons"):
            service.app.add_dragon({"dragon": dragon_members(), "submission_id": "s1", "correlation_id": "c"}, None)
        assert stage.document() == document

    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "/dragons"), ("GET", "/dragons/Ember"), ("DELETE", "/dragons/Ember")]
    )
    def test_a_missing_one_is_a_500_that_reveals_nothing_and_the_log_says_what_to_do(
        self, service: Service, stage: Stage, log: io.StringIO, method: str, path: str
    ) -> None:
        stage.delete_document()
        answer = service.request(method, path)

        assert answer.status == 500
        assert answer.json()["detail"] == INTERNAL_ERROR.detail
        assert "s3://dragonpost-local-dragons-123456789012/dragons.json" in log.getvalue()
        assert "If it was deleted, bring back its latest version" in log.getvalue()
        assert not stage.has_document()

    def test_a_report_does_not_make_a_missing_one(self, service: Service, stage: Stage) -> None:
        """It would be `added`, and hide every dragon that was there."""
        stage.put_parameters(dragon_data_file_name="elsewhere.json")
        with pytest.raises(DocumentMissing, match="elsewhere"):
            service.app.add_dragon({"dragon": dragon_members(), "submission_id": "s1", "correlation_id": "c"}, None)

        found = aws.s3().list_objects_v2(Bucket="dragonpost-local-dragons-123456789012")["Contents"]
        assert [item["Key"] for item in found] == ["dragons.json"]

    def test_a_missing_bucket_is_a_500_that_reveals_nothing(self, service: Service, stage: Stage) -> None:
        stage.put_parameters(dragon_data_bucket_name="dragonpost-no-such-bucket")
        answer = service.get("/dragons")

        assert answer.status == 500
        assert "bucket" not in answer.body.decode().lower()


@pytest.mark.parametrize("given", ["dragons.json\n", " dragons.json ", "\tdragons.json"])
def test_white_space_around_the_files_name_is_not_another_registry(service: Service, stage: Stage, given: str) -> None:
    stage.put_document(json.dumps([dragon_members("Ember")]).encode())
    stage.put_parameters(dragon_data_file_name=given, user_pool_client_id=f"{AUDIENCE} ")

    assert [found["dragon_name_str"] for found in service.get("/dragons").json()] == ["Ember"]
    assert service.post("/dragons", dragon_body("Ember"), Prefer="wait=1").status == 409


def test_the_file_may_move_while_the_service_runs(service: Service, stage: Stage) -> None:
    stage.put_document(json.dumps([dragon_members("Ember")]).encode())
    service.get("/dragons")
    aws.s3().put_object(
        Bucket="dragonpost-local-dragons-123456789012",
        Key="elsewhere.json",
        Body=json.dumps([dragon_members("Ash")]).encode(),
    )
    stage.put_parameters(dragon_data_file_name="elsewhere.json")
    service.app.settings.read_anew()

    assert [found["dragon_name_str"] for found in service.get("/dragons").json()] == ["Ash"]
