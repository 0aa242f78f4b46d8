"""Answers: their form, their entity tags, and the problems that errors become."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from chalicelib import aws
from chalicelib.dragons.submissions import Step, Submission
from chalicelib.dragons.workflow import IdempotencyKeyReused
from chalicelib.exact_json import MalformedJson
from chalicelib.faults import Fault, InvalidInput
from chalicelib.identity import CompanyMissing, CompanyOfOthers, Forbidden, OperatorsOnly, TokenMissing, Unauthenticated
from chalicelib.messages.queue import QueueUnavailable
from chalicelib.messages.repository import Ambiguous
from chalicelib.representation import etag_of
from chalicelib.web import problems
from chalicelib.web.conditional import none_match
from chalicelib.web.problems import Problem, ProblemRaised, problem_for
from chalicelib.web.responses import Reply, problem_reply, revalidated
from chalicelib.web.submissions import accepted, settled, status_document
from tests.samples import dragon, dragon_members


class TestReply:
    def test_text_is_sent_as_text_although_every_type_counts_as_binary(self) -> None:
        assert Reply('{"a":"é"}'.encode(), 201, {"Location": "/x"}).to_dict() == {
            "statusCode": 201,
            "headers": {"Content-Type": "application/json", "Location": "/x"},
            "multiValueHeaders": {},
            "body": '{"a":"é"}',
            "isBase64Encoded": False,
        }

    def test_bytes_that_are_not_text_are_sent_as_base64(self) -> None:
        answer = Reply(b"\x89PNG\xff", headers={"Content-Type": "image/png"}).to_dict()

        assert answer["isBase64Encoded"] is True
        assert base64.b64decode(answer["body"]) == b"\x89PNG\xff"


class TestConditional:
    def test_the_same_bytes_have_the_same_tag(self) -> None:
        assert etag_of(b"x") == etag_of(b"x") != etag_of(b"y")
        assert etag_of(b"x").startswith('"')

    @pytest.mark.parametrize(
        ("if_none_match", "sent"),
        [
            (None, True),
            ("", True),
            ('"b"', True),
            ('"a"', False),
            ('W/"a"', False),
            ('"b", "a"', False),
            ('"b,\\"a"', True),
            ("*", False),
            (" * ", False),
            ("a", True),
            ('"A"', True),
        ],
    )
    def test_the_body_is_sent_unless_the_client_has_it(self, if_none_match: str | None, sent: bool) -> None:
        assert none_match(if_none_match, '"a"') is sent

    def test_a_304_has_no_body_and_the_same_headers(self) -> None:
        full = revalidated(b"[]", None, {"Link": "x"})
        assert (full.status_code, full.body) == (200, b"[]")
        assert full.headers == {
            "Content-Type": "application/json",
            "ETag": etag_of(b"[]"),
            "Cache-Control": "no-cache",
            "Link": "x",
        }
        empty = revalidated(b"[]", full.headers["ETag"], {"Link": "x"})

        assert (empty.status_code, empty.body) == (304, b"")
        assert empty.headers == full.headers


SUBMISSION = Submission("s1", "arn:execution", "added", dragon("D'É lan"), "sub", "start", "end", notification="sent")


class TestSubmissions:
    def test_an_accepted_report_is_pending_and_says_where_to_ask(self) -> None:
        reply = accepted(replace(SUBMISSION, status="pending"), "/prod", 0)

        assert reply.status_code == 202
        assert json.loads(reply.body) == {
            "submission_id": "s1",
            "status": "pending",
            "execution_arn": "arn:execution",
            "started_at": "start",
        }
        assert reply.headers["Location"] == "/prod/submissions/s1"
        assert "Preference-Applied" not in reply.headers

    def test_an_added_report_shows_the_dragon_and_its_location(self) -> None:
        reply = settled(SUBMISSION, "", 10)

        assert (reply.status_code, json.loads(reply.body)) == (201, dragon_members("D'É lan"))
        assert reply.headers["Location"] == "/dragons/D%27%C3%89%20lan"
        assert reply.headers["Preference-Applied"] == "wait=10"

    @pytest.mark.parametrize(
        ("changes", "status", "problem_type", "detail"),
        [
            (
                {"status": "rejected", "refusal": "duplicate", "reason": "taken"},
                409,
                problems.DUPLICATE_DRAGON,
                "taken",
            ),
            ({"status": "rejected", "refusal": "invalid", "reason": "bad"}, 422, problems.DRAGON_REFUSED, "bad"),
            ({"status": "rejected"}, 422, problems.DRAGON_REFUSED, "The workflow gave no reason."),
            ({"status": "failed", "reason": "broken"}, 500, problems.SUBMISSION_FAILED, "broken"),
        ],
    )
    def test_a_report_that_was_not_added_is_a_problem(
        self, changes: dict[str, Any], status: int, problem_type: str, detail: str
    ) -> None:
        with pytest.raises(ProblemRaised) as raised:
            settled(replace(SUBMISSION, **changes), "/prod", 5)

        problem = raised.value.problem
        assert (problem.status, problem.type, problem.detail) == (status, problem_type, detail)
        assert problem.headers == {"Location": "/prod/submissions/s1", "Preference-Applied": "wait=5"}

    def test_caches_have_to_revalidate_a_submissions_status(self) -> None:
        reply = status_document(SUBMISSION, [Step("Added", "succeeded", "then")])

        assert reply.headers["Cache-Control"] == "no-cache"
        assert json.loads(reply.body)["steps"] == [{"name": "Added", "status": "succeeded", "at": "then"}]
        assert "execution_arn" not in json.loads(reply.body)
        assert "requested_by" not in json.loads(reply.body)


class TestProblems:
    @pytest.mark.parametrize(
        ("error", "status", "problem_type"),
        [
            (ProblemRaised(Problem(418, "x")), 418, "about:blank"),
            (InvalidInput(Fault("pointer", "#/a", "x")), 400, problems.INVALID_REQUEST),
            (MalformedJson("x"), 400, problems.INVALID_REQUEST),
            (TokenMissing(), 401, "about:blank"),
            (CompanyMissing(), 403, problems.COMPANY_NOT_ALLOWED),
            (CompanyOfOthers(), 403, problems.COMPANY_NOT_ALLOWED),
            (OperatorsOnly(), 403, problems.OPERATORS_ONLY),
            (IdempotencyKeyReused(), 422, problems.IDEMPOTENCY_KEY_REUSED),
            (Ambiguous(), 400, problems.INVALID_REQUEST),
            (aws.DependencyTimeout("S3", "secret"), 504, "about:blank"),
            (aws.DependencyUnavailable("S3", "secret"), 503, "about:blank"),
            (QueueUnavailable(), 503, "about:blank"),
        ],
    )
    def test_each_domain_error_is_a_problem(self, error: Exception, status: int, problem_type: str) -> None:
        problem = problem_for(error)

        assert problem is not None
        assert (problem.status, problem.type) == (status, problem_type)
        assert b"secret" not in problem.body("r1")

    @pytest.mark.parametrize(("base", "status"), [(Unauthenticated, 401), (Forbidden, 403)])
    def test_every_reason_to_refuse_a_caller_is_one_of_its_own(self, base: type[Exception], status: int) -> None:
        found = [problem_for(reason()) for reason in base.__subclasses__()]

        assert found
        assert all(problem is not None and problem.status == status for problem in found)
        assert len({problem.detail for problem in found if problem}) == len(found)

    @pytest.mark.parametrize("error", [KeyError("x"), aws.DependencyFault("S3", "AccessDenied"), ValueError("x")])
    def test_an_unforeseen_error_is_not_a_problem(self, error: Exception) -> None:
        assert problem_for(error) is None

    @pytest.mark.parametrize(
        ("error", "header"),
        [
            *((reason(), "WWW-Authenticate") for reason in Unauthenticated.__subclasses__()),
            (aws.DependencyTimeout("S3", "x"), "Retry-After"),
            (aws.DependencyUnavailable("S3", "x"), "Retry-After"),
            (QueueUnavailable(), "Retry-After"),
        ],
    )
    def test_a_problem_has_the_header_that_the_client_needs_next(self, error: Exception, header: str) -> None:
        problem = problem_for(error)

        assert problem is not None
        assert problem.headers[header]

    def test_the_document_has_every_fault(self) -> None:
        problem = problems.invalid_request(Fault("pointer", "#/a", "is x"), Fault("header", "b", "is y"))
        reply = problem_reply(problem, "r1")

        assert reply.headers == {"Content-Type": "application/problem+json"}
        assert json.loads(reply.body) == {
            "type": problems.INVALID_REQUEST,
            "title": "The request is not valid",
            "status": 400,
            "detail": "2 things are wrong with the request; see errors.",
            "request_id": "r1",
            "errors": [{"pointer": "#/a", "detail": "is x"}, {"header": "b", "detail": "is y"}],
        }

    def test_without_a_type_the_title_is_that_of_the_status(self) -> None:
        document = json.loads(Problem(404, "gone").body("r1"))

        assert document == {
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "gone", "request_id": "r1"
        }  # fmt: skip

    def test_every_type_has_a_title(self) -> None:
        kinds = {value for name, value in vars(problems).items() if str(value).startswith("urn:")}

        assert kinds == set(problems.TITLES)


@pytest.mark.parametrize("faults", [1, 2])
def test_the_detail_counts_the_faults(faults: int) -> None:
    many = {1: "One thing is", 2: "2 things are"}[faults]
    invalid = problems.invalid_request(*[Fault("parameter", "a", "is x")] * faults)

    assert invalid.detail == f"{many} wrong with the request; see errors."


@pytest.mark.parametrize(
    "error", [aws.DependencyUnavailable("S3", "x"), aws.DependencyTimeout("S3", "x"), QueueUnavailable()]
)
def test_a_failure_that_may_pass_says_when_to_try_again(error: aws.DependencyUnavailable) -> None:
    problem = problem_for(error)

    assert problem is not None
    assert problem.headers == {"Retry-After": str(error.retry_after_s)}


@pytest.mark.parametrize(
    ("status", "title"), [(404, "Not Found"), (413, "Content Too Large"), (422, "Unprocessable Content")]
)
def test_a_status_has_the_title_of_rfc_9110_on_every_python(status: int, title: str) -> None:
    assert problems.status_title(status) == title


@pytest.mark.parametrize(
    "make", [problems.unavailable, problems.timed_out, problems.too_many_requests, problems.body_too_large]
)
def test_a_detail_is_a_sentence(make: Callable[[int], Problem]) -> None:
    assert re.fullmatch(r"(A |[A-Z][a-z])[^\n]*[a-z]\.", make(5).detail)


def test_too_many_requests_says_when_to_try_again() -> None:
    problem = problems.too_many_requests(5)

    assert (problem.status, problem.headers) == (429, {"Retry-After": "5"})


def test_a_request_that_got_no_answer_may_be_tried_again_but_may_have_been_carried_out() -> None:
    problem = problems.no_answer(5)

    assert (problem.status, problem.headers) == (503, {"Retry-After": "5"})
    assert problem.detail == (
        "The service gave no answer, so your request may or may not have been carried out. Wait as Retry-After says, "
        "then try again."
    )
