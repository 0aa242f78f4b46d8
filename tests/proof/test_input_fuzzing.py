"""Whatever a client sends, there is no 5xx and every answer is JSON, and what was accepted reads back equal."""

from __future__ import annotations

import contextlib
import gzip
import inspect
import io
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from moto.core.models import MockAWS

from chalicelib import aws, exact_json
from chalicelib.dragons.document import left_for
from chalicelib.dragons.names import normalised_name
from operations.dragon_rows import add
from tests.e2e.running import Api
from tests.e2e.waiting import until
from tests.integration import conftest as on_moto
from tests.integration.conftest import app, empty_stage, stage, step_functions  # noqa: F401 - fixtures
from tests.integration.service import OPERATOR, Answer, Service
from tests.integration.stage import DRAGONS, Stage
from tests.lambda_events import claims
from tests.people import COMPANIES
from tests.proof import inputs
from tests.proof.report import Report, Scale, only_at_full_scale

SUITE = "8 input fuzzing"
PROBLEM = "application/problem+json"
JSON = {"Content-Type": "application/json"}
needs_full_scale = only_at_full_scale("tries the same in the registry's other home")
MARK = "m4rk3d"  # no answer may contain these


@dataclass
class Fuzzing:
    """Counts the tries, and says how hard to try."""

    rng: Random
    report: Report
    setting: str = ""  # what is unusual
    promise: str = ""
    tried: int = 0
    held: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    read_back: int = 0
    followed: int = 0

    @property
    def scale(self) -> Scale:
        """How hard to try."""
        return self.report.scale

    def run(
        self, promise: str, examples: int, check: Callable[..., None], **strategies: st.SearchStrategy[Any]
    ) -> None:
        """Call `check` with that many examples, to find out whether the promise holds."""
        self.promise = promise
        quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
        tuned = settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=quiet, print_blob=True
        )

        def counted(**drawn: Any) -> None:
            with self.trying():
                check(**drawn)

        with contextlib.redirect_stdout(io.StringIO()):  # metrics
            seed(self.rng.getrandbits(64))(tuned(given(**strategies)(counted)))()

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        """Count one try, and count it as held unless the block fails."""
        self.tried += 1
        yield
        self.held += 1

    def check_that_some_were_read_back(self) -> None:
        """Fail if every damaged input was refused, unless there were few."""
        assert self.read_back or self.scale.name == "fast"

    def add(self) -> None:
        """Add the counts to the report."""
        shown = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        if self.setting:
            shown += f"; {self.setting}"
        if self.read_back:
            shown += f"; read back: {self.read_back:,}"
        if self.followed:
            shown += f"; links followed: {self.followed:,}"
        lost = self.tried - self.held
        self.report.add(SUITE, self.promise, tried=self.tried, survived=self.held, lost=lost, note=shown)
        print(f"  {self.promise}: {shown}")


@pytest.fixture
def fuzzing(request: pytest.FixtureRequest, rng: Random, report: Report) -> Iterator[Fuzzing]:
    in_dynamodb = "dynamodb" in request.node.name
    counts = Fuzzing(rng, report, "the registry in DynamoDB" if in_dynamodb else "")
    yield counts
    counts.add()


@pytest.fixture(scope="module")
def moto_aws() -> Iterator[MockAWS]:
    """Moto's AWS for this module alone. (Integration tests keep it for the whole run, but later suites must not.)"""
    yield from inspect.unwrap(on_moto.moto_aws)()


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Stage:
    """The resources that the service in this process uses."""
    return request.getfixturevalue("stage")  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Registry:
    """The registry in one of its homes."""

    account: Stage
    home: str

    def hold(self, names: Sequence[str]) -> None:
        """Have it hold these dragons."""
        entries = [json.dumps({**json.loads(_dragon(name)), "submission_id": name}) for name in names]
        if self.home == "s3":
            self.account.put_document(f"[{', '.join(entries)}]".encode())
        for entry in entries if self.home == "dynamodb" else ():
            add(aws.dynamodb(), DRAGONS, entry.encode())


@pytest.fixture(params=["s3", pytest.param("dynamodb", marks=needs_full_scale)])
def registry(request: pytest.FixtureRequest, account: Stage) -> Registry:
    """Where the dragons are."""
    if request.param == "dynamodb":
        account.put_document(left_for("dynamodb"))
        account.open_table()
        account.put_parameters(dragon_store="dynamodb")
    return Registry(account, request.param)


@pytest.fixture
def service(request: pytest.FixtureRequest, log: io.StringIO) -> Iterator[Service]:
    """The API in this process, on moto, called as the gateway calls it. Checks that each log line is JSON."""
    yield Service(request.getfixturevalue("app"))
    for line in log.getvalue().splitlines():
        assert isinstance(json.loads(line), dict), line


def check_sound(answer: Answer) -> Any:
    """Fail unless a client can rely on an answer; return its JSON value, if it has one."""
    assert 200 <= answer.status < 500, answer
    for name, value in answer.headers.items():
        assert re.fullmatch(r"[\t\x20-\x7e]*", str(value)), f"{name}: {value!r}"
    body = gzip.decompress(answer.body) if answer.headers.get("Content-Encoding") == "gzip" else answer.body
    assert b"Traceback" not in body
    if answer.status in (204, 304):
        assert not body
        return None
    if not answer.headers["Content-Type"].split(";")[0].endswith("json"):
        assert answer.status == 200
        return None
    value = json.loads(body, parse_constant=_no_json)
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == PROBLEM
        assert (value["status"], value["request_id"]) == (answer.status, answer.headers["X-Request-Id"])
        for fault in value.get("errors", []):
            assert len(fault) == 2
            assert fault["detail"]
            assert {"pointer", "parameter", "header"} & fault.keys()
    return value


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def exactly(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def as_kept(sent: Any) -> Any:
    """Return a message as it must be read back."""
    metadata, data = dict(sent["metadata"]), dict(sent["data"])
    for part, name in ((metadata, "company_id"), (metadata, "message_id"), (data, "order_id")):
        part[name] = part[name].lower()
    return {"metadata": metadata, "data": data}


# A valid message is accepted, or known, or in conflict with a known one.
TAKEN = (202, 200, 409)


class Post:
    """Posts messages, and reads back the accepted ones."""

    def __init__(self, service: Service, account: Stage, fuzzing: Fuzzing) -> None:
        self._service = service
        self._account = account
        self._fuzzing = fuzzing
        self._stored: dict[tuple[str, str], Any] = {}

    def post(self, body: bytes) -> int:
        """Post a body and return the status. If its id is accepted, store it and compare what reads back."""
        answer = self._service.post("/post-message", body)
        check_sound(answer)
        self._fuzzing.statuses[answer.status] += 1
        assert answer.status in (*TAKEN, 400, 413)
        received = self._account.received(self._account.queue_url)
        assert len(received) == (answer.status == 202)
        if answer.status not in TAKEN:
            return answer.status
        if received:
            self._service.consume(received)
        sent = as_kept(exactly(body))
        key = (sent["metadata"]["company_id"], sent["metadata"]["message_id"])
        # Hypothesis likes to repeat an id; then the first message stays.
        assert (key in self._stored) == (answer.status != 202)
        expected = self._stored.setdefault(key, sent)
        assert (expected == sent) == (answer.status != 409)
        read = self._service.get(f"/message/{key[1]}?company_id={key[0]}")
        found = exactly(read.body)
        assert found["metadata"].pop("message_s3_key") == f"{key[0]}/{key[1]}.json"
        digest = found.pop("digest")
        assert answer.status == 409 or answer.json()["digest"] == digest
        assert found == expected
        assert exactly(self._account.archived(f"{key[0]}/{key[1]}.json")) == expected
        self._fuzzing.read_back += 1
        return answer.status


class TestBodies:
    def test_a_valid_message_is_accepted_and_reads_back_equal(
        self, service: Service, account: Stage, fuzzing: Fuzzing
    ) -> None:
        post = Post(service, account, fuzzing)

        def check(message: tuple[str, str]) -> None:
            assert post.post(message[0].encode()) in TAKEN

        fuzzing.run(
            "valid messages are accepted and read back equal, through queue and consumer",
            fuzzing.scale.of(15, 300),
            check,
            message=inputs.messages(),
        )
        assert fuzzing.read_back == fuzzing.tried

    def test_a_damaged_message_is_refused_or_reads_back_equal(
        self, service: Service, account: Stage, fuzzing: Fuzzing
    ) -> None:
        post = Post(service, account, fuzzing)

        def check(body: bytes) -> None:
            post.post(body)

        fuzzing.run(
            "damaged messages: never a 5xx; what is accepted reads back equal",
            fuzzing.scale.of(60, 800),
            check,
            body=inputs.bodies(inputs.messages()),
        )
        fuzzing.check_that_some_were_read_back()

    @pytest.mark.usefixtures("registry")
    def test_a_valid_dragon_is_added_and_reads_back_equal(self, service: Service, fuzzing: Fuzzing) -> None:
        added: dict[str, dict[str, str]] = {}

        def check(report: tuple[str, dict[str, str]]) -> None:
            body, wanted = report
            key = normalised_name(wanted["dragon_name_str"])
            answer = service.post("/dragons", body.encode(), Prefer="wait=10")
            value = check_sound(answer)
            fuzzing.statuses[answer.status] += 1
            assert answer.status == (409 if key in added else 201)
            expected = added.setdefault(key, wanted)
            if answer.status == 201:
                assert value == wanted
                assert urlsplit(answer.headers["Location"]).path == "/prod/dragons/" + quote(
                    wanted["dragon_name_str"], safe=""
                )
            read = service.get("/dragons/" + quote(wanted["dragon_name_str"], safe=""))
            assert read.json() == expected
            listed = service.get(f"/dragons?dragonName={quote(wanted['dragon_name_str'], safe='')}")
            assert listed.json() == [expected]
            fuzzing.read_back += 1

        fuzzing.run(
            "valid dragons are added and read back equal, by name and by filter",
            fuzzing.scale.of(25, 400),
            check,
            report=inputs.dragons(),
        )
        assert fuzzing.read_back == fuzzing.tried

    @pytest.mark.usefixtures("registry")
    def test_a_damaged_dragon_is_refused_or_reads_back_equal(self, service: Service, fuzzing: Fuzzing) -> None:
        def sent(method: str, path: str, body: bytes, **headers: str) -> Answer:
            answer = service.request(method, path, headers={**JSON, **headers}, body=body)
            check_sound(answer)
            fuzzing.statuses[answer.status] += 1
            return answer

        def check(body: bytes, etag: str) -> None:
            sent("PUT", "/dragons/Ember", body, **{"If-Match": etag})
            if sent("POST", "/dragons", body, Prefer="wait=10").status != 201:
                return
            expected = inputs.kept_dragon(exactly(body))
            place = "/dragons/" + quote(expected["dragon_name_str"], safe="")
            assert service.get(place).json() == expected
            corrected = {**expected, "family_str": " Corrected e\u0301 "}
            answer = sent("PUT", place, json.dumps(corrected).encode(), **{"If-Match": "*"})
            assert answer.status == 200
            assert service.get(place).json() == answer.json() == inputs.kept_dragon(corrected)
            fuzzing.read_back += 1

        fuzzing.run(
            "damaged dragons, reported or as corrections: never a 5xx; what is accepted reads back equal",
            fuzzing.scale.of(50, 600),
            check,
            body=inputs.bodies(inputs.dragons()),
            etag=inputs.HEADERS["If-Match"],
        )
        fuzzing.check_that_some_were_read_back()


class TestEverythingElse:
    def test_no_query_string_or_cursor_breaks_the_service(
        self, service: Service, registry: Registry, fuzzing: Fuzzing
    ) -> None:
        registry.hold(("Ember", "Ash", "Élan", "ﬁre", "Straße", "Zed 2"))

        def check(query: str) -> None:
            for path in ("/dragons", "/dragons/Ember", f"/message/{uuid.UUID(int=1)}"):
                answer = service.get(f"{path}?{query}")
                value = check_sound(answer)
                fuzzing.statuses[answer.status] += 1
                if link := answer.headers.get("Link"):
                    target = link[link.index("<") + 1 : link.index(">")].removeprefix("/prod")
                    following = service.get(target)
                    assert following.status == 200, f"{link} does not lead to the next page"
                    assert not [found for found in following.json() if found in value]
                    fuzzing.followed += 1

        fuzzing.run(
            "query strings and cursors: never a 5xx, and every link leads to the next page",
            fuzzing.scale.of(40, 800),
            check,
            query=inputs.queries() | inputs.PAGES,
        )
        assert fuzzing.followed

    @pytest.mark.usefixtures("registry")
    def test_no_path_breaks_the_service(self, service: Service, fuzzing: Fuzzing) -> None:
        def check(segment: str, method: str) -> None:
            for place in ("/dragons", "/message", "/submissions", "/static"):
                if method in ("PUT", "DELETE") and place != "/dragons":
                    continue
                body = _dragon("Ember") if method == "PUT" else None
                answer = service.request(method, f"{place}/{segment}", headers={**JSON, "If-Match": "*"}, body=body)
                check_sound(answer)
                fuzzing.statuses[answer.status] += 1
                assert answer.status in (200, 304, 400, 404)

        methods = st.sampled_from(["GET", "GET", "PUT", "DELETE"])
        fuzzing.run(
            "path parameters: never a 5xx", fuzzing.scale.of(30, 600), check, segment=inputs.SEGMENTS, method=methods
        )

    def test_no_header_breaks_the_service_or_is_reflected(self, service: Service, fuzzing: Fuzzing) -> None:
        def check(headers: dict[str, str], body: str) -> None:
            for name in headers.keys() & {"Origin", "X-Forwarded-For", "Content-Type", "Prefer", "Accept"}:
                headers[name] += f"; {MARK}={MARK}"
            for method, path in (("GET", "/dragons"), ("GET", "/"), ("GET", "/openapi.json"), ("POST", "/dragons")):
                sent = body.encode() if method == "POST" else None
                answer = service.request(method, path, headers=headers, body=sent)
                assert answer.status < 500
                if answer.status < 400 or "html" not in answer.headers["Content-Type"]:
                    check_sound(answer)
                fuzzing.statuses[answer.status] += 1
                shown = " ".join(f"{name}: {value}" for name, value in answer.headers.items())
                assert MARK not in shown + answer.body.decode("latin-1")

        bodies = inputs.dragons().map(lambda found: found[0])
        fuzzing.run(
            "headers: never a 5xx, none reflected",
            fuzzing.scale.of(20, 300),
            check,
            headers=inputs.headers(),
            body=bodies,
        )

    def test_no_claim_breaks_the_service(self, service: Service, fuzzing: Fuzzing) -> None:
        """The gateway has verified the claims, and passes on whatever the pool put into them."""

        def check(changes: dict[str, Any]) -> None:
            caller = {**OPERATOR, **changes}
            for path in ("/dragons", f"/message/{uuid.UUID(int=1)}"):
                answer = service.get(path, caller)
                check_sound(answer)
                fuzzing.statuses[answer.status] += 1
                groups = str(caller.get("cognito:groups", ""))
                if "operators" not in re.split(r"[,\s\[\]]+", groups) and not _is_uuid(caller["custom:company_id"]):
                    assert answer.status in (401, 403) or path == "/dragons"

        names = ("cognito:groups", "custom:company_id", "sub", "token_use", "aud", "email")
        texts = st.sampled_from(["[a b]", "operators ", "operators", "a,b", "[]", "[operators", ""]) | inputs.TEXTS
        strategy = st.fixed_dictionaries({"custom:company_id": inputs.uuids() | inputs.TEXTS}).flatmap(
            lambda company: st.dictionaries(st.sampled_from(names), texts, max_size=4).map(lambda more: more | company)
        )
        fuzzing.run("claims: never a 5xx, never more than they say", fuzzing.scale.of(20, 400), check, changes=strategy)


def _dragon(name: str) -> bytes:
    fields = dict.fromkeys(inputs.FIELDS, "x")
    return json.dumps({**fields, "dragon_name_str": name}).encode()


def _is_uuid(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text))


class TestParser:
    def test_parsed_values_are_written_and_compared_without_loss(self, fuzzing: Fuzzing) -> None:
        def check(members: Mapping[str, str]) -> None:
            text = "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members.items()) + "}"
            value = exact_json.parse_object(text.encode())
            assert value == exactly(text)
            again = exact_json.parse_object(exact_json.encode(value))
            assert again == value
            canonical = exact_json.canonical(value)
            assert exact_json.canonical(again) == canonical
            assert exact_json.canonical(exact_json.parse_object(canonical)) == canonical
            assert exact_json.canonical(dict(reversed(value.items()))) == canonical
            fuzzing.statuses[200] += 1

        strategy = st.dictionaries(inputs.MEMBER_NAMES, inputs.VALUES, max_size=4)
        fuzzing.run(
            "JSON is parsed, written and compared without loss", fuzzing.scale.of(60, 1500), check, members=strategy
        )

    def test_bytes_that_are_not_json_are_refused_as_a_strict_reader_refuses_them(self, fuzzing: Fuzzing) -> None:
        def check(body: bytes) -> None:
            try:
                value = exact_json.parse_object(body)
            except exact_json.MalformedJson as error:
                fuzzing.statuses[400 if str(error).isprintable() else 500] += 1
            else:
                fuzzing.statuses[200] += 1
                assert exactly(body.decode()) == value

        fuzzing.run(
            "damaged JSON is refused with a reason, or read as it stands",
            fuzzing.scale.of(60, 1500),
            check,
            body=inputs.bodies(inputs.messages()),
        )
        assert 500 not in fuzzing.statuses, "a reason that is not safe to show"


class TestOverHttp:
    @pytest.fixture(params=["local", "gateway"])
    def api(self, request: pytest.FixtureRequest, proving_apis: dict[str, Api]) -> Api:
        return proving_apis[request.param]

    def test_no_damaged_body_is_a_5xx(self, api: Api, fuzzing: Fuzzing) -> None:
        def check(body: bytes, route: str) -> None:
            answer = api.post(route, data=body, headers=JSON)
            _check_http(answer)
            fuzzing.statuses[answer.status_code] += 1

        strategy = inputs.bodies(inputs.messages()) | inputs.bodies(inputs.dragons())
        routes = st.sampled_from(["/post-message", "/dragons"])
        fuzzing.run(
            f"damaged bodies over HTTP ({api.target}): never a 5xx",
            fuzzing.scale.of(8, 100),
            check,
            body=strategy,
            route=routes,
        )

    def test_no_query_path_or_header_is_a_5xx(self, api: Api, fuzzing: Fuzzing) -> None:
        def check(query: str, segment: str, headers: dict[str, str]) -> None:
            sent = {name: value.strip().encode("latin-1") for name, value in headers.items()}
            for reference in (f"/dragons?{query}", f"/dragons/{segment}", f"/message/{segment}"):
                answer = api.get(reference, headers=sent)
                _check_http(answer)
                fuzzing.statuses[answer.status_code] += 1

        # The emulator's gateway accepts no encoded slash and no path that is not UTF-8; AWS passes both on.
        fuzzing.run(
            f"queries, paths and headers over HTTP ({api.target}): never a 5xx",
            fuzzing.scale.of(5, 60),
            check,
            query=inputs.queries(),
            segment=inputs.SEGMENTS,
            headers=inputs.headers(),
        )

    def test_what_is_accepted_reads_back_equal(self, api: Api, fuzzing: Fuzzing) -> None:
        company = COMPANIES["amber"]
        sent: dict[str, Any] = {}

        def check(message: tuple[str, str]) -> None:
            body, message_id = message
            fresh = str(uuid.UUID(int=fuzzing.rng.getrandbits(128), version=4))
            body = re.sub(re.escape(message_id), fresh, body, flags=re.IGNORECASE)
            answer = api.post("/post-message", "amber", data=body.encode(), headers=JSON)
            assert answer.status_code == 202, answer.text
            fuzzing.statuses[answer.status_code] += 1
            sent[fresh] = as_kept(exactly(body))

        fuzzing.run(
            f"valid messages read back equal over HTTP ({api.target})",
            fuzzing.scale.of(6, 80),
            check,
            message=inputs.messages(company),
        )
        for message_id, expected in sent.items():
            with fuzzing.trying():
                read = until(lambda message_id=message_id: _found(api.get(f"/message/{message_id}", "amber")))
                found = exactly(read.content)
                del found["metadata"]["message_s3_key"], found["digest"]
                assert found == expected
            fuzzing.read_back += 1
        assert fuzzing.read_back


def _found(answer: requests.Response) -> requests.Response | None:
    assert answer.status_code in (200, 404)
    return answer if answer.status_code == 200 else None


def _check_http(answer: requests.Response) -> None:
    assert answer.status_code < 500, f"{_who_answered(answer)}: {answer.status_code} {answer.headers} {answer.text}"
    if answer.status_code not in (204, 304):
        json.loads(answer.content, parse_constant=_no_json)


def _who_answered(answer: requests.Response) -> str:
    """Say who made an error: the app, whose errors are problems with a request id, or something in front of it."""
    is_problem = answer.headers.get("Content-Type") == PROBLEM
    return "the app" if is_problem and "X-Request-Id" in answer.headers else "not the app, but something in front of it"


def test_the_claims_of_the_operator_are_those_that_the_tests_change() -> None:
    assert claims() == OPERATOR
